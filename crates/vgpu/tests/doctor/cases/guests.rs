//! Scenes of guests.

use super::{Case, failed, warning};
use crate::scene::Base::*;

pub const CASES: &[Case] = &[
    warning("guest-view", Guest, "run/.containerenv =", "container"),
    failed("guest-gpu", Guest, "- sys/bus/pci/devices/0000:41:00.0", "vendor 10de"),
    failed("guest-signature", Guest, "kernel: Loading of module with unavailable key is rejected", "Secure Boot"),
    failed("guest-bound", Guest, "$gpu/driver -> ../../../bus/pci/drivers/nouveau", "nouveau"),
    failed("guest-bound", Guest, "- proc/driver/nvidia", "videoDrivers"),
    failed(
        "guest-flavour",
        Guest,
        "kernel: NVRM: installed in this system requires use of the NVIDIA proprietary kernel modules",
        "hardware.nvidia.open",
    ),
    failed("guest-versions", Guest, "- run/opengl-driver\nusr/lib64/libnvidia-ml.so.580.95.05 =", "580.95.05"),
    warning(
        "guest-support",
        Guest,
        "proc/driver/nvidia/version = NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Sun",
        "2025-06",
    ),
    failed("guest-package", Guest, "- etc/systemd/system/nvidia-gridd.service\n- proc/600", "no unit"),
    failed(
        "guest-window",
        Guest,
        "kernel: NVRM: BAR1 is 0M @ 0x0 (PCI:0000:41:00.0)\nkernel: NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x22:0x0:1)",
        "X-PciMmio64Mb",
    ),
    warning("guest-cuda", Guest, "proc/modules = nvidia 1 0 - Live 0x0", "nvidia_uvm"),
    failed("host-match", Guest, "kernel: NVRM: Guest driver is incompatible with host driver", "--for-host"),
    failed(
        "guest-starts",
        Guest,
        "kernel: NVRM: GPU 0000:41:00.0: RmInitAdapter failed! (0x22:0x65:884)",
        "virtual function",
    ),
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
    failed(
        "token",
        Guest,
        "etc/nvidia/ClientConfigToken/client_configuration_token_1.tok = <html>",
        "client_configuration_token_1.tok",
    ),
    warning("token", Guest, "etc/nvidia/ClientConfigToken/client_configuration_token_2.tok = x", "2 tokens"),
    warning("gridd-conf", Guest, "etc/nvidia/gridd.conf = # x\\nServerAddress=10.0.0.9\\n", "there is a token"),
    warning(
        "gridd-conf",
        Guest,
        "etc/nvidia/gridd.conf.template = # ServerPort=7070\\n# EnableUI=\n         etc/nvidia/gridd.conf = Enableui=TRUE",
        "Enableui",
    ),
    failed("gridd", Guest, "- proc/600", "no process"),
    failed(
        "licence-messages",
        Guest,
        "nvidia-gridd[600]: Failed to acquire license from dls.example.org (Info: NVIDIA RTX Virtual Workstation - Error: Generic network communication failure)",
        "--connect",
    ),
    failed(
        "licence-messages",
        Guest,
        "nvidia-gridd[600]: Failed to update local trusted store - Maximum buffer size exceeded",
        "/var/lib/nvidia/GridLicensing",
    ),
    failed("licence-messages", Guest, "nvidia-gridd[600]: Failed to frobnicate", "frobnicate"),
    failed("licensed", Guest, "nvidia-gridd[600]: License returned successfully. (Info: dls.example.org)", "returned"),
];
