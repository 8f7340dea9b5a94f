//! Settings of vGPUs: parameters, error correction, and their place in the GPU's memory.

use vgpu_profiles::likeness::likeness;

use super::super::check::{Check, Finding, Fix, Group};
use super::super::observed::{Nvml, Observed, Profiles};
use super::instances::read_declaration;
use crate::catalog::gpus::Gpus;
use crate::instances::declaration;
use crate::machine::vgpu::{HostGpu, PLACEMENT, Vgpu};

/// The parameters that NVIDIA's user guide lists for `vgpu_params` ("Setting vGPU Plugin Parameters on a Linux with KVM
/// Hypervisor"), and whether each is a switch.
const PARAMETERS: [(&str, bool); 6] = [
    ("frame_rate_limiter", true),
    ("disable_vnc", true),
    ("enable_uvm", true),
    ("enable_debugging", true),
    ("enable_profiling", true),
    (PLACEMENT, false),
];

pub const CHECKS: &[Check] = &[
    Check {
        id: "vgpu-parameters",
        group: Group::Instances,
        after: &["declaration"],
        question: "Does the manager know the parameters of the vGPUs?",
        symptom: "a parameter in nvidia/vgpu_params, or of an instance, does nothing",
        fix: Fix {
            nixos: "correct hardware.nvidia.vgpu.instances.<name>.parameters: frame_rate_limiter, disable_vnc, enable_uvm, \
                    enable_debugging and enable_profiling are switches",
            elsewhere: "correct it in /etc/nvidia/vgpu/instances.json or nvidia/vgpu_params: frame_rate_limiter, \
                        disable_vnc, enable_uvm, enable_debugging and enable_profiling are switches, 0 or 1",
        },
        answer: parameters,
    },
    Check {
        id: "ecc",
        group: Group::Instances,
        after: &["types-offered"],
        question: "Can the vGPUs work with error correction (ECC) as it is set?",
        symptom: "vGPUs don't start, or have less memory than their profile says, on a board with ECC on",
        fix: Fix {
            nixos: "",
            elsewhere: "nvidia-smi -i ADDRESS -e 0, then restart the machine: vGPUs of Maxwell boards don't start with ECC, \
                        and the A and B series do not use it and pay for it with memory. Or take a Q or C profile",
        },
        answer: ecc,
    },
    Check {
        id: "placement",
        group: Group::Instances,
        after: &["types-offered", "vgpu-parameters"],
        question: "Is the declared place of each vGPU in the GPU's memory free?",
        symptom: "a virtual machine does not start since vgpu-placement-id was set",
        fix: Fix {
            nixos: "take another hardware.nvidia.vgpu.instances.<name>.placement, or leave it out; `nvidia-smi vgpu -c -v` \
                    lists those that are free",
            elsewhere: "take another vgpu-placement-id, or leave it out; nvidia-smi vgpu -c -v lists those that are free",
        },
        answer: placement,
    },
];

/// Checks the parameters of existing and of declared vGPUs.
fn parameters(seen: &Observed) -> Finding {
    let there = seen.gpus.iter().flat_map(|host| &host.vgpus).filter_map(|vgpu| {
        let text = vgpu.parameters.clone().filter(|text| !text.is_empty())?;
        Some((format!("{}/nvidia/vgpu_params", name(vgpu)), text))
    });
    let declared =
        read_declaration(seen).and_then(Result::ok).into_iter().flat_map(|declaration| declaration.instances);
    let declared =
        declared.map(|(name, instance)| (format!("{}: {name}", declaration::PATH), instance.parameter_text()));
    let all = there.chain(declared.filter(|(_, text)| !text.is_empty()));
    Finding::worst(all.map(|(place, text)| match wrong_parameter(&text) {
        Some(wrong) => Finding::warning(format!("{place}: {text}: {wrong}")),
        None => Finding::ok(format!("{place}: {text}")),
    }))
}

/// The first mistake in `key=value,key=value`.
fn wrong_parameter(text: &str) -> Option<String> {
    text.split(',').map(str::trim).find_map(|parameter| {
        let Some((key, value)) = parameter.split_once('=') else { return Some(format!("{parameter} is no key=value")) };
        match PARAMETERS.iter().find(|(known, _)| *known == key) {
            None => {
                let names = PARAMETERS.iter().map(|(known, _)| *known);
                let nearest = names.max_by_key(|known| likeness(known, key)).unwrap_or_default();
                Some(format!("{key} is not known; the nearest is {nearest}"))
            }
            Some((_, true)) if !matches!(value, "0" | "1") => Some(format!("{key} is 0 or 1")),
            Some((_, false)) if value.parse::<u32>().is_err() => Some(format!("{key} is a number")),
            Some(_) => None,
        }
    })
}

/// What a vGPU is called in evidence: its UUID, or its function.
fn name(vgpu: &Vgpu) -> String {
    vgpu.uuid.map_or_else(|| vgpu.function.to_string(), |uuid| uuid.to_string())
}

/// Which vGPUs can use ECC: NVIDIA's user guide, "Disabling and Enabling ECC Memory".
fn ecc(seen: &Observed) -> Finding {
    seen.setups(|host, setup| {
        let (address, on) = (host.address(), setup.ecc?);
        let evidence = format!("{address}: ECC is {}", if on { "on" } else { "off" });
        let generation = Gpus::builtin().generation_of(host.gpu.function.device);
        let without = host.vgpus.iter().find(|vgpu| type_name(seen, host, vgpu).ends_with(['A', 'B']));
        Some(match (on, generation, without) {
            (true, Some(generation), _) if generation.name == "Maxwell" => {
                Finding::failed(format!("{evidence}, and vGPUs of Maxwell boards don't start with it"))
            }
            (true, _, Some(vgpu)) => {
                Finding::warning(format!("{evidence}, and {} has no use of it", type_name(seen, host, vgpu)))
            }
            _ => Finding::ok(evidence),
        })
    })
}

/// The name of a vGPU's type: NVIDIA A40-8Q. Empty if it is not known.
fn type_name(seen: &Observed, host: &HostGpu, vgpu: &Vgpu) -> String {
    let offered = host.functions.iter().flat_map(|function| &function.types);
    let offered = offered.into_iter().find(|kind| Some(kind.id) == vgpu.type_id).map(|kind| kind.name.clone());
    let listed = || match &seen.profiles {
        Profiles::Read { profiles, .. } => profiles.iter().find(|profile| Some(profile.id) == vgpu.type_id),
        _ => None,
    };
    let name = vgpu.type_name.clone().or(offered).or_else(|| listed().map(|profile| profile.name.clone()));
    name.unwrap_or_default()
}

/// Only the library knows which placements there are. A vGPU that is open has its own.
fn placement(seen: &Observed) -> Finding {
    let vgpus = seen.gpus.iter().flat_map(|host| host.vgpus.iter().map(move |vgpu| (host, vgpu)));
    Finding::worst(vgpus.filter_map(|(host, vgpu)| {
        let wanted = vgpu.placement()?;
        let place = format!("{}: {PLACEMENT}={wanted}", name(vgpu));
        if seen.users.of(vgpu.iommu_group, vgpu.vfio_device.as_deref()).is_some() {
            return Some(Finding::ok(format!("{place}, and it is open")));
        }
        let placements = match &seen.nvml {
            Nvml::Told { placements, .. } => placements.get(&(host.address(), vgpu.type_id?)),
            _ => None,
        };
        let Some(placements) = placements else {
            return Some(Finding::unknown("libnvidia-ml.so.1 does not tell which placements there are"));
        };
        let list = |ids: &[u32]| ids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        Some(if !placements.supported.contains(&wanted) {
            Finding::failed(format!("{place}; this type can have {}", list(&placements.supported)))
        } else if !placements.creatable.contains(&wanted) {
            Finding::failed(format!("{place} is taken; free are {}", list(&placements.creatable)))
        } else {
            Finding::ok(place)
        })
    }))
}
