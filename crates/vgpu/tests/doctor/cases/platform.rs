//! Scenes of platform, modules and services, on which all others build.

use super::{Case, failed, sound, warning};
use crate::scene::Base::*;

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
         proc/sys/kernel/osrelease = 9.9.9+deb13-amd64",
        "vgpu releases --kernel 9.9.9",
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
    sound(
        warning(
            "options-in-effect",
            Mdev,
            "etc/modprobe.d/nixos.conf = options nvidia NVreg_EnableMSI=0 NVreg_Elsewhere=1",
            "NVreg_EnableMSI=0; /proc/driver/nvidia/params: 1",
        ),
        "etc/modprobe.d/nixos.conf = options nvidia NVreg_EnableMSI=0x1 NVreg_RegistryDwords=\"\"",
    ),
    sound(
        failed(
            "scheduler",
            Mdev,
            "proc/driver/nvidia/params = RegistryDwords: \"RmPVMRL=0x10; Other=1\"\\nRegistryDwordsPerDevice: \"\"",
            "RmPVMRL=0x10: bit 0 is not set",
        ),
        "proc/driver/nvidia/params = RegistryDwords: \"Other=1;RmPVMRL=0x001E0011\"\\nRegistryDwordsPerDevice: \"\"",
    ),
    failed(
        "scheduler",
        Vfio,
        "proc/driver/nvidia/params = RegistryDwords: \"\"\\nRegistryDwordsPerDevice: \"pci=0000:41:00.0;RmPVMRL=0x001F0001\"",
        "a time slice is 1 to 30",
    ),
    failed("scheduler", Mdev, "etc/modprobe.d/a.conf = options nvidia NVreg_RegistryDwords=\"RmPVMRL=fixed\"", "RmPVMRL=fixed: no number"),
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
];
