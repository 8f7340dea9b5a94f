//! `vgpu import`: from a file NVIDIA gave you to a configuration that uses it.

use std::path::{Path, PathBuf};

use miette::{Diagnostic, IntoDiagnostic, Result, WrapErr};
use serde::Serialize;

use super::output;
use crate::catalog::{self, Catalog, DriverVersion, Release, ReleaseNumber};
use crate::identity::{self, ArchiveKind, CatalogState, Identity, hash_of, identify};
use crate::nix::configuration::{self, Known, Source};
use crate::nix::sri::Sri;
use crate::nix::store;
use crate::verify::verify;
use vgpu_driver::Role;
use vgpu_driver::archive;

/// Check a driver file, add it to the Nix store and print the configuration that uses it.
///
/// The file is a GRID archive (.zip) or a driver (.run), whatever it is called. It is compared with the catalog and added
/// under the name that the packages expect. The configuration goes to standard output: a NixOS module, complete for
/// releases of the catalog; for others, what could not be known is marked in it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  vgpu import ~/Downloads/NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip
  vgpu import download.zip > vgpu-driver.nix
  vgpu import NVIDIA-Linux-x86_64-580.65.06-grid.run --release 19.0
  vgpu import download.zip --json | jq -r .store_path")]
pub struct Args {
    /// A GRID archive or .run file
    file: PathBuf,

    /// What to configure [default: guest for a guest's .run file, else host]
    #[arg(long, value_parser = super::role())]
    role: Option<Role>,

    /// The release it belongs to, where the file does not tell
    #[arg(long)]
    release: Option<ReleaseNumber>,

    /// Print JSON, with the configuration in it
    #[arg(long)]
    json: bool,

    /// A catalog to compare with instead of the one built in; for tests
    #[arg(long, value_name = "FILE", hide = true)]
    catalog: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error, Diagnostic)]
enum Error {
    #[error(
        "it is not the file that NVIDIA published as vGPU {release}: its hash is {found}, the catalog says {expected}"
    )]
    #[diagnostic(help(
        "the file is whole, so the download was not cut short: it was packed again by a mirror, or somebody changed it. \
         Get it from NVIDIA's licensing portal. If you trust it, take the .run file out of it and import that"
    ))]
    Mismatch { release: ReleaseNumber, expected: Sri, found: Sri },

    #[error("it is not {name} of vGPU {release}: its hash is {found}, the catalog says {expected}")]
    #[diagnostic(help("{}", advice(problem)))]
    Damaged {
        name: String,
        release: ReleaseNumber,
        expected: Sri,
        found: Sri,
        #[source]
        problem: Box<archive::Error>,
    },

    #[error("it has no {role} driver, only {found}")]
    #[diagnostic(help("leave --role out, or get the GRID archive, which has the drivers for both"))]
    NoDriver { role: Role, found: String },

    #[error("its {role} driver is {found}, and vGPU {release} has {expected}")]
    #[diagnostic(help(
        "`vgpu releases` lists which driver belongs to which release; without --release the file decides"
    ))]
    OtherRelease { role: Role, release: ReleaseNumber, found: DriverVersion, expected: DriverVersion },
}

/// The advice of an error that is a cause.
fn advice(problem: &archive::Error) -> String {
    problem.help().map_or(String::new(), |help| help.to_string())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    identity: &'a Identity,
    role: Role,
    /// Name in the store.
    name: &'a str,
    store_path: &'a Path,
    /// False if it was there already.
    added: bool,
    /// A NixOS module that uses it.
    configuration: &'a str,
}

pub fn run(args: Args) -> Result<()> {
    import(&args).wrap_err_with(|| format!("cannot import {}", args.file.display()))
}

fn import(args: &Args) -> Result<()> {
    let read;
    let catalog = match &args.catalog {
        Some(path) => {
            let text = std::fs::read_to_string(path).into_diagnostic();
            read = text.and_then(|text| Ok(Catalog::parse(&text)?)).wrap_err("cannot read the catalog")?;
            &read
        }
        None => Catalog::builtin(),
    };
    let mut identity = look(&args.file, catalog)?;
    let role = role(args.role, &identity)?;
    let known = known(args.release, &identity, catalog)?;
    let guest_sha256 = check(&args.file, known, &identity)?;
    (identity.release, identity.catalog) = match known {
        Known::Pinned(release) => (Some(release.release), CatalogState::Match),
        Known::Unpinned(release) => (Some(release.release), CatalogState::Unpinned),
        Known::Unknown(number) => (number, CatalogState::Unknown),
    };
    let source = source(role, &identity, known, guest_sha256);
    let path = store::fixed_path(&source.name, source.sha256)?;
    let added = !store::is_valid(&path)?;
    if added {
        add(&args.file, &source.name, &path)?;
    }
    let configuration = configuration::render(&source, known);
    if args.json {
        let name = &source.name;
        let report =
            Report { identity: &identity, role, name, store_path: &path, added, configuration: &configuration };
        return output::json(&report);
    }
    output::note(if added {
        format!("added {}", path.display())
    } else {
        format!("{} was there already", path.display())
    });
    explain(known);
    if let Some((name, release, _)) = expected_by_name(&args.file, catalog)
        && known.number() != Some(release)
    {
        output::note(format!("the file is called {name}, which is vGPU {release}, but holds other drivers"));
    }
    output::print(configuration.trim_end())
}

/// Identifies the file. One that can't be read is compared by its name, too: that tells a broken download of a release
/// from something that never was one.
fn look(file: &Path, catalog: &Catalog) -> Result<Identity> {
    let bar = output::progress(file.metadata().map_or(0, |meta| meta.len()));
    let looked = identify(file, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    looked.map_err(|problem| {
        let found = hash_of(file).ok();
        match (found, expected_by_name(file, catalog)) {
            (Some(found), Some((name, release, expected))) => {
                Error::Damaged { name, release, expected, found, problem: Box::new(problem) }.into()
            }
            _ => problem.into(),
        }
    })
}

/// The file of the catalog whose name this file has, perhaps with something around it (`… (1).zip`), and its hash.
fn expected_by_name(file: &Path, catalog: &Catalog) -> Option<(String, ReleaseNumber, Sri)> {
    let name = file.file_name()?.to_str()?;
    let files = catalog.releases().iter().flat_map(|release| {
        let zip = release.zip_sha256.map(|hash| (release.zip_name(), release.release, hash));
        let guest =
            release.guest_sha256.map(|hash| (catalog::run_name(&release.guest, Role::Guest), release.release, hash));
        zip.into_iter().chain(guest)
    });
    files.into_iter().find(|(known, ..)| {
        let stem = Path::new(known).file_stem().and_then(|stem| stem.to_str());
        stem.is_some_and(|stem| name.contains(stem))
    })
}

/// What to configure: what was asked for, if the file can serve it, or what the file is for.
fn role(asked: Option<Role>, identity: &Identity) -> Result<Role, Error> {
    let role = asked.unwrap_or(if identity.host.is_some() { Role::Host } else { Role::Guest });
    if driver(identity, role).is_some() {
        return Ok(role);
    }
    let other = if role == Role::Host { Role::Guest } else { Role::Host };
    let found = driver(identity, other)
        .map_or("none that we know".to_owned(), |driver| format!("the {other}'s {}", driver.version));
    Err(Error::NoDriver { role, found })
}

/// What the catalog has of the file: of the release that was named, or of the one the file was identified as.
fn known<'c>(asked: Option<ReleaseNumber>, identity: &Identity, catalog: &'c Catalog) -> Result<Known<'c>, Error> {
    let Some(number) = asked.or(identity.release) else { return Ok(Known::Unknown(None)) };
    let Some(release) = catalog.find(&number) else { return Ok(Known::Unknown(Some(number))) };
    for role in [Role::Host, Role::Guest] {
        let expected = release.version(role);
        if let Some(driver) = driver(identity, role).filter(|driver| driver.version != *expected) {
            let (found, expected) = (driver.version.clone(), expected.clone());
            return Err(Error::OtherRelease { role, release: number, found, expected });
        }
    }
    Ok(if pinned_hash(release, identity).is_some() { Known::Pinned(release) } else { Known::Unpinned(release) })
}

/// The catalog's hash of such a file. It has none of the hosts' .run files.
fn pinned_hash(release: &Release, identity: &Identity) -> Option<Sri> {
    match identity.kind {
        ArchiveKind::GridArchive => release.zip_sha256,
        ArchiveKind::Run => identity.guest.as_ref().and(release.guest_sha256),
    }
}

/// Makes sure that the file is the catalog's, or whole where the catalog has no hash of it. Returns the hash of the guest's
/// .run file as far as it is known.
fn check(file: &Path, known: Known, identity: &Identity) -> Result<Option<Sri>> {
    let pinned = match known {
        Known::Pinned(release) => pinned_hash(release, identity).map(|hash| (release.release, hash)),
        Known::Unpinned(_) | Known::Unknown(_) => None,
    };
    if pinned.is_some_and(|(_, hash)| hash == identity.sha256) {
        return Ok((identity.kind == ArchiveKind::Run).then_some(identity.sha256));
    }
    let bar = output::progress(identity.size);
    let hashes = [Role::Host, Role::Guest].map(|role| {
        let there = identity.kind == ArchiveKind::GridArchive || driver(identity, role).is_some();
        if there { verify(file, role, &|bytes| bar.inc(bytes)) } else { Ok(None) }
    });
    bar.finish_and_clear();
    let [host, guest] = hashes;
    match (host.and(guest), pinned) {
        (Ok(guest), None) => Ok(guest),
        (Ok(_), Some((release, expected))) => Err(Error::Mismatch { release, expected, found: identity.sha256 }.into()),
        (Err(problem), Some((release, expected))) => {
            let name = store_name(identity, known);
            let found = identity.sha256;
            Err(Error::Damaged { name, release, expected, found, problem: Box::new(problem) }.into())
        }
        (Err(problem), None) => Err(problem.into()),
    }
}

fn source(role: Role, identity: &Identity, known: Known, guest_sha256: Option<Sri>) -> Source {
    let version = |role| driver(identity, role).map(|driver| driver.version.clone());
    Source {
        role,
        archive: identity.kind == ArchiveKind::GridArchive,
        name: store_name(identity, known),
        sha256: identity.sha256,
        host: version(Role::Host),
        guest: version(Role::Guest),
        guest_sha256,
    }
}

/// The name that packages expect the file to have.
fn store_name(identity: &Identity, known: Known) -> String {
    match (identity.kind, known, &identity.host, &identity.guest) {
        (ArchiveKind::GridArchive, Known::Pinned(release) | Known::Unpinned(release), ..) => release.zip_name(),
        (ArchiveKind::Run, _, Some(host), _) => catalog::run_name(&host.version, Role::Host),
        (ArchiveKind::Run, _, None, Some(guest)) => catalog::run_name(&guest.version, Role::Guest),
        (_, _, host, guest) => {
            let linux = [host, guest].into_iter().flatten().map(|driver| &driver.version);
            let mut versions: Vec<String> = linux.chain(&identity.windows).map(ToString::to_string).collect();
            versions.dedup();
            format!("NVIDIA-GRID-Linux-KVM-{}.zip", versions.join("-"))
        }
    }
}

fn driver(identity: &Identity, role: Role) -> Option<&identity::Driver> {
    match role {
        Role::Host => identity.host.as_ref(),
        Role::Guest => identity.guest.as_ref(),
    }
}

fn add(file: &Path, name: &str, path: &Path) -> Result<()> {
    let named = store::Named::new(file, name)?;
    if let Some(directory) = named.directory() {
        output::remove_when_interrupted(directory)
            .into_diagnostic()
            .wrap_err("cannot start a thread that waits for signals")?;
    }
    let spinner = output::spinner(format!("adding {name} to the Nix store"));
    let added = store::add(&named, path);
    spinner.finish_and_clear();
    Ok(added?)
}

/// Says what the configuration cannot.
fn explain(known: Known) {
    match known {
        Known::Pinned(_) => {}
        Known::Unpinned(release) => output::note(format!(
            "the catalog has vGPU {}, but no hash to compare this file with: it is whole, but is it NVIDIA's? \
             Use it only if you got it from NVIDIA",
            release.release
        )),
        Known::Unknown(number) => {
            output::note(
                "the catalog has no such drivers: the file is whole, but is it NVIDIA's? Use it only if you got it from NVIDIA",
            );
            if number.is_none() {
                output::note("put the release in place of gridVersion, or give it with --release");
            }
        }
    }
}
