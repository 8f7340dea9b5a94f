//! Checks a driver without unpacking it: the sums in its .run file, those of the .zip around it, and its own SHA-256.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::identity::{ArchiveKind, Identity};
use crate::nix::sri::Sri;
use vgpu_driver::Role;
use vgpu_driver::archive::grid::Grid;
use vgpu_driver::archive::kind::Kind;
use vgpu_driver::archive::stream::{self, Use};
use vgpu_driver::archive::{self, Error, Progress};

/// Reads the driver of `role` in the archive or .run file `path` to its end, and returns the hash of the .run file if it
/// is whole. `None` if an archive has no such driver.
pub fn verify(path: &Path, role: Role, progress: Progress) -> Result<Option<Sri>, Error> {
    if archive::kind_of(path)? != Kind::Zip {
        return verify_run(path, archive::open(path)?, progress).map(Some);
    }
    let mut grid = Grid::open(path)?;
    match grid.driver(role)? {
        Some(driver) => verify_run(path, grid.open_driver(&driver)?.1, progress).map(Some),
        None => Ok(None),
    }
}

/// Checks every Linux driver in a file that was identified. Returns the hash of the guest's .run file, if there is one.
pub fn verify_all(path: &Path, identity: &Identity, progress: Progress) -> Result<Option<Sri>, Error> {
    // A .run file is one driver, whatever the role.
    let host = verify(path, Role::Host, progress)?;
    match identity.kind {
        ArchiveKind::GridArchive => verify(path, Role::Guest, progress),
        ArchiveKind::Run => Ok(host.filter(|_| identity.guest.is_some())),
    }
}

fn verify_run(path: &Path, run: impl Read + Send, progress: Progress) -> Result<Sri, Error> {
    let mut hashing = Hashing { inner: run, sha256: Sha256::new() };
    stream::with_payload(path, &mut hashing, Use::Read, progress, |_, _| Ok::<(), Error>(()))?;
    Ok(Sri::of_digest(hashing.sha256.finalize().into()))
}

/// Hashes what is read through it.
struct Hashing<R> {
    inner: R,
    sha256: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sha256.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
