//! `vgpu releases`: the catalog, a release, branch, driver or GPU in full, and which releases fit together.

use miette::{Diagnostic, Result};
use serde::Serialize;

use super::output::{self, Column};
use crate::catalog::gpus::{Donor, Gpus};
use crate::catalog::kernels::{KernelVersion, Kernels, Measurement};
use crate::catalog::question::{self, Answer, ask};
use crate::catalog::{
    Branch, BranchNumber, Catalog, DriverVersion, FileHash, Fit, Month, Release, ReleaseNumber, Target, Voucher,
};
use vgpu_driver::Role;

/// List the releases of vGPU software: drivers, hashes, patchers, and which fit together.
///
/// A release is pinned when the catalog has the hash of its archive: then `hardware.nvidia.vgpu.release = "17.6";` is all
/// there is to configure. For other releases `vgpu import` prints the configuration. PINNED says `record` where the hash
/// comes from one public record, and nobody has compared it with a file from NVIDIA yet. The newest release comes last.
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
    /// Show this in full: a release, a branch, a driver version or a GPU
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
    #[diagnostic(help("{1}; `vgpu import` takes in archives of releases that are not in the catalog"))]
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
    #[diagnostic(help("choose an older kernel: `vgpu releases RELEASE` says which were tried"))]
    NothingCompiles(KernelVersion),
}

pub fn run(args: Args) -> Result<()> {
    let view = View { catalog: Catalog::builtin(), today: args.today.unwrap_or_else(Month::now) };
    if let Some(kernel) = args.kernel {
        return view.compiling(&kernel, args.json);
    }
    match (args.what, args.for_guest, args.for_host) {
        (Some(word), ..) => view.answer(&word, args.json),
        (None, Some(version), _) => view.fitting(&version, Role::Guest, args.json),
        (None, None, Some(version)) => view.fitting(&version, Role::Host, args.json),
        (None, None, None) => view.list(view.catalog.releases().iter(), args.json),
    }
}

/// A release as `--json` prints it: the catalog's entry and what follows from it.
#[derive(Serialize)]
struct Entry<'a> {
    /// With `zip` by NVIDIA's rule where the catalog has none.
    #[serde(flatten)]
    release: Release,
    pinned: bool,
    guest_url: String,
    #[serde(flatten)]
    branch: Option<&'a Branch>,
    /// Whether NVIDIA's support is over; null where the end isn't known.
    ended: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fit: Option<Fit>,
    /// What was measured of its kernel modules.
    kernels: Option<&'static Measurement>,
}

/// What `--for-guest` and `--for-host` print as JSON.
#[derive(Serialize)]
struct Fitting<'a> {
    role: Role,
    version: &'a DriverVersion,
    #[serde(flatten)]
    target: Target,
    fitting: Vec<Entry<'a>>,
}

/// What a GPU is answered with as JSON.
#[derive(Serialize)]
struct Served<'a> {
    /// As `lspci -n` has it, if it was asked for by that.
    device: Option<String>,
    generation: &'a str,
    /// The board that NVIDIA lists for vGPU; null where it lists none.
    board: Option<&'a str>,
    branches: Vec<ServedBy<'a>>,
    /// Branches for which the sources disagree.
    unsure: &'a [BranchNumber],
    /// The board whose profiles an unlisted one can be given with a patched driver.
    donor: Option<&'a Donor>,
}

#[derive(Serialize)]
struct ServedBy<'a> {
    #[serde(flatten)]
    branch: &'a Branch,
    ended: Option<bool>,
    newest_release: Option<ReleaseNumber>,
    newest_patched_release: Option<ReleaseNumber>,
}

/// The columns of a list of releases. Host, guest and release are what is looked for most.
const LIST: [Column; 7] = [
    Column::text("RELEASE"),
    Column::text("BRANCH").spare(2),
    Column::text("HOST"),
    Column::text("GUEST").spare(1),
    Column::text("WINDOWS").spare(3),
    Column::text("PINNED").spare(5),
    Column::text("PATCHER").spare(4),
];

struct View {
    catalog: &'static Catalog,
    today: Month,
}

impl View {
    /// Lists releases that come newest first. The newest is printed last, where it stays on the screen.
    fn list<'a>(&self, releases: impl DoubleEndedIterator<Item = &'a Release>, json: bool) -> Result<()> {
        if json {
            return output::json(&releases.map(|release| self.entry(release, None)).collect::<Vec<_>>());
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

    fn answer(&self, word: &str, json: bool) -> Result<()> {
        match ask(self.catalog, Gpus::builtin(), word).ok_or_else(|| Error::Unknown(word.to_owned()))? {
            Answer::Release(release) if json => output::json(&self.entry(release, None)),
            Answer::Release(release) => output::print(self.describe(release)),
            Answer::UnknownRelease(number) => Err(Error::UnknownRelease(number, self.siblings(number)).into()),
            Answer::Branch(branch) if json => {
                self.list(self.catalog.of_branch(branch.number).collect::<Vec<_>>().into_iter(), true)
            }
            Answer::Branch(branch) => output::print(self.branch(branch)),
            Answer::Driver(_, releases) if json || releases.len() > 1 => self.list(releases.into_iter(), json),
            Answer::Driver(_, releases) => {
                output::print(releases.iter().map(|release| self.describe(release)).collect::<Vec<_>>().join("\n\n"))
            }
            Answer::Gpu(gpu) if json => output::json(&self.served(&gpu)),
            Answer::Gpu(gpu) => output::print(self.gpu(&gpu)),
        }
    }

    /// A branch: what it is, the GPUs it serves, its releases.
    fn branch(&self, branch: &Branch) -> String {
        let generations = Gpus::builtin().generations.iter();
        let served: Vec<&str> = generations
            .filter(|generation| generation.is_served_by(branch.number))
            .map(|generation| generation.name.as_str())
            .collect();
        let lines = [
            ("branch", format!("{}, drivers R{}", branch.number, branch.driver)),
            ("support", self.support_of(branch)),
            ("GPUs", served.join(", ")),
        ];
        let releases: Vec<&Release> = self.catalog.of_branch(branch.number).collect();
        format!("{}\n\n{}", facts(&lines), self.table(releases.into_iter()))
    }

    fn served<'a>(&'a self, gpu: &question::Gpu<'a>) -> Served<'a> {
        let branches = self.catalog.branches().iter().filter(|branch| gpu.generation.is_served_by(branch.number));
        let newest = |branch: &Branch, wanted: &dyn Fn(&&Release) -> bool| {
            self.catalog.of_branch(branch.number).find(wanted).map(|release| release.release)
        };
        Served {
            device: gpu.device.map(|device| format!("10de:{device:04x}")),
            generation: &gpu.generation.name,
            board: gpu.board.map(|board| board.name.as_str()),
            branches: branches
                .map(|branch| ServedBy {
                    branch,
                    ended: branch.ended(self.today),
                    newest_release: newest(branch, &|_| true),
                    newest_patched_release: newest(branch, &|release| release.patcher.is_some()),
                })
                .collect(),
            unsure: &gpu.generation.unsure,
            donor: gpu.generation.donor.as_ref(),
        }
    }

    /// A GPU: what it is, the branches that serve it, and what to do if NVIDIA doesn't list it.
    fn gpu(&self, gpu: &question::Gpu) -> String {
        let served = self.served(gpu);
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
        let rows = served.branches.iter().rev().map(|by| {
            let number = |release: Option<ReleaseNumber>| release.map_or("-".to_owned(), |release| release.to_string());
            vec![
                by.branch.number.to_string(),
                number(by.newest_release),
                number(by.newest_patched_release),
                self.support_of(by.branch),
            ]
        });
        let columns =
            [Column::text("BRANCH"), Column::text("NEWEST"), Column::text("PATCHED").spare(1), Column::text("SUPPORT")];
        format!("{}\n\n{}", facts(&lines), output::table(&columns, rows))
    }

    fn fitting(&self, version: &DriverVersion, role: Role, json: bool) -> Result<()> {
        let target = self
            .catalog
            .target(version.as_str(), role)
            .ok_or_else(|| Error::UnknownVersion(version.to_string(), role))?;
        let fitting: Vec<(&Release, Fit)> = self
            .catalog
            .releases()
            .iter()
            .filter_map(|release| Some((release, self.catalog.fit(&target, role, release)?)))
            .collect();
        if json {
            let fitting = fitting.iter().map(|(release, fit)| self.entry(release, Some(*fit))).collect();
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
    fn compiling(&self, kernel: &KernelVersion, json: bool) -> Result<()> {
        let expected =
            |release: &&Release| Kernels::builtin().of(&release.host).is_some_and(|measured| measured.expects(kernel));
        let releases: Vec<&Release> = self.catalog.releases().iter().filter(expected).collect();
        if releases.is_empty() && !json {
            return Err(Error::NothingCompiles(*kernel).into());
        }
        self.list(releases.into_iter(), json)
    }

    fn entry(&self, release: &Release, fit: Option<Fit>) -> Entry<'_> {
        let branch = self.catalog.branch(release.release.branch());
        Entry {
            release: Release { zip: Some(release.zip_name()), ..release.clone() },
            pinned: release.is_pinned(),
            guest_url: release.guest_url(),
            branch,
            ended: branch.and_then(|branch| branch.ended(self.today)),
            fit,
            kernels: Kernels::builtin().of(&release.host),
        }
    }

    /// `R550 LTS, ended`: the driver branch, and what a reader of the table must know about it.
    fn branch_name(&self, release: &Release) -> String {
        let Some(branch) = self.catalog.branch(release.release.branch()) else { return "-".to_owned() };
        let long_term = if branch.long_term { " LTS" } else { "" };
        let ended = if branch.ended(self.today) == Some(true) { " ended" } else { "" };
        format!("R{}{long_term}{ended}", branch.driver)
    }

    fn support(&self, release: &Release) -> String {
        let branch = self.catalog.branch(release.release.branch());
        branch.map_or("end not known".to_owned(), |branch| self.support_of(branch))
    }

    fn support_of(&self, branch: &Branch) -> String {
        match branch.end_of_life.and_then(|last| Some((last, branch.ended(self.today)?))) {
            Some((last, true)) => format!("ended {last}"),
            Some((last, false)) => format!("until {last}"),
            None => "end not known".to_owned(),
        }
    }

    /// The releases of the same branch, or the known branches, as advice.
    fn siblings(&self, number: ReleaseNumber) -> String {
        let known = self.catalog.releases().iter().map(|release| release.release);
        let siblings: Vec<String> =
            known.filter(|known| known.branch() == number.branch()).map(|known| known.to_string()).collect();
        if siblings.is_empty() {
            "`vgpu releases` lists the ones it has".to_owned()
        } else {
            format!("it has {}", siblings.join(", "))
        }
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
            lines.push(("guests", "`vgpu import FILE` of the guest's .run file, or take another".to_owned()));
            lines.push(("", "release of the branch that has a guest hash".to_owned()));
        }
        if let Some(patcher) = &release.patcher {
            lines.push(("patcher", format!("{} at {}", patcher.version, patcher.rev)));
            lines.push(("patcher hash", patcher.sha256.to_string()));
        }
        facts(&lines)
    }
}

/// Facts with their names, a line each.
fn facts(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(name, value)| format!("{name:<16}{value}")).collect::<Vec<_>>().join("\n")
}

/// Whether the archive's hash is known, and from whom.
fn pinned(release: &Release) -> &'static str {
    match release.hash(FileHash::ZipSha256) {
        Some((_, Voucher::Confirmed)) => "yes",
        Some((_, Voucher::OneRecord)) => "record",
        None => "no",
    }
}

/// What to add to a hash.
fn remark(voucher: Voucher) -> &'static str {
    match voucher {
        Voucher::Confirmed => "",
        Voucher::OneRecord => " (one public record)",
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
