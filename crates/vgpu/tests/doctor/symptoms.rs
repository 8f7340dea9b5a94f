//! Symptoms that users see, in the words of the program that prints them, and the checks that find their cause.
//!
//! Each row is a symptom of vGPU from public sources. Symptoms that cannot be observed on the machine itself have no check,
//! and neither have messages that mean nothing.

use std::collections::BTreeSet;

use crate::cases;
use crate::scene::all_checks;

/// Words of the symptom, and its checks.
const SYMPTOMS: &[(&str, &[&str])] = &[
    ("no vGPU can be opened: errors about IOMMU groups", &["iommu"]),
    ("sriov-manage makes no virtual functions and says nothing", &["sriov"]),
    ("lspci: command not found", &["sriov-tools", "pf-stub"]),
    ("Cannot obtain unbindLock", &["unbind-lock"]),
    ("couldn't communicate with the NVIDIA driver", &["nvidia-module"]),
    ("Kernel driver in use: vfio-pci", &["gpu-driver"]),
    ("Version mismatch: nvidia.ko", &["vfio-version"]),
    ("failing symbol_get of non-GPLONLY symbol", &["vfio-symbols"]),
    ("Unknown symbol enable_apicv", &["unlock-symbols"]),
    ("no nvidia_vgpu_vfio", &["vfio-module"]),
    ("Kernel doesn't support SRIOV based vGPU, aborting.", &["vfio-kernel"]),
    ("Driver/library version mismatch", &["versions"]),
    ("Failed to initialize RM client: 0x26", &["rm-client"]),
    ("requires use of the NVIDIA open kernel modules", &["flavour"]),
    ("no units nvidia-vgpud", &["host-driver"]),
    ("mdevctl types prints nothing", &["gpu-listed"]),
    ("does not serve", &["gpu-listed"]),
    ("sriov_numvfs is 0", &["functions-on"]),
    ("definitions that never start", &["right-tool"]),
    ("failed to attach device: 59", &["gpu-alive"]),
    ("failed to set pGPU fractional multivgpu information: 56", &["vgpud-unlock"]),
    ("no type is offered", &["profiles-file", "types-offered"]),
    ("available_instances is 0", &["room"]),
    ("create request: 0x56", &["refused-size"]),
    ("create request: 0x38", &["refused-mig"]),
    ("create request: 0x1a", &["refused-full"]),
    ("create request: 0x57", &["refused-unknown"]),
    ("vGPU device already created with type ID", &["function-taken"]),
    ("creatable_vgpu_types has its heading alone", &["mig-instances"]),
    ("os error 22", &["mdevctl-definitions"]),
    ("mdevctl list is empty after a restart", &["mdevctl-started"]),
    ("No supported devices in vGPU mode", &["vgpu-mode"]),
    ("Device exists under different parent", &["mdevctl-elsewhere"]),
    ("ECC", &["ecc"]),
    ("Failed to get VM UUID from QEMU command-line", &["vm-uuid"]),
    ("vGPU is supported only on VGX capable boards", &["board-supported"]),
    ("error setting vGPU configuration information from RM", &["profile-accepted"]),
    ("unable to setup host connection state", &["gpu-information"]),
    ("start failed. status: 0x1", &["mgr-refusal"]),
    ("Timeout Occured", &["mgr-answer", "vgpu-mgr"]),
    ("failed to read device config space", &["mgr-refusal"]),
    ("Existing vgpu process not cleaned up yet", &["slow-release"]),
    ("works once after the start of the host", &["mgr-crash"]),
    ("waited 10 seconds for mediated device driver", &["slow-release"]),
    ("current_vgpu_type of VF not configured", &["no-type"]),
    ("the function is bound to vfio-pci", &["functions-driver"]),
    ("BAR1 is 0M @ 0x0", &["guest-window"]),
    ("Permission denied", &["vfio-permission"]),
    ("RLIMIT_MEMLOCK", &["memlock"]),
    ("virtual machines hang after nvidia-vgpu-mgr was restarted", &["mgr-restarted"]),
    ("RmInitAdapter failed! (0x22:0x65:884)", &["guest-driver", "functions-sound"]),
    ("vgpu-placement-id", &["placement"]),
    ("Xid (PCI", &["xid"]),
    ("Guest driver is incompatible with host driver", &["host-match", "guest-match"]),
    ("nvidia-smi: No devices were found", &["guest-starts"]),
    ("requires use of the NVIDIA open (or proprietary) kernel modules", &["guest-flavour"]),
    ("License Status: Unlicensed", &["licensed", "gridd"]),
    ("15 and then 3 frames a second", &["licensed"]),
    ("45 frames a second", &["frame-rate"]),
    ("all CUDA-capable devices are busy or unavailable", &["guest-cuda"]),
    ("local trusted store", &["licence-messages"]),
    ("Clock windback has been detected", &["clock"]),
    ("there is no nvidia-gridd", &["guest-package"]),
    ("noVNC or SPICE goes black", &["first-screen"]),
];

/// Messages that are there on sound machines as well.
const HARMLESS: &[&str] = &[
    "mdev instance '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001' already existed, using it.",
    "Failed to notify migration state 0x57",
];

/// The words are in the manual's row of a check, or in a scene in which the check finds something.
#[test]
fn every_symptom_has_a_check() {
    let checks: BTreeSet<String> = all_checks().into_iter().collect();
    let manual = vgpu::doctor::table();
    for (words, ids) in SYMPTOMS {
        let told = ids.iter().filter(|id| {
            assert!(checks.contains(**id), "{words}: there is no check {id}");
            let row = manual.lines().find(|line| line.starts_with(&format!("| `{id}` |"))).unwrap();
            let mut scenes = cases::all().filter(|case| case.check == **id);
            row.contains(words) || scenes.any(|case| case.change.contains(words) || case.tells.contains(words))
        });
        assert!(told.count() > 0, "neither the manual nor a scene of {ids:?} has the words {words:?}");
    }
}

#[test]
fn harmless_messages_are_no_symptoms() {
    use crate::scene::{Base, Scene};
    for base in [Base::Mdev, Base::SriovMdev, Base::Vfio] {
        let scene = Scene::new(base);
        for message in HARMLESS {
            scene
                .change(&format!("pvedaemon[9]: {message}"))
                .change(&format!("nvidia-vgpu-mgr[4800]: error: vmiop_log: {message}"));
        }
        let answer = scene.doctor(&[]);
        assert_eq!((answer.with("failed"), answer.with("warning")), (vec![], vec![]), "{:#}", answer.report);
    }
}
