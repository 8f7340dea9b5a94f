//! `vgpu-profiles`: what Nix runs to make a vgpuConfig.xml with some GPUs and profiles changed.
//!
//! People use `vgpu profiles`, which can do more. This program has only what a derivation needs. So a change in anything
//! else does not build the file again.

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use miette::{Result, WrapErr};
use vgpu_base::terminal::{exit_code, note, print};
use vgpu_profiles::file;

const HELP: &str = "\
Writes a vgpuConfig.xml with some GPUs and profiles changed. Nix runs this; to do more, use `vgpu profiles`.

Usage: vgpu-profiles --changes CHANGES.json --config FILE --out FILE";

/// What the command line asks for.
struct Args {
    changes: PathBuf,
    config: PathBuf,
    out: PathBuf,
}

fn main() -> ExitCode {
    match parse() {
        Ok(Some(args)) => exit_code(apply(&args)),
        Ok(None) => exit_code(print(HELP)),
        Err(error) => {
            eprintln!("error: {error}\nhelp: see vgpu-profiles --help");
            ExitCode::from(2)
        }
    }
}

/// Reads the command line. `None` when it asks for help.
fn parse() -> Result<Option<Args>, lexopt::Error> {
    let mut arguments = lexopt::Parser::from_env();
    let (mut changes, mut config, mut out) = (None, None, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("changes") => changes = Some(arguments.value()?.into()),
            Long("config") => config = Some(arguments.value()?.into()),
            Long("out") => out = Some(arguments.value()?.into()),
            Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    match (changes, config, out) {
        (Some(changes), Some(config), Some(out)) => Ok(Some(Args { changes, config, out })),
        _ => Err("--changes, --config and --out are all needed".into()),
    }
}

fn apply(args: &Args) -> Result<()> {
    let doing = || format!("cannot apply {} to {}", args.changes.display(), args.config.display());
    let (_, applied) = vgpu_profiles::apply_file(&args.changes, &args.config).wrap_err_with(doing)?;
    applied.notes.iter().for_each(note);
    file::write(&args.out, &applied.text).wrap_err_with(doing)
}
