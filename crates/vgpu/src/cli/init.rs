//! `vgpu init`: a configuration to start from, made for the machine it runs on.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use miette::{Result, WrapErr};

use super::output;
use crate::catalog::{Catalog, Month, Release};
use crate::machine::overview::{Cpu, Gpu, Machine};
use crate::nix::expression::{Expression, Line, module, quoted};
use vgpu_base::publish::{self, Staged};
use vgpu_driver::Role;

/// Write a commented vgpu.nix for this machine, to start from.
///
/// Looks at the machine: NVIDIA GPUs, kernel, NixOS release, IOMMU, and which GRID archives are in the Nix store. Files that
/// exist are left alone.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu init                                 vgpu.nix here
  vgpu init --role guest --out /etc/nixos   for a guest, into /etc/nixos
  vgpu init --flake                         flake.nix as well")]
pub struct Args {
    /// What the machine is: the host of virtual machines, or one of them (the default on a virtual machine)
    #[arg(long, value_parser = super::role())]
    role: Option<Role>,

    /// Write a flake.nix that uses it, too
    #[arg(long)]
    flake: bool,

    /// Directory to write to
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    /// Root directory of the machine to look at; for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let machine = Machine::look(&args.root);
    let role = args.role.unwrap_or(if machine.virtual_machine { Role::Guest } else { Role::Host });
    let mut files = vec![(args.out.join("vgpu.nix"), configuration(&machine, role, args.flake))];
    if args.flake {
        files.push((args.out.join("flake.nix"), flake(&machine, role)));
    }
    if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(publish::Error::Exists { path: path.clone() }.into());
    }
    write_all(&files)?;
    for (path, _) in &files {
        output::print(path.display())?;
    }
    for advice in advice(&machine, role) {
        output::note(advice);
    }
    output::note(if args.flake {
        "put configuration.nix and hardware-configuration.nix beside flake.nix, then: nixos-rebuild switch --flake ."
    } else {
        "add ./vgpu.nix to `imports` in configuration.nix, then: nixos-rebuild switch"
    });
    output::note("if something does not work then: vgpu doctor");
    Ok(())
}

/// Writes all of the files, or none.
fn write_all(files: &[(PathBuf, String)]) -> Result<()> {
    for (number, (path, text)) in files.iter().enumerate() {
        if let Err(error) = write_new(path, text) {
            for (written, _) in &files[..number] {
                let _ = fs::remove_file(written);
            }
            return Err(error).wrap_err_with(|| format!("cannot write {}", path.display()));
        }
    }
    Ok(())
}

/// Writes a file in one step that must not exist yet.
fn write_new(path: &Path, text: &str) -> Result<()> {
    let mut file = Staged::file(path)?;
    file.content().write_all(text.as_bytes()).map_err(|source| publish::Error::write(path, source))?;
    Ok(file.publish()?)
}

/// The release to begin with: the newest whose archive is in the store, else the newest that has a package. Hosts of a
/// release that NVIDIA still supports are preferred.
fn release(machine: &Machine) -> Option<&'static Release> {
    let catalog = Catalog::builtin();
    let ended = |release: &Release| {
        catalog.branch(release.release.branch()).and_then(|branch| branch.ended(Month::now())) == Some(true)
    };
    let pinned = || catalog.releases().iter().filter(|release| release.is_pinned());
    let stored = machine.archives.iter().copied().find(|release| release.is_pinned());
    stored.or_else(|| pinned().find(|release| !ended(release))).or_else(|| pinned().next())
}

/// What the user should know before the first rebuild.
fn advice(machine: &Machine, role: Role) -> Vec<String> {
    let mut advice = Vec::new();
    if machine.gpus.is_empty() {
        advice.push(match role {
            Role::Host => "no NVIDIA GPU was found on the PCI bus".to_owned(),
            Role::Guest => "no vGPU was found on the PCI bus: the host has to give this machine one".to_owned(),
        });
    }
    if role == Role::Host && !machine.iommu {
        advice.push("the IOMMU is off: switch on VT-d or AMD-Vi (and SR-IOV) in the firmware's setup".to_owned());
    }
    if role == Role::Host && machine.virtual_machine {
        advice.push("this is a virtual machine: a host driver needs the physical GPU".to_owned());
    }
    if machine.nixos.is_none() {
        advice.push("this is not NixOS: copy the files to the machine that is".to_owned());
    }
    advice
}

/// vgpu.nix: what was found as a comment, what is needed, and what is often wanted, commented out.
fn configuration(machine: &Machine, role: Role, flake: bool) -> String {
    let mut lines = Vec::new();
    if !flake {
        lines.extend(import(role));
    }
    lines.extend(driver(machine, role));
    lines.extend(match role {
        Role::Host => host(machine),
        Role::Guest => guest(),
    });
    module(&header(machine, role), &[], lines)
}

/// flake.nix, which takes vgpu.nix and the user's own configuration.nix.
fn flake(machine: &Machine, role: Role) -> String {
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

fn header(machine: &Machine, role: Role) -> Vec<String> {
    let mut header =
        vec![format!("NVIDIA vGPU on this machine, a {role}. Written by `vgpu init`; yours to edit."), String::new()];
    let mut found = |name: &str, value: &str| header.push(format!("{name:<9}{value}"));
    for gpu in &machine.gpus {
        found("GPU", &describe(gpu));
    }
    if machine.gpus.is_empty() {
        found("GPU", "none found");
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

fn driver(machine: &Machine, role: Role) -> Vec<Line> {
    let mut lines = vec![
        comment("NVIDIA's drivers are unfree."),
        Line::binding("nixpkgs.config.allowUnfree", Expression::Bool(true)),
        Line::Blank,
    ];
    let Some(release) = release(machine) else { return lines };
    lines.push(comment(
        "Release of vGPU software; `vgpu releases` lists them. A host works with guests of its own branch and",
    ));
    lines.push(comment("of the one before: `vgpu releases --for-guest VERSION`, `--for-host VERSION`."));
    if role == Role::Host && !machine.archives.contains(&release) {
        lines.push(comment(
            "Its archive is behind NVIDIA's login. Get it and add it to the store: vgpu import FILE, with FILE",
        ));
        lines.push(comment(&release.zip_name()));
    }
    lines.push(Line::binding("hardware.nvidia.vgpu.release", Expression::text(release.release)));
    lines.push(Line::Blank);
    lines
}

fn host(machine: &Machine) -> Vec<Line> {
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
    lines.push(comment("Makes and keeps vGPUs (mediated devices): mdevctl types, mdevctl define."));
    lines.push(comment("programs.mdevctl.enable = true;"));
    lines.push(Line::Blank);
    lines.push(comment("To use the GPU for this machine's own screens as well (needs the patcher):"));
    lines.push(comment("services.xserver.videoDrivers = [ \"nvidia\" ];"));
    lines.push(Line::Blank);
    lines.push(comment(
        "For a GPU that NVIDIA doesn't list: patch the driver, and give the GPU the profiles of a listed one.",
    ));
    lines.push(comment("Only releases with a patcher (`vgpu releases`) can be patched."));
    lines.push(comment("hardware.nvidia.vgpu.patcher.enable = true;"));
    let device = machine.gpus.first().map_or("AAAA".to_owned(), |gpu| format!("{:04X}", gpu.function.device));
    lines.push(comment(&format!(
        "hardware.nvidia.vgpu.patcher.copyVGPUProfiles = {{ \"{device}:0000\" = \"CCCC:DDDD\"; }};"
    )));
    lines
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody else may write the file between our look and our writing.
    #[test]
    fn a_file_that_appears_meanwhile_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vgpu.nix");
        fs::write(&path, "mine").unwrap();
        let error = write_new(&path, "ours").unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "a temporary file was left behind");
    }
    #[test]
    fn both_files_are_written_or_none() {
        let directory = tempfile::tempdir().unwrap();
        let taken = directory.path().join("flake.nix");
        fs::write(&taken, "mine").unwrap();
        let files = [(directory.path().join("vgpu.nix"), "ours".to_owned()), (taken.clone(), "ours".to_owned())];
        assert!(write_all(&files).is_err());
        assert!(!files[0].0.exists() && fs::read_to_string(&taken).unwrap() == "mine");
    }
}
