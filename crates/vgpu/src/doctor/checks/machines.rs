//! Virtual machines: why one with a vGPU does not start or does not work.

use std::collections::BTreeMap;

use super::super::check::{Check, Finding, Fix, Group, Status};
use super::super::logs::quote;
use super::super::observed::{Log, Observed};
use crate::machine::journal::{Entry, Source};
use crate::machine::vgpu::Vgpu;

const MANAGER: Log = Log::Service("nvidia-vgpu-mgr");
/// The manager's message for a vGPU that started.
const STARTED: &[&str] = &["display_init inst: 0 successful"];

pub const CHECKS: &[Check] = &[
    Check {
        id: "vm-uuid",
        group: Group::VirtualMachines,
        after: &[],
        question: "Are virtual machines with a vGPU started with a UUID?",
        symptom: "Failed to get VM UUID from QEMU command-line; kvm_plugin_global_init failed with error 0x57",
        fix: Fix {
            nixos: "",
            elsewhere: "start QEMU with -uuid UUID; libvirt does by itself. `vgpu instances attach NAME --format qemu` \
                        prints all the arguments",
        },
        answer: vm_uuid,
    },
    Check {
        id: "no-type",
        group: Group::VirtualMachines,
        after: &["types-offered", "functions-on"],
        question: "Does every opened virtual function have a vGPU?",
        symptom: "current_vgpu_type of VF not configured; QEMU: No such device",
        fix: Fix {
            nixos: "declare it under hardware.nvidia.vgpu.instances, so that it is there after every start",
            elsewhere: "vgpu instances apply, or write the type's number to the function's nvidia/current_vgpu_type, \
                        before the virtual machine starts (and after every start of the host)",
        },
        answer: |seen| seen.free_of(Log::Kernel, &["current_vgpu_type of VF not configured"]),
    },
    Check {
        id: "board-supported",
        group: Group::VirtualMachines,
        after: &["gpu-listed"],
        question: "Does the manager accept the board?",
        symptom: "vGPU is supported only on VGX capable boards; vGPU validation of the GPU failed",
        fix: Fix {
            nixos: "hardware.nvidia.vgpu.patcher.enable = true; with a release that has a patcher: NVIDIA's own manager \
                    does not serve this board",
            elsewhere: "patch the driver: NVIDIA's own manager does not serve this board",
        },
        answer: |seen| {
            let refused = ["supported only on VGX capable boards", "vGPU validation of the GPU failed"];
            seen.free_of_since(MANAGER, &refused, STARTED)
        },
    },
    Check {
        id: "profile-accepted",
        group: Group::VirtualMachines,
        after: &["vgpud-unlock"],
        question: "Does the driver accept the changed profile?",
        symptom: "error setting vGPU configuration information from RM",
        fix: Fix {
            nixos: "undo the changes of hardware.nvidia.vgpu.patcher.profileOverrides one by one; `vgpu profiles show \
                    ID` prints what is in effect",
            elsewhere: "undo the changes of the profile one by one (switches are 0 or 1)",
        },
        answer: |seen| seen.free_of_since(MANAGER, &["error setting vGPU configuration information from RM"], STARTED),
    },
    Check {
        id: "gpu-information",
        group: Group::VirtualMachines,
        after: &["vgpud-unlock"],
        question: "Does the manager get all information about the GPU from the driver?",
        symptom: "unable to setup host connection state; Failed to get C2C info",
        fix: Fix {
            nixos: "take a release with a newer patcher; on a GPU that NVIDIA supports: restart the machine",
            elsewhere: "take a newer patcher or unlock; on a GPU that NVIDIA supports: restart the machine",
        },
        answer: |seen| {
            seen.free_of_since(MANAGER, &["unable to setup host connection state", "Failed to get C2C info"], STARTED)
        },
    },
    Check {
        id: "mgr-crash",
        group: Group::VirtualMachines,
        after: &["board-supported", "profile-accepted", "gpu-information"],
        question: "Has the manager never crashed?",
        symptom: "a vGPU works once after the start of the host, then never again; code=dumped",
        fix: Fix {
            nixos: "take a release that knows this kernel, or an older kernel (boot.kernelPackages); then restart",
            elsewhere: "take a release that knows this kernel, or an older kernel; then restart",
        },
        answer: mgr_crash,
    },
    Check {
        id: "mgr-answer",
        group: Group::VirtualMachines,
        after: &["vgpu-mgr", "mgr-crash", "mgr-restarted"],
        question: "Does the manager answer when a vGPU is opened?",
        symptom: "start failed. status: 0x0 Timeout Occured; QEMU: error getting device from group …: Connection timed out",
        fix: Fix {
            nixos: "",
            elsewhere: "with no virtual machine running: systemctl restart nvidia-vgpu-mgr; its journal tells why it hung",
        },
        answer: |seen| {
            let kernel = seen.free_of_since(Log::Kernel, &["status: 0x0 Timeout Occured"], STARTED);
            let timeout = |text: &str| text.contains("error getting device from group") && text.contains("timed out");
            Finding::worst([kernel, seen.free_where(Log::Machines, timeout, STARTED)])
        },
    },
    Check {
        id: "mgr-refusal",
        group: Group::VirtualMachines,
        after: &[
            "vm-uuid",
            "no-type",
            "board-supported",
            "profile-accepted",
            "gpu-information",
            "mgr-crash",
            "mgr-answer",
        ],
        question: "Does the manager start every vGPU that is opened?",
        symptom: "QEMU: vfio …: error getting device from group …: Input/output error; start failed. status: 0x1; \
                  failed to read device config space: Bad address",
        fix: Fix {
            nixos: "",
            elsewhere: "journalctl -u nvidia-vgpu-mgr has the reason, in its last lines with error:",
        },
        answer: mgr_refusal,
    },
    Check {
        id: "slow-release",
        group: Group::VirtualMachines,
        after: &["mgr-crash"],
        question: "Are vGPUs free soon after their virtual machine ended?",
        symptom: "Existing vgpu process not cleaned up yet. Aborting...; waited 10 seconds for mediated device driver \
                  finishing clean up",
        fix: Fix {
            nixos: "",
            elsewhere: "wait some seconds before the virtual machine is started again; if it stays so, restart the host. \
                        Later releases of 16 are quicker",
        },
        answer: |seen| {
            let slow = ["Existing vgpu process not cleaned up yet", "for mediated device driver finishing clean up"];
            Finding::worst([Log::Kernel, Log::Machines].map(|log| seen.free_of_since(log, &slow, STARTED)))
        },
    },
    Check {
        id: "vfio-permission",
        group: Group::VirtualMachines,
        after: &[],
        question: "May the user who runs virtual machines open the vGPUs?",
        symptom: "vfio …: Could not open '/dev/vfio/…': Permission denied",
        fix: Fix {
            nixos: "set user or group of the instance (hardware.nvidia.vgpu.instances.<name>.group = \"kvm\";), or \
                    services.udev.extraRules = ''SUBSYSTEM==\"vfio\", GROUP=\"kvm\"'';",
            elsewhere: "a udev rule: SUBSYSTEM==\"vfio\", GROUP=\"kvm\"; and the user in that group",
        },
        answer: |seen| {
            let denied = |text: &str| text.contains("/dev/vfio/") && text.contains("Permission denied");
            seen.free_where(Log::Machines, denied, STARTED)
        },
    },
    Check {
        id: "memlock",
        group: Group::VirtualMachines,
        after: &[],
        question: "May virtual machines lock their memory?",
        symptom: "vfio_pin_pages_remote: RLIMIT_MEMLOCK (…) exceeded; vfio: failed to setup container: Cannot allocate memory",
        fix: Fix {
            nixos: "systemd.services.<name>.serviceConfig.LimitMEMLOCK = \"infinity\"; for what starts QEMU",
            elsewhere: "LimitMEMLOCK=infinity in the service that starts QEMU; ulimit -l unlimited in a shell",
        },
        answer: |seen| {
            let refused = |text: &str| text.contains("vfio") && text.to_lowercase().contains("cannot allocate memory");
            let kernel = seen.free_of_since(Log::Kernel, &["RLIMIT_MEMLOCK"], STARTED);
            Finding::worst([kernel, seen.free_where(Log::Machines, refused, STARTED)])
        },
    },
    Check {
        id: "guest-driver",
        group: Group::VirtualMachines,
        after: &["functions-sound"],
        question: "Have the guests' drivers loaded?",
        symptom: "in the guest RmInitAdapter failed! (0x22:0x65:884), on the host display_init inst: 0 successful",
        fix: Fix {
            nixos: "",
            elsewhere: "install the guest driver; where it is and says RmInitAdapter failed! (0x22:0x65:884), the virtual \
                        function outlived a QEMU that was killed: with no virtual machine on the GPU, sriov-manage -d \
                        ADDRESS; sriov-manage -e ADDRESS. End QEMU with SIGTERM",
        },
        answer: guest_driver,
    },
    Check {
        id: "guest-match",
        group: Group::VirtualMachines,
        after: &[],
        question: "Do the guests' drivers fit the host's?",
        symptom: "in the guest: Guest driver is incompatible with host driver; Code 43; No devices were found",
        fix: Fix {
            nixos: "install a driver in the guest that fits: `vgpu releases --for-host VERSION` lists them",
            elsewhere: "install a driver in the guest that fits: vgpu releases --for-host VERSION lists them",
        },
        answer: guest_match,
    },
    Check {
        id: "xid",
        group: Group::VirtualMachines,
        after: &["guest-match"],
        question: "Do the GPUs work without errors?",
        symptom: "NVRM: Xid (PCI:…): 43; the display freezes for seconds",
        fix: Fix {
            nixos: "",
            elsewhere: "Xid 31 and 43: drivers of host and guest that don't fit, or a patched scheduler: vgpu releases \
                        --for-host VERSION. 48, 63, 64, 79, 94 and 95: the board's memory, power or slot",
        },
        answer: |seen| {
            warn(Finding::worst([
                seen.free_of(Log::Kernel, &["NVRM: Xid"]),
                seen.free_of(MANAGER, &["XID 31 detected", "XID 43 detected", "XID 31 ", "XID 43 "]),
            ]))
        },
    },
    Check {
        id: "frame-rate",
        group: Group::VirtualMachines,
        after: &[],
        question: "May guests draw 60 frames a second?",
        symptom: "everything is drawn at 45 frames a second",
        fix: Fix {
            nixos: "parameters.frame_rate_limiter = false; of hardware.nvidia.vgpu.instances.<name>, or another series: the \
                    B profiles are limited to 45",
            elsewhere: "frame_rate_limiter=0 in the vGPU's nvidia/vgpu_params before the virtual machine starts, or a \
                        profile of another series: those of B are limited to 45",
        },
        answer: frame_rate,
    },
    Check {
        id: "first-screen",
        group: Group::VirtualMachines,
        after: &[],
        question: "Do virtual machines have another first screen than their vGPU?",
        symptom: "noVNC or SPICE goes black when the guest's driver loads",
        fix: Fix {
            nixos: "",
            elsewhere: "set up a remote desktop in the guest, or remove x-vga=on (Proxmox: Primary GPU) from the vGPU: \
                        consoles of the host show the first screen, and a vGPU draws none for them",
        },
        answer: first_screen,
    },
];

/// Turns a failure into a warning.
fn warn(finding: Finding) -> Finding {
    match finding.status {
        Some(Status::Failed) => Finding { status: Some(Status::Warning), ..finding },
        _ => finding,
    }
}

/// A vGPU that a virtual machine has open.
struct Opened<'a> {
    vgpu: &'a Vgpu,
    /// qemu-system-x86 (process 4711)
    who: String,
    /// How the virtual machine was started.
    arguments: Vec<String>,
}

fn opened(seen: &Observed) -> Vec<Opened<'_>> {
    let vgpus = seen.gpus.iter().flat_map(|host| &host.vgpus);
    let opened = vgpus.filter_map(|vgpu| {
        let process = seen.users.of(vgpu.iommu_group, vgpu.vfio_device.as_deref())?;
        let arguments = seen.read(&format!("proc/{}/cmdline", process.pid))?;
        let arguments = arguments.split('\0').map(str::to_owned).collect();
        Some(Opened { vgpu, who: format!("{} (process {})", process.command, process.pid), arguments })
    });
    opened.collect()
}

fn vm_uuid(seen: &Observed) -> Finding {
    let messages = ["Failed to get VM UUID from QEMU", "kvm_plugin_global_init failed with error 0x57"];
    let said = seen.free_of_since(MANAGER, &messages, STARTED);
    let running = opened(seen).into_iter().map(|Opened { who, arguments, .. }| {
        let has = arguments.iter().any(|argument| argument == "-uuid" || argument == "--uuid");
        if has { Finding::ok(format!("{who} has -uuid")) } else { Finding::failed(format!("{who} has no -uuid")) }
    });
    let running = Finding::worst(running);
    // Running virtual machines can be seen without a journal.
    if said.status == Some(Status::Unknown) && running.status.is_some() {
        running
    } else {
        Finding::worst([said, running])
    }
}

fn mgr_crash(seen: &Observed) -> Finding {
    let systemd = Source::Systemd("nvidia-vgpu-mgr".to_owned());
    let crashed = |entry: &&Entry| {
        let text = &entry.message;
        text.contains("code=dumped") || (text.contains("code=killed") && !text.contains("status=15"))
    };
    match seen.journal.of(&systemd).rfind(crashed) {
        Some(entry) => Finding::failed(quote(entry)),
        None => seen.nothing(MANAGER),
    }
}

fn mgr_refusal(seen: &Observed) -> Finding {
    let kernel = seen.free_of_since(Log::Kernel, &["start failed. status: 0x1"], STARTED);
    let manager = seen.free_of_since(MANAGER, &["init_device_instance failed"], STARTED);
    let refused = |text: &str| {
        (text.contains("error getting device from group") && !text.contains("timed out"))
            || text.contains("failed to read device config space")
    };
    Finding::worst([kernel, manager, seen.free_where(Log::Machines, refused, STARTED)])
}

/// The manager runs a process for each virtual machine. It writes a message when the guest's driver loads.
fn guest_driver(seen: &Observed) -> Finding {
    let mut guests: BTreeMap<u32, (&Entry, bool)> = BTreeMap::new();
    for entry in seen.entries(MANAGER) {
        let (Some(pid), text) = (entry.pid, &entry.message) else { continue };
        if STARTED.iter().any(|started| text.contains(started)) {
            guests.insert(pid, (entry, false));
        } else if text.contains("Guest NVIDIA Driver Information") || text.contains("vGPU version: ") {
            guests.entry(pid).and_modify(|guest| guest.1 = true);
        }
    }
    let found = Finding::worst(guests.into_iter().filter_map(|(pid, (started, loaded))| match loaded {
        true => Some(Finding::ok(format!("{}\nthe guest's driver has loaded since", quote(started)))),
        false if seen.root.join(format!("proc/{pid}")).exists() => {
            Some(Finding::warning(format!("{}\nthe guest's driver has not loaded since", quote(started))))
        }
        // The virtual machine has ended.
        false => None,
    }));
    if found.status.is_some() { found } else { seen.nothing(MANAGER) }
}

/// Compares the protocol that each guest's driver speaks with those that the manager does.
///
/// Both write it into the manager's journal: `vGPU supported range: (0x70001, 0xb0001)`, then `vGPU version: 0x80001`.
fn guest_match(seen: &Observed) -> Finding {
    let number = |text: &str| u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok();
    let range = |entry: &Entry| {
        let (_, range) = entry.message.split_once("vGPU supported range: (")?;
        let (low, high) = range.split_once(')')?.0.split_once(',')?;
        Some((number(low)?, number(high)?))
    };
    let spoken = |entry: &Entry| number(entry.message.split_once("vGPU version: ")?.1.split_whitespace().next()?);
    let entries = seen.entries(MANAGER);
    let Some((low, high)) = entries.iter().rev().find_map(|entry| range(entry)) else { return seen.nothing(MANAGER) };
    // The last message about each virtual machine counts: its driver may have been replaced.
    let mut last = BTreeMap::new();
    for entry in entries {
        if let Some(version) = spoken(entry) {
            last.insert(entry.pid, (entry, version));
        }
    }
    let found = last.into_values().map(|(entry, version)| match (low..=high).contains(&version) {
        true => Finding::ok(quote(entry)),
        false => Finding::failed(format!("{}\nthe host supports 0x{low:x} to 0x{high:x}", quote(entry))),
    });
    let found = Finding::worst(found);
    if found.status.is_some() { found } else { seen.nothing(MANAGER) }
}

fn frame_rate(seen: &Observed) -> Finding {
    let rate = |entry: &Entry| {
        let (_, rest) = entry.message.split_once("FRL Value: ")?;
        rest.split_whitespace().next()?.parse::<u32>().ok()
    };
    let mut slow: Vec<Finding> = Vec::new();
    let mut limited = false;
    for entry in seen.entries(MANAGER) {
        let Some(rate) = rate(entry) else { continue };
        limited = true;
        if (1..60).contains(&rate) {
            slow.push(Finding::warning(quote(entry)));
        }
    }
    match (slow.pop(), limited) {
        (Some(last), _) => last,
        (None, true) => Finding::ok("the manager's journal: no limit below 60 frames a second"),
        (None, false) => seen.nothing(MANAGER),
    }
}

/// QEMU makes the device with `x-vga=on` the first screen. libvirt writes devices as JSON.
fn first_screen(seen: &Observed) -> Finding {
    let found = opened(seen).into_iter().map(|Opened { vgpu, who, arguments }| {
        let function = vgpu.function.to_string();
        // QEMU takes addresses without the domain as well.
        let (_, short) = function.split_once(':').unwrap_or_default();
        let is_vgpu = |argument: &str| match vgpu.uuid {
            Some(uuid) => argument.contains(&uuid.to_string()),
            None => argument.contains(short),
        };
        let is_first =
            |argument: &str| ["x-vga=on", "x-vga=true", "\"x-vga\":true"].iter().any(|on| argument.contains(on));
        match arguments.iter().any(|argument| is_vgpu(argument) && is_first(argument)) {
            true => Finding::warning(format!("{who} has x-vga=on for the vGPU on {function}")),
            false => Finding::ok(format!("{who} has no x-vga=on for its vGPU")),
        }
    });
    Finding::worst(found)
}
