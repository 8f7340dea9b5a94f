//! Decides what to configure for a file from NVIDIA: which driver it is, of which release, under which name it goes into
//! the store, and whether it is the file that the catalog has. Nothing is printed or stored here.

use std::path::Path;

use miette::Diagnostic;

use crate::catalog::{self, Catalog, DriverVersion, HashSource, Release, ReleaseNumber};
use crate::identity::{ArchiveKind, CatalogState, Cloud, Identity, hash_of, identify};
use crate::nix::configuration::{InCatalog, Source};
use crate::nix::sri::Sri;
use crate::verify::verify_all;
use vgpu_driver::Role;
use vgpu_driver::archive::{self, Progress};

/// Why a file is refused.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    #[error(
        "it is not the file that NVIDIA published as vGPU {release}: its hash is {found}, the catalog says {expected}"
    )]
    #[diagnostic(help("{advice}"))]
    Mismatch { release: ReleaseNumber, expected: Sri, found: Sri, advice: String },

    #[error("it is not {name} of vGPU {release}: its hash is {found}, the catalog says {expected}")]
    #[diagnostic(help("{}", help_of(problem)))]
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

    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(#[from] archive::Error),
}

/// The advice of the error that is the cause.
fn help_of(problem: &archive::Error) -> String {
    problem.help().map_or(String::new(), |help| help.to_string())
}

/// What the user asked for besides the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub role: Option<Role>,
    /// The release of the file, if the file does not tell.
    pub release: Option<ReleaseNumber>,
}

/// A file that was accepted.
#[derive(Debug)]
pub struct Accepted<'c> {
    /// Its name in the store, and all that the configuration needs.
    pub source: Source,
    pub known: InCatalog<'c>,
    /// What the user should know about the hash.
    pub doubt: Option<Doubt>,
}

/// Why the file may not be NVIDIA's, though it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// One public record has its hash, and nobody has confirmed that record.
    OneRecord(ReleaseNumber),
    /// One public record has another hash.
    OtherThanRecord(ReleaseNumber),
    /// The catalog has the release, but no hash of such a file.
    NoHash(ReleaseNumber),
    /// It is a cloud's own build. The catalog has no hashes of these.
    Cloud(Cloud),
    /// The catalog has no such drivers.
    UnknownDrivers,
}

/// Identifies a file. If it can't be read, its name is compared with the catalog: so a broken download of a release gets
/// another error than a file that never was one.
pub fn identity_of(file: &Path, catalog: &Catalog, progress: Progress) -> Result<Identity, Error> {
    identify(file, catalog, progress).map_err(|problem| {
        let expected = expected_by_name(file, catalog);
        match expected.and_then(|expected| Some((expected, hash_of(file).ok()?))) {
            Some(((name, release, expected), found)) => {
                Error::Damaged { name, release, expected, found, problem: Box::new(problem) }
            }
            None => problem.into(),
        }
    })
}

/// Decides whether to accept the file, and as what. `identity` is from [`identity_of`]. Its release becomes the one
/// that the user asked for. The file is read once more, unless its hash is enough.
pub fn accept<'c>(
    file: &Path,
    identity: &mut Identity,
    wanted: Wanted,
    catalog: &'c Catalog,
    progress: Progress,
) -> Result<Accepted<'c>, Error> {
    let role = role(wanted.role, identity)?;
    let release = release(wanted.release, identity, catalog)?;
    let expected = release.and_then(|release| release.hash(identity.file_hash()?));
    let same = expected.is_some_and(|(hash, _)| hash == identity.sha256);
    let guest_sha256 = if same {
        (identity.kind == ArchiveKind::Run).then_some(identity.sha256)
    } else {
        check(file, identity, release.zip(expected), progress)?
    };
    let number = release.map(|release| release.release).or(wanted.release);
    let known = match release {
        Some(release) if same => InCatalog::Pinned(release),
        Some(release) => InCatalog::Unpinned(release),
        None => InCatalog::Unknown(number),
    };
    let doubt = match (release.map(|release| release.release), expected) {
        (Some(_), Some((_, HashSource::Confirmed))) => None,
        (Some(number), Some((_, HashSource::OneRecord))) if same => Some(Doubt::OneRecord(number)),
        (Some(number), Some((_, HashSource::OneRecord))) => Some(Doubt::OtherThanRecord(number)),
        (_, None) if identity.cloud.is_some() => identity.cloud.map(Doubt::Cloud),
        (Some(number), None) => Some(Doubt::NoHash(number)),
        (None, _) => Some(Doubt::UnknownDrivers),
    };
    identity.release = number;
    identity.voucher = expected.map(|(_, voucher)| voucher);
    identity.catalog = match (release, expected) {
        (Some(_), Some(_)) if same => CatalogState::Match,
        (Some(_), Some(_)) => CatalogState::Mismatch,
        (Some(_), None) => CatalogState::Unpinned,
        (None, _) => CatalogState::Unknown,
    };
    Ok(Accepted { source: source(role, identity, known, guest_sha256), known, doubt })
}

/// What to do with a whole file that has another hash than the catalog.
pub fn advice_on_mismatch(identity: &Identity, release: Option<&Release>) -> String {
    let whole = "the file is whole, so the download was not cut short";
    match (identity.voucher, identity.kind) {
        (Some(HashSource::OneRecord), _) => format!(
            "{whole}. The catalog's hash comes from one public record alone, and may be wrong itself: if NVIDIA gave you \
             this file, use it; `vgpu import` prints the configuration. Then please tell the maintainers both hashes"
        ),
        (_, ArchiveKind::GridArchive) => format!(
            "{whole}: it was packed again by a mirror, or somebody changed it. Get it from NVIDIA's licensing portal. If \
             you trust it, take the .run file out of it and import that"
        ),
        (_, ArchiveKind::Run) => {
            let url = release.map_or("the GRID archive".to_owned(), Release::guest_url);
            format!(
                "{whole}: somebody changed it. Get it from {url}. If you trust this one, add it to the Nix store \
                 (`nix-store --add-fixed sha256 FILE`), and set hardware.nvidia.vgpu.driverSource.name to its name and \
                 .sha256 to its hash"
            )
        }
    }
}

/// The file of the catalog whose name this file has, perhaps with something around it (`… (1).zip`), and its hash.
pub fn expected_by_name(file: &Path, catalog: &Catalog) -> Option<(String, ReleaseNumber, Sri)> {
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

/// What to configure: what the user asked for, if the file has it, or else what the file is for.
fn role(asked: Option<Role>, identity: &Identity) -> Result<Role, Error> {
    let role = asked.unwrap_or(if identity.host.is_some() { Role::Host } else { Role::Guest });
    if identity.driver(role).is_some() {
        return Ok(role);
    }
    let other = if role == Role::Host { Role::Guest } else { Role::Host };
    let found = identity
        .driver(other)
        .map_or("none that we know".to_owned(), |driver| format!("the {other}'s {}", driver.version));
    Err(Error::NoDriver { role, found })
}

/// The release of the file in the catalog: the one that was named, or the one the file was identified as.
fn release<'c>(
    asked: Option<ReleaseNumber>,
    identity: &Identity,
    catalog: &'c Catalog,
) -> Result<Option<&'c Release>, Error> {
    let Some(release) = asked.or(identity.release).and_then(|number| catalog.find(&number)) else { return Ok(None) };
    for role in [Role::Host, Role::Guest] {
        let expected = release.version(role);
        if let Some(driver) = identity.driver(role).filter(|driver| driver.version != *expected) {
            let (found, expected) = (driver.version.clone(), expected.clone());
            return Err(Error::OtherRelease { role, release: release.release, found, expected });
        }
    }
    Ok(Some(release))
}

/// Makes sure that a file with another hash than the catalog is whole. If the catalog's hash is confirmed, the file is
/// refused. Returns the hash of the guest's .run file, if there is one.
fn check(
    file: &Path,
    identity: &Identity,
    expected: Option<(&Release, (Sri, HashSource))>,
    progress: Progress,
) -> Result<Option<Sri>, Error> {
    let found = identity.sha256;
    match (verify_all(file, identity, progress), expected) {
        (Ok(_), Some((release, (expected, HashSource::Confirmed)))) => {
            let advice = advice_on_mismatch(identity, Some(release));
            Err(Error::Mismatch { release: release.release, expected, found, advice })
        }
        (Ok(guest), _) => Ok(guest),
        (Err(problem), Some((release, (expected, _)))) => {
            let name = store_name(identity, Some(release));
            Err(Error::Damaged { name, release: release.release, expected, found, problem: Box::new(problem) })
        }
        (Err(problem), None) => Err(problem.into()),
    }
}

fn source(role: Role, identity: &Identity, known: InCatalog, guest_sha256: Option<Sri>) -> Source {
    let version = |role| identity.driver(role).map(|driver| driver.version.clone());
    Source {
        role,
        archive: identity.kind == ArchiveKind::GridArchive,
        name: store_name(identity, known.release()),
        sha256: identity.sha256,
        host: version(Role::Host),
        guest: version(Role::Guest),
        guest_sha256,
    }
}

/// The name that packages expect the file to have.
fn store_name(identity: &Identity, release: Option<&Release>) -> String {
    match (identity.kind, release, &identity.host, &identity.guest) {
        (ArchiveKind::GridArchive, Some(release), ..) => release.zip_name(),
        (ArchiveKind::Run, _, Some(host), _) => catalog::run_name(&host.version, Role::Host),
        (ArchiveKind::Run, _, None, Some(guest)) => {
            let name = catalog::run_name(&guest.version, Role::Guest);
            identity.cloud.map_or(name.clone(), |cloud| name.replace(".run", &format!("{}.run", cloud.suffix())))
        }
        (_, _, host, guest) => {
            let linux = [host, guest].into_iter().flatten().map(|driver| &driver.version);
            let mut versions: Vec<String> = linux.chain(&identity.windows).map(ToString::to_string).collect();
            versions.dedup();
            format!("NVIDIA-GRID-Linux-KVM-{}.zip", versions.join("-"))
        }
    }
}

/// Makes an entry for catalog/releases.toml of an archive with whole drivers. `None` if the archive lacks the driver of a
/// host, a Linux guest or a Windows guest.
pub fn catalog_entry(identity: &Identity, release: ReleaseNumber, guest_sha256: Sri) -> Option<String> {
    let (host, guest) = (&identity.host.as_ref()?.version, &identity.guest.as_ref()?.version);
    let windows = identity.windows.as_ref()?;
    let zip = catalog::zip_name(host, guest, windows);
    let sha256 = identity.sha256;
    Some(format!(
        "[[release]]\nrelease = \"{release}\"\nhost = \"{host}\"\nguest = \"{guest}\"\nwindows = \"{windows}\"\n\
         zip = \"{zip}\"\nzip_sha256 = \"{sha256}\"\nguest_sha256 = \"{guest_sha256}\"\n\
         general = \"{guest}\" # or the closest tag of nvidia-settings; then settings_sha256 and persistenced_sha256\n"
    ))
}
