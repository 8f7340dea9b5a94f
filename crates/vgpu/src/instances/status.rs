//! A host as it is now: its GPUs, what they are cut into, what still fits, and the services.

use std::path::Path;

use serde::Serialize;

use super::declaration::Declaration;
use super::list::{self, Listed};
use super::memory;
use super::room::{self, Fits};
use super::view::View;
use crate::machine::driver;
use crate::machine::nvml::{Figures, Library, VgpuFigures};
use crate::machine::pci::{Address, Sriov};
use crate::machine::services::{self, Service};
use crate::machine::vgpu::{HostGpu, Interface, Sizes};

/// The services of a host.
const SERVICES: [&str; 3] = ["nvidia-vgpud", "nvidia-vgpu-mgr", "nvidia-vgpu-instances"];

/// The whole state.
#[derive(Serialize)]
pub struct Status {
    pub gpus: Vec<Gpu>,
    pub services: Vec<Service>,
}

/// A physical GPU. What is not known is null.
#[derive(Serialize)]
pub struct Gpu {
    pub address: Address,
    pub name: Option<String>,
    /// PCI device id, in hexadecimal.
    pub device: String,
    /// The kernel driver that has it.
    pub driver: Option<String>,
    pub driver_version: Option<String>,
    pub interface: Option<Interface>,
    /// Whether vGPUs of several sizes may be on it.
    pub mixed_sizes: Option<bool>,
    pub sriov: Option<Sriov>,
    /// Memory that vGPUs can have together, in MiB.
    pub memory_mib: Option<u64>,
    pub instances: Vec<OnGpu>,
    /// What still fits: a profile of each size.
    pub room: Vec<Fits>,
    /// From NVIDIA's library.
    pub live: Option<Figures>,
}

/// A vGPU on a GPU.
#[derive(Serialize)]
pub struct OnGpu {
    #[serde(flatten)]
    pub vgpu: Listed,
    /// The memory that it takes, in MiB.
    pub memory_mib: Option<u64>,
    /// From NVIDIA's library.
    pub live: Option<VgpuFigures>,
}

/// Reads the state of the machine with the root directory `root`.
///
/// # Errors
/// When /var/lib/vgpu/instances.json cannot be read.
pub fn read(root: &Path, declaration: &Declaration) -> Result<Status, memory::Error> {
    let view = View::read(root)?;
    let version = driver::version(root);
    // It is open only for a moment: while it is, sriov-manage cannot have a GPU.
    let library = version.as_ref().and_then(|_| Library::open(root).ok());
    let mut listed = list::list(&view, declaration);
    let gpus = view.gpus.iter().map(|gpu| {
        let here = listed.extract_if(.., |vgpu| vgpu.gpu == Some(gpu.address())).collect();
        describe(&view, gpu, here, version.as_deref(), library.as_ref(), declaration)
    });
    Ok(Status { gpus: gpus.collect(), services: services::states(root, &SERVICES) })
}

fn describe(
    view: &View,
    gpu: &HostGpu,
    here: Vec<Listed>,
    version: Option<&str>,
    library: Option<&Library>,
    declaration: &Declaration,
) -> Gpu {
    let function = &gpu.gpu.function;
    let board = view.profiles.board(function);
    let live = library.and_then(|library| library.figures(gpu.address()).ok());
    let sizes = library.and_then(|library| library.sizes(gpu.address()).ok());
    let declared = declaration.gpus.get(&gpu.address()).and_then(|gpu| gpu.sizes());
    let memory = |id: Option<u32>| view.profiles.get(id?)?.size.map(|bytes| bytes >> 20);
    let board_name = board.and_then(|board| board.name.clone());
    let nvidia = function.driver.as_deref() == Some("nvidia");
    Gpu {
        address: gpu.address(),
        name: live.as_ref().and_then(|live| live.name.clone()).or_else(|| gpu.gpu.name.clone()).or(board_name),
        device: format!("{:04x}", function.device),
        driver: function.driver.clone(),
        driver_version: version.filter(|_| nvidia).map(str::to_owned),
        interface: gpu.interface(),
        mixed_sizes: sizes.map(|sizes| sizes == Sizes::Mixed),
        sriov: function.sriov,
        memory_mib: board.and_then(|board| view.profiles.memory(board)).map(|bytes| bytes >> 20),
        room: room::fits(gpu, &view.profiles, sizes.or(declared).unwrap_or(Sizes::Equal)),
        instances: here
            .into_iter()
            .map(|vgpu| OnGpu {
                memory_mib: memory(vgpu.profile.id),
                live: live.as_ref().and_then(|live| figures_of(&live.vgpus, &vgpu)).cloned(),
                vgpu,
            })
            .collect(),
        live,
    }
}

/// The figures of a vGPU: the library knows mediated devices by UUID, all others only by their virtual machine. One that has
/// several of them cannot be told apart.
fn figures_of<'a>(all: &'a [VgpuFigures], vgpu: &Listed) -> Option<&'a VgpuFigures> {
    let is = |one: &Option<String>, other: Option<&str>| {
        one.as_deref().zip(other).is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
    };
    if let Some(uuid) = vgpu.uuid {
        return all.iter().find(|figures| is(&figures.mdev_uuid, Some(&uuid.to_string())));
    }
    let user = vgpu.used_by.as_ref()?;
    let mut of_user =
        all.iter().filter(|figures| is(&figures.vm, user.vm_uuid.as_deref()) || is(&figures.vm, user.vm.as_deref()));
    of_user.next().filter(|_| of_user.next().is_none())
}
