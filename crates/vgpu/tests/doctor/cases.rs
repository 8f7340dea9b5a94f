//! A scene for each check in which it finds something, and the change, if one is needed, after which it finds nothing.

use crate::scene::Base::{self, *};

pub struct Case {
    pub check: &'static str,
    pub base: Base,
    /// What is wrong; see [`crate::scene`].
    pub change: &'static str,
    pub status: &'static str,
    /// What its evidence or its fix has to tell.
    pub tells: &'static str,
    /// The change that makes the check's object be there, and sound.
    pub sound: &'static str,
}

const fn failed(check: &'static str, base: Base, change: &'static str, tells: &'static str) -> Case {
    Case { check, base, change, status: "failed", tells, sound: "" }
}

const fn warning(check: &'static str, base: Base, change: &'static str, tells: &'static str) -> Case {
    Case { check, base, change, status: "warning", tells, sound: "" }
}

const fn sound(case: Case, sound: &'static str) -> Case {
    Case { sound, ..case }
}

/// The GPU has no functions on.
const OFF: &str = "$gpu/sriov_numvfs = 0
    - $gpu/virtfn0
    - $gpu/virtfn1
    ";

/// What there is in the scene, declared.
const DECLARED: &str = "etc/nvidia/vgpu/instances.json = {\"instances\":{\"win10\":{\"profile\":\"T4-2Q\",\"uuid\":\"c73f1fa6-489e-4834-9476-d70dabd98c40\"}}}";

pub const CASES: &[Case] = &[
    // Platform
    warning("container", Mdev, ".dockerenv =", "container"),
    failed("iommu", Mdev, "- sys/kernel/iommu_groups", "no intel_iommu=on"),
    failed(
        "iommu",
        Mdev,
        "- sys/kernel/iommu_groups
         proc/cmdline = ro intel_iommu=on",
        "VT-d",
    ),
    failed("gpu", Mdev, "- sys/bus/pci/devices/0000:41:00.0", "vendor 10de"),
    failed("gpu-alive", Mdev, "kernel: NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x24:0x40:1568)", "RmInitAdapter"),
    failed(
        "gpu-alive",
        Mdev,
        "nvidia-vgpud[5]: error: failed to attach device: 59
         nvidia-vgpud[5]: error: failed to read pGPU information: 9
         systemd nvidia-vgpud: nvidia-vgpud.service: Failed with result 'exit-code'.",
        "pGPU information: 9",
    ),
    // Modules
    failed(
        "module-signature",
        Mdev,
        "kernel: Lockdown: modprobe: unsigned module loading is restricted; see man kernel_lockdown.7
         - proc/driver/nvidia
         proc/modules =",
        "Secure Boot",
    ),
    failed("module-signature", Mdev, "systemd-modules-load[9]: modprobe: ERROR: could not insert 'nvidia': Key was rejected by service", "Key was"),
    failed("gpu-driver", Mdev, "$gpu/driver -> ../../../bus/pci/drivers/vfio-pci", "driver: vfio-pci"),
    failed("gpu-driver", Vfio, "$gpu/driver -> ../../../bus/pci/drivers/nouveau", "driver: nouveau"),
    failed(
        "nvidia-module",
        Mdev,
        "- proc/driver/nvidia
         proc/modules =
         - $gpu/driver",
        "journalctl -k",
    ),
    failed(
        "nvidia-module",
        Vfio,
        "- proc/driver/nvidia
         proc/modules =
         run/booted-system/kernel-modules -> /nix/store/a-linux
         run/current-system/kernel-modules -> /nix/store/b-linux",
        "rebuilt since its start",
    ),
    failed(
        "kernel-fit",
        Mdev,
        "- proc/driver/nvidia
         proc/modules =
         - $gpu/driver
         proc/sys/kernel/osrelease = 7.3.4+deb13-amd64",
        "vgpu releases --kernel 7.3.4",
    ),
    failed("flavour", Mdev, "kernel: NVRM: installed in this system is not supported by open", "hardware.nvidia.open"),
    failed("flavour", Vfio, "kernel: NVRM: installed in this system requires use of the NVIDIA open kernel modules.", "open"),
    failed(
        "host-driver",
        Mdev,
        "proc/modules = nvidia 1 0 - Live 0x0
         - etc/systemd/system
         - proc/700
         - $gpu/mdev_supported_types",
        "no units nvidia-vgpud",
    ),
    failed("versions", Mdev, "run/opengl-driver/lib/libnvidia-ml.so.580.126.08 =", "580.126.08"),
    failed(
        "versions",
        Vfio,
        "etc/systemd/system/nvidia-vgpud.service = [Service]\\nExecStart=/nix/store/x-nvidia-x11-580.126.08-6.12.58/bin/nvidia-vgpud",
        "/proc/driver/nvidia/version: 580.105.06",
    ),
    failed(
        "vfio-version",
        Mdev,
        "kernel: [nvidia-vgpu-vfio] Version mismatch: nvidia.ko(580.105.06) nvidia-vgpu-vfio.ko(580.95.02)
         proc/modules = nvidia 1 0 - Live 0x0",
        "580.95.02",
    ),
    failed(
        "vfio-symbols",
        Mdev,
        "kernel: failing symbol_get of non-GPLONLY symbol nvidia_vgpu_vfio_get_ops.
         proc/modules = nvidia 1 0 - Live 0x0",
        "older kernel",
    ),
    failed("vfio-symbols", Vfio, "kernel: [nvidia-vgpu-vfio] Unable to get symbol for nvidia_vgpu_vfio_get_ops from nvidia.ko", "get_ops"),
    failed("unlock-symbols", Mdev, "kernel: nvidia_vgpu_vfio: Unknown symbol enable_apicv (err -2)", "6.8"),
    failed(
        "vfio-module",
        Mdev,
        "proc/modules = nvidia 1 0 - Live 0x0
         - $gpu/mdev_supported_types",
        "no nvidia_vgpu_vfio",
    ),
    failed(
        "vfio-kernel",
        SriovMdev,
        "kernel: [nvidia-vgpu-vfio] Kernel doesn't support SRIOV based vGPU, aborting.
         - $vf/mdev_supported_types",
        "VFIO_PCI_CORE",
    ),
    warning(
        "support",
        Mdev,
        "proc/driver/nvidia/version = NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.02  Sun
         etc/systemd/system/nvidia-vgpud.service = [Service]\\nExecStart=/nix/store/x-nvidia-x11-550.163.02-6.12.58/bin/nvidia-vgpud",
        "ended with 2025-06",
    ),
    warning("support", Mdev, "proc/driver/nvidia/version = NVRM version: NVIDIA UNIX x86_64 Kernel Module  999.1.1  Sun", "no branch"),
    // Services
    failed(
        "rm-client",
        Mdev,
        "nvidia-vgpu-mgr[700]: error: vmiop_env_log: Failed to initialize RM client: 0x26
         - proc/700",
        "0x26",
    ),
    failed("profiles-file", Mdev, "- etc/nvidia/vgpu/vgpuConfig.xml", "missing"),
    failed("profiles-file", Vfio, "etc/nvidia/vgpu/vgpuConfig.xml = <vgpuconfig", "vgpuConfig.xml"),
    failed("vgpud", Mdev, "systemd nvidia-vgpud: nvidia-vgpud.service: Failed with result 'exit-code'.", "exit-code"),
    failed("vgpud-unlock", Mdev, "nvidia-vgpud[5]: error: failed to send vGPU configuration info to RM: 9", "patcher"),
    failed("vgpud-unlock", Mdev, "nvidia-vgpud[5]: error: failed to set pGPU fractional multivgpu information: 56", "56"),
    failed("vgpu-mgr", Mdev, "- proc/700", "no process"),
    failed("vgpu-mgr", Vfio, "- proc/700\nsystemd nvidia-vgpu-mgr: nvidia-vgpu-mgr.service: Failed with result 'signal'.", "signal"),
    failed(
        "mgr-restarted",
        Mdev,
        "proc/700/stat = 700 (nvidia-vgpu-mgr) S 1 7 7 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 9001 99 1",
        "process 4711",
    ),
    // Virtual functions
    failed("sriov", Vfio, "- $gpu/sriov_totalvfs", "displaymodeselector"),
    failed(
        "sriov-tools",
        Vfio,
        "nvidia-vgpu-instances[699]: /usr/lib/nvidia/sriov-manage: line 308: lspci: command not found
         $gpu/sriov_numvfs = 0
         - $gpu/virtfn0
         - $gpu/virtfn1",
        "line 308",
    ),
    failed(
        "unbind-lock",
        Vfio,
        "libvirtd[9]: Cannot obtain unbindLock for 0000:41:00.0
         proc/812/comm = dcgm-exporter
         proc/812/fd/5 -> /dev/nvidia0
         $gpu/sriov_numvfs = 0
         - $gpu/virtfn0
         - $gpu/virtfn1",
        "dcgm-exporter (process 812)",
    ),
    failed(
        "pf-stub",
        Vfio,
        "$gpu/driver -> ../../../bus/pci/drivers/pci-pf-stub
         $gpu/sriov_numvfs = 0
         - $gpu/virtfn0
         - $gpu/virtfn1",
        "echo 0000:41:00.0 > /sys/bus/pci/drivers/nvidia/bind",
    ),
    failed("functions-on", Vfio, OFF, "sriov_numvfs: 0 of 32"),
    failed("functions-on", SriovMdev, OFF, "hardware.nvidia.vgpu.instances"),
    failed("functions-driver", Vfio, "$vf/driver -> ../../../bus/pci/drivers/vfio-pci", "managed='no'"),
    failed("functions-driver", SriovMdev, "- $vf/driver", "0000:41:00.4 driver: none"),
    failed("functions-sound", Vfio, "kernel: nvidia 0000:41:00.4: vfio_pci_core_device not found", "sriov-manage -d"),
    // Types
    failed("gpu-listed", Mdev, "$gpu/device = 0x1e87\n- $gpu/mdev_supported_types", "{ \"1E87:0000\" = \"1EB8:0000\"; }"),
    failed("gpu-listed", Mdev, "$gpu/device = 0x1b38\n- $gpu/mdev_supported_types", "branch 19 does not serve Pascal: choose a release of branch 16"),
    failed("gpu-listed", Mdev, "$gpu/device = 0x2b85\n- $gpu/mdev_supported_types", "no listed board has this chip"),
    failed("types-offered", Mdev, "- $gpu/mdev_supported_types", "no mdev_supported_types"),
    failed("types-offered", SriovMdev, "- $vf/mdev_supported_types\n- sys/devices/pci0000:40/0000:41:00.5/mdev_supported_types", "neither"),
    failed(
        "types-offered",
        Vfio,
        "$vf/nvidia/current_vgpu_type = 0
         sys/devices/pci0000:40/0000:41:00.5/nvidia/creatable_vgpu_types = ID    : vGPU Name",
        "restart nvidia-vgpud",
    ),
    warning("right-tool", Vfio, "etc/mdevctl.d/0000:41:00.4/c73f1fa6-489e-4834-9476-d70dabd98c40 = {}", "0000:41:00.4"),
    warning("room", Mdev, "$gpu/mdev_supported_types/nvidia-231/available_instances = 0", "1 vGPU of GRID T4-2Q (nvidia-231); 0 types"),
    warning("room", Vfio, "sys/devices/pci0000:40/0000:41:00.5/nvidia/current_vgpu_type = 558
        sys/devices/pci0000:40/0000:41:00.5/nvidia/creatable_vgpu_types = ID : vGPU Name", "NVIDIA A40-8Q (nvidia-558)"),
    // Instances
    warning("refused-unknown", Vfio, "kernel: NVRM: Failed to add vgpu create request: 0x57", "0x57"),
    warning("refused-early", Vfio, "kernel: NVRM: Failed to add vgpu create request: 0x66", "0x66"),
    warning("refused-mig", Vfio, "kernel: NVRM: Failed to add vgpu create request: 0x38", "MIG"),
    warning("refused-size", Mdev, "kernel: NVRM: Failed to add vgpu create request: 0x56", "mixedSizes"),
    warning("refused-full", Mdev, "kernel: NVRM: Failed to add vgpu create request: 0x1a", "smaller"),
    warning("function-taken", Vfio, "kernel: [nvidia-vgpu-vfio] 0000:41:00.4: vGPU device already created with type ID: 558", "558"),
    sound(failed("declaration", Mdev, "etc/nvidia/vgpu/instances.json = {", "no declaration of vGPUs"), DECLARED),
    sound(
        failed(
            "declaration",
            Mdev,
            "etc/nvidia/vgpu/instances.json = {\"instances\":{\"win10\":{\"profile\":\"T4-3Q\"}}}",
            "no profile T4-3Q",
        ),
        DECLARED,
    ),
    sound(
        failed(
            "declared",
            Mdev,
            "etc/nvidia/vgpu/instances.json = {\"instances\":{\"office\":{\"profile\":\"T4-2Q\"}}}
             kernel: NVRM: Failed to add vgpu create request: 0x66",
            "create request: 0x66",
        ),
        DECLARED,
    ),
    sound(
        failed(
            "declared",
            Mdev,
            "etc/nvidia/vgpu/instances.json = {\"instances\":{\"office\":{\"profile\":\"T4-2Q\",\"gpu\":\"0000:81:00.0\"}}}",
            "there is no NVIDIA GPU at 0000:81:00.0",
        ),
        DECLARED,
    ),
    failed("instances-service", Vfio, "nvidia-vgpu-instances[699]: error: cannot make win10", "vgpu instances plan"),
    sound(
        failed("mdevctl-definitions", Mdev, "etc/mdevctl.d/0000:41:00.0/my-vgpu = {\"mdev_type\":\"nvidia-231\",\"start\":\"auto\"}", "no UUID"),
        "etc/mdevctl.d/0000:41:00.0/c73f1fa6-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-231\",\"start\":\"auto\"}",
    ),
    sound(
        failed(
            "mdevctl-definitions",
            SriovMdev,
            "etc/mdevctl.d/0000:41:00.4/c73f1fa6-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-999\",\"start\":\"auto\"}",
            "offers no type \"nvidia-999\"",
        ),
        "etc/mdevctl.d/0000:41:00.4/c73f1fa6-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-558\",\"start\":\"auto\"}",
    ),
    sound(
        failed(
            "mdevctl-elsewhere",
            SriovMdev,
            "etc/mdevctl.d/0000:41:00.5/c73f1fa6-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-558\",\"start\":\"manual\"}",
            "is on 0000:41:00.4",
        ),
        "etc/mdevctl.d/0000:41:00.4/c73f1fa6-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-558\",\"start\":\"manual\"}",
    ),
    sound(
        failed(
            "mdevctl-started",
            Mdev,
            "etc/mdevctl.d/0000:41:00.0/aaaaaaaa-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-231\",\"start\":\"auto\"}",
            "there is no such device",
        ),
        "etc/mdevctl.d/0000:41:00.0/c73f1fa6-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-231\",\"start\":\"auto\"}",
    ),
    // Virtual machines
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
    failed("guest-match", Mdev, "nvidia-vgpu-mgr[4800]: notice: vmiop_log: vGPU version: 0x60001", "0x70001 to 0xb0001"),
    warning("xid", Mdev, "kernel: NVRM: Xid (PCI:0000:41:00): 43, pid=4711, Ch 00000018", "Xid"),
    warning("xid", Vfio, "nvidia-vgpu-mgr[4800]: error: vmiop_log: (0x0): XID 43 detected on physical_chid:0x19, guest_chid:0x11", "XID 43"),
    warning("frame-rate", Mdev, "nvidia-vgpu-mgr[4801]: notice: vmiop_log: FRL Value: 45 FPS", "45 FPS"),
    warning("guest-licences", Mdev, "nvidia-vgpu-mgr[4800]: notice: vmiop_log: (0x0): vGPU license state: Unlicensed (Restricted)", "Restricted"),
    // Guests
    warning("guest-view", Guest, "run/.containerenv =", "container"),
    failed("guest-gpu", Guest, "- sys/bus/pci/devices/0000:41:00.0", "vendor 10de"),
    failed("guest-signature", Guest, "kernel: Loading of module with unavailable key is rejected", "Secure Boot"),
    failed("guest-bound", Guest, "$gpu/driver -> ../../../bus/pci/drivers/nouveau", "nouveau"),
    failed("guest-bound", Guest, "- proc/driver/nvidia", "videoDrivers"),
    failed("guest-flavour", Guest, "kernel: NVRM: installed in this system requires use of the NVIDIA proprietary kernel modules", "hardware.nvidia.open"),
    failed("guest-versions", Guest, "- run/opengl-driver\nusr/lib64/libnvidia-ml.so.580.95.05 =", "580.95.05"),
    warning("guest-support", Guest, "proc/driver/nvidia/version = NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Sun", "2025-06"),
    failed("guest-package", Guest, "- etc/systemd/system/nvidia-gridd.service\n- proc/600", "no unit"),
    warning("guest-cuda", Guest, "proc/modules = nvidia 1 0 - Live 0x0", "nvidia_uvm"),
    failed("host-match", Guest, "kernel: NVRM: Guest driver is incompatible with host driver", "--for-host"),
    failed("guest-starts", Guest, "kernel: NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x22:0x65:884)", "virtual function"),
    failed(
        "guest-starts",
        Guest,
        "kernel: NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x62:0x0:1)
         proc/driver/nvidia/params = EnableGpuFirmware: 18",
        "gsp.enable = false",
    ),
    warning("clock", Guest, "- run/systemd/timesync/synchronized", "nothing keeps it"),
    warning("clock", Guest, "etc/adjtime = 0.0 0 0.0\\n0\\nLOCAL", "local time"),
    failed("token", Guest, "- etc/nvidia/ClientConfigToken/client_configuration_token_1.tok", "no file"),
    failed("token", Guest, "etc/nvidia/ClientConfigToken/client_configuration_token_1.tok = <html>", "client_configuration_token_1.tok"),
    warning("token", Guest, "etc/nvidia/ClientConfigToken/client_configuration_token_2.tok = x", "2 tokens"),
    warning("gridd-conf", Guest, "etc/nvidia/gridd.conf = # x\\nServerAddress=10.0.0.9\\n", "there is a token"),
    warning(
        "gridd-conf",
        Guest,
        "etc/nvidia/gridd.conf.template = # ServerPort=7070\\n# EnableUI=\n         etc/nvidia/gridd.conf = Enableui=TRUE",
        "Enableui",
    ),
    failed("gridd", Guest, "- proc/600", "no process"),
    failed("licence-messages", Guest, "nvidia-gridd[600]: Failed to acquire license from dls.example.org (Info: NVIDIA RTX Virtual Workstation - Error: Generic network communication failure)", "--connect"),
    failed("licence-messages", Guest, "nvidia-gridd[600]: Failed to frobnicate", "frobnicate"),
    failed("licensed", Guest, "nvidia-gridd[600]: License returned successfully. (Info: dls.example.org)", "returned"),
];
