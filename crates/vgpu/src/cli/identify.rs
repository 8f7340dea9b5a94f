//! `vgpu identify`: tells what an archive is, under any name, and makes an entry for the catalog of it.

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use miette::{Diagnostic, Result, WrapErr};
use serde::Serialize;
use vgpu_base::shown;

use super::output;
use crate::catalog::{HashSource, ReleaseNumber};
use crate::identity::{ArchiveKind, CatalogState, Driver, Identity, identify};
use crate::import::{advice_on_mismatch, catalog_entry};
use crate::nix::sri::Sri;
use crate::verify::{self, verify_all};

/// Tell what an archive is
///
/// Shows its release, the drivers inside with their versions, its SHA-256, and whether the catalog has this hash. The name
/// of the file does not matter. If the catalog has another hash or none, the check sums inside the file are compared: they
/// show an incomplete download.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu identify NVIDIA-GRID-Linux-KVM-580.178.05-580.178.04-582.78.zip
  vgpu identify NVIDIA-Linux-x86_64-580.178.04-grid.run --json
  vgpu identify --check download.zip && vgpu import download.zip
  vgpu identify --catalog-entry --release 19.7 download.zip")]
pub struct Args {
    /// GRID .zip or .run file
    pub file: PathBuf,

    /// Don't check the sums inside the file
    #[arg(long, conflicts_with = "catalog_entry")]
    pub quick: bool,

    /// Fail (exit code 1) if the catalog has another hash for these drivers
    #[arg(long, conflicts_with = "catalog_entry")]
    pub check: bool,

    /// Print an entry for catalog/releases.toml instead, for a GRID archive that you got from NVIDIA
    #[arg(long, conflicts_with = "json")]
    pub catalog_entry: bool,

    /// The release of the entry, if the catalog doesn't have it yet
    #[arg(long, requires = "catalog_entry")]
    pub release: Option<ReleaseNumber>,

    /// Print one JSON document
    #[arg(long)]
    pub json: bool,

    /// A catalog to compare with instead of the one built in; for tests
    #[arg(long, value_name = "FILE", hide = true)]
    pub catalog: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error, Diagnostic)]
enum Error {
    #[error("{file} is not the file that the catalog has")]
    #[diagnostic(help("{advice}"))]
    Mismatch { file: String, advice: String },
    #[error("the catalog does not know its release")]
    #[diagnostic(help("give it with --release, as NVIDIA's portal names it"))]
    NoRelease,
    #[error("an entry needs the drivers of a host, a Linux guest and a Windows guest")]
    #[diagnostic(help("give the whole GRID archive, NVIDIA-GRID-Linux-KVM-….zip"))]
    NotWhole,
}

/// What the check sums inside a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sums {
    Right,
    /// Nothing was checked: the hash is that of the catalog, which is enough.
    NotNeeded,
    Unchecked,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    identity: &'a Identity,
    /// Whether nothing is missing or damaged. Null if that was not checked. A damaged file is an error.
    whole: Option<bool>,
}

pub fn run(args: Args) -> Result<()> {
    let doing = || format!("cannot identify {}", args.file.display());
    let catalog = super::catalog(args.catalog.as_deref())?;
    let size = args.file.metadata().map_or(0, |meta| meta.len());
    let looked = output::with_progress("hashing", size, |progress| identify(&args.file, &catalog, progress));
    let identity = looked.map_err(miette::Report::from).wrap_err_with(doing)?;
    let checked = |identity: &Identity| -> Result<Option<Sri>> {
        let size = verify::size(&args.file, identity);
        let all = output::with_progress("checking", size, |progress| verify_all(&args.file, identity, progress));
        all.map_err(miette::Report::from).wrap_err_with(doing)
    };
    if args.catalog_entry {
        let guest_sha256 = checked(&identity)?;
        return entry(&args, &identity, guest_sha256).wrap_err_with(doing);
    }
    let sums = if identity.catalog == CatalogState::Match {
        Sums::NotNeeded
    } else if args.quick {
        Sums::Unchecked
    } else {
        checked(&identity)?;
        Sums::Right
    };
    if args.json {
        output::json(&Report { identity: &identity, whole: (sums != Sums::Unchecked).then_some(true) })?;
    } else {
        output::print(describe(&identity, sums))?;
    }
    if identity.catalog == CatalogState::Mismatch {
        let advice = match sums {
            Sums::Unchecked => "without --quick this would tell a damaged file from a whole one".to_owned(),
            _ => advice_on_mismatch(&identity, identity.release.and_then(|release| catalog.find(&release))),
        };
        if args.check {
            return Err(Error::Mismatch { file: identity.file, advice }.into());
        }
        output::note(advice);
    }
    Ok(())
}

/// Prints an entry for the catalog.
fn entry(args: &Args, identity: &Identity, guest_sha256: Option<Sri>) -> Result<()> {
    let release = args.release.or(identity.release).ok_or(Error::NoRelease)?;
    let entry = guest_sha256.and_then(|guest| catalog_entry(identity, release, guest)).ok_or(Error::NotWhole)?;
    output::note("only for a file that NVIDIA gave you: the files of all others are judged by this entry");
    output::print(entry.trim_end())
}

const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default();

/// What an archive is, in lines.
pub fn describe(identity: &Identity, sums: Sums) -> String {
    let mut lines = vec![shown::name(&identity.file)];
    let mut line = |what: &str, value: String| lines.push(format!("  {what:<9} {value}"));
    let driver = |driver: &Driver| format!("{:<12}{}", driver.version.to_string(), shown::name(&driver.file));
    line(
        "kind",
        match identity.kind {
            ArchiveKind::GridArchive => "GRID archive".into(),
            ArchiveKind::Run => identity.cloud.map_or(".run file".into(), |cloud| {
                format!(".run file of {}, for its own virtual machines", cloud.name())
            }),
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
    match sums {
        Sums::Right => line("whole", "yes: its own check sums are right".to_owned()),
        Sums::NotNeeded => line("whole", "yes, by its hash".to_owned()),
        Sums::Unchecked => line("whole", "not checked".to_owned()),
    }
    let record = identity.voucher == Some(HashSource::OneRecord);
    line(
        "catalog",
        match identity.catalog {
            CatalogState::Match if record => {
                format!(
                    "{GREEN}match{GREEN:#} with one public record; nobody has confirmed yet that it is NVIDIA's file"
                )
            }
            CatalogState::Match => format!("{GREEN}match{GREEN:#}: this is the file NVIDIA published"),
            CatalogState::Mismatch if record => {
                format!("{RED}MISMATCH{RED:#}: one public record has another hash for these drivers")
            }
            CatalogState::Mismatch => format!("{RED}MISMATCH{RED:#}: the catalog has another hash for these drivers"),
            CatalogState::Unpinned if identity.cloud.is_some() => {
                "none: clouds build their own files, and the catalog has no hashes of these".into()
            }
            CatalogState::Unpinned => "unpinned: the catalog has no hash to compare with".into(),
            CatalogState::Unknown => "unknown: the catalog doesn't have these drivers".into(),
        },
    );
    lines.join("\n")
}
