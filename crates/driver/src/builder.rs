//! What Nix runs to build a driver: reads the attributes of the derivation and installs into its outputs.

use std::env;
use std::path::{Path, PathBuf};

use miette::{Report, Result, WrapErr, miette};
use vgpu_base::publish::Staged;
use vgpu_base::terminal::{count, note};

use crate::error::Error;
use crate::install;
use crate::memory;
use crate::protocol::Attributes;
use crate::source::Source;
use crate::unpack::unpack;
use crate::words::options::Options;
use crate::words::report::Report as Installed;
use crate::words::role::Role;

/// What to do with the derivation's `src`, which is a driver.
#[derive(Clone, Debug)]
pub enum Work {
    /// Install it.
    Install,
    /// Install this unpacked driver in its place.
    InstallFrom(PathBuf),
    /// Unpack it into this directory, and install nothing.
    Unpack(PathBuf),
}

/// Reads the derivation's attributes and installs the driver into its outputs.
///
/// # Errors
/// When the attributes cannot be used, or the driver cannot be read or written.
pub fn run(work: Work) -> Result<()> {
    memory::enough()?;
    let attributes = Attributes::read(&attributes_file()?)?;
    let (path, dir) = match work {
        Work::Install => (attributes.src.clone(), None),
        Work::InstallFrom(source) => (source, None),
        Work::Unpack(dir) => (attributes.src.clone(), Some(dir)),
    };
    let options = attributes.options();
    if let Some(dir) = dir {
        return unpack_into(&dir, &path, options.role)
            .wrap_err_with(|| format!("cannot unpack the {} driver from {}", options.role, path.display()));
    }
    let report = build(&path, &options)
        .map_err(Report::from)
        .wrap_err_with(|| format!("cannot build the {} driver from {}", options.role, path.display()))?;
    let files = count(report.files, "file");
    note(format!("{} driver {}: {files}", report.role, report.version));
    for kind in &report.unknown {
        note(format!("files of type {kind} are new to this program and were left out"));
    }
    Ok(())
}

/// Unpacks beside `dir`. If all is well, what is there gets that name; if not, it is removed.
fn unpack_into(dir: &Path, path: &Path, role: Role) -> Result<()> {
    let source = Source::open(path, role)?;
    let staged = Staged::directory(dir)?;
    unpack(&source, staged.path())?;
    Ok(staged.publish()?)
}

/// Writes straight to the outputs. Nix drops them if this fails.
fn build(path: &Path, options: &Options) -> Result<Installed, Error> {
    let source = Source::open(path, options.role)?;
    install::install(&source, options, &|_| {})
}

/// Where Nix put the attributes. Nix before 2.5 sets no variable: the file is in a fixed place.
fn attributes_file() -> Result<PathBuf> {
    let named = env::var_os("NIX_ATTRS_JSON_FILE").map(PathBuf::from);
    let placed = || env::var_os("NIX_BUILD_TOP").map(|top| Path::new(&top).join(".attrs.json"));
    named.or_else(placed).ok_or_else(|| {
        miette!(
            help = "Nix runs this program; to build a driver yourself, use `vgpu build`",
            "NIX_ATTRS_JSON_FILE is not set"
        )
    })
}
