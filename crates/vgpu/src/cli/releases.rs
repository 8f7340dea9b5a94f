//! `vgpu releases`: lists the catalog, shows a release, branch, driver or GPU in full, and tells which releases fit together.

use miette::{Diagnostic, Result};
use vgpu_driver::Role;

use super::output::{self, Column, Form};
use crate::catalog::gpus::Gpus;
use crate::catalog::kernels::{KernelVersion, Kernels};
use crate::catalog::question::{self, Answer, ask};
use crate::catalog::summary::{Fitting, Summary};
use crate::catalog::{Branch, Catalog, DriverVersion, FileHash, Fit, HashSource, Month, Release, ReleaseNumber};

/// List the releases of vGPU software: drivers, hashes, patchers, and which fit together.
///
/// A release is pinned if the catalog has the hash of its archive. It needs one line: `hardware.nvidia.vgpu.release = "17.6";`.
/// For other releases `vgpu import` prints the configuration. PINNED says `record` if the hash comes from one public record,
/// and nobody has compared it with a file from NVIDIA yet. The newest release comes last.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu releases                          every release
  vgpu releases 19.6                     all that is known about one
  vgpu releases 17                       a branch; R550 is the same
  vgpu releases 550.163.02               the releases with that driver
  vgpu releases 10de:2235                which branches serve a GPU; also: A40
  vgpu releases --kernel 6.12.117        what compiles against a kernel
  vgpu releases --for-guest 550.163.01   what hosts of that guest can run
  vgpu releases --for-host 19.6          what guests of that host can run
  vgpu releases --json | jq -r '.[] | select(.pinned).release'")]
pub struct Args {
    /// Show this in full: a release (also vgpu_17_6), a branch, a driver version or a GPU
    what: Option<String>,

    /// List what hosts of a guest with this driver can run: a release or a version, Linux or Windows
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["what", "for_host"])]
    for_guest: Option<DriverVersion>,

    /// List what guests of a host with this driver can run: a release or a version
    #[arg(long, value_name = "VERSION", conflicts_with = "what")]
    for_host: Option<DriverVersion>,

    /// List the releases whose kernel modules are expected to compile against this kernel: 6.12.117, 6.12
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["what", "for_guest", "for_host"])]
    kernel: Option<KernelVersion>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// The month in which support is judged; for tests
    #[arg(long, value_name = "YEAR-MONTH", hide = true)]
    today: Option<Month>,
}

#[derive(Debug, thiserror::Error, Diagnostic)]
enum Error {
    #[error("the catalog has no release {0}")]
    #[diagnostic(help("{1}; `vgpu import` also takes archives of releases that are not in the catalog"))]
    UnknownRelease(ReleaseNumber, String),
    #[error("the catalog has nothing called {0}")]
    #[diagnostic(help(
        "give a release (19.6), a branch (19 or R580), the version of a driver (580.178.05), or a GPU by its PCI id \
         (10de:2235, see `lspci -nn -d 10de:`), its name (A40) or its generation (Ampere)"
    ))]
    Unknown(String),
    #[error("the catalog knows no release {0}, and no {1} driver of that version or branch")]
    #[diagnostic(help("`vgpu releases` lists the versions; `nvidia-smi` prints the driver that a machine runs"))]
    UnknownVersion(String, Role),
    #[error("no release is known to compile against Linux {0}")]
    #[diagnostic(help("choose another kernel: `vgpu releases RELEASE` says which were tried"))]
    NothingCompiles(KernelVersion),
}

pub fn run(args: Args) -> Result<()> {
    let form = Form::of(args.json);
    let view = View(Summary { catalog: Catalog::builtin(), today: args.today.unwrap_or_else(Month::now) });
    if let Some(kernel) = args.kernel {
        return view.compiling(&kernel, form);
    }
    match (args.what, args.for_guest, args.for_host) {
        (Some(word), ..) => view.answer(&word, form),
        (None, Some(version), _) => view.fitting(&version, Role::Guest, form),
        (None, None, Some(version)) => view.fitting(&version, Role::Host, form),
        (None, None, None) => view.list(view.0.catalog.releases().iter(), form),
    }
}

/// The columns of a list of releases. Users look for host, guest and release most often.
const LIST: [Column; 7] = [
    Column::text("RELEASE"),
    Column::text("BRANCH").spare(2),
    Column::text("HOST"),
    Column::text("GUEST").spare(1),
    Column::text("WINDOWS").spare(3),
    Column::text("PINNED").spare(5),
    Column::text("PATCHER").spare(4),
];

/// Puts a summary into words and tables.
struct View(Summary<'static>);

impl View {
    /// Lists releases that come newest first. The newest is printed last, where it stays on the screen.
    fn list<'a>(&self, releases: impl DoubleEndedIterator<Item = &'a Release>, form: Form) -> Result<()> {
        if form == Form::Json {
            return output::json(&releases.map(|release| self.0.entry(release, None)).collect::<Vec<_>>());
        }
        output::print(self.table(releases))
    }

    fn table<'a>(&self, releases: impl DoubleEndedIterator<Item = &'a Release>) -> String {
        let rows = releases.rev().map(|release| {
            vec![
                release.release.to_string(),
                self.branch_name(release),
                release.host.to_string(),
                release.guest.to_string(),
                release.windows.to_string(),
                pinned(release).to_owned(),
                release.patcher.as_ref().map_or("-".to_owned(), |patcher| patcher.version.clone()),
            ]
        });
        output::table(&LIST, rows)
    }

    fn answer(&self, word: &str, form: Form) -> Result<()> {
        match ask(self.0.catalog, Gpus::builtin(), word).ok_or_else(|| Error::Unknown(word.to_owned()))? {
            Answer::Release(release) if form == Form::Json => output::json(&self.0.entry(release, None)),
            Answer::Release(release) => output::print(self.describe(release)),
            Answer::UnknownRelease(number) => Err(self.unknown(number).into()),
            Answer::Branch(branch) if form == Form::Json => {
                self.list(self.0.catalog.of_branch(branch.number).collect::<Vec<_>>().into_iter(), form)
            }
            Answer::Branch(branch) => output::print(self.branch(branch)),
            Answer::Driver(_, releases) if form == Form::Json || releases.len() > 1 => {
                self.list(releases.into_iter(), form)
            }
            Answer::Driver(_, releases) => {
                output::print(releases.iter().map(|release| self.describe(release)).collect::<Vec<_>>().join("\n\n"))
            }
            Answer::Gpu(gpu) if form == Form::Json => output::json(&self.0.served(&gpu)),
            Answer::Gpu(gpu) => output::print(self.gpu(&gpu)),
        }
    }

    /// A branch: what it is, the GPUs it serves, its releases.
    fn branch(&self, branch: &Branch) -> String {
        let lines = [
            ("branch", format!("{}, drivers R{}", branch.number, branch.driver)),
            ("support", self.support_of(branch)),
            ("GPUs", self.0.generations(branch).join(", ")),
        ];
        let releases: Vec<&Release> = self.0.catalog.of_branch(branch.number).collect();
        format!("{}\n\n{}", output::facts(16, &lines), self.table(releases.into_iter()))
    }

    /// A GPU: what it is, the branches that serve it, and what to do if NVIDIA doesn't list it.
    fn gpu(&self, gpu: &question::Gpu) -> String {
        let served = self.0.served(gpu);
        let device = served.device.as_ref().map(|device| format!("[{device}]"));
        let name: Vec<&str> = [served.board, device.as_deref()].into_iter().flatten().collect();
        let mut lines = vec![("generation", served.generation.to_owned())];
        if !name.is_empty() {
            lines.insert(0, ("GPU", name.join(" ")));
            let listed = if served.board.is_some() { "yes" } else { "not that we know of" };
            lines.push(("listed for vGPU", listed.to_owned()));
        }
        if served.board.is_none() {
            lines.push(match served.donor {
                Some(donor) => {
                    ("unlisted boards", format!("patched driver, profiles of {} ({})", donor.gpu, donor.name))
                }
                None => ("unlisted boards", "no patcher makes vGPUs on them".to_owned()),
            });
        }
        if let [first, ..] = served.unsure {
            lines.push(("unsure", format!("branch {first}: the sources disagree")));
        }
        // A driver can be patched for other GPUs all the same; for this one that is of no use.
        let patched = served.board.is_some() || served.donor.is_some() || served.device.is_none();
        let rows = served.branches.iter().rev().map(|by| {
            let number = |release: Option<ReleaseNumber>| release.map_or("-".to_owned(), |release| release.to_string());
            vec![
                by.branch.number.to_string(),
                number(by.newest_release),
                number(by.newest_patched_release.filter(|_| patched)),
                self.support_of(by.branch),
            ]
        });
        let columns =
            [Column::text("BRANCH"), Column::text("NEWEST"), Column::text("PATCHED").spare(1), Column::text("SUPPORT")];
        format!("{}\n\n{}", output::facts(16, &lines), output::table(&columns, rows))
    }

    fn fitting(&self, version: &DriverVersion, role: Role, form: Form) -> Result<()> {
        let target = self
            .0
            .catalog
            .target(version.as_str(), role)
            .ok_or_else(|| Error::UnknownVersion(version.to_string(), role))?;
        let fitting = self.0.fitting(&target, role);
        if form == Form::Json {
            let fitting = fitting.iter().map(|(release, fit)| self.0.entry(release, Some(*fit))).collect();
            return output::json(&Fitting { role, version, target, fitting });
        }
        let rows = fitting.iter().rev().map(|(release, fit)| {
            let drivers = match role {
                Role::Guest => vec![release.host.to_string()],
                Role::Host => vec![release.guest.to_string(), release.windows.to_string()],
            };
            let rest = [why(*fit, role).to_owned(), self.support(release)];
            [release.release.to_string()].into_iter().chain(drivers).chain(rest).collect()
        });
        output::print(match role {
            Role::Guest => {
                let columns = ["RELEASE", "HOST", "FITS AS"].map(Column::text);
                output::table(&[&columns[..], &[Column::text("SUPPORT").spare(1)]].concat(), rows)
            }
            Role::Host => {
                let [release, guest, windows, fits] = ["RELEASE", "GUEST", "WINDOWS", "FITS AS"].map(Column::text);
                let columns = [release, guest, windows.spare(2), fits, Column::text("SUPPORT").spare(1)];
                output::table(&columns, rows)
            }
        })
    }

    /// The releases whose modules compile against a kernel.
    fn compiling(&self, kernel: &KernelVersion, form: Form) -> Result<()> {
        let releases = self.0.compiling(kernel);
        if releases.is_empty() && form == Form::Text {
            return Err(Error::NothingCompiles(*kernel).into());
        }
        self.list(releases.into_iter(), form)
    }

    /// `R550 LTS, ended`: the driver branch, and what a reader of the table must know about it.
    fn branch_name(&self, release: &Release) -> String {
        let Some(branch) = self.0.catalog.branch(release.release.branch()) else { return "-".to_owned() };
        let long_term = if branch.long_term { " LTS" } else { "" };
        let ended = if branch.ended(self.0.today) == Some(true) { " ended" } else { "" };
        format!("R{}{long_term}{ended}", branch.driver)
    }

    fn support(&self, release: &Release) -> String {
        let branch = self.0.catalog.branch(release.release.branch());
        branch.map_or("end not known".to_owned(), |branch| self.support_of(branch))
    }

    fn support_of(&self, branch: &Branch) -> String {
        match branch.end_of_life.and_then(|last| Some((last, branch.ended(self.0.today)?))) {
            Some((last, true)) => format!("ended {last}"),
            Some((last, false)) => format!("until {last}"),
            None => "end not known".to_owned(),
        }
    }

    fn unknown(&self, number: ReleaseNumber) -> Error {
        let siblings: Vec<String> = self.0.siblings(number).iter().map(ReleaseNumber::to_string).collect();
        let advice = match siblings.is_empty() {
            true => "`vgpu releases` lists the ones it has".to_owned(),
            false => format!("it has {}", siblings.join(", ")),
        };
        Error::UnknownRelease(number, advice)
    }

    /// The newest release whose guest driver a host of `release` serves, and Nix can download.
    fn with_guest_hash(&self, release: &Release) -> Option<ReleaseNumber> {
        let target = self.0.catalog.target(&release.release.to_string(), Role::Host)?;
        let fitting = self.0.fitting(&target, Role::Host);
        fitting.iter().find(|(other, _)| other.guest_sha256.is_some()).map(|(other, _)| other.release)
    }

    fn describe(&self, release: &Release) -> String {
        let text = |value: Option<String>| value.unwrap_or_else(|| "not known".to_owned());
        let hash = |hash| text(release.hash(hash).map(|(sri, voucher)| format!("{sri}{}", remark(voucher))));
        let mut lines = vec![
            ("release", release.release.to_string()),
            ("branch", self.branch_name(release)),
            ("support", self.support(release)),
            ("host driver", release.host.to_string()),
            ("guest driver", release.guest.to_string()),
            ("Windows driver", release.windows.to_string()),
            ("archive", release.zip_name()),
            ("archive hash", hash(FileHash::ZipSha256)),
            ("guest hash", hash(FileHash::GuestSha256)),
            ("guest from", release.guest_url()),
            ("settings from", text(release.general.as_ref().map(ToString::to_string))),
            ("kernels", text(Kernels::builtin().of(&release.host).map(ToString::to_string))),
        ];
        let number = release.release.underscored();
        lines.push(("packages", format!("vgpu_{number} (host), grid_{number} (guest)")));
        if !release.is_pinned() {
            lines.push(("to use it", "`vgpu import FILE` prints the configuration, with the hash".to_owned()));
        } else if release.guest_sha256.is_none() {
            lines.push(("guests", "`vgpu import FILE` of the guest's .run file".to_owned()));
            if let Some(other) = self.with_guest_hash(release) {
                lines.push(("", format!("or release {other} in the guests, which fits and has a guest hash")));
            }
        }
        if let Some(patcher) = &release.patcher {
            lines.push(("patcher", format!("{} at {}", patcher.version, patcher.rev)));
            lines.push(("patcher hash", patcher.sha256.to_string()));
        }
        output::facts(16, &lines)
    }
}

/// Whether the archive's hash is known, and from whom.
fn pinned(release: &Release) -> &'static str {
    match release.hash(FileHash::ZipSha256) {
        Some((_, HashSource::Confirmed)) => "yes",
        Some((_, HashSource::OneRecord)) => "record",
        None => "no",
    }
}

/// The remark after a hash.
fn remark(voucher: HashSource) -> &'static str {
    match voucher {
        HashSource::Confirmed => "",
        HashSource::OneRecord => " (one public record)",
    }
}

/// Why a release is in the list, in words that fit a column.
fn why(fit: Fit, role: Role) -> &'static str {
    match (fit, role) {
        (Fit::SameRelease, _) => "same release",
        (Fit::SameBranch, _) => "same branch",
        (Fit::PreviousBranch, Role::Host) => "previous branch",
        (Fit::PreviousBranch, Role::Guest) => "next branch",
        (Fit::PreviousLongTermBranch, Role::Host) => "previous LTS branch",
        (Fit::PreviousLongTermBranch, Role::Guest) => "next LTS branch",
    }
}
