//! All that checks can ask about a machine, read below one root directory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use nvml_wrapper::error::NvmlError;
use vgpu_driver::Role;
use vgpu_profiles::gpu_id::GpuId;
use vgpu_profiles::model::{PhysicalGpu, Profile};

use crate::machine::journal::{Entry, Journal, Source};
use crate::machine::nvml::{Library, Placements, Setup};
use crate::machine::overview::Machine;
use crate::machine::pci::Address;
use crate::machine::processes::VfioUsers;
use crate::machine::services::{self, Service, State};
use crate::machine::vgpu::{self, HostGpu, Interface};
use crate::machine::{driver, files, options};

/// Services that matter, of hosts and of guests.
const SERVICES: [&str; 4] = ["nvidia-vgpud", "nvidia-vgpu-mgr", "nvidia-vgpu-instances", "nvidia-gridd"];

/// Where the vGPU manager has its profiles: on NixOS, and where NVIDIA's installer puts them.
const VGPU_CONFIGS: [&str; 2] = ["etc/nvidia/vgpu/vgpuConfig.xml", "usr/share/nvidia/vgpu/vgpuConfig.xml"];

/// QEMU's logs that libvirt keeps, and how many bytes at the end of each are read.
pub const QEMU_LOGS: &str = "var/log/libvirt/qemu";
const QEMU_LOG_END: u64 = 32 << 10;

/// What was read of a machine.
pub struct Observed {
    pub root: PathBuf,
    pub role: Role,
    pub machine: Machine,
    /// NVIDIA's GPUs with functions and vGPUs.
    pub gpus: Vec<HostGpu>,
    /// Loaded kernel modules, with underscores.
    pub modules: Vec<String>,
    /// The loaded driver's version.
    pub driver: Option<String>,
    pub services: Vec<Service>,
    pub journal: Journal,
    pub users: VfioUsers,
    pub profiles: Profiles,
    pub nvml: Nvml,
    pub options: ModuleOptions,
}

/// Options of the module nvidia.
pub struct ModuleOptions {
    /// The options of the loaded module. `None` if it does not show them.
    pub in_effect: Option<BTreeMap<String, String>>,
    /// The options for the next time that it is loaded.
    pub set: Vec<options::Setting>,
}

/// Information of NVIDIA's library about a host's GPUs.
pub enum Nvml {
    /// There is no host driver to ask, or no GPU.
    NotAsked,
    Silent(NvmlError),
    Told {
        setups: BTreeMap<Address, Setup>,
        /// The possible placements of a type on a GPU, for vGPUs whose placement is set.
        placements: BTreeMap<(Address, u32), Placements>,
    },
}

/// The vgpuConfig.xml in effect.
pub enum Profiles {
    Missing,
    /// Why it cannot be read.
    Damaged(String),
    Read {
        path: String,
        profiles: Vec<Profile>,
        gpus: Vec<PhysicalGpu>,
    },
}

/// A log in which messages are searched.
#[derive(Clone, Copy)]
pub enum Log {
    Kernel,
    /// The journal of a service of NVIDIA's, since its last start.
    Service(&'static str),
    /// The logs of programs that start virtual machines: QEMU, libvirt, Proxmox, udev.
    Machines,
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Log::Kernel => f.write_str("the kernel's log"),
            Log::Service(name) => write!(f, "the journal of {name}"),
            Log::Machines => f.write_str("the logs of virtual machines"),
        }
    }
}

impl Observed {
    /// Reads the machine with the root directory `root`. Without a `role`, the role is guessed.
    pub fn of_machine(root: &Path, mut journal: Journal, role: Option<Role>) -> Observed {
        let machine = Machine::read(root);
        let modules = driver::modules(root);
        let services = services::states(root, &SERVICES);
        journal.add(qemu_logs(root));
        let there = |name: &str| services.iter().any(|service| service.name == name && service.state != State::Missing);
        let host = !machine.virtual_machine
            || there("nvidia-vgpud")
            || there("nvidia-vgpu-mgr")
            || modules.iter().any(|module| module == "nvidia_vgpu_vfio");
        let role = role.unwrap_or(if host { Role::Host } else { Role::Guest });
        let (gpus, driver) = (vgpu::host_gpus(root), driver::version(root));
        let asked = driver.is_some() && role == Role::Host && !gpus.is_empty();
        let nvml = if asked { ask_library(root, &gpus) } else { Nvml::NotAsked };
        Observed {
            root: root.to_owned(),
            role,
            gpus,
            driver,
            nvml,
            users: VfioUsers::read(root),
            profiles: profiles(root),
            options: ModuleOptions { in_effect: options::in_effect(root), set: options::set(root) },
            machine,
            modules,
            services,
            journal,
        }
    }

    /// Whether the vGPUs of a GPU are made on virtual functions. A board without `hostVgpuMode="sriov"` in vgpuConfig.xml has
    /// mediated devices of its own, even if it has SR-IOV. The T4 is such a board.
    pub fn on_functions(&self, host: &HostGpu) -> bool {
        match host.interface() {
            Some(interface) => interface != Interface::Mdev,
            None => host.gpu.function.sriov.is_some() && self.profiles.listed(host).is_none_or(PhysicalGpu::is_sriov),
        }
    }

    /// A small text file, trimmed. The path is relative to the root.
    pub fn read(&self, path: &str) -> Option<String> {
        files::read(&self.root.join(path))
    }

    pub fn has_module(&self, name: &str) -> bool {
        self.modules.iter().any(|module| module == name)
    }

    pub fn state(&self, service: &str) -> State {
        self.services.iter().find(|known| known.name == service).map_or(State::Missing, |known| known.state)
    }

    /// Whether this looks like a container. A container may see only a part of the machine.
    pub fn container(&self) -> bool {
        let exists = |path: &str| self.root.join(path).exists();
        exists(".dockerenv") || exists("run/.containerenv") || exists("run/systemd/container")
    }

    /// The entries of a log, oldest first.
    pub fn entries(&self, log: Log) -> Vec<&Entry> {
        let entries = &self.journal.entries;
        match log {
            // Entries before the driver was loaded the last time do not count.
            Log::Kernel => since(
                entries,
                |entry| entry.source == Source::Kernel,
                |entry| entry.source == Source::Kernel && entry.message.contains("NVRM: loading NVIDIA"),
            ),
            Log::Service(name) => since(
                entries,
                |entry| entry.source == Source::Unit(name.to_owned()),
                |entry| entry.source == Source::Systemd(name.to_owned()) && entry.message.starts_with("Starting "),
            ),
            Log::Machines => {
                let other = |unit: &str| !SERVICES.contains(&unit);
                let machines = |entry: &&Entry| matches!(&entry.source, Source::Unit(unit) if other(unit));
                entries.iter().filter(machines).collect()
            }
        }
    }
}

/// The entries that `which` picks, beginning with the last one that `start` picks. If it picks none, from the beginning.
fn since(entries: &[Entry], which: impl Fn(&Entry) -> bool, start: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
    let from = entries.iter().rposition(start).unwrap_or(0);
    entries[from..].iter().filter(|entry| which(entry)).collect()
}

/// Asks the library. It is open only for a moment, because sriov-manage cannot work on a GPU while it is open.
fn ask_library(root: &Path, gpus: &[HostGpu]) -> Nvml {
    let library = match Library::open(root) {
        Ok(library) => library,
        Err(error) => return Nvml::Silent(error),
    };
    let setups = gpus.iter().filter_map(|host| Some((host.address(), library.setup(host.address()).ok()?)));
    let vgpus = gpus.iter().flat_map(|host| host.vgpus.iter().map(|vgpu| (host.address(), vgpu)));
    let placements = vgpus.filter(|(_, vgpu)| vgpu.placement().is_some()).filter_map(|(gpu, vgpu)| {
        let type_id = vgpu.type_id?;
        Some(((gpu, type_id), library.placements(gpu, type_id).ok()?))
    });
    Nvml::Told { setups: setups.collect(), placements: placements.collect() }
}

fn profiles(root: &Path) -> Profiles {
    let paths = VGPU_CONFIGS.iter().find(|path| root.join(path).symlink_metadata().is_ok());
    let Some(path) = paths else { return Profiles::Missing };
    let read = || {
        let text = vgpu_profiles::file::read(&root.join(path))?;
        let vgpu_profiles::Config { profiles, gpus, .. } = vgpu_profiles::Config::parse(&text)?;
        Ok(Profiles::Read { path: format!("/{path}"), profiles, gpus })
    };
    read().unwrap_or_else(|error: vgpu_profiles::Error| Profiles::Damaged(format!("/{path}: {error}")))
}

impl Profiles {
    /// The entry of a GPU: the exact one, or the one for any subsystem.
    pub fn listed(&self, gpu: &HostGpu) -> Option<&PhysicalGpu> {
        let Profiles::Read { gpus, .. } = self else { return None };
        let function = &gpu.gpu.function;
        let with = |subsystem| gpus.iter().find(|listed| listed.id == GpuId { device: function.device, subsystem });
        with(function.subsystem_device).or_else(|| with(0))
    }
}

/// QEMU's lines about VFIO, from logs of libvirt that were written since the start of the machine.
fn qemu_logs(root: &Path) -> Vec<Entry> {
    let started = files::read(&root.join("proc/stat")).unwrap_or_default();
    let started = started.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
    let recent = |path: &PathBuf| {
        let written = path.metadata().and_then(|file| file.modified()).ok();
        let written = written.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        written.is_some_and(|time| time.as_secs() >= started.unwrap_or(0))
    };
    let logs = files::entries(&root.join(QEMU_LOGS)).filter(recent).take(100);
    let lines = logs.flat_map(|path| {
        let text = files::end(&path, QEMU_LOG_END).unwrap_or_default();
        let lines: Vec<String> = text.lines().filter(|line| line.contains("vfio")).map(str::to_owned).collect();
        lines.into_iter().map(|line| {
            // `2026-11-24T12:03:04.567890Z qemu-system-x86_64: -device vfio-pci,…: vfio …`
            let (time, message) = line.split_once(' ').unwrap_or(("", &line));
            let time = time.get(..19).map_or(String::new(), |time| time.replace('T', " ") + " UTC");
            Entry { time, source: Source::Unit("qemu".to_owned()), pid: None, message: message.to_owned() }
        })
    });
    lines.collect()
}
