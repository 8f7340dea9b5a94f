//! The configuration that `vgpu init` writes: commented, for the machine it runs on.

use super::expression::{Expression, Line, module, quoted};
use crate::catalog::gpus::{self, Generation, Gpus};
use crate::machine::overview::{Cpu, Gpu, Machine};
use crate::start::{Start, Support};
use vgpu_driver::Role;

/// How the modules get into the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modules {
    /// vgpu.nix imports them.
    Imported,
    /// The flake beside it does.
    FromFlake,
}

/// vgpu.nix: what was found (as a comment), what is needed, and what many users want (commented out).
pub fn configuration(machine: &Machine, start: &Start, modules: Modules) -> String {
    let mut lines = Vec::new();
    if modules == Modules::Imported {
        lines.extend(import(start.role));
    }
    lines.extend(driver(machine, start));
    if start.release.is_some() {
        lines.extend(kernel_modules(machine));
    }
    lines.extend(match start.role {
        Role::Host => host(machine, start),
        Role::Guest => guest(),
    });
    module(&header(machine, start), &[], lines)
}

/// flake.nix, which takes vgpu.nix and the user's own configuration.nix.
pub fn flake(machine: &Machine, role: Role) -> String {
    let nixpkgs = match &machine.nixos {
        Some(version) => format!("github:NixOS/nixpkgs/nixos-{version}"),
        None => "github:NixOS/nixpkgs/nixos-unstable".to_owned(),
    };
    FLAKE
        .replace("\"@nixpkgs@\"", &quoted(&nixpkgs))
        .replace("\"@hostname@\"", &quoted(machine.hostname.as_deref().unwrap_or("nixos")))
        .replace("@role@", &role.to_string())
}

const FLAKE: &str = r#"# The system of this machine, with NVIDIA vGPU. Written by `vgpu init --flake`; yours to edit.
{
  inputs = {
    nixpkgs.url = "@nixpkgs@";
    vgpu4nixos.url = "github:mrzenc/vgpu4nixos";
  };

  outputs =
    { nixpkgs, vgpu4nixos, ... }:
    {
      nixosConfigurations."@hostname@" = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          ./configuration.nix
          ./vgpu.nix
          vgpu4nixos.nixosModules.@role@
        ];
      };
    };
}
"#;

fn comment(text: &str) -> Line {
    Line::Comment(text.to_owned())
}

fn header(machine: &Machine, start: &Start) -> Vec<String> {
    let role = start.role;
    let mut header =
        vec![format!("NVIDIA vGPU on this machine, a {role}. Written by `vgpu init`; yours to edit."), String::new()];
    let mut found = |name: &str, value: &str| header.push(format!("{name:<9}{value}"));
    for gpu in &machine.gpus {
        found("GPU", &describe(gpu));
    }
    if machine.gpus.is_empty() {
        found("GPU", "none found");
    }
    if let (Role::Host, Some((_, support))) = (role, start.gpu) {
        found("vGPU", &possible(support));
    }
    found("kernel", machine.kernel.as_deref().unwrap_or("not known"));
    found("NixOS", machine.nixos.as_deref().unwrap_or("not NixOS"));
    if role == Role::Host {
        found("IOMMU", if machine.iommu { "on" } else { "off" });
        let archives: Vec<String> = machine.archives.iter().map(|release| release.release.to_string()).collect();
        found("archives", &if archives.is_empty() { "none in the Nix store".to_owned() } else { archives.join(", ") });
    }
    header
}

/// What vGPU software can do for the GPU.
fn possible(support: Support) -> String {
    match support {
        Support::Listed(board) => format!("NVIDIA lists the {}", board.name),
        Support::Patched(donor) => format!("not listed by NVIDIA; with a patched driver as a {}", donor.name),
        Support::Unlisted(generation) => {
            format!("not listed by NVIDIA, as far as we know; no patcher serves {} GPUs", generation.name)
        }
        Support::Unknown => {
            "an unknown GPU: `vgpu profiles gpus --config FILE.zip|FILE.run` lists the known ones".to_owned()
        }
    }
}

fn describe(gpu: &Gpu) -> String {
    let name = gpu.name.as_deref().unwrap_or("NVIDIA GPU");
    let function = &gpu.function;
    let sriov = if function.sriov.is_some() { ", SR-IOV" } else { "" };
    let driver = function.driver.as_ref().map_or(String::new(), |driver| format!(", driver {driver}"));
    format!("{} {name} [10de:{:04x}]{sriov}{driver}", function.address, function.device)
}

fn import(role: Role) -> Vec<Line> {
    let guest = role == Role::Guest;
    let source = "(import (builtins.fetchGit { url = \"https://github.com/mrzenc/vgpu4nixos.git\"; })";
    vec![
        comment("The modules. Pin them with `rev = \"<commit>\";` beside the url."),
        Line::binding("imports", Expression::Code(format!("[\n    {source} {{ guest = {guest}; }})\n  ]"))),
        Line::Blank,
    ]
}

fn driver(machine: &Machine, start: &Start) -> Vec<Line> {
    let mut lines = vec![
        comment("NVIDIA's drivers are unfree."),
        Line::binding("nixpkgs.config.allowUnfree", Expression::Bool(true)),
        Line::Blank,
    ];
    let Some(release) = start.release else {
        lines.push(comment("No release that we know serves this GPU: `vgpu releases` lists them."));
        return lines;
    };
    lines.push(comment(
        "Release of vGPU software; `vgpu releases` lists them. A host works with guests of its own branch and",
    ));
    lines.push(comment("of the one before: `vgpu releases --for-guest VERSION`, `--for-host VERSION`."));
    if start.role == Role::Host && !machine.archives.contains(&release) {
        lines.push(comment(
            "Its archive is behind NVIDIA's login. Get it and add it to the store: vgpu import FILE, with FILE",
        ));
        lines.push(comment(&release.zip_name()));
    }
    lines.push(Line::binding("hardware.nvidia.vgpu.release", Expression::text(release.release)));
    lines.push(Line::Blank);
    lines
}

/// The kind of kernel modules that the GPUs need.
fn kernel_modules(machine: &Machine) -> Vec<Line> {
    let known = |gpu: &Gpu| Gpus::builtin().generation_of(gpu.function.device);
    let generations: Vec<&Generation> = machine.gpus.iter().filter_map(known).collect();
    let only = |kind: gpus::Modules| generations.iter().find(|generation| generation.modules == Some(kind));
    let mut lines = match (only(gpus::Modules::Open), only(gpus::Modules::Closed)) {
        (Some(open), Some(closed)) => vec![
            comment(&format!(
                "{} GPUs work with open kernel modules alone, {} GPUs with closed ones",
                open.name, closed.name
            )),
            comment("alone: NVIDIA has no driver for both at once."),
            comment("hardware.nvidia.open = true;"),
        ],
        (Some(open), None) => vec![
            comment(&format!("{} GPUs work with NVIDIA's open kernel modules alone.", open.name)),
            Line::binding("hardware.nvidia.open", Expression::Bool(true)),
        ],
        (None, Some(closed)) => vec![
            comment(&format!("{} GPUs work with NVIDIA's closed kernel modules alone.", closed.name)),
            Line::binding("hardware.nvidia.open", Expression::Bool(false)),
        ],
        (None, None) => vec![
            comment("Open kernel modules instead of closed ones; both drive GPUs from Turing to Hopper."),
            comment("hardware.nvidia.open = true;"),
        ],
    };
    lines.push(Line::Blank);
    lines
}

fn host(machine: &Machine, start: &Start) -> Vec<Line> {
    let mut lines = Vec::new();
    if !machine.iommu {
        lines.push(comment(
            "Virtual machines reach the GPU through the IOMMU, which is off. Switch it on in the firmware, too.",
        ));
        let parameters = match machine.cpu {
            Cpu::Intel => "[\n    \"intel_iommu=on\"\n    \"iommu=pt\"\n  ]",
            Cpu::Amd | Cpu::Other => "[ \"iommu=pt\" ]",
        };
        lines.push(Line::binding("boot.kernelParams", Expression::Code(parameters.to_owned())));
        lines.push(Line::Blank);
    }
    lines.push(comment(
        "vGPUs: declared here, they are there after every start. `vgpu profiles list` shows what the GPU offers,",
    ));
    lines.push(comment("`vgpu instances attach NAME` what a virtual machine needs."));
    lines.push(comment("hardware.nvidia.vgpu.instances.office.profile = \"PROFILE\";"));
    lines.push(Line::Blank);
    lines.extend(patching(start));
    lines
}

/// The patcher: switched on if the GPU needs it, or else as a hint. A listed GPU does not need it.
fn patching(start: &Start) -> Vec<Line> {
    const ENABLE: &str = "hardware.nvidia.vgpu.patcher.enable";
    const CLONES: &str = "hardware.nvidia.vgpu.patcher.copyVGPUProfiles";
    let Some((gpu, Support::Patched(donor))) = start.gpu else {
        return vec![
            comment(
                "To use the GPU for this machine's own screens as well, or one that NVIDIA doesn't list, the driver has",
            ),
            comment("to be patched, by vGPU-Unlock-patcher. `vgpu releases` shows which releases can be (PATCHER)."),
            comment(&format!("{ENABLE} = true;")),
        ];
    };
    let own = format!("{:04X}:0000", gpu.function.device);
    let clone = Line::Binding(own, Expression::text(&donor.gpu), Some(format!("what a {} has", donor.name)));
    vec![
        comment(
            "NVIDIA doesn't list this GPU. The driver is patched, by vGPU-Unlock-patcher, and the GPU gets the profiles",
        ),
        comment("of a listed board of its generation. Only releases with a patcher can be patched (`vgpu releases`)."),
        Line::binding(ENABLE, Expression::Bool(true)),
        Line::binding(CLONES, Expression::Set(vec![clone])),
        Line::Blank,
        comment("To use the GPU for this machine's own screens as well (a merged driver):"),
        comment("services.xserver.videoDrivers = [ \"nvidia\" ];"),
    ]
}

fn guest() -> Vec<Line> {
    vec![
        comment("Screens, OpenGL, Vulkan and CUDA through NVIDIA's driver."),
        Line::binding("services.xserver.videoDrivers", Expression::Code("[ \"nvidia\" ]".to_owned())),
        Line::Blank,
        comment("The licence: the client configuration token of your licence server, readable by root alone."),
        comment("`vgpu license token FILE` explains a token."),
        comment("hardware.nvidia.vgpu.licensing.tokenFile = \"/run/secrets/vgpu.tok\";"),
        Line::Blank,
        comment("For guests from 18.0 on, and a licence server with its own certificate authority:"),
        comment("hardware.nvidia.vgpu.griddUnlock.enable = true;"),
        comment("hardware.nvidia.vgpu.griddUnlock.rootCaFile = ./root_certificate.pem;"),
    ]
}
