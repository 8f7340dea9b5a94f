//! NVIDIA's management library (libnvidia-ml, NVML): live figures, and the mode for mixed sizes.
//!
//! While it is open it holds every GPU, and sriov-manage cannot have one. So open it only for a moment.

mod licence;
mod setup;
mod vgpus;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlReturn_t, nvmlVgpuHeterogeneousMode_t};

use super::pci::Address;
use super::vgpu::Sizes;

pub use licence::VgpuLicence;
pub use setup::{Mig, Placements, Setup};
pub use vgpus::VgpuFigures;

/// Paths of the library, besides the linker's own directories.
const PLACES: [&str; 3] = [
    "etc/nvidia/vgpu/libnvidia-ml.so.1",
    "run/opengl-driver/lib/libnvidia-ml.so.1",
    "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
];

/// The library, open.
pub struct Library(Nvml);

/// Live figures of a GPU. `None` if the driver does not tell.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Figures {
    /// NVIDIA A40
    pub name: Option<String>,
    /// How busy it is, in percent.
    pub utilization: Option<u32>,
    /// MiB
    pub memory_used: Option<u64>,
    /// MiB
    pub memory_total: Option<u64>,
    /// Figures of the vGPUs that virtual machines have open.
    pub vgpus: Vec<VgpuFigures>,
}

impl Library {
    /// Opens the library of the machine below `root`.
    ///
    /// # Errors
    /// When there is none, or the driver isn't loaded.
    pub fn open(root: &Path) -> Result<Library, NvmlError> {
        let found: Option<PathBuf> = PLACES.iter().map(|place| root.join(place)).find(|path| path.exists());
        let name = found.as_deref().map_or(OsStr::new("libnvidia-ml.so.1"), Path::as_os_str);
        Ok(Library(Nvml::builder().lib_path(name).init()?))
    }

    fn device(&self, gpu: Address) -> Result<Device<'_>, NvmlError> {
        self.0.device_by_pci_bus_id(gpu.to_string())
    }

    /// Figures of a GPU.
    ///
    /// # Errors
    /// When the library does not know it.
    pub fn figures(&self, gpu: Address) -> Result<Figures, NvmlError> {
        let device = self.device(gpu)?;
        let memory = device.memory_info().ok();
        Ok(Figures {
            name: device.name().ok(),
            utilization: device.utilization_rates().ok().map(|rates| rates.gpu),
            memory_used: memory.as_ref().map(|memory| memory.used >> 20),
            memory_total: memory.as_ref().map(|memory| memory.total >> 20),
            vgpus: self.vgpu_figures(&device),
        })
    }

    /// Which sizes of vGPU a GPU takes at once.
    ///
    /// # Errors
    /// When the GPU or the driver cannot mix sizes at all.
    pub fn sizes(&self, gpu: Address) -> Result<Sizes, NvmlError> {
        type Get = unsafe extern "C" fn(nvmlDevice_t, *mut nvmlVgpuHeterogeneousMode_t) -> nvmlReturn_t;
        let get: Get = *symbol(self.0.lib().nvmlDeviceGetVgpuHeterogeneousMode.as_ref())?;
        let device = self.device(gpu)?;
        let mut mode = mode(Sizes::Equal);
        #[allow(unsafe_code)]
        // The wrapper has no function for it. The device and the structure live through the call.
        nvml_wrapper::error::nvml_try(unsafe { get(device.handle(), &mut mode) })?;
        Ok(if mode.mode == 0 { Sizes::Equal } else { Sizes::Mixed })
    }

    /// Sets which sizes of vGPU a GPU takes at once. The mode is lost at a restart and when sriov-manage runs.
    ///
    /// # Errors
    /// When there are vGPUs on the GPU, or when the GPU or the driver cannot mix sizes at all.
    pub fn set_sizes(&self, gpu: Address, sizes: Sizes) -> Result<(), NvmlError> {
        type Set = unsafe extern "C" fn(nvmlDevice_t, *const nvmlVgpuHeterogeneousMode_t) -> nvmlReturn_t;
        let set: Set = *symbol(self.0.lib().nvmlDeviceSetVgpuHeterogeneousMode.as_ref())?;
        let device = self.device(gpu)?;
        #[allow(unsafe_code)] // The wrapper has no function for it. The device and the structure live through the call.
        nvml_wrapper::error::nvml_try(unsafe { set(device.handle(), &mode(sizes)) })
    }
}

/// The structure in version 1. As in nvml.h, the number has the size, and the version in the highest byte.
fn mode(sizes: Sizes) -> nvmlVgpuHeterogeneousMode_t {
    let version = size_of::<nvmlVgpuHeterogeneousMode_t>() as u32 | 1 << 24;
    nvmlVgpuHeterogeneousMode_t { version, mode: (sizes == Sizes::Mixed).into() }
}

/// A function that older libraries do not have.
fn symbol<T, E>(symbol: Result<&T, E>) -> Result<&T, NvmlError> {
    symbol.map_err(|_| NvmlError::NotSupported)
}
