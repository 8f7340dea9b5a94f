//! The releases of NVIDIA vGPU software, from catalog/releases.toml, compiled in.
//!
//! A *release* (17.6) is a set of drivers that NVIDIA publishes together: one for the host, one for Linux guests and one
//! for Windows guests, all of one *branch* (17, built from driver branch R550). Several releases can hold the same
//! driver: 17.2 and 17.3 differ only in the Windows driver.

mod compatibility;
pub mod gpus;
pub mod kernels;
pub mod question;
pub mod summary;
mod version;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::nix::sri::Sri;
use vgpu_driver::Role;

pub use compatibility::{Fit, Target};
pub use version::{BranchNumber, DriverVersion, Month, ReleaseNumber, VersionError};

/// The text of catalog/releases.toml.
pub const TEXT: &str = include_str!("../../../catalog/releases.toml");

static BUILTIN: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::parse(TEXT).expect("tests/catalog.rs parses the catalog that is compiled in"));

/// Every release and branch we know.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    #[serde(rename = "branch", default)]
    branches: Vec<Branch>,
    #[serde(rename = "release", default)]
    releases: Vec<Release>,
}

/// A branch of releases, which share a major driver version and an end of life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// 17 of release 17.6.
    #[serde(rename = "branch")]
    pub number: BranchNumber,
    /// Major version of the branch's Linux drivers: 550 of R550.
    #[serde(rename(serialize = "driver_branch"))]
    pub driver: u32,
    /// Whether NVIDIA supports it for three years instead of one.
    pub long_term: bool,
    /// The last month of NVIDIA's support. `None` if NVIDIA has not announced it, or we do not know it.
    pub end_of_life: Option<Month>,
}

/// A release: the drivers NVIDIA published together, and their hashes as far as we know them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub release: ReleaseNumber,
    pub host: DriverVersion,
    pub guest: DriverVersion,
    pub windows: DriverVersion,
    /// File name of the GRID archive, where it is known; see [`Release::zip_name`].
    pub zip: Option<String>,
    /// Hash of the GRID archive.
    pub zip_sha256: Option<Sri>,
    /// Hash of NVIDIA-Linux-x86_64-<guest>-grid.run.
    pub guest_sha256: Option<Sri>,
    /// Which of these hashes come from one public record alone.
    #[serde(default)]
    pub unconfirmed: Vec<FileHash>,
    /// The closest consumer driver: nvidia-settings and nvidia-persistenced are built from its tag.
    pub general: Option<DriverVersion>,
    pub settings_sha256: Option<Sri>,
    pub persistenced_sha256: Option<Sri>,
    pub patcher: Option<Patcher>,
}

/// A revision of vGPU-Unlock-patcher made for a release, and the drivers that it patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patcher {
    /// The patcher's branch, for display.
    pub version: String,
    /// Git revision.
    pub rev: String,
    /// Hash of its source with submodules.
    pub sha256: Sri,
    pub general: DriverVersion,
    pub general_sha256: Sri,
    pub linux_guest: DriverVersion,
    pub linux_sha256: Option<Sri>,
    /// The Windows driver that patch.sh looks for.
    pub windows_guest_filename: String,
    pub windows_sha256: Option<Sri>,
}

/// A hash of one of NVIDIA's files, by its name in the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileHash {
    /// Hash of the GRID archive.
    ZipSha256,
    /// Of the Linux guest's .run file.
    GuestSha256,
}

/// Where the catalog has a hash from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HashSource {
    /// From somebody who got the file from NVIDIA, or from several records that agree.
    Confirmed,
    /// From one public record. Nobody has compared it with a file from NVIDIA yet.
    OneRecord,
}

/// A catalog that can't be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the catalog of releases is damaged")]
#[diagnostic(help("docs/adding-releases.md explains its format"))]
pub struct CatalogError(#[from] pub toml::de::Error);

impl Catalog {
    /// The catalog that this program was built with.
    pub fn builtin() -> &'static Catalog {
        &BUILTIN
    }

    /// Reads a catalog in the format of catalog/releases.toml.
    pub fn parse(text: &str) -> Result<Catalog, CatalogError> {
        Ok(toml::from_str(text)?)
    }

    /// Every release, newest first.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// Every branch, newest first.
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// The release of that number.
    pub fn find(&self, number: &ReleaseNumber) -> Option<&Release> {
        self.releases.iter().find(|release| release.release == *number)
    }

    /// The branch of that number.
    pub fn branch(&self, number: BranchNumber) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.number == number)
    }

    /// The releases that hold this driver, for hosts or guests, Linux or Windows; newest first.
    pub fn with_driver(&self, version: &DriverVersion) -> Vec<&Release> {
        let holds = |release: &&Release| [&release.host, &release.guest, &release.windows].contains(&version);
        self.releases.iter().filter(holds).collect()
    }

    /// The releases of a branch, newest first.
    pub fn of_branch(&self, branch: BranchNumber) -> impl Iterator<Item = &Release> {
        self.releases.iter().filter(move |release| release.release.branch() == branch)
    }

    /// The releases that hold these drivers, newest first. `None` stands for any driver. If both are `None`, there are no
    /// releases.
    pub fn by_versions(&self, host: Option<&DriverVersion>, guest: Option<&DriverVersion>) -> Vec<&Release> {
        if host.is_none() && guest.is_none() {
            return Vec::new();
        }
        let holds = |release: &&Release| {
            host.is_none_or(|version| *version == release.host) && guest.is_none_or(|version| *version == release.guest)
        };
        self.releases.iter().filter(holds).collect()
    }
}

impl Branch {
    /// Whether NVIDIA's support was over in `month`. `None` if the catalog doesn't know the end.
    pub fn ended(&self, month: Month) -> Option<bool> {
        self.end_of_life.map(|last| month > last)
    }
}

impl Release {
    /// Whether the catalog has the hash of the GRID archive, so that a package can name it in full.
    pub fn is_pinned(&self) -> bool {
        self.zip_sha256.is_some()
    }

    /// The catalog's hash of a file, and where it is from.
    pub fn hash(&self, hash: FileHash) -> Option<(Sri, HashSource)> {
        let sri = match hash {
            FileHash::ZipSha256 => self.zip_sha256,
            FileHash::GuestSha256 => self.guest_sha256,
        };
        let voucher = if self.unconfirmed.contains(&hash) { HashSource::OneRecord } else { HashSource::Confirmed };
        sri.map(|sri| (sri, voucher))
    }

    /// File name of the GRID archive: the one in the catalog, or the one that follows from the versions by NVIDIA's rule.
    pub fn zip_name(&self) -> String {
        self.zip.clone().unwrap_or_else(|| zip_name(&self.host, &self.guest, &self.windows))
    }

    /// The Linux driver for that role.
    pub fn version(&self, role: Role) -> &DriverVersion {
        match role {
            Role::Host => &self.host,
            Role::Guest => &self.guest,
        }
    }

    /// Where NVIDIA publishes the Linux guest driver. There is no such place for host drivers.
    pub fn guest_url(&self) -> String {
        let (release, file) = (&self.release, run_name(&self.guest, Role::Guest));
        format!("https://storage.googleapis.com/nvidia-drivers-us-public/GRID/vGPU{release}/{file}")
    }
}

/// NVIDIA's file name for the GRID archive of three drivers. The guest's version is left out if it is that of the host.
pub fn zip_name(host: &DriverVersion, guest: &DriverVersion, windows: &DriverVersion) -> String {
    if host == guest {
        format!("NVIDIA-GRID-Linux-KVM-{host}-{windows}.zip")
    } else {
        format!("NVIDIA-GRID-Linux-KVM-{host}-{guest}-{windows}.zip")
    }
}

/// NVIDIA's file name for a Linux driver.
pub fn run_name(version: &DriverVersion, role: Role) -> String {
    format!("NVIDIA-Linux-x86_64-{version}{}.run", role.suffix())
}
