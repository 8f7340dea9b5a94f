//! What is told of profiles and boards, as JSON and in tables.

use std::collections::BTreeSet;

use serde::Serialize;
use vgpu_profiles::Config;
use vgpu_profiles::model::{Display, PhysicalGpu, Profile, Series};

use super::each_size::each_size;

/// A physical GPU.
#[derive(Serialize)]
pub struct Board<'a> {
    /// Four hexadecimal digits.
    pub device: String,
    /// Four hexadecimal digits.
    pub subsystem: String,
    pub name: Option<&'a str>,
    /// What the vGPUs that fit on it take together, as far as its profiles tell.
    pub memory_mib: u64,
    /// How many profiles it offers.
    pub profiles: usize,
    pub series: Vec<Series>,
    pub sriov: bool,
}

/// The physical GPUs, in the order of the file.
pub fn boards<'a>(config: &'a Config) -> Vec<Board<'a>> {
    let sizes = config.board_sizes();
    let board = |gpu: &'a PhysicalGpu| {
        let offered = config.profiles.iter().filter(|profile| gpu.offer(profile.id).is_some());
        Board {
            device: format!("{:04X}", gpu.id.device),
            subsystem: format!("{:04X}", gpu.id.subsystem),
            name: config.board_name(gpu),
            memory_mib: sizes.get(&gpu.id).map_or(0, |bytes| bytes >> 20),
            profiles: gpu.supported.len(),
            series: offered.filter_map(Profile::series).collect::<BTreeSet<_>>().into_iter().collect(),
            sriov: gpu.is_sriov(),
        }
    };
    config.gpus.iter().map(board).collect()
}

/// A profile. Numbers that the file does not give are null.
#[derive(Serialize)]
pub struct Listed<'a> {
    pub id: u32,
    pub name: &'a str,
    pub class: &'a str,
    /// What it is made for: A, B, C or Q.
    pub series: Option<Series>,
    pub framebuffer_mib: Option<u64>,
    pub heads: Option<u64>,
    pub display: Option<Display>,
    /// Frames a second; 0 is no limit.
    pub frame_rate_limit: Option<u64>,
    pub cuda: Option<bool>,
    pub gpus: Vec<Offer>,
}

/// A physical GPU that offers a profile.
#[derive(Serialize)]
pub struct Offer {
    device: String,
    subsystem: String,
    max_instances: Option<u64>,
}

impl<'a> Listed<'a> {
    /// A profile, and those of `gpus` that offer it.
    pub fn new(profile: &'a Profile, gpus: &[&PhysicalGpu]) -> Listed<'a> {
        let offers = gpus.iter().filter_map(|gpu| {
            let max_instances = gpu.offer(profile.id)?.max_instances;
            let (device, subsystem) = (format!("{:04X}", gpu.id.device), format!("{:04X}", gpu.id.subsystem));
            Some(Offer { device, subsystem, max_instances })
        });
        Listed {
            id: profile.id,
            name: &profile.name,
            class: &profile.class,
            series: profile.series(),
            framebuffer_mib: profile.profile_size.map(|bytes| bytes >> 20),
            heads: profile.heads,
            display: profile.display,
            frame_rate_limit: profile.frame_rate_limit,
            cuda: profile.cuda,
            gpus: offers.collect(),
        }
    }
}

/// The profiles that no physical GPU offers.
pub fn not_offered<'a>(config: &'a Config) -> Vec<&'a Profile> {
    let offered = |profile: &&Profile| config.gpus.iter().any(|gpu| gpu.offer(profile.id).is_some());
    config.profiles.iter().filter(|profile| !offered(profile)).collect()
}

/// One way to cut a board: into vGPUs of one size.
pub struct Cut<'a> {
    /// The profile's name behind the board: 8Q of A40-8Q.
    pub label: &'a str,
    /// Memory of one vGPU, in bytes.
    pub size: u64,
    /// How many fit.
    pub count: u64,
}

/// What a board could be cut into, one profile for each size, smallest first. A profile that does not give its size, or
/// how many fit, is left out.
pub fn cuts<'a>(config: &'a Config, gpu: &PhysicalGpu) -> Vec<Cut<'a>> {
    let described = gpu.supported.iter().filter_map(|supported| {
        let profile = config.profiles.iter().find(|profile| profile.id == supported.profile)?;
        Some((profile.profile_size?, profile.name.as_str(), supported.max_instances?))
    });
    let label = |name: &'a str| name.rsplit_once('-').map_or(name, |(_, label)| label);
    each_size(described).into_iter().map(|(size, (name, count))| Cut { label: label(name), size, count }).collect()
}

/// The memory of a board, in bytes: that of the cut that fills it best.
pub fn whole(cuts: &[Cut]) -> u64 {
    cuts.iter().filter_map(|cut| cut.size.checked_mul(cut.count)).max().unwrap_or(0)
}
