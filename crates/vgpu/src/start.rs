//! Which release a new machine should use, and whether its GPU needs a patched driver.

use crate::catalog::gpus::{Board, Donor, Generation, Gpus};
use crate::catalog::{Catalog, Month, Release};
use crate::machine::overview::{Gpu, Machine};
use vgpu_driver::Role;

/// What to begin with.
#[derive(Debug)]
pub struct Start<'m> {
    pub role: Role,
    /// The GPU that decides: one that NVIDIA lists, if there is one.
    pub gpu: Option<(&'m Gpu, Support)>,
    /// The release to begin with. `None`: no release of the catalog serves the GPU.
    pub release: Option<&'static Release>,
    /// Whether NVIDIA's support for that release is over.
    pub ended: bool,
}

/// What vGPU software can do for a physical GPU.
#[derive(Clone, Copy, Debug)]
pub enum Support {
    /// NVIDIA lists the board.
    Listed(&'static Board),
    /// A patched driver gives it the profiles of a listed board.
    Patched(&'static Donor),
    /// NVIDIA does not list it, as far as we know, and no patcher serves its generation.
    Unlisted(&'static Generation),
    /// We do not know the GPU.
    Unknown,
}

impl Support {
    fn of(gpu: &Gpu) -> Support {
        let device = gpu.function.device;
        let Some(generation) = Gpus::builtin().generation_of(device) else { return Support::Unknown };
        match (generation.board(device), &generation.donor) {
            (Some(board), _) => Support::Listed(board),
            (None, Some(donor)) => Support::Patched(donor),
            (None, None) => Support::Unlisted(generation),
        }
    }

    /// Better support comes first.
    fn rank(self) -> u8 {
        match self {
            Support::Listed(_) => 0,
            Support::Patched(_) => 1,
            Support::Unknown => 2,
            Support::Unlisted(_) => 3,
        }
    }
}

/// Decides for a machine.
pub fn decide(machine: &Machine, role: Role, today: Month) -> Start<'_> {
    let gpus = machine.gpus.iter().map(|gpu| (gpu, Support::of(gpu)));
    let gpu = gpus.min_by_key(|(_, support)| support.rank());
    let release = release(machine, role, gpu, today);
    let ended = release.is_some_and(|release| has_ended(release, today));
    Start { role, gpu, release, ended }
}

fn has_ended(release: &Release, today: Month) -> bool {
    let branch = Catalog::builtin().branch(release.release.branch());
    branch.and_then(|branch| branch.ended(today)) == Some(true)
}

/// The newest release that serves the GPU. Releases whose archive is in the store come first, then those that NVIDIA still
/// supports, then all others.
fn release(machine: &Machine, role: Role, gpu: Option<(&Gpu, Support)>, today: Month) -> Option<&'static Release> {
    let generation = gpu.and_then(|(gpu, _)| Gpus::builtin().generation_of(gpu.function.device));
    let patched = role == Role::Host && matches!(gpu, Some((_, Support::Patched(_))));
    let serves = |release: &&'static Release| {
        // If the catalog has no hash of the file, the number of the release is not enough.
        let pinned = match role {
            Role::Host => release.is_pinned(),
            Role::Guest => release.guest_sha256.is_some(),
        };
        let driven = generation.is_none_or(|generation| generation.is_served_by(release.release.branch()));
        pinned && driven && (!patched || release.patcher.is_some())
    };
    let all = || Catalog::builtin().releases().iter().filter(serves);
    let stored = machine.archives.iter().copied().find(|release| role == Role::Host && serves(release));
    stored.or_else(|| all().find(|release| !has_ended(release, today))).or_else(|| all().next())
}
