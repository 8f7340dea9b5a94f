//! `vgpu demo`: the whole way on a sample archive that it makes itself.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use miette::{IntoDiagnostic, Result, WrapErr, miette};

use super::{build, identify, output};
use vgpu_driver::Role;
use vgpu_sample as sample;

/// Show the whole way on a sample archive
///
/// Makes a small GRID archive in NVIDIA's format, identifies it, builds the host and the guest driver from it, and runs
/// a program of each. Needs no network, no GPU, no root and no Nix.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu demo
  vgpu demo --out /tmp/vgpu-demo")]
pub struct Args {
    /// Where to leave archive and drivers; must not exist yet
    #[arg(long, value_name = "DIR", default_value = "vgpu-demo")]
    out: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let out = std::path::absolute(&args.out).into_diagnostic()?;
    fs::create_dir(&out)
        .map_err(|error| {
            let help = match error.kind() {
                ErrorKind::AlreadyExists => "remove it, or choose another place with --out",
                ErrorKind::NotFound => "create the directory it is to lie in first",
                _ => "choose a place you may write to with --out",
            };
            miette!(help = help, "{error}")
        })
        .wrap_err_with(|| format!("cannot create {}", out.display()))?;
    output::remove_when_interrupted(&out);
    let shown = show(&out);
    if shown.is_err() {
        let _ = fs::remove_dir_all(&out);
    }
    shown
}

fn show(out: &Path) -> Result<()> {
    output::print("1. A sample GRID archive, as NVIDIA's licensing portal offers them")?;
    let (name, content) = sample::grid_archive().into_diagnostic().wrap_err("cannot make the sample archive")?;
    let archive = out.join(name);
    fs::write(&archive, content).into_diagnostic().wrap_err_with(|| format!("cannot write {}", archive.display()))?;
    output::print(format!("   {}\n", archive.display()))?;

    output::print("2. What it is: vgpu identify\n")?;
    identify::run(identify::Args { file: archive.clone(), json: false })?;
    output::print("\n   (The catalog has NVIDIA's hash, so a sample can't match.)\n")?;

    for (number, role, program) in [(3, Role::Host, "nvidia-vgpud"), (4, Role::Guest, "nvidia-smi")] {
        let driver = out.join(role.to_string());
        output::print(format!("{number}. The {role} driver: vgpu build --role {role}\n"))?;
        build::run(build::Args::new(archive.clone(), role, driver.clone()))?;
        output::print(run_program(&driver.join("bin/bin").join(program)))?;
    }
    output::print(format!(
        "Done. Everything lies in {}\nNext: vgpu build YOUR-ARCHIVE.zip --role host --out driver",
        out.display()
    ))
}

/// Runs a program of the driver: the dynamic loader proves that it finds its libraries.
fn run_program(program: &Path) -> String {
    let said = match Command::new(program).output() {
        Ok(result) if result.status.success() => String::from_utf8_lossy(&result.stdout).replace('\0', ""),
        Ok(result) => format!("ended with {}: {}", result.status, String::from_utf8_lossy(&result.stderr)),
        Err(error) => format!("cannot run here: {error}"),
    };
    format!("\n   $ {}\n   {}\n", program.display(), said.trim())
}
