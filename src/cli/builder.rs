//! `vgpu builder`: what Nix runs to build a driver.

use std::env;
use std::path::{Path, PathBuf};

use miette::{Report, Result, WrapErr, miette};

use super::output;
use crate::driver::Error;
use crate::driver::install::{self, Options};
use crate::driver::source::Source;
use crate::driver::unpack::unpack;
use crate::nix::builder::Attributes;

/// Build a driver as Nix asks for it
///
/// Nix runs this as the builder of a driver derivation and describes the work in the file that NIX_ATTRS_JSON_FILE
/// names. To build a driver without Nix, use `vgpu build`.
#[derive(clap::Args)]
#[command(
    after_help = "In a derivation with __structuredAttrs = true:\n  realBuilder = \"${vgpu}/bin/vgpu\";\n  args = [ \"builder\" ];"
)]
pub struct Args {
    /// Install from this unpacked driver instead of the derivation's `src`
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,

    /// Install nothing; unpack the derivation's `src` into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "source")]
    unpack: Option<PathBuf>,
}

/// Reads the derivation's attributes and installs the driver into its outputs.
pub fn run(args: Args) -> Result<()> {
    let attributes = Attributes::read(&attributes_file()?)?;
    let path = args.source.unwrap_or_else(|| attributes.src.clone());
    let options = attributes.options();
    if let Some(dir) = args.unpack {
        return Source::open(&path, options.role)
            .and_then(|source| unpack(&source, &dir))
            .map_err(Report::from)
            .wrap_err_with(|| format!("cannot unpack the {} driver from {}", options.role, path.display()));
    }
    let report = build(&path, &options)
        .map_err(Report::from)
        .wrap_err_with(|| format!("cannot build the {} driver from {}", options.role, path.display()))?;
    output::note(format!("{} driver {}: {} files", report.role, report.version, report.files));
    for kind in &report.unknown {
        output::note(format!("files of type {kind} are new to this program and were left out"));
    }
    Ok(())
}

/// Straight to the outputs: Nix drops them when this fails.
fn build(path: &Path, options: &Options) -> Result<install::Report, Error> {
    let source = Source::open(path, options.role)?;
    install::install(&source, options, &|_| {})
}

/// Where Nix put the attributes. Versions before 2.5 told it by the place alone.
fn attributes_file() -> Result<PathBuf> {
    let named = env::var_os("NIX_ATTRS_JSON_FILE").map(PathBuf::from);
    let placed = || env::var_os("NIX_BUILD_TOP").map(|top| Path::new(&top).join(".attrs.json"));
    named.or_else(placed).ok_or_else(|| {
        miette!(
            help = "Nix runs this command; to build a driver yourself, use `vgpu build`",
            "NIX_ATTRS_JSON_FILE is not set"
        )
    })
}
