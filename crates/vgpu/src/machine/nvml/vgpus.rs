//! Live figures of the vGPUs that virtual machines have open.

use std::collections::BTreeMap;
use std::ptr::null_mut;

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::vgpu::VmId;
use nvml_wrapper::error::{NvmlError, nvml_try, nvml_try_count};
use nvml_wrapper::vgpu::VgpuInstance;
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlReturn_t, nvmlValue_t, nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE as DOUBLE,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG as UNSIGNED_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG as UNSIGNED_LONG_LONG, nvmlValueType_t, nvmlVgpuInstance_t,
    nvmlVgpuInstanceUtilizationSample_t,
};

use super::{Library, symbol};

/// Live figures of a vGPU that a virtual machine has open. `None` if the driver does not tell.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct VgpuFigures {
    /// UUID of the mediated device, where it is one.
    pub mdev_uuid: Option<String>,
    /// UUID or name of the virtual machine.
    pub vm: Option<String>,
    /// How busy it keeps the GPU, in percent: `sm` of `nvidia-smi vgpu -u`.
    pub utilization: Option<u32>,
    /// MiB of its memory that are in use.
    pub memory_used: Option<u64>,
}

/// The library's sample of one vGPU, with room for it.
const NO_SAMPLE: nvmlVgpuInstanceUtilizationSample_t = {
    let none = nvmlValue_t { ullVal: 0 };
    nvmlVgpuInstanceUtilizationSample_t {
        vgpuInstance: 0,
        timeStamp: 0,
        smUtil: none,
        memUtil: none,
        encUtil: none,
        decUtil: none,
    }
};

impl Library {
    /// Figures of all vGPUs of a GPU that virtual machines have open.
    pub(super) fn vgpu_figures(&self, device: &Device) -> Vec<VgpuFigures> {
        let loads = self.loads(device).unwrap_or_default();
        let figures = |number: nvmlVgpuInstance_t| {
            let vgpu = VgpuInstance::new(number, device);
            VgpuFigures {
                mdev_uuid: vgpu.mdev_uuid().ok(),
                vm: vgpu.vm_id().ok().map(|(VmId::Domain(text) | VmId::Uuid(text))| text),
                utilization: loads.get(&number).copied(),
                memory_used: vgpu.fb_usage().ok().map(|bytes| bytes >> 20),
            }
        };
        self.active(device).unwrap_or_default().into_iter().map(figures).collect()
    }

    /// The library's numbers for the vGPUs. The wrapper has this call, too, but does not give out the numbers.
    fn active(&self, device: &Device) -> Result<Vec<nvmlVgpuInstance_t>, NvmlError> {
        type Get = unsafe extern "C" fn(nvmlDevice_t, *mut u32, *mut nvmlVgpuInstance_t) -> nvmlReturn_t;
        let get: Get = *symbol(self.0.lib().nvmlDeviceGetActiveVgpus.as_ref())?;
        let mut count = 0;
        #[allow(unsafe_code)] // Without room the call only counts. There is room for as many as it is told of.
        unsafe {
            nvml_try_count(get(device.handle(), &mut count, null_mut()))?;
            let mut numbers = vec![0; count as usize];
            nvml_try(get(device.handle(), &mut count, numbers.as_mut_ptr()))?;
            numbers.truncate(count as usize);
            Ok(numbers)
        }
    }

    /// How busy each vGPU keeps the GPU, in percent: the newest of the driver's samples.
    fn loads(&self, device: &Device) -> Result<BTreeMap<nvmlVgpuInstance_t, u32>, NvmlError> {
        type Get = unsafe extern "C" fn(
            nvmlDevice_t,
            u64,
            *mut nvmlValueType_t,
            *mut u32,
            *mut nvmlVgpuInstanceUtilizationSample_t,
        ) -> nvmlReturn_t;
        let get: Get = *symbol(self.0.lib().nvmlDeviceGetVgpuUtilization.as_ref())?;
        let (mut kind, mut count) = (UNSIGNED_INT, 0);
        #[allow(unsafe_code)]
        // The wrapper has no function for it. Without room the call only counts. There is room for as many as it is told of.
        let mut samples = unsafe {
            nvml_try_count(get(device.handle(), 0, &mut kind, &mut count, null_mut()))?;
            let mut samples = vec![NO_SAMPLE; count as usize];
            nvml_try(get(device.handle(), 0, &mut kind, &mut count, samples.as_mut_ptr()))?;
            samples.truncate(count as usize);
            samples
        };
        samples.sort_by_key(|sample| sample.timeStamp);
        Ok(samples.iter().filter_map(|sample| Some((sample.vgpuInstance, percent(kind, sample.smUtil)?))).collect())
    }
}

/// A value of the kind that the library says it is.
fn percent(kind: nvmlValueType_t, value: nvmlValue_t) -> Option<u32> {
    #[allow(unsafe_code)] // Every bit pattern is a value of each of these kinds, and all bytes were set to zero before.
    let value = unsafe {
        match kind {
            DOUBLE => value.dVal as u64,
            UNSIGNED_INT => value.uiVal.into(),
            UNSIGNED_LONG => value.ulVal,
            UNSIGNED_LONG_LONG => value.ullVal,
            _ => return None,
        }
    };
    // The library has larger numbers for "not known".
    u32::try_from(value).ok().filter(|percent| *percent <= 100)
}
