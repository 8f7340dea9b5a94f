//! The single steps on a vGPU: make it, remove it, set its parameters. The result of each is read from sysfs.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use miette::Diagnostic;

use super::kernel::{self, Refusal};
use super::situation;
use super::step::Make;
use crate::machine::pci::Address;
use crate::machine::processes::VfioUsers;
use crate::machine::vgpu::{self, Function, HostGpu, Interface, Vgpu};

/// How long a request is repeated while the kernel says "not now".
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(500);

/// Why a step failed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Refused(#[from] Refusal),
    #[error("the virtual functions of {0} are off")]
    #[diagnostic(help("the error above says why"))]
    NoFunctions(Address),
    #[error("the kernel offers no types of vGPU on {0}")]
    #[diagnostic(help("nvidia-vgpud tells it the types of vgpuConfig.xml: look at `systemctl status nvidia-vgpud`"))]
    NoTypes(Address),
    #[error("{function} does not offer {wanted}")]
    #[diagnostic(help("`vgpu status` shows what still fits"))]
    NotOffered { function: Address, wanted: String },
    #[error("the kernel took it, but there is no vGPU afterwards")]
    #[diagnostic(help("`dmesg | tail` shows what the driver says about it"))]
    NotThere,
    #[error("this driver takes no parameters on {0}: it has no vgpu_params")]
    #[diagnostic(help("use a host driver of 17.0 or later, or leave parameters and placement out"))]
    NoParameters(Address),
    #[error("{0} has it open")]
    #[diagnostic(help("shut the virtual machine down first"))]
    InUse(String),
}

/// Repeats something until it works, or until it fails for a reason that does not pass.
fn patiently(until: Instant, mut attempt: impl FnMut() -> Result<(), Refusal>) -> Result<(), Refusal> {
    let until = until.max(Instant::now() + PATIENCE);
    loop {
        match attempt() {
            Err(refusal) if refusal.is_passing() && Instant::now() < until => sleep(PAUSE),
            done => return done,
        }
    }
}

/// Finds the function with that address on all GPUs.
fn function(gpus: &[HostGpu], address: Address) -> Option<&Function> {
    gpus.iter().flat_map(|gpu| &gpu.functions).find(|function| function.device.address == address)
}

/// Makes a vGPU with its parameters, and returns it. If the kernel is not ready, this waits until `until`.
///
/// # Errors
/// When the kernel refuses. Then nothing was made, unless the error is about parameters.
pub fn make(root: &Path, make: &Make, until: Instant) -> Result<Vgpu, Error> {
    let gpus = vgpu::host_gpus(root);
    let address = make.function.unwrap_or(make.gpu);
    let gpu = gpus.iter().find(|gpu| gpu.address() == make.gpu);
    if make.function.is_none() && gpu.is_some_and(|gpu| gpu.gpu.function.sriov.is_some() && gpu.functions.is_empty()) {
        return Err(Error::NoFunctions(make.gpu));
    }
    let function = function(&gpus, address).ok_or(Error::NoTypes(make.gpu))?;
    let directory = &function.device.directory;
    let (file, value) = match function.interface {
        Interface::Vfio => (directory.join("nvidia/current_vgpu_type"), make.type_id.to_string()),
        _ => {
            let kind = directory.join(format!("mdev_supported_types/nvidia-{}", make.type_id));
            if !kind.is_dir() {
                let wanted = format!("nvidia-{}", make.type_id);
                return Err(Error::NotOffered { function: address, wanted });
            }
            (kind.join("create"), make.uuid.to_string())
        }
    };
    patiently(until, || kernel::write(root, &file, &value))?;
    let made = find(root, address, make).ok_or(Error::NotThere)?;
    if !make.parameters.is_empty() {
        set_parameters(root, &made, &make.parameters)?;
    }
    Ok(made)
}

/// The vGPU that `make` describes, if it exists.
fn find(root: &Path, function: Address, make: &Make) -> Option<Vgpu> {
    let there = vgpu::host_gpus(root).into_iter().flat_map(|gpu| gpu.vgpus);
    there.into_iter().find(|vgpu| {
        vgpu.function == function
            && vgpu.type_id == Some(make.type_id)
            && vgpu.uuid.is_none_or(|uuid| uuid == make.uuid)
    })
}

/// Removes a vGPU that nobody has open.
///
/// # Errors
/// When somebody has it open, or the kernel refuses.
pub fn remove(root: &Path, vgpu: &Vgpu) -> Result<(), Error> {
    // The kernel waits until a mediated device is closed, and this process could not be killed meanwhile.
    if let Some(user) = situation::user(&VfioUsers::read(root), vgpu) {
        return Err(Error::InUse(user));
    }
    let (file, value) = match vgpu.interface {
        Interface::Vfio => (vgpu.directory.join("nvidia/current_vgpu_type"), "0"),
        _ => (vgpu.directory.join("remove"), "1"),
    };
    Ok(patiently(Instant::now(), || kernel::write(root, &file, value))?)
}

/// Sets the parameters of a vGPU. They count when it is opened the next time. An empty text clears them.
///
/// # Errors
/// When the driver has no such file, or when the kernel refuses because the vGPU is in use.
pub fn set_parameters(root: &Path, vgpu: &Vgpu, parameters: &str) -> Result<(), Error> {
    let file = vgpu.directory.join("nvidia/vgpu_params");
    if !file.is_file() {
        return Err(Error::NoParameters(vgpu.function));
    }
    // NVIDIA's user guide: a space clears them.
    let value = if parameters.is_empty() { " " } else { parameters };
    Ok(kernel::write(root, &file, value)?)
}
