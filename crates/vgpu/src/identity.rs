//! What an archive is, whatever it is called: kind, drivers inside, hash, and whether the catalog has it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, DriverVersion, FileHash, HashSource, Release, ReleaseNumber};
use crate::nix::sri::Sri;
use vgpu_driver::archive::grid::{self, Grid};
use vgpu_driver::archive::kind::Kind;
use vgpu_driver::archive::makeself::{Header, LONGEST_SCRIPT};
use vgpu_driver::archive::{self, Error, Progress, read_up_to};
use vgpu_driver::{Role, source::role_of};

/// The kinds of archives that hold drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveKind {
    /// The .zip for one release.
    GridArchive,
    /// One driver.
    Run,
}

/// What the catalog says about a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CatalogState {
    /// It is the one in the catalog.
    Match,
    /// The catalog has another one for these drivers.
    Mismatch,
    /// The catalog has these drivers, but no hash to compare with.
    Unpinned,
    /// The catalog doesn't have these drivers.
    Unknown,
}

/// A driver inside, or the one that a .run file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Driver {
    pub version: DriverVersion,
    /// Name of the member, or of the .run file itself.
    pub file: String,
}

/// Who builds a guest driver for virtual machines of its own: it gets its licence from them. Its files are not those that
/// NVIDIA publishes, though the versions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    Aws,
    Azure,
    Gcp,
}

impl Cloud {
    /// What names of such drivers end in: `NVIDIA-Linux-x86_64-550.90.07-grid-azure.run`.
    pub fn suffix(self) -> &'static str {
        match self {
            Cloud::Aws => "-aws",
            Cloud::Azure => "-azure",
            Cloud::Gcp => "-gcp",
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Cloud::Aws => "Amazon Web Services",
            Cloud::Azure => "Microsoft Azure",
            Cloud::Gcp => "Google Cloud",
        }
    }

    /// Whose driver has this in its name, after that of a guest's.
    fn of(name: &str) -> Option<Cloud> {
        let (_, rest) = name.split_once(Role::Guest.suffix())?;
        [Cloud::Aws, Cloud::Azure, Cloud::Gcp].into_iter().find(|cloud| rest.starts_with(cloud.suffix()))
    }
}

/// What an archive is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The path it was given by.
    pub file: String,
    pub kind: ArchiveKind,
    /// In bytes.
    pub size: u64,
    pub sha256: Sri,
    pub release: Option<ReleaseNumber>,
    pub catalog: CatalogState,
    /// Who vouches for the catalog's hash, if it has one.
    pub voucher: Option<HashSource>,
    pub host: Option<Driver>,
    pub guest: Option<Driver>,
    /// Version of the Windows guest driver.
    pub windows: Option<DriverVersion>,
    /// Whose build it is, if a cloud's. The catalog has no hash of such files.
    pub cloud: Option<Cloud>,
}

impl Identity {
    /// The driver for that role, if it holds one.
    pub fn driver(&self, role: Role) -> Option<&Driver> {
        match role {
            Role::Host => self.host.as_ref(),
            Role::Guest => self.guest.as_ref(),
        }
    }

    /// The hash in the catalog that such a file has to have: of archives and guests' .run files.
    pub fn file_hash(&self) -> Option<FileHash> {
        match (self.kind, &self.guest) {
            _ if self.cloud.is_some() => None,
            (ArchiveKind::GridArchive, _) => Some(FileHash::ZipSha256),
            (ArchiveKind::Run, Some(_)) => Some(FileHash::GuestSha256),
            (ArchiveKind::Run, None) => None,
        }
    }
}

/// Looks at the archive `path`, and reads it to its end for the hash.
pub fn identify(path: &Path, catalog: &Catalog, progress: Progress) -> Result<Identity, Error> {
    let (kind, drivers) = match archive::kind_of(path)? {
        Kind::Zip => (ArchiveKind::GridArchive, Drivers::of_grid(path)?),
        Kind::Script => (ArchiveKind::Run, Drivers::of_run(path)?),
        kind => return Err(Error::NotADriver { path: path.into(), kind }),
    };
    let mut file = archive::open(path)?;
    let meta = file.metadata().map_err(|e| Error::io(path, "cannot be read", e))?;
    let sha256 = hash(&mut file, progress).map_err(|e| Error::io(path, "cannot be read", e))?;
    let Drivers { host, guest, windows, cloud } = drivers;
    let file = path.display().to_string();
    let (release, voucher) = (None, None);
    let mut identity = Identity {
        file,
        kind,
        size: meta.len(),
        sha256,
        release,
        catalog: CatalogState::Unknown,
        voucher,
        host,
        guest,
        windows,
        cloud: None,
    };
    // A name may lie: a file with NVIDIA's own hash is NVIDIA's, whatever it is called.
    identity.look_up(catalog);
    if identity.catalog != CatalogState::Match && cloud.is_some() {
        identity.cloud = cloud;
        identity.look_up(catalog);
    }
    Ok(identity)
}

/// The SHA-256 of the file `path`, whatever it is.
pub fn hash_of(path: &Path) -> Result<Sri, Error> {
    let mut file = archive::open(path)?;
    hash(&mut file, &|_| {}).map_err(|e| Error::io(path, "cannot be read", e))
}

/// SHA-256 of all that is left to read. A file that somebody writes into may have no end.
fn hash(file: &mut File, progress: Progress) -> std::io::Result<Sri> {
    let mut file = file.take(archive::LARGEST);
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Sri::of_digest(sha256.finalize().into())),
            count => {
                sha256.update(&buffer[..count]);
                progress(count as u64);
            }
        }
    }
}

/// The drivers in an archive.
#[derive(Debug, Default)]
struct Drivers {
    host: Option<Driver>,
    guest: Option<Driver>,
    windows: Option<DriverVersion>,
    cloud: Option<Cloud>,
}

impl Drivers {
    fn of_grid(path: &Path) -> Result<Drivers, Error> {
        let grid = Grid::open(path)?;
        let linux = |role| Ok(grid.driver(role)?.and_then(member));
        let windows = grid.windows().and_then(member).map(|driver| driver.version);
        let drivers = Drivers { host: linux(Role::Host)?, guest: linux(Role::Guest)?, windows, cloud: None };
        if drivers.host.is_none() && drivers.guest.is_none() {
            let found = "NVIDIA calls its archives NVIDIA-GRID-Linux-KVM-….zip; give one of those".to_owned();
            return Err(Error::NoDriver { path: path.into(), wanted: "Linux".into(), found });
        }
        Ok(drivers)
    }

    fn of_run(path: &Path) -> Result<Drivers, Error> {
        let mut file = archive::open(path)?;
        let start = read_up_to(&mut file, LONGEST_SCRIPT).map_err(|e| Error::io(path, "cannot be read", e))?;
        let header = Header::parse(&start).map_err(|problem| Error::Header { path: path.into(), problem })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = header.version.as_deref().and_then(|version| version.parse().ok());
        let cloud = header.target.as_deref().and_then(Cloud::of).or_else(|| Cloud::of(&name));
        let driver = version.map(|version| Driver { version, file: name });
        Ok(match header.target.as_deref().and_then(role_of) {
            Some(Role::Host) => Drivers { host: driver, ..Drivers::default() },
            Some(Role::Guest) => Drivers { guest: driver, cloud, ..Drivers::default() },
            None => Drivers::default(),
        })
    }
}

impl Identity {
    /// Finds the release these drivers are of, and compares the hash with the catalog's.
    fn look_up(&mut self, catalog: &Catalog) {
        let version = |driver: &Option<Driver>| driver.as_ref().map(|driver| driver.version.clone());
        let (host, guest) = (version(&self.host), version(&self.guest));
        let mut candidates = catalog.by_versions(host.as_ref(), guest.as_ref());
        candidates.retain(|release| self.windows.as_ref().is_none_or(|windows| *windows == release.windows));
        let known = |release: &Release| self.file_hash().and_then(|hash| release.hash(hash));
        let state = |release: &Release| match known(release) {
            Some((hash, _)) if hash == self.sha256 => CatalogState::Match,
            Some(_) => CatalogState::Mismatch,
            None => CatalogState::Unpinned,
        };
        // Releases can share a driver: the one with this hash first, then one with a hash at all.
        let found = [CatalogState::Match, CatalogState::Mismatch, CatalogState::Unpinned]
            .into_iter()
            .find_map(|wanted| candidates.iter().find(|release| state(release) == wanted).map(|r| (r, wanted)));
        if let Some((release, state)) = found {
            let voucher = known(release).map(|(_, voucher)| voucher);
            (self.release, self.catalog, self.voucher) = (Some(release.release), state, voucher);
        }
    }
}

fn member(driver: grid::Driver) -> Option<Driver> {
    Some(Driver { version: driver.version.parse().ok()?, file: driver.name })
}
