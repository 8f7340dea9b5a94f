//! Types of vGPU: which ones the kernel offers, and which boards NVIDIA lists.

use vgpu_base::terminal::count;
use vgpu_driver::Role;
use vgpu_profiles::gpu_id::GpuId;

use super::super::check::{Check, Finding, Fix, Group};
use super::super::observed::{Observed, Profiles};
use crate::catalog::Catalog;
use crate::catalog::gpus::Gpus;
use crate::machine::files;
use crate::machine::nvml::Mig;
use crate::machine::vgpu::{HostGpu, Interface};
use vgpu_profiles::model::PhysicalGpu;

/// Tesla P40, whose profiles the patcher for 17.x can map to those of another board.
const P40: u16 = 0x1b38;

pub const CHECKS: &[Check] = &[
    Check {
        id: "gpu-listed",
        group: Group::Types,
        after: &["gpu", "profiles-file", "gpu-driver"],
        question: "Does vgpuConfig.xml list the GPUs?",
        symptom: "mdevctl types prints nothing; nvidia-vgpud: GPU not supported",
        fix: Fix {
            nixos: "hardware.nvidia.vgpu.patcher.enable = true; and copyVGPUProfiles with a listed board of the same chip",
            elsewhere: "patch the driver, and copy the profiles of a listed board of the same chip: vgpu profiles apply",
        },
        answer: gpu_listed,
    },
    Check {
        id: "mig-instances",
        group: Group::Types,
        after: &["functions-on"],
        question: "Do GPUs in MIG mode have GPU instances?",
        symptom: "creatable_vgpu_types has its heading alone; nvidia-smi mig -lgi: No GPU instances found",
        fix: Fix {
            nixos: "",
            elsewhere: "nvidia-smi mig -i ADDRESS -cgi PROFILES -C, after sriov-manage -e, which removes them, and at every \
                        start; nvidia-smi mig -lgip lists profiles. Or leave MIG mode: nvidia-smi -i ADDRESS -mig 0",
        },
        answer: mig_instances,
    },
    Check {
        id: "vgpu-mode",
        group: Group::Types,
        after: &["gpu-listed", "vgpud", "vgpud-unlock", "functions-on", "mig-instances"],
        question: "Does the driver see the GPUs as GPUs for vGPUs?",
        symptom: "nvidia-smi vgpu: No supported devices in vGPU mode",
        fix: Fix {
            nixos: "hardware.nvidia.vgpu.release with our host module; on a board that NVIDIA does not list, \
                    hardware.nvidia.vgpu.patcher.enable",
            elsewhere: "install the driver whose name ends in -vgpu-kvm; on a board that NVIDIA does not list, patched",
        },
        answer: vgpu_mode,
    },
    Check {
        id: "types-offered",
        group: Group::Types,
        after: &[
            "gpu-listed",
            "mig-instances",
            "vgpu-mode",
            "vfio-module",
            "vfio-kernel",
            "vgpud",
            "vgpud-unlock",
            "functions-on",
            "functions-driver",
            "flavour",
        ],
        question: "Does the kernel offer types of vGPU?",
        symptom: "mdevctl types prints nothing; creatable_vgpu_types has its heading alone; write: I/O error, 0x57",
        fix: Fix {
            nixos: "with no virtual machine running: systemctl restart nvidia-vgpud. If that does not help: a changed \
                    vgpuConfig.xml is accepted by a patched driver alone (hardware.nvidia.vgpu.patcher.enable); a GPU in \
                    MIG mode needs instances (nvidia-smi mig -cgi …), made after sriov-manage -e",
            elsewhere: "with no virtual machine running: systemctl restart nvidia-vgpud. If that does not help: a changed \
                        vgpuConfig.xml is accepted by a patched driver alone; a GPU in MIG mode needs instances \
                        (nvidia-smi mig -cgi …), made after sriov-manage -e",
        },
        answer: types_offered,
    },
    Check {
        id: "right-tool",
        group: Group::Types,
        after: &["types-offered"],
        question: "Does mdevctl have definitions only where there are mediated devices?",
        symptom: "mdevctl types prints nothing, and /etc/mdevctl.d has definitions that never start",
        fix: Fix {
            nixos: "declare hardware.nvidia.vgpu.instances in place of mdevctl's definitions, and remove \
                    programs.mdevctl.enable: on this kernel a vGPU is made by the function's nvidia/current_vgpu_type",
            elsewhere: "vgpu instances create, in place of mdevctl: on this kernel a vGPU is made by writing the \
                        function's nvidia/current_vgpu_type",
        },
        answer: right_tool,
    },
    Check {
        id: "room",
        group: Group::Types,
        after: &["types-offered"],
        question: "Can another vGPU be made?",
        symptom: "available_instances is 0; only one size is offered",
        fix: Fix {
            nixos: "the boards are full: take smaller profiles, or remove an instance. Where one size is in use, only \
                    that size can be added, unless hardware.nvidia.vgpu.gpus.\"ADDRESS\".mixedSizes is set (Ada and later)",
            elsewhere: "the boards are full: take smaller profiles, or remove a vGPU. Where one size is in use, only that \
                        size can be added, unless the GPU is switched to mixed sizes (Ada and later): nvidia-smi vgpu -shm 1",
        },
        answer: room,
    },
];

/// GPUs that NVIDIA's driver has.
fn with_nvidia(seen: &Observed) -> impl Iterator<Item = &HostGpu> {
    seen.gpus.iter().filter(|host| host.gpu.function.driver.as_deref() == Some("nvidia"))
}

fn gpu_listed(seen: &Observed) -> Finding {
    let Profiles::Read { path, gpus, .. } = &seen.profiles else { return Finding::irrelevant() };
    let another_is_listed = with_nvidia(seen).any(|host| seen.profiles.listed(host).is_some());
    Finding::worst(with_nvidia(seen).map(|host| {
        let function = &host.gpu.function;
        let id = GpuId { device: function.device, subsystem: function.subsystem_device };
        if let Some(listed) = seen.profiles.listed(host) {
            return Finding::ok(format!(
                "{path}: {id} is listed as {}, {}",
                listed.id,
                count(listed.supported.len() as u64, "profile")
            ));
        }
        let evidence = format!("{path}: {} is {id}, which is not listed", function.address);
        let finding = if another_is_listed { Finding::warning(evidence) } else { Finding::failed(evidence) };
        finding.fix(way_out(seen, id, gpus))
    }))
}

/// Advice for a GPU that is not listed, from the catalog and from the list.
fn way_out(seen: &Observed, gpu: GpuId, listed: &[PhysicalGpu]) -> String {
    let generation = Gpus::builtin().generation_of(gpu.device);
    let branch = seen.driver.as_deref().and_then(|version| Catalog::builtin().target(version, Role::Host));
    let branch = branch.map(|target| target.branch);
    if let (Some(generation), Some(branch)) = (generation, branch)
        && !generation.is_served_by(branch)
    {
        let served: Vec<String> = generation.branches.iter().map(ToString::to_string).collect();
        let remap = if gpu.device == P40 && branch.to_string() == "17" {
            "; or hardware.nvidia.vgpu.patcher.options.remapP40ProfilesToV100D = true; with the patcher"
        } else {
            ""
        };
        return format!(
            "branch {branch} does not serve {}: choose a release of branch {} (hardware.nvidia.vgpu.release){remap}",
            generation.name,
            served.join(" or ")
        );
    }
    // NVIDIA numbers the boards of one chip in blocks of 128.
    let offers = listed.iter().filter(|other| !other.supported.is_empty());
    let same_chip = offers.clone().filter(|other| other.id.device >> 7 == gpu.device >> 7);
    let nearest = same_chip.min_by_key(|other| other.id.device.abs_diff(gpu.device));
    let donor: Option<GpuId> = generation.and_then(|generation| generation.donor.as_ref()?.gpu.parse().ok());
    let Some(origin) = nearest.or_else(|| offers.clone().find(|other| Some(other.id) == donor)) else {
        return "no listed board has this chip, so no clone of profiles can help: choose a release that lists the GPU \
                (vgpu releases shows which branches serve it)"
            .to_owned();
    };
    let board = board_name(seen, origin).map(|name| format!(" ({name})")).unwrap_or_default();
    format!(
        "give it the profiles of a listed board{board}: hardware.nvidia.vgpu.patcher.enable = true; \
         hardware.nvidia.vgpu.patcher.copyVGPUProfiles = {{ \"{:04X}:0000\" = \"{}\"; }};",
        gpu.device, origin.id
    )
}

/// `NVIDIA A40` of the board's first profile, `NVIDIA A40-1B`.
fn board_name(seen: &Observed, gpu: &PhysicalGpu) -> Option<String> {
    let Profiles::Read { profiles, .. } = &seen.profiles else { return None };
    let first = gpu.supported.first()?.profile;
    let profile = profiles.iter().find(|profile| profile.id == first)?;
    Some(profile.name.rsplit_once('-')?.0.to_owned())
}

fn mig_instances(seen: &Observed) -> Finding {
    seen.setups(|host, setup| {
        let address = host.address();
        Some(match setup.mig? {
            Mig::Off => Finding::ok(format!("{address}: MIG mode is off")),
            Mig::On(0) => Finding::failed(format!("{address}: MIG mode is on, and there are no GPU instances")),
            Mig::On(count) => Finding::ok(format!("{address}: MIG mode is on, {count} GPU instances")),
        })
    })
}

/// Without the unlock library, the driver says that an unlocked board makes no vGPUs. So only the kernel's types count.
fn vgpu_mode(seen: &Observed) -> Finding {
    seen.setups(|host, setup| {
        let (address, types) = (host.address(), offers(host));
        let offered = types > 0 || !host.vgpus.is_empty();
        Some(match setup.host? {
            true => Finding::ok(format!("{address}: libnvidia-ml takes it for a GPU that makes vGPUs")),
            false if offered => Finding::ok(format!(
                "{address}: not to libnvidia-ml and nvidia-smi, as boards that NVIDIA does not list; but the kernel offers \
                 {types} types"
            )),
            false => Finding::failed(format!("{address}: no types, and libnvidia-ml does not take it for a GPU that makes vGPUs")),
        })
    })
}

fn types_offered(seen: &Observed) -> Finding {
    let listed =
        |host: &&HostGpu| seen.profiles.listed(host).is_some() || matches!(seen.profiles, Profiles::Damaged(_));
    let others = if with_nvidia(seen).any(|host| offers(host) > 0) { Others::Work } else { Others::Fail };
    Finding::worst(with_nvidia(seen).filter(listed).filter_map(|host| {
        // Another check is about GPUs without functions.
        let on_functions = seen.on_functions(host);
        if on_functions && host.gpu.function.sriov.is_some_and(|sriov| sriov.enabled == 0) {
            return None;
        }
        let address = host.address();
        let Some(interface) = host.interface() else {
            let missing = if on_functions {
                "its functions have neither mdev_supported_types nor nvidia/current_vgpu_type"
            } else {
                "no mdev_supported_types"
            };
            return Some(wrong(others, format!("{address}: {missing}")));
        };
        let count = offers(host);
        let evidence = format!("{address} {interface}: {count} types, {}", vgpus(host));
        Some(if count == 0 && host.vgpus.is_empty() { wrong(others, evidence) } else { Finding::ok(evidence) })
    }))
}

/// Whether another GPU makes vGPUs.
#[derive(Clone, Copy)]
enum Others {
    Work,
    Fail,
}

/// The finding if something is wrong with one GPU. It is a failure, unless another GPU works.
fn wrong(others: Others, evidence: String) -> Finding {
    match others {
        Others::Work => Finding::warning(evidence),
        Others::Fail => Finding::failed(evidence),
    }
}

/// The number of different types that the functions of a GPU show.
fn offers(host: &HostGpu) -> usize {
    let mut types: Vec<u32> = host.functions.iter().flat_map(|function| &function.types).map(|kind| kind.id).collect();
    types.sort_unstable();
    types.dedup();
    types.len()
}

fn right_tool(seen: &Observed) -> Finding {
    let functions = seen.gpus.iter().flat_map(|host| &host.functions);
    let vfio: Vec<String> = functions
        .filter(|function| function.interface == Interface::Vfio)
        .map(|function| function.device.address.to_string())
        .chain(seen.gpus.iter().filter(|h| h.interface() == Some(Interface::Vfio)).map(|h| h.address().to_string()))
        .collect();
    if vfio.is_empty() {
        return Finding::irrelevant();
    }
    let defined = files::entries(&seen.root.join("etc/mdevctl.d")).filter_map(|path| files::name(&path));
    let mut defined: Vec<String> = defined.filter(|name| vfio.contains(&name.to_lowercase())).collect();
    defined.sort();
    match defined.is_empty() {
        true => Finding::ok("/etc/mdevctl.d has nothing of these functions"),
        false => Finding::warning(format!("/etc/mdevctl.d defines mediated devices on {}", defined.join(", "))),
    }
}

fn room(seen: &Observed) -> Finding {
    let with_types: Vec<&HostGpu> = with_nvidia(seen).filter(|host| host.interface().is_some()).collect();
    let free = |host: &HostGpu| host.functions.iter().flat_map(|f| &f.types).any(|kind| kind.available > 0);
    let lines: Vec<String> = with_types.iter().map(|host| describe_room(seen, host)).collect();
    match with_types.iter().any(|host| free(host)) {
        true => Finding::ok(lines.join("\n")),
        false if lines.is_empty() => Finding::irrelevant(),
        false => Finding::warning(lines.join("\n")),
    }
}

/// `1 vGPU`, `2 vGPUs`.
fn vgpus(host: &HostGpu) -> String {
    let count = host.vgpus.len();
    format!("{count} vGPU{}", if count == 1 { "" } else { "s" })
}

/// Describes the vGPUs of a GPU, and what could be added.
fn describe_room(seen: &Observed, host: &HostGpu) -> String {
    let name = |id: u32| {
        let offered = host.functions.iter().flat_map(|function| &function.types).find(|kind| kind.id == id);
        let listed = match &seen.profiles {
            Profiles::Read { profiles, .. } => profiles.iter().find(|profile| profile.id == id).map(|p| p.name.clone()),
            _ => None,
        };
        offered
            .map(|kind| kind.name.clone())
            .or(listed)
            .map_or(format!("nvidia-{id}"), |name| format!("{name} (nvidia-{id})"))
    };
    let mut used: Vec<String> = host.vgpus.iter().filter_map(|vgpu| Some(name(vgpu.type_id?))).collect();
    used.sort();
    used.dedup();
    let mut free: Vec<u32> = host
        .functions
        .iter()
        .flat_map(|function| &function.types)
        .filter(|kind| kind.available > 0)
        .map(|kind| kind.id)
        .collect();
    free.sort_unstable();
    free.dedup();
    let used = match used.is_empty() {
        true => "no vGPU yet".to_owned(),
        false => format!("{} of {}", vgpus(host), used.join(", ")),
    };
    format!("{}: {used}; {} types can be added", host.address(), free.len())
}
