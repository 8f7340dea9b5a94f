//! `vgpu demo`: all steps, on a sample archive that it makes itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use miette::{IntoDiagnostic, Result, WrapErr};

use super::{build, identify, output};
use crate::catalog::Catalog;
use crate::identity;
use vgpu_base::publish::{self, Staged};
use vgpu_driver::Role;
use vgpu_driver::memory;
use vgpu_sample as sample;

/// Show all steps on a sample archive
///
/// Makes a small GRID archive in NVIDIA's format, identifies it, builds the host and the guest driver from it, and runs
/// a program of each. Needs no network, no GPU, no root and no Nix.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu demo
  vgpu demo --out /tmp/vgpu-demo")]
pub struct Args {
    /// Directory for archive and drivers; must not exist yet
    #[arg(long, value_name = "DIR", default_value = "vgpu-demo")]
    out: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    memory::enough()?;
    let out = std::path::absolute(&args.out).unwrap_or_else(|_| args.out.clone());
    let staging = Staged::directory(&args.out).wrap_err_with(|| format!("cannot create {}", out.display()))?;
    make(&out, staging.path())?;
    staging.publish().wrap_err_with(|| format!("cannot create {}", out.display()))?;
    show(&out)
}

/// Makes archive and drivers in `staging`, which will be `out` in the end.
fn make(out: &Path, staging: &Path) -> Result<()> {
    output::print("1. A sample GRID archive, as NVIDIA's licensing portal offers them")?;
    let (name, content) = sample::grid_archive().into_diagnostic().wrap_err("cannot make the sample archive")?;
    let archive = staging.join(&name);
    fs::write(&archive, content).map_err(|source| publish::Error::write(&archive, source))?;
    output::print(format!("   {}\n", out.join(&name).display()))?;

    output::print("2. What it is: vgpu identify\n")?;
    let mut identity = identity::identify(&archive, Catalog::builtin(), &|_| {})?;
    identity.file = out.join(name).display().to_string(); // The name that it will have.
    output::print(identify::describe(&identity, identify::Sums::Unchecked))?;
    output::print("\n   (The catalog has NVIDIA's hash, so a sample can't match.)\n")?;

    for (number, role) in [(3, Role::Host), (4, Role::Guest)] {
        let name = role.to_string();
        output::print(format!("{number}. The {role} driver: vgpu build --role {role}\n"))?;
        let args = build::Args::new(archive.clone(), role, out.join(&name));
        let place = staging.join(&name);
        fs::create_dir(&place).map_err(|source| publish::Error::write(&place, source))?;
        output::print(build::summary(&build::install(&args, None, &out.join(&name), &place)?) + "\n")?;
    }
    Ok(())
}

/// Runs a program of each driver.
fn show(out: &Path) -> Result<()> {
    output::print("5. Programs of both drivers find their libraries:")?;
    for (role, program) in [(Role::Host, "nvidia-vgpud"), (Role::Guest, "nvidia-smi")] {
        output::print(run_program(&out.join(role.to_string()).join("bin/bin").join(program)))?;
    }
    output::print(format!(
        "Done. Everything lies in {}\nNext: vgpu build YOUR-ARCHIVE.zip --role host --out driver",
        out.display()
    ))
}

/// Runs a program of the driver. It starts only if the dynamic loader finds its libraries.
fn run_program(program: &Path) -> String {
    let said = match Command::new(program).output() {
        Ok(result) if result.status.success() => String::from_utf8_lossy(&result.stdout).replace('\0', ""),
        Ok(result) => format!("ended with {}: {}", result.status, String::from_utf8_lossy(&result.stderr)),
        Err(error) => format!("cannot run here: {error}"),
    };
    format!("\n   $ {}\n   {}\n", program.display(), said.trim())
}
