//! Virtual functions: GPUs since Ampere make their vGPUs out of them, and they are gone after every start.

use vgpu_base::terminal::count;

use super::super::check::{Check, Finding, Fix, Group, Status};
use super::super::observed::{Log, Observed};
use crate::machine::driver;
use crate::machine::files;
use crate::machine::pci;
use crate::machine::vgpu::HostGpu;

/// The logs of programs that run sriov-manage: our service, and others.
const BY: [Log; 2] = [Log::Service("nvidia-vgpu-instances"), Log::Machines];

pub const CHECKS: &[Check] = &[
    Check {
        id: "sriov",
        group: Group::VirtualFunctions,
        after: &["nvidia-module", "gpu-driver"],
        question: "Can GPUs that need virtual functions have them?",
        symptom: "sriov-manage makes no virtual functions and says nothing; there is no sriov_totalvfs",
        fix: Fix {
            nixos: "",
            elsewhere: "switch on SR-IOV and ARI in the firmware's setup; boards with screens (RTX A5000, A6000, RTX 6000 \
                        Ada and others) have to be switched to compute mode with NVIDIA's displaymodeselector",
        },
        answer: sriov,
    },
    Check {
        id: "sriov-tools",
        group: Group::VirtualFunctions,
        after: &["sriov"],
        question: "Does sriov-manage find the programs that it runs?",
        symptom: "sriov-manage: line …: lspci: command not found; or it makes no functions and says nothing",
        fix: Fix {
            nixos: "let our module do it: declare hardware.nvidia.vgpu.instances; a unit of your own needs \
                    path = [ pkgs.pciutils pkgs.gawk pkgs.kmod ];",
            elsewhere: "install pciutils (lspci, setpci), gawk and kmod, and have them on the PATH of whatever runs it",
        },
        answer: |seen| {
            let missing = [
                "lspci: command not found",
                "setpci: command not found",
                "awk: command not found",
                "modprobe: command not found",
            ];
            Finding::worst(BY.map(|log| seen.free_of_since(log, &missing, &["Enabling VFs on"])))
        },
    },
    Check {
        id: "unbind-lock",
        group: Group::VirtualFunctions,
        after: &["sriov"],
        question: "Is no program using a GPU while its functions are switched on?",
        symptom: "Cannot obtain unbindLock for 0000:…",
        fix: Fix {
            nixos: "",
            elsewhere: "stop the programs that use the driver (nvidia-smi, nvidia-persistenced, dcgm, exporters, virtual machines), \
                        then: sriov-manage -e ADDRESS",
        },
        answer: unbind_lock,
    },
    Check {
        id: "pf-stub",
        group: Group::VirtualFunctions,
        after: &["sriov"],
        question: "Did sriov-manage give the GPUs back to the driver?",
        symptom: "nvidia-smi: No devices were found; lspci -k: Kernel driver in use: pci-pf-stub",
        fix: Fix {
            nixos: "",
            elsewhere: "echo ADDRESS > /sys/bus/pci/drivers/pci-pf-stub/unbind; echo ADDRESS > \
                        /sys/bus/pci/drivers/nvidia/bind; then: sriov-manage -e ADDRESS",
        },
        answer: pf_stub,
    },
    Check {
        id: "functions-on",
        group: Group::VirtualFunctions,
        after: &["sriov", "sriov-tools", "unbind-lock", "pf-stub", "vfio-module", "vfio-kernel"],
        question: "Are virtual functions switched on?",
        symptom: "mdevctl types prints nothing; sriov_numvfs is 0 (after every start)",
        fix: Fix {
            nixos: "declare hardware.nvidia.vgpu.instances, which switches them on where needed; by hand: sriov-manage -e ADDRESS",
            elsewhere: "sriov-manage -e ADDRESS, in a service that runs at every start, or: vgpu instances apply",
        },
        answer: functions_on,
    },
    Check {
        id: "functions-driver",
        group: Group::VirtualFunctions,
        after: &["functions-on"],
        question: "Does NVIDIA's driver have the virtual functions?",
        symptom: "the virtual machine starts and sees no GPU; the function is bound to vfio-pci",
        fix: Fix {
            nixos: "",
            elsewhere: "in libvirt set managed='no' on the <hostdev>; with no virtual machine on the GPU make the functions \
                        anew: sriov-manage -d ADDRESS; sriov-manage -e ADDRESS",
        },
        answer: functions_driver,
    },
    Check {
        id: "functions-sound",
        group: Group::VirtualFunctions,
        after: &["functions-on"],
        question: "Do virtual functions still work after their virtual machines ended?",
        symptom: "vfio_pci_core_device not found; in the guest RmInitAdapter failed! (0x22:0x65:884)",
        fix: Fix {
            nixos: "",
            elsewhere: "with no virtual machine on the GPU: sriov-manage -d ADDRESS; sriov-manage -e ADDRESS. Functions \
                        break when they are bound by hand, or QEMU is killed with SIGKILL while it starts",
        },
        answer: |seen| seen.free_of(Log::Kernel, &["vfio_pci_core_device not found"]),
    },
];

/// GPUs that NVIDIA's driver has, or had until sriov-manage took them.
fn with_driver(seen: &Observed) -> impl Iterator<Item = &HostGpu> {
    seen.gpus
        .iter()
        .filter(|host| !matches!(host.gpu.function.driver.as_deref(), Some("vfio-pci" | "nouveau" | "nova_core")))
}

fn sriov(seen: &Observed) -> Finding {
    Finding::worst(with_driver(seen).map(|host| {
        let address = host.address();
        let needed = seen.profiles.listed(host).is_some_and(|listed| listed.is_sriov());
        match host.gpu.function.sriov {
            Some(sriov) => Finding::ok(format!("{address} sriov_totalvfs: {}", sriov.total)),
            None if needed => {
                Finding::failed(format!("{address}: no sriov_totalvfs, and vgpuConfig.xml lists it as sriov"))
            }
            None => Finding::irrelevant(),
        }
    }))
}

fn unbind_lock(seen: &Observed) -> Finding {
    let found = Finding::worst(BY.map(|log| {
        seen.free_of_since(log, &["Cannot obtain unbindLock"], &["Enabling VFs on", "already has VFs enabled"])
    }));
    if found.status != Some(Status::Failed) {
        return found;
    }
    let locks = with_driver(seen).filter_map(|host| {
        let lock = files::read(&driver::unbind_lock(&seen.root, host.address()))?;
        Some(format!("/proc/driver/nvidia/gpus/{}/unbindLock: {lock}", host.address()))
    });
    let evidence: Vec<String> = std::iter::once(found.evidence).chain(locks).chain(holders(seen)).collect();
    Finding::failed(evidence.join("\n"))
}

/// Programs that have the driver's devices open.
fn holders(seen: &Observed) -> Option<String> {
    let mut programs: Vec<String> = files::entries(&seen.root.join("proc"))
        .filter(|process| {
            let mut open = files::entries(&process.join("fd")).filter_map(|file| std::fs::read_link(file).ok());
            open.any(|target| target.to_string_lossy().starts_with("/dev/nvidia"))
        })
        .filter_map(|process| {
            Some(format!("{} (process {})", files::read(&process.join("comm"))?, files::name(&process)?))
        })
        .collect();
    programs.sort();
    (!programs.is_empty()).then(|| format!("/dev/nvidia* is open in {}", programs.join(", ")))
}

fn pf_stub(seen: &Observed) -> Finding {
    let capable = with_driver(seen).filter(|host| host.gpu.function.sriov.is_some());
    Finding::worst(capable.map(|host| {
        let (address, driver) = (host.address(), host.gpu.function.driver.as_deref());
        let evidence = format!("{address} driver: {}", driver.unwrap_or("none"));
        match driver {
            Some("nvidia") => Finding::ok(evidence),
            _ => Finding::failed(evidence).fix(format!(
                "echo {address} > /sys/bus/pci/drivers/pci-pf-stub/unbind; echo {address} > \
                 /sys/bus/pci/drivers/nvidia/bind; then: sriov-manage -e {address}"
            )),
        }
    }))
}

fn functions_on(seen: &Observed) -> Finding {
    // If another GPU makes vGPUs, this one may be for something else.
    let others = seen.gpus.iter().any(|host| host.interface().is_some());
    Finding::worst(with_driver(seen).filter(|host| seen.on_functions(host)).filter_map(|host| {
        let sriov = host.gpu.function.sriov?;
        let evidence = format!("{} sriov_numvfs: {} of {}", host.address(), sriov.enabled, sriov.total);
        Some(match sriov.enabled {
            0 if others => Finding::warning(evidence),
            0 => Finding::failed(evidence),
            _ => Finding::ok(evidence),
        })
    }))
}

fn functions_driver(seen: &Observed) -> Finding {
    let functions = with_driver(seen).flat_map(|host| &host.gpu.function.virtual_functions);
    let functions = functions.filter_map(|address| pci::device(&crate::machine::vgpu::directory(&seen.root, *address)));
    let (right, wrong): (Vec<_>, Vec<_>) = functions.partition(|function| function.driver.as_deref() == Some("nvidia"));
    if wrong.is_empty() {
        return if right.is_empty() {
            Finding::irrelevant()
        } else {
            Finding::ok(format!("{}: nvidia", count(right.len() as u64, "function")))
        };
    }
    let lines = wrong
        .iter()
        .map(|function| format!("{} driver: {}", function.address, function.driver.as_deref().unwrap_or("none")));
    Finding::failed(lines.collect::<Vec<_>>().join("\n"))
}
