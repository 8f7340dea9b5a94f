//! Licences of the vGPUs that virtual machines have open, as the host's driver knows them.

use nvml_wrapper::enum_wrappers::vgpu::VmId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::vgpu::VgpuLicenseInfo;

use super::Library;

/// A vGPU that a virtual machine has open, and its licence.
#[derive(Clone, Debug)]
pub struct VgpuLicence {
    /// UUID of the mediated device, where it is one.
    pub mdev_uuid: Option<String>,
    /// UUID or name of the virtual machine.
    pub vm: Option<String>,
    pub info: VgpuLicenseInfo,
}

impl Library {
    /// The vGPUs of all GPUs. One whose licence the driver doesn't tell is left out.
    ///
    /// # Errors
    /// When the GPUs can't be counted.
    pub fn vgpu_licences(&self) -> Result<Vec<VgpuLicence>, NvmlError> {
        let mut found = Vec::new();
        for index in 0..self.0.device_count()? {
            let Ok(device) = self.0.device_by_index(index) else { continue };
            for vgpu in device.active_vgpus().unwrap_or_default() {
                let Ok(info) = vgpu.license_info_v2() else { continue };
                let vm = vgpu.vm_id().ok().map(|(VmId::Domain(name) | VmId::Uuid(name))| name);
                found.push(VgpuLicence { mdev_uuid: vgpu.mdev_uuid().ok(), vm, info });
            }
        }
        Ok(found)
    }
}
