//! The single steps on a vGPU: make it, remove it, set its parameters. Each is looked at afterwards in sysfs.

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

/// How long the kernel is asked again when it says "not now".
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(500);

/// Why a step failed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Refused(#[from] Refusal),
    #[error("the virtual functions of {0} are off")]
    #[diagnostic(help("what keeps them off is told above"))]
    NoFunctions(Address),
    #[error("the kernel offers no types of vGPU on {0}")]
    #[diagnostic(help("nvidia-vgpud tells it the types of vgpuConfig.xml: look at `systemctl status nvidia-vgpud`"))]
    NoTypes(Address),
    #[error("{function} does not offer {wanted}")]
    #[diagnostic(help("`vgpu status` shows what still fits"))]
    NotOffered { function: Address, wanted: String },
    #[error("the kernel took it, but there is no vGPU afterwards")]
    #[diagnostic(help("`dmesg | tail` shows what the driver says of it"))]
    NotThere,
    #[error("this driver takes no parameters on {0}: it has no vgpu_params")]
    #[diagnostic(help("use a host driver of 17.0 or later, or leave parameters and placement out"))]
    NoParameters(Address),
    #[error("{0} has it open")]
    #[diagnostic(help("shut the virtual machine down first"))]
    InUse(String),
}

/// Does something until it works, or fails for a reason that time does not heal.
fn patiently(until: Instant, mut attempt: impl FnMut() -> Result<(), Refusal>) -> Result<(), Refusal> {
    let until = until.max(Instant::now() + PATIENCE);
    loop {
        match attempt() {
            Err(refusal) if refusal.is_passing() && Instant::now() < until => sleep(PAUSE),
            done => return done,
        }
    }
}

/// The function of that address among those of all GPUs.
fn function(gpus: &[HostGpu], address: Address) -> Option<&Function> {
    gpus.iter().flat_map(|gpu| &gpu.functions).find(|function| function.device.address == address)
}

/// Makes a vGPU, with its parameters, and returns it. `until`: how long a kernel is waited for that is not ready.
///
/// # Errors
/// When the kernel refuses. Nothing was made then, unless the error is about parameters.
pub fn make(root: &Path, make: &Make, until: Instant) -> Result<Vgpu, Error> {
    let gpus = vgpu::look(root);
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

/// The vGPU that was to be made, if it is there.
fn find(root: &Path, function: Address, make: &Make) -> Option<Vgpu> {
    let there = vgpu::look(root).into_iter().flat_map(|gpu| gpu.vgpus);
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
    // A mediated device that is open would take us with it: the kernel waits, unkillable, until it is closed.
    if let Some(user) = situation::user(&VfioUsers::look(root), vgpu) {
        return Err(Error::InUse(user));
    }
    let (file, value) = match vgpu.interface {
        Interface::Vfio => (vgpu.directory.join("nvidia/current_vgpu_type"), "0"),
        _ => (vgpu.directory.join("remove"), "1"),
    };
    Ok(patiently(Instant::now(), || kernel::write(root, &file, value))?)
}

/// Sets the parameters of a vGPU, for the next time it is opened. Empty ones take back what was set.
///
/// # Errors
/// When the driver has no such file, or the kernel refuses: it is in use.
pub fn set_parameters(root: &Path, vgpu: &Vgpu, parameters: &str) -> Result<(), Error> {
    let file = vgpu.directory.join("nvidia/vgpu_params");
    if !file.is_file() {
        return Err(Error::NoParameters(vgpu.function));
    }
    // NVIDIA's user guide: a space clears them.
    let value = if parameters.is_empty() { " " } else { parameters };
    Ok(kernel::write(root, &file, value)?)
}
