//! `vgpu builder`: builds a driver for Nix, in derivations that name `vgpu` as builder. Ours name `vgpu-builder`.

use std::path::PathBuf;

use miette::Result;
use vgpu_driver::builder::{self, Work};

/// Build a driver as Nix asks for it
///
/// Nix runs this as the builder of a driver derivation and describes the work in the file that NIX_ATTRS_JSON_FILE
/// names. To build a driver without Nix, use `vgpu build`.
#[derive(clap::Args)]
pub struct Args {
    /// Install from this unpacked driver instead of the derivation's `src`
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,

    /// Install nothing; unpack the derivation's `src` into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "source")]
    unpack: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<()> {
    builder::run(match (args.source, args.unpack) {
        (Some(source), _) => Work::InstallFrom(source),
        (None, Some(dir)) => Work::Unpack(dir),
        (None, None) => Work::Install,
    })
}
