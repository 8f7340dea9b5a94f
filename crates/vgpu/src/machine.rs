//! Looks at a machine: which NVIDIA GPUs it has, what runs on it, what stands in the way of vGPU.
//!
//! Everything is read below a root directory, so that a directory tree can stand for /sys, /proc and /etc in tests.
//! What can't be read is left out: this advises, and decides nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::catalog::{Catalog, Release};

const NVIDIA: u16 = 0x10de;

/// Where systems keep the names of PCI devices. NixOS has them in the store alone: see [`pci_ids`].
const PCI_IDS: [&str; 3] = ["usr/share/hwdata/pci.ids", "usr/share/misc/pci.ids", "usr/share/pci.ids"];

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

/// Whose processor it is, as far as the kernel parameters for an IOMMU differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    Intel,
    Amd,
    Other,
}

/// An NVIDIA GPU on the PCI bus.
#[derive(Debug, PartialEq)]
pub struct Gpu {
    /// 0000:41:00.0
    pub address: String,
    /// PCI device id.
    pub device: u16,
    /// From the system's pci.ids.
    pub name: Option<String>,
    /// Whether the board can make virtual functions, as Ampere and later do for vGPU.
    pub sriov: bool,
    /// The kernel driver that has it: nvidia, nouveau, vfio-pci.
    pub driver: Option<String>,
}

impl Machine {
    /// Looks at the machine whose root directory is `root`: `/` for this one.
    pub fn look(root: &Path) -> Machine {
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

fn gpus(root: &Path) -> Vec<Gpu> {
    let mut gpus: Vec<Gpu> = entries(&root.join("sys/bus/pci/devices")).filter_map(|device| gpu(&device)).collect();
    gpus.sort_by(|a, b| a.address.cmp(&b.address));
    let names = names(root, &gpus);
    for gpu in &mut gpus {
        gpu.name = names.get(&gpu.device).cloned();
    }
    gpus
}

/// The device in this directory of sysfs, if it is a GPU of NVIDIA's: a VGA (0x0300) or 3D (0x0302) controller. Virtual
/// functions are no GPUs of their own.
fn gpu(directory: &Path) -> Option<Gpu> {
    let number = |file: &str| {
        let text = read(&directory.join(file))?;
        u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
    };
    let class = number("class")? >> 8;
    let ours = number("vendor")? == u32::from(NVIDIA) && matches!(class, 0x0300 | 0x0302);
    if !ours || directory.join("physfn").symlink_metadata().is_ok() {
        return None;
    }
    Some(Gpu {
        address: directory.file_name()?.to_string_lossy().into_owned(),
        device: u16::try_from(number("device")?).ok()?,
        name: None,
        sriov: read(&directory.join("sriov_totalvfs")).is_some_and(|count| count != "0"),
        driver: fs::read_link(directory.join("driver"))
            .ok()
            .and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned())),
    })
}

/// The names of these GPUs from the system's pci.ids: a line `10de  NVIDIA Corporation`, then `<tab>2235  GA102GL [A40]`.
fn names(root: &Path, gpus: &[Gpu]) -> BTreeMap<u16, String> {
    let Some(file) = pci_ids(root) else { return BTreeMap::new() };
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    let vendor = format!("{NVIDIA:04x} ");
    lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .skip_while(|line| !line.starts_with(&vendor))
        .skip(1)
        .take_while(|line| line.starts_with(['\t', '#']))
        .filter_map(|line| {
            let (id, name) = line.strip_prefix('\t')?.split_once("  ")?;
            Some((u16::from_str_radix(id, 16).ok()?, name.trim().to_owned()))
        })
        .filter(|(id, _)| gpus.iter().any(|gpu| gpu.device == *id))
        .collect()
}

/// The system's pci.ids, or that of the newest package `hwdata` in the Nix store.
fn pci_ids(root: &Path) -> Option<fs::File> {
    let in_store = || {
        let store = root.join("nix/store");
        let packages = store_names(&store).into_iter().filter(|(name, _)| name.starts_with("hwdata-"));
        packages
            .filter_map(|(name, path)| Some((name, fs::File::open(path.join("share/hwdata/pci.ids")).ok()?)))
            .max_by(|(one, _), (other, _)| one.cmp(other))
    };
    let file = PCI_IDS.iter().find_map(|path| fs::File::open(root.join(path)).ok());
    file.or_else(|| in_store().map(|(_, file)| file))
}

/// VERSION_ID of an os-release file that is NixOS's.
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

/// What is in a store directory, by name: paths are `<32 digits>-<name>`.
fn store_names(store: &Path) -> Vec<(String, PathBuf)> {
    let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.split_once('-')?.1.to_owned());
    entries(store).filter_map(|path| Some((name(&path)?, path))).collect()
}

/// The entries of a directory; none if it can't be read.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// A small text file, trimmed.
fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
