//! `vgpu-builder`: what Nix runs to build a driver.
//!
//! Nix describes the work in the file that NIX_ATTRS_JSON_FILE names (a derivation with `__structuredAttrs = true`).
//! To build a driver without Nix, use `vgpu build`.

use std::process::ExitCode;

use lexopt::prelude::*;
use vgpu_base::terminal::{exit_code, print};
use vgpu_driver::builder::{Work, run};

const HELP: &str = "\
Builds a driver as Nix asks for it. Nix runs this; to build a driver yourself, use `vgpu build`.

Usage: vgpu-builder [--source DIR | --unpack DIR]

  --source DIR  install from this unpacked driver instead of the derivation's `src`
  --unpack DIR  install nothing; unpack the derivation's `src` into this directory";

fn main() -> ExitCode {
    match work() {
        Ok(Some(work)) => exit_code(run(work)),
        Ok(None) => exit_code(print(HELP)),
        Err(error) => {
            eprintln!("error: {error}\nhelp: see vgpu-builder --help");
            ExitCode::from(2)
        }
    }
}

/// What the arguments ask for; nothing when they ask for help.
fn work() -> Result<Option<Work>, lexopt::Error> {
    let mut arguments = lexopt::Parser::from_env();
    let mut work = Work::Install;
    while let Some(argument) = arguments.next()? {
        match (argument, &work) {
            (Long("source"), Work::Install) => work = Work::InstallFrom(arguments.value()?.into()),
            (Long("unpack"), Work::Install) => work = Work::Unpack(arguments.value()?.into()),
            (Long("help"), _) => return Ok(None),
            (other, _) => return Err(other.unexpected()),
        }
    }
    Ok(Some(work))
}
