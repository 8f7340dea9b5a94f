//! `vgpu init`: writes a first configuration for the machine that it runs on.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use miette::{Result, WrapErr};

use super::output;
use crate::catalog::Month;
use crate::machine::overview::Machine;
use crate::nix::starter::{self, Modules};
use crate::start::{self, Start, Support};
use vgpu_base::publish::{self, Staged};
use vgpu_driver::Role;

/// Write a commented vgpu.nix for this machine, to start from.
///
/// Reads what the machine has: NVIDIA GPUs, kernel, NixOS release, IOMMU, and GRID archives in the Nix store. Chooses a
/// release that serves the GPU. If NVIDIA does not list the GPU, the driver is patched. Existing files are left alone.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu init                                 vgpu.nix here
  vgpu init --role guest --out /etc/nixos   for a guest, into /etc/nixos
  vgpu init --flake                         flake.nix as well")]
pub struct Args {
    /// What the machine is: the host of virtual machines, or a guest (the default on a virtual machine)
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

    /// The month in which support is judged; for tests
    #[arg(long, value_name = "YEAR-MONTH", hide = true)]
    today: Option<Month>,
}

pub fn run(args: Args) -> Result<()> {
    let machine = Machine::read(&args.root);
    let role = args.role.unwrap_or(if machine.virtual_machine { Role::Guest } else { Role::Host });
    let start = start::decide(&machine, role, args.today.unwrap_or_else(Month::now));
    let modules = if args.flake { Modules::FromFlake } else { Modules::Imported };
    let mut files = vec![(args.out.join("vgpu.nix"), starter::configuration(&machine, &start, modules))];
    if args.flake {
        files.push((args.out.join("flake.nix"), starter::flake(&machine, role)));
    }
    if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(publish::Error::Exists { path: path.clone() }.into());
    }
    write_all(&files)?;
    for (path, _) in &files {
        output::print(path.display())?;
    }
    for advice in advice(&machine, &start) {
        output::note(advice);
    }
    let rebuild = "then `nixos-rebuild boot` and restart: the kernel modules change";
    output::note(if args.flake {
        let flake = here(&args.out);
        format!("put configuration.nix and hardware-configuration.nix beside flake.nix, {rebuild} (--flake {flake})")
    } else {
        format!("add {} to `imports` in configuration.nix, {rebuild}", here(&files[0].0))
    });
    output::note("if something does not work then: vgpu doctor");
    Ok(())
}

/// A path as Nix reads it: it has a slash.
fn here(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains('/') || text == "." { text } else { format!("./{text}") }
}

/// Writes all of the files, or none: each is whole beside its place before the first takes its name.
fn write_all(files: &[(PathBuf, String)]) -> Result<()> {
    let failed = |path: &Path| format!("cannot write {}", path.display());
    let staged: Vec<Staged> =
        files.iter().map(|(path, text)| stage(path, text).wrap_err_with(|| failed(path))).collect::<Result<_>>()?;
    for (number, (staged, (path, _))) in staged.into_iter().zip(files).enumerate() {
        if let Err(error) = staged.publish() {
            for (written, _) in &files[..number] {
                let _ = fs::remove_file(written);
            }
            return Err(error).wrap_err_with(|| failed(path));
        }
    }
    Ok(())
}

/// A file that waits for its name.
fn stage(path: &Path, text: &str) -> Result<Staged> {
    let mut file = Staged::file(path)?;
    file.content().write_all(text.as_bytes()).map_err(|source| publish::Error::write(path, source))?;
    Ok(file)
}

/// What the user should know before the first rebuild.
fn advice(machine: &Machine, start: &Start) -> Vec<String> {
    let role = start.role;
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
    match start.gpu {
        Some((gpu, Support::Unlisted(generation))) if role == Role::Host => advice.push(format!(
            "{} is not on NVIDIA's list of GPUs for vGPU, as far as we know, and vGPU-Unlock-patcher does not serve {} GPUs: \
             it makes no vGPUs",
            gpu.function.address, generation.name
        )),
        Some((_, Support::Patched(donor))) if role == Role::Host => advice.push(format!(
            "NVIDIA does not list this GPU for vGPU: the driver is patched, and it gets the profiles of a {}",
            donor.name
        )),
        _ => {}
    }
    if let (Some(release), true) = (start.release, start.ended) {
        advice.push(format!("NVIDIA's support for vGPU {} is over: it gets no more security updates", release.release));
    }
    if machine.nixos.is_none() {
        advice.push("this is not NixOS: copy the files to the machine that is".to_owned());
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody may write the file after we looked for it and before we write it.
    #[test]
    fn a_file_that_appears_meanwhile_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vgpu.nix");
        fs::write(&path, "mine").unwrap();
        let error = write_all(&[(path.clone(), "ours".to_owned())]).unwrap_err();
        assert!(error.chain().any(|cause| cause.to_string().contains("exists already")), "{error:?}");
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
        // The second file cannot be written. So the first must not be there either.
        let below_file = (taken.join("flake.nix"), "ours".to_owned());
        assert!(write_all(&[files[0].clone(), below_file]).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
