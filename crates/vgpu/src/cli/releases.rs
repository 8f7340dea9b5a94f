//! `vgpu releases`: the catalog, one release in full, and which releases fit together.

use miette::{Diagnostic, Result};
use serde::Serialize;

use super::output;
use crate::catalog::{Branch, Catalog, DriverVersion, Fit, Month, Release, ReleaseNumber, Target};
use vgpu_driver::Role;

/// List the releases of vGPU software: drivers, hashes, patchers, and which fit together.
///
/// A release is pinned when the catalog has the hash of its archive: then `hardware.nvidia.vgpu.release = "17.6";` is all
/// there is to configure. For other releases `vgpu import` prints the configuration.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu releases                          every release
  vgpu releases 17.6                     all that is known about one
  vgpu releases --for-guest 550.163.01   what hosts of that guest can run
  vgpu releases --for-host 17.6          what guests of that host can run
  vgpu releases --json | jq -r '.[] | select(.pinned).release'")]
pub struct Args {
    /// Show this release in full
    release: Option<ReleaseNumber>,

    /// List what hosts of a guest with this driver can run: a release or a version, Linux or Windows
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["release", "for_host"])]
    for_guest: Option<DriverVersion>,

    /// List what guests of a host with this driver can run: a release or a version
    #[arg(long, value_name = "VERSION", conflicts_with = "release")]
    for_host: Option<DriverVersion>,

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
    #[error("the catalog knows no release {0}, and no {1} driver of that version or branch")]
    #[diagnostic(help("`vgpu releases` lists the versions; `nvidia-smi` prints the driver that a machine runs"))]
    UnknownVersion(String, Role),
}

pub fn run(args: Args) -> Result<()> {
    let view = View { catalog: Catalog::builtin(), today: args.today.unwrap_or_else(Month::now) };
    match (args.release, args.for_guest, args.for_host) {
        (Some(number), ..) => view.one(number, args.json),
        (None, Some(version), _) => view.fitting(&version, Role::Guest, args.json),
        (None, None, Some(version)) => view.fitting(&version, Role::Host, args.json),
        (None, None, None) => view.all(args.json),
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

struct View {
    catalog: &'static Catalog,
    today: Month,
}

impl View {
    fn all(&self, json: bool) -> Result<()> {
        let releases = self.catalog.releases();
        if json {
            return output::json(&releases.iter().map(|release| self.entry(release, None)).collect::<Vec<_>>());
        }
        let rows = releases.iter().map(|release| {
            vec![
                release.release.to_string(),
                self.branch_name(release),
                release.host.to_string(),
                release.guest.to_string(),
                release.windows.to_string(),
                if release.is_pinned() { "yes" } else { "no" }.to_owned(),
                release.patcher.as_ref().map_or("-".to_owned(), |patcher| patcher.version.clone()),
            ]
        });
        output::print(output::table(&["RELEASE", "BRANCH", "HOST", "GUEST", "WINDOWS", "PINNED", "PATCHER"], rows))
    }

    fn one(&self, number: ReleaseNumber, json: bool) -> Result<()> {
        let release = self.catalog.find(&number).ok_or_else(|| Error::UnknownRelease(number, self.siblings(number)))?;
        if json {
            return output::json(&self.entry(release, None));
        }
        output::print(self.describe(release))
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
        let rows = fitting.iter().map(|(release, fit)| {
            let drivers = match role {
                Role::Guest => vec![release.host.to_string()],
                Role::Host => vec![release.guest.to_string(), release.windows.to_string()],
            };
            let rest = [why(*fit, role).to_owned(), self.support(release)];
            [release.release.to_string()].into_iter().chain(drivers).chain(rest).collect()
        });
        output::print(match role {
            Role::Guest => output::table(&["RELEASE", "HOST", "FITS AS", "SUPPORT"], rows),
            Role::Host => output::table(&["RELEASE", "GUEST", "WINDOWS", "FITS AS", "SUPPORT"], rows),
        })
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
        match branch.and_then(|branch| Some((branch.end_of_life?, branch.ended(self.today)?))) {
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
        let mut lines = vec![
            ("release", release.release.to_string()),
            ("branch", self.branch_name(release)),
            ("support", self.support(release)),
            ("host driver", release.host.to_string()),
            ("guest driver", release.guest.to_string()),
            ("Windows driver", release.windows.to_string()),
            ("archive", release.zip_name()),
            ("archive hash", text(release.zip_sha256.map(|sri| sri.to_string()))),
            ("guest hash", text(release.guest_sha256.map(|sri| sri.to_string()))),
            ("guest from", release.guest_url()),
            ("settings from", text(release.general.as_ref().map(ToString::to_string))),
        ];
        let number = release.release.underscored();
        lines.push(("packages", format!("vgpu_{number} (host), grid_{number} (guest)")));
        if !release.is_pinned() {
            lines.push(("to use it", "`vgpu import FILE` prints the configuration, with the hash".to_owned()));
        }
        if let Some(patcher) = &release.patcher {
            lines.push(("patcher", format!("{} at {}", patcher.version, patcher.rev)));
            lines.push(("patcher hash", patcher.sha256.to_string()));
        }
        lines.iter().map(|(name, value)| format!("{name:<16}{value}")).collect::<Vec<_>>().join("\n")
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
