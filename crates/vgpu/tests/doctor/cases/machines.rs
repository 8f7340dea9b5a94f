//! Scenes of virtual machines on a host.

use super::{Case, failed, warning};
use crate::scene::Base::*;

pub const CASES: &[Case] = &[
    failed("vm-uuid", Mdev, "proc/4711/cmdline = qemu-system-x86_64\\0-name\\0guest=win10\\0", "has no -uuid"),
    failed(
        "vm-uuid",
        Vfio,
        "nvidia-vgpu-mgr[4900]: error: vmiop_env_log: Failed to get VM UUID from QEMU command-line 0x57
         kernel: [nvidia-vgpu-vfio] 0000:41:00.4: start failed. status: 0x1",
        "0x57",
    ),
    failed("no-type", Vfio, "kernel: [nvidia-vgpu-vfio] 0000:41:00.5: current_vgpu_type of VF not configured", "0000:41:00.5"),
    failed(
        "board-supported",
        Mdev,
        "nvidia-vgpu-mgr[4900]: error: vmiop_log: (0x0): vGPU is supported only on VGX capable boards
         nvidia-vgpu-mgr[4900]: error: vmiop_log: init_device_instance failed for inst 0 with error 1 (vGPU validation of the GPU failed)
         kernel: [nvidia-vgpu-vfio] x: start failed. status: 0x1",
        "patcher.enable",
    ),
    failed(
        "profile-accepted",
        Mdev,
        "nvidia-vgpu-mgr[4900]: error: vmiop_log: init_device_instance failed for inst 0 with error 1 (error setting vGPU configuration information from RM)",
        "profileOverrides",
    ),
    failed(
        "gpu-information",
        Mdev,
        "nvidia-vgpu-mgr[4900]: error: vmiop_log: Failed to get C2C info
         nvidia-vgpu-mgr[4900]: error: vmiop_log: init_device_instance failed for inst 0 with error 2 (unable to setup host connection state)",
        "host connection state",
    ),
    failed("mgr-crash", Mdev, "systemd nvidia-vgpu-mgr: nvidia-vgpu-mgr.service: Main process exited, code=dumped, status=11/SEGV", "code=dumped"),
    failed("mgr-answer", Mdev, "kernel: [nvidia-vgpu-vfio] x: start failed. status: 0x0 Timeout Occured", "Timeout"),
    failed(
        "mgr-answer",
        Mdev,
        "var/log/libvirt/qemu/win10.log = 2099-11-24T12:03:04.567890Z qemu-system-x86_64: -device vfio-pci: vfio x: error getting device from group 12: Connection timed out",
        "2099-11-24 12:03:04 UTC",
    ),
    failed("mgr-refusal", Mdev, "kernel: [nvidia-vgpu-vfio] x: start failed. status: 0x1", "status: 0x1"),
    failed(
        "mgr-refusal",
        Vfio,
        "virtqemud[9]: qemu-system-x86_64: vfio 0000:41:00.4: error getting device from group 12: Input/output error",
        "Input/output error",
    ),
    failed("mgr-refusal", Mdev, "libvirtd[9]: qemu: vfio x: failed to read device config space: Bad address", "Bad address"),
    failed("slow-release", Mdev, "kernel: [nvidia-vgpu-vfio] Existing vgpu process not cleaned up yet. Aborting...", "cleaned up"),
    failed("slow-release", Mdev, "pvedaemon[9]: waited 10 seconds for mediated device driver finishing clean up", "10 seconds"),
    failed("vfio-permission", Mdev, "libvirtd[9]: qemu: vfio x: Could not open '/dev/vfio/100': Permission denied", "kvm"),
    failed("memlock", Mdev, "kernel: vfio_pin_pages_remote: RLIMIT_MEMLOCK (65536) exceeded", "LimitMEMLOCK"),
    failed("memlock", Mdev, "libvirtd[9]: qemu: vfio x: failed to setup container for group 100: memory listener: Cannot allocate memory", "infinity"),
    warning(
        "guest-driver",
        Vfio,
        "nvidia-vgpu-mgr[4801]: notice: vmiop_log: display_init inst: 0 successful
         proc/4801/comm = nvidia-vgpu-mgr",
        "sriov-manage -d",
    ),
    failed("guest-match", Mdev, "nvidia-vgpu-mgr[4800]: notice: vmiop_log: vGPU version: 0x60001", "0x70001 to 0xb0001"),
    warning("xid", Mdev, "kernel: NVRM: Xid (PCI:0000:41:00): 43, pid=4711, Ch 00000018", "Xid"),
    warning("xid", Vfio, "nvidia-vgpu-mgr[4800]: error: vmiop_log: (0x0): XID 43 detected on physical_chid:0x19, guest_chid:0x11", "XID 43"),
    warning("frame-rate", Mdev, "nvidia-vgpu-mgr[4801]: notice: vmiop_log: FRL Value: 45 FPS", "45 FPS"),
    warning("guest-licences", Mdev, "nvidia-vgpu-mgr[4800]: notice: vmiop_log: (0x0): vGPU license state: Unlicensed (Restricted)", "Restricted"),
    warning(
        "first-screen",
        Vfio,
        "proc/4711/cmdline = qemu-system-x86_64\\0-uuid\\0a\\0-device\\0vfio-pci,host=41:00.4,x-vga=on\\0",
        "x-vga=on for the vGPU on 0000:41:00.4",
    ),
    warning(
        "first-screen",
        Mdev,
        "proc/4711/cmdline = qemu-system-x86_64\\0-uuid\\0a\\0-device\\0{\"driver\":\"vfio-pci\",\"sysfsdev\":\"/sys/bus/mdev/devices/c73f1fa6-489e-4834-9476-d70dabd98c40\",\"x-vga\":true}\\0",
        "remote desktop in the guest",
    ),
];
