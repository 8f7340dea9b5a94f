//! Scenes of virtual functions, types and vGPUs that are declared.

use super::{Case, failed, sound, warning};
use crate::scene::Base::*;

/// The GPU has no functions on.
const OFF: &str = "$gpu/sriov_numvfs = 0
    - $gpu/virtfn0
    - $gpu/virtfn1
    ";

/// Declares the vGPU that is in the scene.
const DECLARED: &str = "etc/nvidia/vgpu/instances.json = {\"instances\":{\"win10\":{\"profile\":\"T4-2Q\",\"uuid\":\"c73f1fa6-489e-4834-9476-d70dabd98c40\"}}}";

pub const CASES: &[Case] = &[
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
    failed(
        "mig-instances",
        Vfio,
        "etc/nvidia/vgpu/nvml = host 1\\nmig 0
         $vf/nvidia/current_vgpu_type = 0
         sys/devices/pci0000:40/0000:41:00.5/nvidia/creatable_vgpu_types = ID    : vGPU Name",
        "nvidia-smi mig -i 0000:41:00.0 -cgi",
    ),
    sound(
        failed("mig-instances", SriovMdev, "etc/nvidia/vgpu/nvml = host 1\\nmig 0", "there are no GPU instances"),
        "etc/nvidia/vgpu/nvml = host 1\\nmig 2",
    ),
    sound(
        failed("vgpu-mode", Mdev, "etc/nvidia/vgpu/nvml = host 0\n- $gpu/mdev_supported_types", "does not take it for a GPU"),
        // On an unlocked board, the kernel still offers types.
        "etc/nvidia/vgpu/nvml = host 0",
    ),
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
    sound(
        warning("vgpu-parameters", Vfio, "$vf/nvidia/vgpu_params = frame_rate_limit=0", "the nearest is frame_rate_limiter"),
        "$vf/nvidia/vgpu_params = frame_rate_limiter=0, vgpu-placement-id=6",
    ),
    sound(
        warning(
            "vgpu-parameters",
            Mdev,
            "etc/nvidia/vgpu/instances.json = {\"instances\":{\"win10\":{\"profile\":\"T4-2Q\",\"uuid\":\"c73f1fa6-489e-4834-9476-d70dabd98c40\",\"parameters\":{\"enable_uvm\":\"yes\"}}}}",
            "enable_uvm is 0 or 1",
        ),
        "etc/nvidia/vgpu/instances.json = {\"instances\":{\"win10\":{\"profile\":\"T4-2Q\",\"uuid\":\"c73f1fa6-489e-4834-9476-d70dabd98c40\",\"parameters\":{\"enable_uvm\":true}}}}",
    ),
    sound(
        warning(
            "ecc",
            Mdev,
            "etc/nvidia/vgpu/nvml = host 1\\necc 1
             $gpu/mdev_supported_types/nvidia-231/name = GRID T4-2B",
            "ECC is on, and GRID T4-2B has no use of it",
        ),
        "etc/nvidia/vgpu/nvml = host 1\\necc 1",
    ),
    failed(
        "ecc",
        Mdev,
        "etc/nvidia/vgpu/nvml = host 1\\necc 1
         $gpu/device = 0x13f2
         etc/nvidia/vgpu/vgpuConfig.xml = <vgpuconfig><vgpuType id=\"231\" name=\"GRID M60-2Q\" class=\"Quadro\"/><pgpu><devId vendorId=\"0x10de\" deviceId=\"0x13F2\" subsystemVendorId=\"0x10de\" subsystemId=\"0x0\"/><supportedVgpu vgpuId=\"231\"><maxVgpus>8</maxVgpus></supportedVgpu></pgpu></vgpuconfig>",
        "nvidia-smi -i 0000:41:00.0 -e 0",
    ),
    sound(
        failed(
            "placement",
            Vfio,
            "- proc/4711
             $vf/nvidia/vgpu_params = vgpu-placement-id=7
             etc/nvidia/vgpu/nvml = host 1\\nsupported 0 8 16\\ncreatable 8 16",
            "this type can have 0, 8, 16",
        ),
        "- proc/4711
         $vf/nvidia/vgpu_params = vgpu-placement-id=8
         etc/nvidia/vgpu/nvml = host 1\\nsupported 0 8 16\\ncreatable 8 16",
    ),
    sound(
        failed(
            "placement",
            SriovMdev,
            "- proc/4711
             $vf/c73f1fa6-489e-4834-9476-d70dabd98c40/nvidia/vgpu_params = enable_uvm=1,vgpu-placement-id=0
             etc/nvidia/vgpu/nvml = host 1\\nsupported 0 8 16\\ncreatable 8 16",
            "vgpu-placement-id=0 is taken; free are 8, 16",
        ),
        // A vGPU that is open has its place already.
        "$vf/c73f1fa6-489e-4834-9476-d70dabd98c40/nvidia/vgpu_params = vgpu-placement-id=0",
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
            "mdevctl-definitions",
            Mdev,
            "etc/mdevctl.d/0000:41:00.0/c73f1fa6-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-231\",\"start\":\"auto\",\"attrs\":[{\"nvidia/params\":\"x=1\"}]}",
            "have no file nvidia/params",
        ),
        "etc/mdevctl.d/0000:41:00.0/c73f1fa6-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-231\",\"start\":\"auto\",\"attrs\":[{\"nvidia/vgpu_params\":\"x=1\"}]}",
    ),
    sound(
        failed(
            "mdevctl-definitions",
            Mdev,
            "etc/mdevctl.d/0000:41:00.0/c73f1fa6-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-231\",\"start\":\"auto\"}
             systemd-udevd[9]: mdevctl: Invalid argument (os error 22)",
            "os error 22",
        ),
        "etc/mdevctl.d/0000:41:00.0/c73f1fa6-489e-4834-9476-d70dabd98c40 = {\"mdev_type\":\"nvidia-231\",\"start\":\"auto\"}",
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
];
