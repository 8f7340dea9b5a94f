//! Firmware, kernel and boards. All other checks build on these.

use super::super::check::{Check, Finding, Fix, Group};
use super::super::observed::{Log, Observed};
use crate::machine::files;
use crate::machine::overview::Cpu;

pub const CHECKS: &[Check] = &[
    Check {
        id: "container",
        group: Group::Platform,
        after: &[],
        question: "Can the whole machine be seen?",
        symptom: "vgpu doctor finds less than there is",
        fix: Fix { nixos: "", elsewhere: "run vgpu doctor on the machine itself, as root" },
        answer: container,
    },
    Check {
        id: "iommu",
        group: Group::Platform,
        after: &[],
        question: "Does the kernel run with an IOMMU?",
        symptom: "no vGPU can be opened: errors about IOMMU groups; /sys/kernel/iommu_groups is empty",
        fix: Fix {
            nixos: "switch on VT-d or AMD-Vi in the firmware's setup, and boot.kernelParams = [ \"intel_iommu=on\" \
                    \"iommu=pt\" ]; (AMD: only \"iommu=pt\")",
            elsewhere: "switch on VT-d or AMD-Vi in the firmware's setup, and start the kernel with intel_iommu=on \
                        iommu=pt (AMD: only iommu=pt)",
        },
        answer: iommu,
    },
    Check {
        id: "gpu",
        group: Group::Platform,
        after: &[],
        question: "Is there an NVIDIA GPU?",
        symptom: "lspci shows no NVIDIA GPU",
        fix: Fix {
            nixos: "",
            elsewhere: "look at power, slot and the firmware's PCI settings; in a virtual machine, pass the GPU through",
        },
        answer: gpu,
    },
    Check {
        id: "gpu-alive",
        group: Group::Platform,
        after: &["gpu"],
        question: "Do the GPUs start and answer on the bus?",
        symptom: "RmInitAdapter failed!; failed to attach device: 59; GPU has fallen off the bus",
        fix: Fix {
            nixos: "",
            elsewhere: "switch the machine off and on again (a restart is not enough); switch on Above 4G Decoding in \
                        the firmware's setup; reseat the board and look at its power",
        },
        answer: |seen| {
            let kernel = ["RmInitAdapter failed", "has fallen off the bus", "rm_init_adapter failed"];
            let daemon = ["failed to attach device", "failed to read pGPU information"];
            Finding::worst([seen.free_of(Log::Kernel, &kernel), seen.free_of(Log::Service("nvidia-vgpud"), &daemon)])
        },
    },
];

/// Whether this is the machine itself.
pub fn container(seen: &Observed) -> Finding {
    if seen.container() {
        return Finding::warning("this is a container: /sys, /proc and the journal may show less than there is");
    }
    if seen.users.complete {
        Finding::ok("the files of all processes can be read")
    } else {
        Finding::warning("not run as root: the open files of other users' processes can't be read")
    }
}

fn iommu(seen: &Observed) -> Finding {
    let groups = files::entries(&seen.root.join("sys/kernel/iommu_groups")).count();
    if groups > 0 {
        return Finding::ok(format!("/sys/kernel/iommu_groups: {groups} groups"));
    }
    let command_line = seen.read("proc/cmdline").unwrap_or_default();
    let asked = |word: &str| command_line.split_whitespace().any(|argument| argument == word);
    let evidence = "/sys/kernel/iommu_groups: empty";
    if !seen.root.join("sys/bus/pci").exists() {
        return Finding::unknown("/sys/bus/pci can't be read");
    }
    // AMD's is on as soon as the firmware shows it. Many kernels switch Intel's on only if a parameter says so.
    if seen.machine.cpu == Cpu::Amd || asked("intel_iommu=on") {
        return Finding::failed(format!("{evidence}; the kernel's parameters allow it"))
            .fix("switch on VT-d (Intel) or AMD-Vi, also called IOMMU or SVM, in the firmware's setup");
    }
    Finding::failed(format!("{evidence}; /proc/cmdline has no intel_iommu=on"))
}

/// Whether there is a board at all.
pub fn gpu(seen: &Observed) -> Finding {
    if !seen.root.join("sys/bus/pci/devices").exists() {
        return Finding::unknown("/sys/bus/pci/devices can't be read");
    }
    if seen.gpus.is_empty() {
        return Finding::failed("/sys/bus/pci/devices: no VGA or 3D controller of vendor 10de");
    }
    let describe = |host: &crate::machine::vgpu::HostGpu| {
        let function = &host.gpu.function;
        let name = host.gpu.name.as_deref().unwrap_or("NVIDIA GPU");
        let (device, subsystem) = (function.device, function.subsystem_device);
        format!("{} {name} [10de:{device:04x}, subsystem {subsystem:04x}]", function.address)
    };
    Finding::ok(seen.gpus.iter().map(describe).collect::<Vec<_>>().join("\n"))
}
