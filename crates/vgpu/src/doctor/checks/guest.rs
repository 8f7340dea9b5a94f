//! Guests: the driver in a virtual machine, and whether the host's accepts it.

use super::super::check::{Check, Finding, Fix, Group, Status};
use super::super::observed::{Log, Observed};
use super::{modules, platform};
use crate::machine::files;
use crate::machine::services::State;

pub const CHECKS: &[Check] = &[
    Check {
        id: "guest-view",
        group: Group::Driver,
        after: &[],
        question: "Can the whole virtual machine be seen?",
        symptom: "vgpu doctor finds less than there is",
        fix: Fix { nixos: "", elsewhere: "run vgpu doctor in the virtual machine itself, as root" },
        answer: platform::container,
    },
    Check {
        id: "guest-gpu",
        group: Group::Driver,
        after: &[],
        question: "Does the virtual machine have a vGPU?",
        symptom: "lspci shows no NVIDIA GPU",
        fix: Fix {
            nixos: "",
            elsewhere: "attach one on the host (`vgpu instances attach NAME`) and start the virtual machine again; on the \
                        host `vgpu doctor` tells why it can't be made",
        },
        answer: platform::gpu,
    },
    Check {
        id: "guest-signature",
        group: Group::Driver,
        after: &[],
        question: "Does the kernel accept unsigned modules?",
        symptom: "Key was rejected by service; Lockdown: modprobe: unsigned module loading is restricted",
        fix: Fix {
            nixos: "",
            elsewhere: "switch off Secure Boot in the virtual machine's firmware, or sign the modules with a key that is \
                        enrolled",
        },
        answer: modules::signature,
    },
    Check {
        id: "guest-bound",
        group: Group::Driver,
        after: &["guest-gpu", "guest-signature"],
        question: "Does NVIDIA's driver have the vGPU?",
        symptom: "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver",
        fix: Fix {
            nixos: "services.xserver.videoDrivers = [ \"nvidia\" ]; with our guest module and \
                    hardware.nvidia.vgpu.release; then restart",
            elsewhere: "install the guest driver (-grid), blacklist nouveau, and restart",
        },
        answer: bound,
    },
    Check {
        id: "guest-flavour",
        group: Group::Driver,
        after: &["guest-bound"],
        question: "Does the vGPU work with this kind of kernel modules, open or closed?",
        symptom: "not supported by open nvidia.ko; requires use of the NVIDIA open (or proprietary) kernel modules",
        fix: Fix {
            nixos: "hardware.nvidia.open = false; for vGPUs of GPUs before Blackwell, true for later ones; then restart",
            elsewhere: "install the closed kernel modules for vGPUs of GPUs before Blackwell, the open ones for later ones",
        },
        answer: modules::flavour,
    },
    Check {
        id: "guest-versions",
        group: Group::Driver,
        after: &["guest-bound"],
        question: "Do programs and loaded modules have the same version?",
        symptom: "Failed to initialize NVML: Driver/library version mismatch",
        fix: Fix { nixos: "", elsewhere: "restart: loaded modules stay until then" },
        answer: modules::versions,
    },
    Check {
        id: "guest-support",
        group: Group::Driver,
        after: &["guest-bound"],
        question: "Is the release known, and does NVIDIA still support it?",
        symptom: "no security updates; newer kernels don't work",
        fix: Fix {
            nixos: "choose a newer branch that fits the host: `vgpu releases --for-host VERSION`, then \
                    hardware.nvidia.vgpu.release",
            elsewhere: "choose a newer branch that fits the host: vgpu releases --for-host VERSION",
        },
        answer: modules::support,
    },
    Check {
        id: "guest-package",
        group: Group::Driver,
        after: &["guest-bound"],
        question: "Is this a guest driver with its licence client?",
        symptom: "no licence is ever asked for: there is no nvidia-gridd, and nothing in its journal",
        fix: Fix {
            nixos: "import our guest module, and leave hardware.nvidia.package to it: the driver here is NVIDIA's for \
                    consumers or for hosts",
            elsewhere: "install the guest driver (-grid) whole, with its systemd unit; some distributions leave that out",
        },
        answer: |seen| match seen.state("nvidia-gridd") {
            State::Missing => Finding::failed("/etc/systemd/system: no unit nvidia-gridd.service"),
            _ => Finding::ok("there is a unit nvidia-gridd"),
        },
    },
    Check {
        id: "guest-window",
        group: Group::Driver,
        after: &["guest-gpu"],
        question: "Does the virtual machine's firmware give the vGPU all addresses that it needs?",
        symptom: "NVRM: BAR1 is 0M @ 0x0; This PCI I/O region assigned to your NVIDIA device is invalid",
        fix: Fix {
            nixos: "",
            elsewhere: "give OVMF a larger window for 64-bit addresses, in the virtual machine's definition on the host: \
                        -fw_cfg name=opt/ovmf/X-PciMmio64Mb,string=262144; without OVMF: -global \
                        q35-pcihost.pci-hole64-size=256G",
        },
        answer: |seen| {
            let small = ["BAR1 is 0M", "This PCI I/O region assigned to your NVIDIA device is invalid"];
            seen.free_of(Log::Kernel, &small)
        },
    },
    Check {
        id: "guest-cuda",
        group: Group::Driver,
        after: &["guest-bound"],
        question: "Can CUDA be used?",
        symptom: "CUDA programs find no device; all CUDA-capable devices are busy or unavailable",
        fix: Fix {
            nixos: "boot.kernelModules = [ \"nvidia_uvm\" ]; if CUDA is still missing, the profile has none (the smallest \
                    and B series): another profile, or enableCuda in the host's profileOverrides",
            elsewhere: "modprobe nvidia_uvm; if CUDA is still missing, the profile has none (the smallest and B series)",
        },
        answer: |seen| match seen.has_module("nvidia_uvm") {
            true => Finding::ok("/proc/modules: nvidia_uvm"),
            false => Finding::warning("/proc/modules: no nvidia_uvm"),
        },
    },
];

pub const MATCH: &[Check] = &[
    Check {
        id: "host-match",
        group: Group::Match,
        after: &["guest-bound"],
        question: "Does the host's driver accept this one?",
        symptom: "NVRM: Guest driver is incompatible with host driver; Windows: Code 43, Event 160",
        fix: Fix {
            nixos: "hardware.nvidia.vgpu.release = one that fits the host's driver: `vgpu releases --for-host VERSION`",
            elsewhere: "install a driver that fits the host's: vgpu releases --for-host VERSION",
        },
        answer: |seen| {
            let refused = |text: &str| text.to_lowercase().contains("guest driver is incompatible with host driver");
            seen.free_where(Log::Kernel, refused, &[])
        },
    },
    Check {
        id: "guest-starts",
        group: Group::Match,
        after: &["guest-bound", "guest-flavour", "guest-window", "host-match"],
        question: "Does the vGPU start?",
        symptom: "nvidia-smi: No devices were found; NVRM: RmInitAdapter failed!",
        fix: Fix {
            nixos: "on the host `vgpu doctor` and the journal of nvidia-vgpu-mgr have the reason; (0x22:0x65:884) is a \
                    virtual function that has to be made anew there",
            elsewhere: "on the host `vgpu doctor` and the journal of nvidia-vgpu-mgr have the reason; (0x22:0x65:884) is a \
                        virtual function that has to be made anew there",
        },
        answer: starts,
    },
];

fn bound(seen: &Observed) -> Finding {
    if seen.driver.is_none() {
        return modules::nvidia_module(seen);
    }
    Finding::worst(seen.gpus.iter().map(|host| {
        let driver = host.gpu.function.driver.as_deref();
        let evidence = format!("{} driver: {}", host.address(), driver.unwrap_or("none"));
        match (&seen.driver, driver) {
            (Some(version), Some("nvidia")) => Finding::ok(format!("{evidence}, {version}")),
            _ => Finding::failed(evidence),
        }
    }))
}

/// The GPU's own system processor serves the host. With some releases, a guest must not use it.
fn starts(seen: &Observed) -> Finding {
    let finding = seen.free_of(Log::Kernel, &["RmInitAdapter failed", "rm_init_adapter failed"]);
    if finding.status != Some(Status::Failed) {
        return finding;
    }
    let parameters = files::read(&seen.root.join("proc/driver/nvidia/params")).unwrap_or_default();
    let firmware = parameters.lines().find_map(|line| line.strip_prefix("EnableGpuFirmware: "));
    match firmware.filter(|value| *value != "0") {
        Some(value) => {
            let evidence = format!("{}\n/proc/driver/nvidia/params: EnableGpuFirmware: {value}", finding.evidence);
            Finding::failed(evidence).fix(match seen.machine.nixos {
                Some(_) => "hardware.nvidia.gsp.enable = false; then restart",
                None => "options nvidia NVreg_EnableGpuFirmware=0 in /etc/modprobe.d, then restart",
            })
        }
        None => finding,
    }
}
