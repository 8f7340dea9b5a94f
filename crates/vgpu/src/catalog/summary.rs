//! What follows from the catalog's entries in a given month: for releases, GPUs, and what fits together.

use serde::Serialize;
use vgpu_driver::Role;

use super::gpus::{Donor, Gpus};
use super::kernels::{KernelVersion, Kernels, Measurement};
use super::question;
use super::{Branch, BranchNumber, Catalog, DriverVersion, Fit, Month, Release, ReleaseNumber, Target};

/// The catalog in a month, which decides what is still supported.
pub struct Summary<'c> {
    pub catalog: &'c Catalog,
    pub today: Month,
}

/// A release: the catalog's entry and what follows from it.
#[derive(Serialize)]
pub struct Entry<'a> {
    /// Where the catalog has no `zip`, it is the name by NVIDIA's rule.
    #[serde(flatten)]
    pub release: Release,
    pub pinned: bool,
    pub guest_url: String,
    #[serde(flatten)]
    pub branch: Option<&'a Branch>,
    /// Whether NVIDIA's support is over; null where the end isn't known.
    pub ended: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// Which kernels its modules were compiled against.
    pub kernels: Option<&'static Measurement>,
}

/// The releases that fit together with a driver.
#[derive(Serialize)]
pub struct Fitting<'a> {
    pub role: Role,
    pub version: &'a DriverVersion,
    #[serde(flatten)]
    pub target: Target,
    pub fitting: Vec<Entry<'a>>,
}

/// A GPU, and the branches that serve it.
#[derive(Serialize)]
pub struct Served<'a> {
    /// As `lspci -n` prints it, if the question had that.
    pub device: Option<String>,
    pub generation: &'a str,
    /// The board that NVIDIA lists for vGPU; null where it lists none.
    pub board: Option<&'a str>,
    pub branches: Vec<ServedBy<'a>>,
    /// Branches for which the sources disagree.
    pub unsure: &'a [BranchNumber],
    /// The board whose profiles an unlisted one can be given with a patched driver.
    pub donor: Option<&'a Donor>,
}

/// A branch that serves a GPU, and its newest releases.
#[derive(Serialize)]
pub struct ServedBy<'a> {
    #[serde(flatten)]
    pub branch: &'a Branch,
    pub ended: Option<bool>,
    pub newest_release: Option<ReleaseNumber>,
    pub newest_patched_release: Option<ReleaseNumber>,
}

impl Summary<'_> {
    /// A release, with how it fits where that was the question.
    pub fn entry(&self, release: &Release, fit: Option<Fit>) -> Entry<'_> {
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

    /// A GPU and the branches that serve it, newest first.
    pub fn served<'a>(&'a self, gpu: &question::Gpu<'a>) -> Served<'a> {
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

    /// The generations of GPUs that a branch serves, by name.
    pub fn generations(&self, branch: &Branch) -> Vec<&'static str> {
        let served = Gpus::builtin().generations.iter().filter(|generation| generation.is_served_by(branch.number));
        served.map(|generation| generation.name.as_str()).collect()
    }

    /// The releases that fit together with a driver of the other role, newest first.
    pub fn fitting(&self, target: &Target, role: Role) -> Vec<(&Release, Fit)> {
        let releases = self.catalog.releases().iter();
        releases.filter_map(|release| Some((release, self.catalog.fit(target, role, release)?))).collect()
    }

    /// The releases whose kernel modules are expected to compile against a kernel, newest first.
    pub fn compiling(&self, kernel: &KernelVersion) -> Vec<&Release> {
        let expected =
            |release: &&Release| Kernels::builtin().of(&release.host).is_some_and(|measured| measured.expects(kernel));
        self.catalog.releases().iter().filter(expected).collect()
    }

    /// The releases of the same branch that the catalog has, newest first.
    pub fn siblings(&self, number: ReleaseNumber) -> Vec<ReleaseNumber> {
        self.catalog.of_branch(number.branch()).map(|release| release.release).collect()
    }
}
