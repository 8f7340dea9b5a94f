//! A machine as a whole: its NVIDIA GPUs, what runs on it, and what prevents vGPU.

use std::path::Path;

use super::files::{entries, read, store_names};
use super::{names, pci};
use crate::catalog::{Catalog, Release};

/// What a machine is.
#[derive(Debug)]
pub struct Machine {
    /// NVIDIA GPUs, by PCI address.
    pub gpus: Vec<Gpu>,
    /// Release of the running kernel: 6.12.8.
    pub kernel: Option<String>,
    pub hostname: Option<String>,
    /// NixOS release: 25.05. `None` on other systems.
    pub nixos: Option<String>,
    /// Whether this is a virtual machine.
    pub virtual_machine: bool,
    pub cpu: Cpu,
    /// Whether the kernel runs with an IOMMU.
    pub iommu: bool,
    /// The releases whose GRID archive lies in the Nix store, newest first.
    pub archives: Vec<&'static Release>,
}

/// The maker of the processor. It decides the kernel parameters for the IOMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    Intel,
    Amd,
    Other,
}

/// A physical NVIDIA GPU.
#[derive(Debug, PartialEq)]
pub struct Gpu {
    pub function: pci::Device,
    /// From the system's pci.ids: GA102GL [A40].
    pub name: Option<String>,
}

impl Machine {
    /// Reads the machine with the root directory `root`: `/` for this one.
    pub fn read(root: &Path) -> Machine {
        let cpuinfo = read(&root.join("proc/cpuinfo")).unwrap_or_default();
        let field = |name: &str| cpuinfo.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        Machine {
            gpus: gpus(root),
            kernel: read(&root.join("proc/sys/kernel/osrelease")),
            hostname: read(&root.join("proc/sys/kernel/hostname")),
            nixos: nixos(&read(&root.join("etc/os-release")).unwrap_or_default()),
            virtual_machine: field("flags").split_whitespace().any(|flag| flag == "hypervisor"),
            cpu: match field("vendor_id") {
                line if line.contains("GenuineIntel") => Cpu::Intel,
                line if line.contains("AuthenticAMD") => Cpu::Amd,
                _ => Cpu::Other,
            },
            iommu: entries(&root.join("sys/kernel/iommu_groups")).next().is_some(),
            archives: archives(&root.join("nix/store")),
        }
    }
}

/// The physical NVIDIA GPUs, by address, with their names. Virtual functions are left out.
pub fn gpus(root: &Path) -> Vec<Gpu> {
    let physical = |device: &pci::Device| device.is_nvidia_gpu() && device.physical_function.is_none();
    let functions: Vec<pci::Device> = pci::devices(root).into_iter().filter(physical).collect();
    let ids: Vec<u16> = functions.iter().map(|function| function.device).collect();
    let names = if ids.is_empty() { Default::default() } else { names::of_devices(root, &ids) };
    functions.into_iter().map(|function| Gpu { name: names.get(&function.device).cloned(), function }).collect()
}

/// VERSION_ID of an os-release file, if that is from NixOS.
fn nixos(os_release: &str) -> Option<String> {
    let field = |name: &str| {
        let value = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    (field("ID")? == "nixos").then(|| field("VERSION_ID"))?
}

/// The releases whose archive has its name in the store directory.
fn archives(store: &Path) -> Vec<&'static Release> {
    let names: Vec<String> = store_names(store).into_iter().map(|(name, _)| name).collect();
    Catalog::builtin().releases().iter().filter(|release| names.contains(&release.zip_name())).collect()
}
