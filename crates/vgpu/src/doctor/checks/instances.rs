//! vGPUs that are declared, and what the kernel answered when one was made.

use super::super::check::{Check, Finding, Fix, Group, Status};
use super::super::observed::{Log, Observed};
use crate::instances::check;
use crate::instances::declaration::{self, Declaration};
use crate::instances::plan;
use crate::instances::profiles::Profiles;
use crate::instances::step::Step;
use crate::instances::view::View;
use crate::machine::files;
use crate::machine::services::State;
use crate::machine::vgpu::Interface;
use miette::Diagnostic;
use uuid::Uuid;

/// Where mdevctl keeps definitions: `<parent>/<uuid>`, JSON (mdevctl(8)).
const MDEVCTL: &str = "etc/mdevctl.d";

pub const CHECKS: &[Check] = &[
    Check {
        id: "refused-unknown",
        group: Group::Instances,
        after: &["types-offered"],
        question: "Does the GPU know the types that were requested?",
        symptom: "write error: Input/output error; NVRM: Failed to add vgpu create request: 0x57",
        fix: Fix {
            nixos: "",
            elsewhere: "take a type that the GPU offers now: `vgpu status`; none at all: systemctl restart nvidia-vgpud, \
                        with no virtual machine running",
        },
        answer: |seen| refused(seen, &["0x57"]),
    },
    Check {
        id: "refused-early",
        group: Group::Instances,
        after: &["types-offered", "gpu-alive"],
        question: "Was the GPU ready when a vGPU was made?",
        symptom: "NVRM: Failed to add vgpu create request: 0x66",
        fix: Fix {
            nixos: "declare it under hardware.nvidia.vgpu.instances: our service waits for the GPU and tries again",
            elsewhere: "make it again: the GPU was still starting. Order your service after nvidia-vgpud",
        },
        answer: |seen| refused(seen, &["0x66"]),
    },
    Check {
        id: "refused-mig",
        group: Group::Instances,
        after: &["types-offered"],
        question: "Do the types fit the mode of the GPU (MIG or not)?",
        symptom: "write error: Input/output error; NVRM: Failed to add vgpu create request: 0x38",
        fix: Fix {
            nixos: "",
            elsewhere: "MIG types (A100-1-5C) need MIG mode and free GPU instances, made after sriov-manage -e: \
                        nvidia-smi mig -lgi, nvidia-smi mig -cgi …; all others need MIG off. Or the function has a vGPU",
        },
        answer: |seen| refused(seen, &["0x38"]),
    },
    Check {
        id: "refused-size",
        group: Group::Instances,
        after: &["types-offered"],
        question: "Do all vGPUs of a board have the size that it allows?",
        symptom: "write error: Input/output error; NVRM: Failed to add vgpu create request: 0x56",
        fix: Fix {
            nixos: "give all instances of a GPU profiles of the same memory, or set \
                    hardware.nvidia.vgpu.gpus.\"ADDRESS\".mixedSizes = true; (Ada and later)",
            elsewhere: "make only vGPUs of the size in use, or remove all and switch the GPU to mixed sizes (Ada and \
                        later): nvidia-smi vgpu -shm 1",
        },
        answer: |seen| refused(seen, &["0x56"]),
    },
    Check {
        id: "refused-full",
        group: Group::Instances,
        after: &["types-offered"],
        question: "Is there enough memory for all vGPUs?",
        symptom: "write error: Input/output error; NVRM: Failed to add vgpu create request: 0x1a (or 0x51)",
        fix: Fix {
            nixos: "",
            elsewhere: "take fewer or smaller profiles: `vgpu status` shows what the board is cut into",
        },
        answer: |seen| refused(seen, &["0x1a", "0x1A", "0x51"]),
    },
    Check {
        id: "function-taken",
        group: Group::Instances,
        after: &["types-offered"],
        question: "Was every vGPU made on a free function?",
        symptom: "write error: Operation not permitted; vGPU device already created with type ID: …",
        fix: Fix {
            nixos: "",
            elsewhere: "take another function, or, with no virtual machine on it, free it first: echo 0 > \
                        /sys/bus/pci/devices/FUNCTION/nvidia/current_vgpu_type",
        },
        answer: |seen| history(seen.free_of(Log::Kernel, &["vGPU device already created with type ID"])),
    },
    Check {
        id: "declaration",
        group: Group::Instances,
        after: &["profiles-file"],
        question: "Is the declaration valid?",
        symptom: "vgpu instances: … is no declaration of vGPUs; this driver has no profile …",
        fix: Fix {
            nixos: "correct hardware.nvidia.vgpu.instances; `vgpu profiles list` shows what each board offers",
            elsewhere: "correct /etc/nvidia/vgpu/instances.json; `vgpu profiles list` shows what each board offers",
        },
        answer: declaration,
    },
    Check {
        id: "declared",
        group: Group::Instances,
        after: &["types-offered", "declaration"],
        question: "Is every declared vGPU there, as it is declared?",
        symptom: "a virtual machine finds no vGPU; vgpu instances list: missing",
        fix: Fix {
            nixos: "",
            elsewhere: "vgpu instances plan says what stands in the way; then: vgpu instances apply",
        },
        answer: declared,
    },
    Check {
        id: "instances-service",
        group: Group::Instances,
        after: &[
            "types-offered",
            "refused-unknown",
            "refused-early",
            "refused-mig",
            "refused-size",
            "refused-full",
            "declared",
        ],
        question: "Has nvidia-vgpu-instances made all declared vGPUs?",
        symptom: "systemctl status nvidia-vgpu-instances: failed",
        fix: Fix {
            nixos: "",
            elsewhere: "vgpu instances plan says what stands in the way; then: vgpu instances apply",
        },
        answer: |seen| match seen.state("nvidia-vgpu-instances") {
            State::Missing => Finding::irrelevant(),
            State::Failed => Finding::failed("nvidia-vgpu-instances.service: failed"),
            _ => {
                let log = Log::Service("nvidia-vgpu-instances");
                seen.free_where(log, |text| text.starts_with("error: "), &[])
            }
        },
    },
    Check {
        id: "mdevctl-definitions",
        group: Group::Instances,
        after: &["types-offered", "right-tool"],
        question: "Can mdevctl start the devices that are defined for it?",
        symptom: "mdevctl start: Invalid argument (os error 22), or: does not support mdev type",
        fix: Fix {
            nixos: "declare hardware.nvidia.vgpu.instances in place of mdevctl's definitions",
            elsewhere: "mdevctl undefine it, and define it anew with a UUID of uuidgen and a type of mdevctl types",
        },
        answer: mdevctl_definitions,
    },
    Check {
        id: "mdevctl-elsewhere",
        group: Group::Instances,
        after: &["mdevctl-definitions"],
        question: "Is every mediated device where it is defined?",
        symptom: "mdevctl start: Device exists under different parent; already exists",
        fix: Fix { nixos: "", elsewhere: "give one of them another UUID (uuidgen): mdevctl undefine, mdevctl define" },
        answer: mdevctl_elsewhere,
    },
    Check {
        id: "mdevctl-started",
        group: Group::Instances,
        after: &["mdevctl-definitions", "mdevctl-elsewhere"],
        question: "Are all mediated devices there that mdevctl starts automatically?",
        symptom: "mdevctl list is empty after a restart, mdevctl list -d is not",
        fix: Fix {
            nixos: "declare hardware.nvidia.vgpu.instances in place of mdevctl's definitions: its udev rule runs before \
                    the GPU has types",
            elsewhere: "vgpu instances apply in a service after nvidia-vgpud, or mdevctl start -u UUID in one: mdevctl's \
                        udev rule runs before the GPU has types",
        },
        answer: mdevctl_started,
    },
];

/// The kernel's refusals to make a vGPU, by the code that NVIDIA's driver gives (nvstatuscodes.h).
fn refused(seen: &Observed, codes: &[&str]) -> Finding {
    let code = |text: &str| {
        let (_, code) = text.split_once("Failed to add vgpu create request: ")?;
        code.split_whitespace().next().map(str::to_owned)
    };
    let is_one = |text: &str| code(text).is_some_and(|code| codes.contains(&code.trim_end_matches('.')));
    history(seen.free_where(Log::Kernel, is_one, &[]))
}

/// The cause of a refusal may be gone meanwhile. The kernel writes nothing when a vGPU is made, so this is only a warning.
fn history(finding: Finding) -> Finding {
    match finding.status {
        Some(Status::Failed) => Finding { status: Some(Status::Warning), ..finding },
        _ => finding,
    }
}

/// The declaration. `None` if there is no such file.
pub(super) fn read_declaration(seen: &Observed) -> Option<Result<Declaration, declaration::Error>> {
    let path = declaration::path(&seen.root);
    path.exists().then(|| declaration::read(&path))
}

fn declaration(seen: &Observed) -> Finding {
    let declared = match read_declaration(seen) {
        None => return seen.nothing_in(declaration::PATH.trim_start_matches('/')),
        Some(Err(error)) => {
            let help = error.help().map(|help| help.to_string());
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            let finding = Finding::failed(format!("{}: {error}{cause}", declaration::PATH));
            return help.map_or(finding.clone(), |help| finding.fix(help));
        }
        Some(Ok(declared)) => declared,
    };
    let mistakes = check::check(&declared, &Profiles::read(&seen.root, &seen.gpus));
    if mistakes.is_empty() {
        return Finding::ok(format!("{}: {} declared", declaration::PATH, declared.instances.len()));
    }
    Finding::worst(mistakes.iter().map(|mistake| {
        let finding = Finding::failed(format!("{}: {mistake}", declaration::PATH));
        mistake.help().map_or(finding.clone(), |help| finding.fix(help.to_string()))
    }))
}

fn declared(seen: &Observed) -> Finding {
    let Some(Ok(declaration)) = read_declaration(seen) else { return Finding::irrelevant() };
    let view = match View::read(&seen.root) {
        Ok(view) => view,
        Err(error) => return Finding::unknown(error.to_string()),
    };
    let wanted = view.wanted(&declaration);
    let plan = plan::plan(view.situation(&wanted));
    // If there is a place for it, the kernel's last answer says why it could not be made.
    let refusal = seen.free_of(Log::Kernel, &["Failed to add vgpu create request"]);
    let refusal = (refusal.status == Some(Status::Failed)).then_some(refusal.evidence);
    Finding::worst(plan.instances.iter().map(|(name, step)| {
        match step {
            Step::Nothing(vgpu) => Finding::ok(format!("{name}: there, on {}", vgpu.function)),
            Step::Parameters(..) => Finding::warning(format!("{name}: there, with other parameters than declared")),
            Step::Keep(_, in_use) => Finding::warning(format!("{name}: not as declared, and in use by {}", in_use.by))
                .fix("shut that virtual machine down, then: vgpu instances apply"),
            Step::Make(make) => {
                let told = refusal.iter().map(|line| format!("\n{line}")).collect::<String>();
                Finding::failed(format!("{name}: missing, though {} has room for it{told}", make.gpu))
            }
            Step::Cannot(reason) => {
                let finding = Finding::failed(format!("{name}: missing: {reason}"));
                reason.help().map_or(finding.clone(), |help| finding.fix(help.to_string()))
            }
        }
    }))
}

/// A definition of mdevctl's.
struct Definition {
    parent: String,
    name: String,
    /// Its content, if it is JSON.
    content: Option<serde_json::Value>,
}

impl Definition {
    fn starts_itself(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content["start"] == "auto")
    }

    fn uuid(&self) -> Option<Uuid> {
        self.name.parse().ok()
    }

    fn path(&self) -> String {
        format!("/{MDEVCTL}/{}/{}", self.parent, self.name)
    }
}

/// The definitions for NVIDIA's functions, by path.
fn definitions(seen: &Observed) -> Vec<Definition> {
    let functions = seen.gpus.iter().flat_map(|host| {
        host.gpu.function.virtual_functions.iter().copied().chain([host.address()]).map(|address| address.to_string())
    });
    let mut definitions: Vec<Definition> = functions
        .flat_map(|parent| {
            let directory = seen.root.join(MDEVCTL).join(&parent);
            let read = |path: std::path::PathBuf| {
                let content = files::read(&path).and_then(|text| serde_json::from_str(&text).ok());
                Some(Definition { parent: parent.clone(), name: files::name(&path)?, content })
            };
            files::entries(&directory).filter_map(read).collect::<Vec<_>>()
        })
        .collect();
    definitions.sort_by_key(Definition::path);
    definitions
}

fn mdevctl_definitions(seen: &Observed) -> Finding {
    let definitions = definitions(seen);
    if definitions.is_empty() {
        return seen.nothing_in(MDEVCTL);
    }
    let refused = |text: &str| text.contains("mdev") && text.contains("Invalid argument (os error 22)");
    let said = seen.free_where(Log::Machines, refused, &[]);
    // Definitions can be read without a journal.
    let said = Some(said).filter(|said| said.status == Some(Status::Failed));
    Finding::worst(said.into_iter().chain(definitions.iter().map(|definition| {
        let path = definition.path();
        let Some(content) = &definition.content else { return Finding::failed(format!("{path}: not JSON")) };
        if definition.uuid().is_none() {
            return Finding::failed(format!("{path}: the file's name is no UUID"));
        }
        let kind = content["mdev_type"].as_str().unwrap_or_default();
        let id: Option<u32> = kind.strip_prefix("nvidia-").and_then(|id| id.parse().ok());
        let parent = seen.gpus.iter().flat_map(|host| &host.functions);
        let parent = parent.filter(|function| function.interface != Interface::Vfio);
        let parent = parent.into_iter().find(|function| function.device.address.to_string() == definition.parent);
        let offered = parent.map(|function| function.types.iter().any(|offered| Some(offered.id) == id));
        match (offered, wrong_attribute(content)) {
            (Some(false), _) => Finding::failed(format!("{path}: {} offers no type {kind:?}", definition.parent)),
            (_, Some(wrong)) => Finding::failed(format!("{path}: attrs: {wrong}")),
            _ => Finding::ok(format!("{path}: {kind}")),
        }
    })))
}

/// What mdevctl or the driver would refuse in the attributes of a definition. Each attribute is an object with one file and
/// its text (mdevctl(8)).
fn wrong_attribute(definition: &serde_json::Value) -> Option<String> {
    let attributes = definition.get("attrs")?;
    let Some(attributes) = attributes.as_array() else { return Some("no array".to_owned()) };
    attributes.iter().find_map(|attribute| {
        let mut fields = attribute.as_object().into_iter().flatten();
        match (fields.next(), fields.next()) {
            (Some((file, serde_json::Value::String(text))), None) => match file.as_str() {
                "nvidia/vgpu_params" if text.len() > declaration::MAX_PARAMETERS => {
                    Some(format!("{file} takes {} bytes, and {} are given", declaration::MAX_PARAMETERS, text.len()))
                }
                "nvidia/vgpu_params" | "nvidia/placement_id" => None,
                _ => Some(format!("NVIDIA's mediated devices have no file {file}")),
            },
            _ => Some(format!("{attribute} is no object with one text")),
        }
    })
}

fn mdevctl_elsewhere(seen: &Observed) -> Finding {
    let vgpus: Vec<_> = seen.gpus.iter().flat_map(|host| &host.vgpus).collect();
    Finding::worst(definitions(seen).iter().filter_map(|definition| {
        let uuid = definition.uuid()?;
        let active = vgpus.iter().find(|vgpu| vgpu.uuid == Some(uuid))?;
        let here = active.function.to_string() == definition.parent;
        let evidence = format!("{}: {uuid} is on {}", definition.path(), active.function);
        Some(if here { Finding::ok(evidence) } else { Finding::failed(evidence) })
    }))
}

fn mdevctl_started(seen: &Observed) -> Finding {
    let vgpus: Vec<_> = seen.gpus.iter().flat_map(|host| &host.vgpus).collect();
    let wanted: Vec<Definition> = definitions(seen).into_iter().filter(Definition::starts_itself).collect();
    Finding::worst(wanted.iter().map(|definition| {
        let path = definition.path();
        match vgpus.iter().any(|vgpu| vgpu.uuid.is_some() && vgpu.uuid == definition.uuid()) {
            true => Finding::ok(format!("{path}: active")),
            false => Finding::failed(format!("{path}: \"start\" is \"auto\", and there is no such device")),
        }
    }))
}
