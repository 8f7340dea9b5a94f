//! The setup of a GPU that only NVIDIA's library knows: whether it makes vGPUs, ECC, MIG, and free placements.

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::GpuVirtualizationMode;
use nvml_wrapper::error::{NvmlError, nvml_try};
use nvml_wrapper_sys::bindings::{
    NVML_GPU_INSTANCE_PROFILE_COUNT, nvmlDevice_t, nvmlGpuInstance_t, nvmlGpuInstanceProfileInfo_t, nvmlReturn_t,
    nvmlVgpuPlacementList_t, nvmlVgpuPlacementList_v1_t, nvmlVgpuTypeId_t,
};

use super::{Library, symbol};
use crate::machine::pci::Address;

/// The setup of a GPU. A value is `None` if the driver does not tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Whether the driver sees it as a GPU that makes vGPUs.
    pub host: Option<bool>,
    pub ecc: Option<bool>,
    /// `None` also for GPUs that do not have MIG.
    pub mig: Option<Mig>,
}

/// Multi-instance GPU mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mig {
    Off,
    /// On, with this number of GPU instances.
    On(usize),
}

/// The places for vGPUs of a type in a GPU's memory: the numbers of `vgpu-placement-id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placements {
    pub supported: Vec<u32>,
    /// Those that are free now.
    pub creatable: Vec<u32>,
}

/// More placements than a board has. Each is a gibibyte.
const MOST_PLACEMENTS: usize = 1024;
/// More GPU instances of a profile than a board has.
const MOST_INSTANCES: usize = 64;

impl Library {
    /// How a GPU is set up.
    ///
    /// # Errors
    /// When the library does not know it.
    pub fn setup(&self, gpu: Address) -> Result<Setup, NvmlError> {
        let device = self.device(gpu)?;
        let host = |mode| matches!(mode, GpuVirtualizationMode::HostVgpu | GpuVirtualizationMode::HostVsga);
        Ok(Setup {
            host: device.virtualization_mode().ok().map(host),
            ecc: device.is_ecc_enabled().ok().map(|ecc| ecc.currently_enabled),
            mig: self.mig(&device),
        })
    }

    fn mig(&self, device: &Device) -> Option<Mig> {
        if device.mig_mode().ok()?.current == 0 {
            return Some(Mig::Off);
        }
        let counts =
            (0..NVML_GPU_INSTANCE_PROFILE_COUNT).filter_map(|profile| self.gpu_instances(device, profile).ok());
        // If the library answers for no profile, the number of instances is not known.
        counts.reduce(|one, other| one + other).map(Mig::On)
    }

    /// How many GPU instances of a profile there are.
    fn gpu_instances(&self, device: &Device, profile: u32) -> Result<usize, NvmlError> {
        type Info = unsafe extern "C" fn(nvmlDevice_t, u32, *mut nvmlGpuInstanceProfileInfo_t) -> nvmlReturn_t;
        type Instances = unsafe extern "C" fn(nvmlDevice_t, u32, *mut nvmlGpuInstance_t, *mut u32) -> nvmlReturn_t;
        let library = self.0.lib();
        let info: Info = *symbol(library.nvmlDeviceGetGpuInstanceProfileInfo.as_ref())?;
        let instances: Instances = *symbol(library.nvmlDeviceGetGpuInstances.as_ref())?;
        #[allow(unsafe_code)]
        // The wrapper has no functions for it. All that is pointed to lives through the calls, and has room for more
        // instances than a board can have: the library writes as many as there are.
        unsafe {
            let mut described: nvmlGpuInstanceProfileInfo_t = std::mem::zeroed();
            nvml_try(info(device.handle(), profile, &mut described))?;
            let mut found: [nvmlGpuInstance_t; MOST_INSTANCES] = [std::ptr::null_mut(); MOST_INSTANCES];
            let mut count = MOST_INSTANCES as u32;
            nvml_try(instances(device.handle(), described.id, found.as_mut_ptr(), &mut count))?;
            Ok(count as usize)
        }
    }

    /// Where vGPUs of a type can lie on a GPU.
    ///
    /// # Errors
    /// When the GPU, or the driver, does not have placements.
    pub fn placements(&self, gpu: Address, type_id: u32) -> Result<Placements, NvmlError> {
        type Get = unsafe extern "C" fn(nvmlDevice_t, nvmlVgpuTypeId_t, *mut nvmlVgpuPlacementList_t) -> nvmlReturn_t;
        let library = self.0.lib();
        let device = self.device(gpu)?;
        let list = |get: Get| {
            let mut ids = vec![0; MOST_PLACEMENTS];
            // Version 1, which all drivers with placements know, as nvml.h makes its number.
            let mut list = nvmlVgpuPlacementList_v1_t {
                version: size_of::<nvmlVgpuPlacementList_v1_t>() as u32 | 1 << 24,
                placementSize: 0,
                count: MOST_PLACEMENTS as u32,
                placementIds: ids.as_mut_ptr(),
            };
            #[allow(unsafe_code)]
            // The wrapper has no function for it. The version tells the library that this is the shorter structure.
            nvml_try(unsafe { get(device.handle(), type_id, (&raw mut list).cast()) })?;
            ids.truncate(list.count as usize);
            Ok::<_, NvmlError>(ids)
        };
        Ok(Placements {
            supported: list(*symbol(library.nvmlDeviceGetVgpuTypeSupportedPlacements.as_ref())?)?,
            creatable: list(*symbol(library.nvmlDeviceGetVgpuTypeCreatablePlacements.as_ref())?)?,
        })
    }
}
