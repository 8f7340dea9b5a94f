//! `vgpu-patcher`: runs vGPU-Unlock-patcher. The build of a patched driver calls it, and so does `nvidia-vup`.

mod check;
mod error;
mod job;
mod keep;
mod lend;
mod names;
mod script;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use lexopt::prelude::*;
use miette::{Result, WrapErr, miette};

use vgpu_base::terminal::{self, exit_code};

use error::io_error;
use job::Job;

const HELP: &str = "\
Runs patch.sh of vGPU-Unlock-patcher on NVIDIA's files and checks what it leaves.
It works in a directory of its own below the current one and removes that at the end.

Usage: vgpu-patcher --patcher DIR [--source FILE]... [--out DIR] [--expect VERSION]
                    [-- ARGUMENT...]

  --patcher DIR     the patcher's source, git submodule included
  --source FILE     a GRID archive, .run file or Windows installer that patch.sh may need;
                    those in the current directory are found without; one that
                    differs from a FILE of its name is an error
  --out DIR         where the patched driver goes; without it, results stay in the current
                    directory under the script's names
  --expect VERSION  fail unless the patched driver is this version
  ARGUMENT          options and target of patch.sh

Examples:
  vgpu-patcher --patcher ./vGPU-Unlock-patcher --source GRID.zip -- vgpu-kvm
  vgpu-patcher --patcher ./vGPU-Unlock-patcher --source guest.run \\
    --out ./driver --expect 550.90.07 -- grid
  vgpu-patcher --patcher ./vGPU-Unlock-patcher -- \\
    vcfg vgpuConfig.xml 0x1E30 0x12BA 0x1E84 0x0000";

/// What the command line asks for; [`HELP`] explains.
struct Args {
    patcher: PathBuf,
    sources: Vec<PathBuf>,
    out: Option<PathBuf>,
    expect: Option<String>,
    script: Vec<OsString>,
}

impl Args {
    /// Reads the command line. `None` when it asks for help.
    fn parse() -> Result<Option<Args>, lexopt::Error> {
        let mut arguments = lexopt::Parser::from_env();
        let (mut patcher, mut sources, mut out, mut expect, mut script) = (None, vec![], None, None, vec![]);
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("patcher") => patcher = Some(arguments.value()?.into()),
                Long("source") => sources.push(arguments.value()?.into()),
                Long("out") => out = Some(arguments.value()?.into()),
                Long("expect") => expect = Some(arguments.value()?.string()?),
                Long("help") => return Ok(None),
                // What comes after `--`.
                Value(value) => script.push(value),
                other => return Err(other.unexpected()),
            }
        }
        let patcher = patcher.ok_or("--patcher DIR is missing")?;
        Ok(Some(Args { patcher, sources, out, expect, script }))
    }
}

fn main() -> ExitCode {
    match Args::parse() {
        Ok(Some(args)) => exit_code(patch(&args).wrap_err("cannot patch the driver")),
        Ok(None) => exit_code(terminal::print(HELP)),
        Err(error) => {
            eprintln!("error: {error}\nhelp: see vgpu-patcher --help");
            ExitCode::from(2)
        }
    }
}

fn patch(args: &Args) -> Result<()> {
    if let Some(out) = args.out.as_ref().filter(|out| out.exists()) {
        return Err(miette!(help = "name a directory that does not exist", "{} exists already", out.display()));
    }
    let patcher = fs::canonicalize(&args.patcher).map_err(io_error("find the patcher", &args.patcher))?;
    let here = env::current_dir().map_err(io_error("find", Path::new(".")))?;
    let mut log = |line: &str| terminal::relay(line);
    let lends = args.out.is_none().then_some(here.as_path());
    let mut job = Job { patcher: &patcher, sources: &args.sources, here: lends, args: &args.script, log: &mut log };
    if job::needs_no_driver(&args.script) {
        return Ok(job.run_here()?);
    }
    let work = tempfile::Builder::new().prefix(".vgpu-patch-").tempdir_in(&here).map_err(io_error("work in", &here))?;
    let tree = job.run(work.path())?;
    // The one result that is no unpacked Linux driver, and has no manifest.
    if !tree.to_string_lossy().contains("NVIDIA-Windows-") {
        check::check(&tree, args.expect.as_deref())?;
    }
    match &args.out {
        Some(out) => keep::keep(&tree, out),
        None => keep::keep_all(work.path(), &here),
    }
}
