//! `vgpu patch`: runs vGPU-Unlock-patcher. The build of a patched driver calls it, and so does `nvidia-vup`.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use miette::{Result, WrapErr, miette};

use super::output;
use crate::driver::patched::{self, Job, PatchError};

/// Where patch.sh keeps the certificate it signs Windows drivers with.
const CERTIFICATE: &str = "wtestsign";

/// Runs patch.sh of vGPU-Unlock-patcher on NVIDIA's files and checks what it leaves.
///
/// It works in a directory of its own below the current one and removes that at the end.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu patch --patcher ./vGPU-Unlock-patcher --source GRID.zip -- vgpu-kvm
  vgpu patch --patcher ./vGPU-Unlock-patcher --source guest.run \\
    --out ./driver --expect 550.90.07 -- grid
  vgpu patch --patcher ./vGPU-Unlock-patcher -- \\
    vcfg vgpuConfig.xml 0x1E30 0x12BA 0x1E84 0x0000")]
pub struct Args {
    /// The patcher's source, git submodule included.
    #[arg(long, value_name = "DIR")]
    patcher: PathBuf,

    /// A GRID archive, .run file or Windows installer that patch.sh may need; also those in the current directory are found.
    #[arg(long = "source", value_name = "FILE")]
    sources: Vec<PathBuf>,

    /// Where the patched driver goes. Without it, results stay in the current directory under the script's names.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Fail unless the patched driver is this version.
    #[arg(long, value_name = "VERSION")]
    expect: Option<String>,

    /// Options and target of patch.sh.
    #[arg(last = true, value_name = "ARGUMENT")]
    script: Vec<OsString>,
}

pub fn run(args: Args) -> Result<()> {
    patch(&args).wrap_err("cannot patch the driver")
}

fn patch(args: &Args) -> Result<()> {
    if let Some(out) = args.out.as_ref().filter(|out| out.exists()) {
        return Err(miette!(help = "name a directory that does not exist", "{} exists already", out.display()));
    }
    let patcher = fs::canonicalize(&args.patcher).map_err(io_error("find the patcher", &args.patcher))?;
    let here = env::current_dir().map_err(io_error("find", Path::new(".")))?;
    let mut log = |line: &str| output::relay(line);
    let mut job = Job { patcher: &patcher, sources: &args.sources, args: &args.script, log: &mut log };
    if patched::needs_no_driver(&args.script) {
        return Ok(job.run_here()?);
    }
    let work = tempfile::Builder::new().prefix(".vgpu-patch-").tempdir_in(&here).map_err(io_error("work in", &here))?;
    if args.out.is_none() {
        lend(&here, work.path())?;
    }
    let tree = job.run(work.path())?;
    // The one result that is no unpacked Linux driver, and has no manifest.
    if !tree.to_string_lossy().contains("NVIDIA-Windows-") {
        patched::check(&tree, args.expect.as_deref())?;
    }
    match &args.out {
        Some(out) => keep(&tree, out),
        None => keep_all(work.path(), &here),
    }
}

/// Links what an ordinary run of patch.sh in `here` would find there: drivers under the names it knows, and the
/// certificate that Windows drivers are signed with, made in an earlier run (`--create-cert`).
fn lend(here: &Path, work: &Path) -> Result<()> {
    let drivers = [".run", ".exe"].iter().flat_map(|end| patched::names(here, end));
    for name in drivers.chain([CERTIFICATE.to_owned()]).filter(|name| here.join(name).exists()) {
        symlink(here.join(&name), work.join(&name)).map_err(io_error("create", &work.join(&name)))?;
    }
    Ok(())
}

/// Moves everything that patch.sh made to be kept into the current directory, in place of results of earlier runs.
fn keep_all(work: &Path, here: &Path) -> Result<()> {
    let results = ["-patched", "-patched.run", CERTIFICATE].iter().flat_map(|end| patched::names(work, end));
    for name in results.filter(|name| !work.join(name).is_symlink()) {
        let old = here.join(&name);
        if old.is_dir() {
            fs::remove_dir_all(&old).map_err(io_error("replace", &old))?;
        }
        keep(&work.join(&name), &old)?;
    }
    Ok(())
}

/// Moves a result to where it belongs and prints that. `mv` also moves to another file system; patch.sh needs coreutils anyway.
fn keep(result: &Path, to: &Path) -> Result<()> {
    let moved =
        Command::new("mv").args(["-T", "--"]).args([result, to]).status().and_then(|status| match status.success() {
            true => Ok(()),
            false => Err(io::Error::other("mv failed")),
        });
    moved.map_err(io_error("write", to))?;
    output::print(to.display())
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PatchError {
    move |source| PatchError::Io { doing, path: path.to_owned(), source }
}
