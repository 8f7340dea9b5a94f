//! The profiles, their boards and their sizes. They come from the driver's vgpuConfig.xml. If there is no such file, they
//! come from what the kernel offers.

use std::collections::BTreeMap;
use std::path::Path;

use vgpu_profiles::likeness::likeness;
use vgpu_profiles::model::bare_name;
use vgpu_profiles::{Config, file};

use super::declaration::ProfileName;
use crate::machine::pci::Device;
use crate::machine::vgpu::HostGpu;

/// Where the host driver's file lies, below the root.
pub const CONFIGS: [&str; 2] = ["etc/nvidia/vgpu/vgpuConfig.xml", "usr/share/nvidia/vgpu/vgpuConfig.xml"];

/// The profiles of a driver and the boards that offer them.
#[derive(Debug, Default)]
pub struct Profiles {
    profiles: BTreeMap<u32, Profile>,
    boards: Vec<Board>,
}

/// A profile: only what decides whether it fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub id: u32,
    /// NVIDIA A40-8Q
    pub name: String,
    /// What it takes of the board's memory, in bytes.
    pub size: Option<u64>,
}

/// A kind of physical GPU.
#[derive(Debug)]
pub struct Board {
    pub device: u16,
    /// 0 for any.
    pub subsystem: u16,
    /// A40
    pub name: Option<String>,
    /// Whether its vGPUs are made on virtual functions.
    pub sriov: bool,
    /// Number of the profile → how many fit, if the file says so.
    pub offers: BTreeMap<u32, Option<u64>>,
}

impl Profiles {
    /// What a vgpuConfig.xml says.
    pub fn of_config(config: &Config) -> Profiles {
        let profile =
            |p: &vgpu_profiles::model::Profile| Profile { id: p.id, name: p.name.clone(), size: p.profile_size };
        let board = |gpu: &vgpu_profiles::model::PhysicalGpu| Board {
            device: gpu.id.device,
            subsystem: gpu.id.subsystem,
            name: config.board_name(gpu).map(|name| bare_name(name).to_owned()),
            sriov: gpu.is_sriov(),
            offers: gpu.supported.iter().map(|offer| (offer.profile, offer.max_instances)).collect(),
        };
        Profiles {
            profiles: config.profiles.iter().map(|p| (p.id, profile(p))).collect(),
            boards: config.gpus.iter().map(board).collect(),
        }
    }

    /// What the machine's driver says. Without the file, only what the kernel offers.
    pub fn read(root: &Path, gpus: &[HostGpu]) -> Profiles {
        let text = CONFIGS.iter().find_map(|path| file::read(&root.join(path)).ok());
        let config = text.as_deref().and_then(|text| Config::parse(text).ok());
        let mut profiles = config.as_ref().map(Profiles::of_config).unwrap_or_default();
        profiles.add_kernel_types(gpus);
        profiles
    }

    fn add_kernel_types(&mut self, gpus: &[HostGpu]) {
        for kind in gpus.iter().flat_map(|gpu| &gpu.functions).flat_map(|function| &function.types) {
            let new = || Profile { id: kind.id, name: kind.name.clone(), size: None };
            self.profiles.entry(kind.id).or_insert_with(new);
        }
    }

    pub fn get(&self, id: u32) -> Option<&Profile> {
        self.profiles.get(&id)
    }

    /// `NVIDIA A40-8Q`, or `nvidia-562` if nothing describes it.
    pub fn name(&self, id: u32) -> String {
        self.get(id).map_or_else(|| format!("nvidia-{id}"), |profile| profile.name.clone())
    }

    /// The profiles with a name. Several boards can have profiles with the same name. The error has the nearest names.
    pub fn find(&self, wanted: &ProfileName) -> Result<Vec<u32>, Vec<String>> {
        let (number, text) = match wanted {
            ProfileName::Number(number) => (Some(*number), String::new()),
            ProfileName::Text(text) => {
                (text.strip_prefix("nvidia-").unwrap_or(text).parse().ok(), bare_name(text).to_lowercase())
            }
        };
        if let Some(number) = number {
            let mut near: Vec<_> = self.profiles.values().collect();
            near.sort_by_key(|profile| profile.id.abs_diff(number));
            let near = || near.iter().take(3).map(|p| format!("{} ({})", p.id, p.name)).collect();
            // Without the driver's file, only the kernel knows types, and it lists only those that can be made now.
            let known = self.profiles.contains_key(&number) || self.boards.is_empty();
            return if known { Ok(vec![number]) } else { Err(near()) };
        }
        let found: Vec<u32> =
            self.profiles.values().filter(|p| bare_name(&p.name).to_lowercase() == text).map(|p| p.id).collect();
        if found.is_empty() { Err(self.nearest(&text)) } else { Ok(found) }
    }

    fn nearest(&self, text: &str) -> Vec<String> {
        let mut near: Vec<_> = self.profiles.values().collect();
        near.sort_by_cached_key(|profile| std::cmp::Reverse(likeness(&bare_name(&profile.name).to_lowercase(), text)));
        near.iter().take(3).map(|profile| bare_name(&profile.name).to_owned()).collect()
    }

    /// The board of a GPU: that of its subsystem, or the one for every subsystem.
    pub fn board(&self, gpu: &Device) -> Option<&Board> {
        let of = |subsystem: u16| {
            self.boards.iter().find(|board| board.device == gpu.device && board.subsystem == subsystem)
        };
        of(gpu.subsystem_device).or_else(|| of(0))
    }

    pub fn boards(&self) -> &[Board] {
        &self.boards
    }

    /// Memory that the vGPUs of a board can have together, in bytes: as much as the profile that fills it best.
    pub fn memory(&self, board: &Board) -> Option<u64> {
        let filled = board.offers.iter().filter_map(|(id, max)| self.get(*id)?.size?.checked_mul((*max)?));
        filled.max().filter(|memory| *memory > 0)
    }
}
