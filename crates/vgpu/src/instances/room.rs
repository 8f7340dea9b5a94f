//! What still fits on a GPU, by the rules of NVIDIA's resource manager.
//!
//! All vGPUs of a GPU have one size, and the profile limits their number. If mixed sizes are switched on, only memory is the
//! limit (open-gpu-kernel-modules, kernel_vgpu_mgr.c). The kernel decides in the end. These rules are for choosing a GPU,
//! and for telling the user at once what can't work.

use serde::Serialize;
use vgpu_profiles::model::bare_name;

use super::profiles::{Board, Profile, Profiles};
use super::reason::Reason;
use crate::machine::pci::Address;
use crate::machine::vgpu::{HostGpu, Interface, Sizes};
use crate::profiles::each_size::each_size;

/// A GPU, while vGPUs are placed on it.
#[derive(Debug)]
pub struct Room<'a> {
    pub gpu: &'a HostGpu,
    board: Option<&'a Board>,
    profiles: &'a Profiles,
    sizes: Sizes,
    /// Function and type of each vGPU. No function if virtual functions are not switched on yet.
    vgpus: Vec<(Option<Address>, Option<u32>)>,
}

/// How well a vGPU would fit, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// Beside others.
    Beside,
    /// On an empty GPU, which then takes this size.
    Alone,
}

impl<'a> Room<'a> {
    pub fn new(gpu: &'a HostGpu, profiles: &'a Profiles, sizes: Sizes) -> Room<'a> {
        let vgpus = gpu.vgpus.iter().map(|vgpu| (Some(vgpu.function), vgpu.type_id)).collect();
        Room { gpu, board: profiles.board(&gpu.gpu.function), profiles, sizes, vgpus }
    }

    /// Whether vGPUs are, or will be, on virtual functions.
    pub fn on_functions(&self) -> bool {
        match self.gpu.interface() {
            Some(interface) => interface != Interface::Mdev,
            None => self.gpu.gpu.function.sriov.is_some() && self.board.is_none_or(|board| board.sriov),
        }
    }

    /// Whether virtual functions must be switched on before anything can be made.
    pub fn needs_functions(&self) -> bool {
        let is_nvidia = |driver: &Option<String>| driver.as_deref() == Some("nvidia");
        let gpu = &self.gpu.gpu.function;
        // sriov-manage can stop half-way. Then another driver has the GPU, or functions have no driver.
        let on = gpu.sriov.is_some_and(|sriov| sriov.enabled > 0)
            && is_nvidia(&gpu.driver)
            && self.gpu.virtual_functions.iter().any(|function| is_nvidia(&function.driver));
        self.on_functions() && !on && self.gpu.vgpus.is_empty()
    }

    /// Takes a vGPU off.
    pub fn remove(&mut self, function: Address, type_id: Option<u32>) {
        if let Some(at) = self.vgpus.iter().position(|vgpu| *vgpu == (Some(function), type_id)) {
            self.vgpus.swap_remove(at);
        }
    }

    /// Puts a vGPU on.
    pub fn add(&mut self, function: Option<Address>, type_id: Option<u32>) {
        self.vgpus.push((function, type_id));
    }

    /// Whether one more of a type fits, and how well.
    pub fn fits(&self, type_id: u32) -> Result<Fit, Reason> {
        self.has_driver()?;
        self.offers(type_id)?;
        match self.sizes {
            Sizes::Mixed => self.fits_memory(type_id)?,
            Sizes::Equal => self.fits_size(type_id)?,
        }
        if self.on_functions() && !self.needs_functions() && self.free_functions().next().is_none() {
            return Err(Reason::NoFunction { gpu: self.gpu.address() });
        }
        Ok(if self.vgpus.is_empty() { Fit::Alone } else { Fit::Beside })
    }

    fn has_driver(&self) -> Result<(), Reason> {
        let gpu = self.gpu.address();
        match self.gpu.gpu.function.driver.as_deref() {
            // sriov-manage gives a GPU to pci-pf-stub for a moment. If it stayed there, it is put back later.
            Some("nvidia" | "pci-pf-stub") => Ok(()),
            Some(driver) => Err(Reason::OtherDriver { gpu, driver: driver.to_owned() }),
            None if self.gpu.gpu.function.sriov.is_some() => Ok(()),
            None => Err(Reason::NoDriver { gpu }),
        }
    }

    fn offers(&self, type_id: u32) -> Result<(), Reason> {
        let by_kernel = || {
            let mut types = self.gpu.functions.iter().flat_map(|function| &function.types).peekable();
            types.peek().is_none() || types.any(|kind| kind.id == type_id)
        };
        let offered = match self.board {
            Some(board) => board.offers.contains_key(&type_id),
            // The kernel lists only what can be made now. Beside other vGPUs, other types may be missing from the list.
            None => !self.gpu.vgpus.is_empty() || by_kernel(),
        };
        let profile = self.profiles.name(type_id);
        if offered { Ok(()) } else { Err(Reason::NotOffered { gpu: self.gpu.address(), profile }) }
    }

    fn size(&self, type_id: Option<u32>) -> Option<u64> {
        self.profiles.get(type_id?)?.size
    }

    fn fits_size(&self, type_id: u32) -> Result<(), Reason> {
        let (gpu, there) = (self.gpu.address(), self.vgpus.len() as u64);
        let wanted = self.size(Some(type_id));
        let other = self
            .vgpus
            .iter()
            .find(|(_, other)| self.size(*other).zip(wanted).is_some_and(|(other, wanted)| other != wanted));
        if let Some((_, Some(other))) = other {
            return Err(Reason::OtherSize { gpu, there: self.profiles.name(*other) });
        }
        match self.board.and_then(|board| *board.offers.get(&type_id)?) {
            Some(most) if there >= most => Err(Reason::Full { gpu, there, most }),
            _ => Ok(()),
        }
    }

    fn fits_memory(&self, type_id: u32) -> Result<(), Reason> {
        let memory = self.board.and_then(|board| self.profiles.memory(board));
        let Some((memory, wanted)) = memory.zip(self.size(Some(type_id))) else { return Ok(()) };
        let taken: u64 = self.vgpus.iter().filter_map(|(_, other)| self.size(*other)).sum();
        let left = memory.saturating_sub(taken);
        if wanted <= left {
            return Ok(());
        }
        Err(Reason::Memory { gpu: self.gpu.address(), left: left >> 20, wanted: wanted >> 20 })
    }

    /// Virtual functions that have no vGPU and are with NVIDIA's driver, by address.
    pub fn free_functions(&self) -> impl Iterator<Item = Address> {
        let functions = self.gpu.functions.iter().filter(|function| function.interface != Interface::Mdev);
        functions
            .map(|function| function.device.address)
            .filter(|address| !self.vgpus.iter().any(|(taken, _)| *taken == Some(*address)))
    }
}

/// How many more of a profile fit on a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fits {
    /// A40-8Q
    pub profile: String,
    pub count: u64,
}

/// What still fits on a GPU: one profile of each size. Profiles for workstations (A40-8Q) stand for the others of their size.
pub fn fits(gpu: &HostGpu, profiles: &Profiles, sizes: Sizes) -> Vec<Fits> {
    let Some(board) = profiles.board(&gpu.gpu.function) else { return Vec::new() };
    let offered = board.offers.keys().filter_map(|id| profiles.get(*id));
    let sized = offered.filter_map(|profile| Some((profile.size?, profile.name.as_str(), profile)));
    let fits = |profile: &Profile| {
        let mut room = Room::new(gpu, profiles, sizes);
        let most = board.offers[&profile.id].unwrap_or(u64::from(u16::MAX));
        let count = (0..most).take_while(|_| {
            let fits = room.fits(profile.id).is_ok();
            let function = room.free_functions().next();
            room.add(function, Some(profile.id));
            fits
        });
        Fits { count: count.count() as u64, profile: bare_name(&profile.name).to_owned() }
    };
    each_size(sized).into_values().map(|(_, profile)| fits(profile)).filter(|fits| fits.count > 0).collect()
}
