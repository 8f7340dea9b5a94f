//! Switches on virtual functions with the driver's own sriov-manage, as NVIDIA demands.
//!
//! The script asks for the unbindLock, which any process that talks to the driver holds. For a moment it gives the GPU to
//! pci-pf-stub. Without lspci, setpci and gawk it does nothing and says nothing. Its exit code tells little. So the result
//! is read from sysfs, and what a broken run leaves behind is repaired.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use miette::Diagnostic;

use super::kernel::{self, Refusal};
use crate::machine::pci::{self, Address};
use crate::machine::vgpu;

/// Where the script lies, besides the directories of PATH.
const PLACES: [&str; 2] = ["usr/lib/nvidia/sriov-manage", "usr/bin/sriov-manage"];
/// The programs that it needs on its PATH.
const TOOLS: [&str; 3] = ["lspci", "setpci", "gawk"];
/// How often it is tried while somebody holds the GPU, and the pause in between.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// Why virtual functions are not on.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    #[error("NVIDIA's sriov-manage is not there")]
    #[diagnostic(help("it comes with the host driver; put it into a directory of PATH, or /usr/lib/nvidia"))]
    NoScript,
    #[error("cannot run {}", .0.display())]
    #[diagnostic(help("it comes with the host driver: install that again"))]
    Run(PathBuf, #[source] std::io::Error),
    #[error("{gpu} is in use by a process that talks to the driver (its unbindLock is not given)")]
    #[diagnostic(help(
        "stop what uses it and try again: nvidia-smi, DCGM and its exporter, nvidia-persistenced, a display"
    ))]
    Busy { gpu: Address },
    #[error("sriov-manage made no virtual functions on {gpu}{}", said(.output))]
    #[diagnostic(help("{}", missing_tools(.missing)))]
    Silent { gpu: Address, output: String, missing: Vec<&'static str> },
    #[error("the virtual functions of {gpu} have no driver")]
    #[diagnostic(help(
        "`dmesg | grep -i -e NVRM -e vfio` says why nvidia did not take them; a restart gives a fresh start"
    ))]
    Unbound { gpu: Address },
    #[error("{gpu} is with no driver, and NVIDIA's does not take it back")]
    #[diagnostic(help("load it: modprobe nvidia nvidia-vgpu-vfio"))]
    NotBack {
        gpu: Address,
        #[source]
        source: Refusal,
    },
    #[error("the virtual function {function} of {gpu} is with the driver {driver}")]
    #[diagnostic(help(
        "take it from that driver, or use another GPU: its functions are not touched while somebody has them"
    ))]
    Foreign { gpu: Address, function: Address, driver: String },
    #[error("{gpu} has vGPUs, and its virtual functions are not touched")]
    #[diagnostic(help("remove the vGPUs first"))]
    HasVgpus { gpu: Address },
}

fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(": {output}") }
}

fn missing_tools(missing: &[&str]) -> String {
    if missing.is_empty() {
        "switch SR-IOV on in the firmware's setup; some boards have to be taken out of graphics mode (displaymodeselector)"
            .to_owned()
    } else {
        format!("it needs {} on its PATH", missing.join(", "))
    }
}

/// Switches on the virtual functions of a GPU that has no vGPU. The script holds `lock`, too: when this program is killed,
/// the script goes on, and nobody else may change anything meanwhile.
///
/// # Errors
/// When they are not on afterwards. The GPU then has NVIDIA's driver again, if the kernel allows it.
pub fn enable(root: &Path, gpu: Address, lock: BorrowedFd) -> Result<(), Error> {
    let script = find(root).ok_or(Error::NoScript)?;
    // The script's PATH may not have modprobe.
    let _ = Command::new("modprobe").arg("pci-pf-stub").output();
    let mut output = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            sleep(PAUSE);
        }
        put_back(root, gpu)?;
        if is_on(root, gpu) {
            return Ok(());
        }
        let functions_on = sriov(root, gpu).is_some_and(|sriov| sriov.enabled > 0);
        if functions_on {
            nobody_elses(root, gpu)?;
            // Functions without a driver: the only repair is to switch them off and on again.
            run(root, &script, "-d", gpu, lock)?;
        }
        output = run(root, &script, "-e", gpu, lock)?;
        if is_on(root, gpu) {
            return Ok(());
        }
        put_back(root, gpu)?;
        if !output.contains("unbindLock") && attempt > 0 {
            break;
        }
    }
    Err(if output.contains("unbindLock") {
        Error::Busy { gpu }
    } else if sriov(root, gpu).is_some_and(|sriov| sriov.enabled > 0) {
        Error::Unbound { gpu }
    } else {
        let missing = TOOLS.into_iter().filter(|tool| on_path(tool).is_none()).collect();
        Error::Silent { gpu, output, missing }
    })
}

fn sriov(root: &Path, gpu: Address) -> Option<pci::Sriov> {
    pci::device(&vgpu::directory(root, gpu))?.sriov
}

/// Whether a GPU and functions of it have NVIDIA's driver.
fn is_on(root: &Path, gpu: Address) -> bool {
    let with_nvidia = |device: &pci::Device| device.driver.as_deref() == Some("nvidia");
    let device = pci::device(&vgpu::directory(root, gpu));
    device.is_some_and(|device| {
        let functions = device.virtual_functions.iter();
        let mut functions = functions.filter_map(|function| pci::device(&vgpu::directory(root, *function)));
        device.sriov.is_some_and(|sriov| sriov.enabled > 0)
            && with_nvidia(&device)
            && functions.next().is_some_and(|first| with_nvidia(&first) && functions.all(|other| with_nvidia(&other)))
    })
}

/// Checks that no other driver has a function: a virtual machine may use it.
fn nobody_elses(root: &Path, gpu: Address) -> Result<(), Error> {
    let device = pci::device(&vgpu::directory(root, gpu));
    for function in device.iter().flat_map(|device| &device.virtual_functions) {
        let driver = pci::device(&vgpu::directory(root, *function)).and_then(|device| device.driver);
        if let Some(driver) = driver.filter(|driver| driver != "nvidia" && driver != "pci-pf-stub") {
            return Err(Error::Foreign { gpu, function: *function, driver });
        }
    }
    Ok(())
}

/// Gives a GPU that has pci-pf-stub or no driver back to NVIDIA's driver.
fn put_back(root: &Path, gpu: Address) -> Result<(), Error> {
    let directory = vgpu::directory(root, gpu);
    let Some(device) = pci::device(&directory) else { return Ok(()) };
    if !vgpu::host_gpus(root).iter().any(|other| other.address() == gpu && other.vgpus.is_empty()) {
        return Err(Error::HasVgpus { gpu });
    }
    let write =
        |path: PathBuf, value: &str| kernel::write(root, &path, value).map_err(|source| Error::NotBack { gpu, source });
    match device.driver.as_deref() {
        Some("pci-pf-stub") => write(directory.join("driver/unbind"), &gpu.to_string())?,
        None => {}
        Some(_) => return Ok(()),
    }
    // An empty line removes the override by which only pci-pf-stub may have it.
    write(directory.join("driver_override"), "\n")?;
    write(root.join("sys/bus/pci/drivers/nvidia/bind"), &gpu.to_string())
}

/// Runs the script, and returns what it printed, on one line.
fn run(root: &Path, script: &Path, action: &str, gpu: Address, lock: BorrowedFd) -> Result<String, Error> {
    // The script inherits this copy: it is not closed when the script starts.
    let _held = rustix::io::dup(lock).ok();
    let output = Command::new(script).arg(action).arg(gpu.to_string()).env("PATH", path(root)).output();
    let output = output.map_err(|error| Error::Run(script.to_owned(), error))?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).split_whitespace().collect::<Vec<_>>().join(" "))
}

/// PATH, and the directories that a script of a driver expects.
fn path(root: &Path) -> OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let system = ["usr/sbin", "usr/bin", "sbin", "bin"].map(|directory| root.join(directory));
    let all = std::env::split_paths(&own).chain(system);
    std::env::join_paths(all).unwrap_or(own)
}

fn find(root: &Path) -> Option<PathBuf> {
    let places = PLACES.iter().map(|place| root.join(place)).find(|place| place.is_file());
    on_path("sriov-manage").or(places)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}
