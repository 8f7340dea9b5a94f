//! `vgpu identify`: what an archive is, whatever it is called.

use std::path::PathBuf;

use miette::{Result, WrapErr};

use super::output;
use crate::identity::{ArchiveKind, CatalogState, Driver, Identity, identify};

/// Tell what an archive is
///
/// Which release it belongs to, the drivers inside with their versions, its SHA-256, and whether that is the one in the
/// catalog. The name of the file doesn't matter.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu identify NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip
  vgpu identify NVIDIA-Linux-x86_64-550.163.01-grid.run --json")]
pub struct Args {
    /// GRID .zip or .run file
    pub file: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let bar = output::progress(args.file.metadata().map_or(0, |meta| meta.len()));
    let identity = identify(&args.file, &|bytes| bar.inc(bytes))
        .map_err(miette::Report::from)
        .wrap_err_with(|| format!("cannot identify {}", args.file.display()))?;
    bar.finish_and_clear();
    if args.json { output::json(&identity) } else { output::print(describe(&identity)) }
}

/// The same in lines.
pub fn describe(identity: &Identity) -> String {
    let mut lines = vec![identity.file.clone()];
    let mut line = |what: &str, value: String| lines.push(format!("  {what:<9} {value}"));
    let driver = |driver: &Driver| format!("{:<12}{}", driver.version.to_string(), driver.file);
    line(
        "kind",
        match identity.kind {
            ArchiveKind::GridArchive => "GRID archive".into(),
            ArchiveKind::Run => ".run file".into(),
        },
    );
    line("release", identity.release.as_ref().map_or("not in the catalog".into(), |release| release.to_string()));
    if let Some(host) = &identity.host {
        line("host", driver(host));
    }
    if let Some(guest) = &identity.guest {
        line("guest", driver(guest));
    }
    if let Some(windows) = &identity.windows {
        line("windows", windows.to_string());
    }
    line("size", format!("{} ({} bytes)", indicatif::DecimalBytes(identity.size), identity.size));
    line("sha256", identity.sha256.to_string());
    line(
        "catalog",
        match identity.catalog {
            CatalogState::Match => "match: this is the file NVIDIA published",
            CatalogState::Mismatch => "MISMATCH: the catalog has another hash for these drivers",
            CatalogState::Unpinned => "unpinned: the catalog has no hash to compare with",
            CatalogState::Unknown => "unknown: the catalog doesn't have these drivers",
        }
        .into(),
    );
    lines.join("\n")
}
