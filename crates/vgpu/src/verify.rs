//! Checks a driver without unpacking it: the sums in its .run file, those of the .zip around it, and its own SHA-256.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::identity::{ArchiveKind, Identity};
use crate::nix::sri::Sri;
use vgpu_driver::Role;
use vgpu_driver::archive::grid::Grid;
use vgpu_driver::archive::stream::{self, PayloadUse};
use vgpu_driver::archive::{self, Error, Progress};
use vgpu_driver::source::Source;

/// How many bytes [`verify_all`] goes through. Of an archive these are its Linux drivers, without the one for Windows.
pub fn size(path: &Path, identity: &Identity) -> u64 {
    let driver = |role| Source::open(path, role).map_or(0, |source| source.size);
    match identity.kind {
        ArchiveKind::GridArchive => driver(Role::Host) + driver(Role::Guest),
        ArchiveKind::Run => identity.size,
    }
}

/// Checks every Linux driver in a file that was identified. Returns the hash of the guest's .run file, if there is one.
pub fn verify_all(path: &Path, identity: &Identity, progress: Progress) -> Result<Option<Sri>, Error> {
    match identity.kind {
        ArchiveKind::GridArchive => {
            let mut grid = Grid::open(path)?;
            if let Some(host) = grid.driver(Role::Host)? {
                check_run(path, grid.open_driver(&host)?.1, progress)?;
            }
            let Some(guest) = grid.driver(Role::Guest)? else { return Ok(None) };
            let mut hashing = Hashing { inner: grid.open_driver(&guest)?.1, sha256: Sha256::new() };
            check_run(path, &mut hashing, progress)?;
            Ok(Some(Sri::of_digest(hashing.sha256.finalize().into())))
        }
        // A .run file is one driver, and its hash is known already.
        ArchiveKind::Run => {
            check_run(path, archive::open(path)?, progress)?;
            Ok(identity.guest.as_ref().map(|_| identity.sha256))
        }
    }
}

fn check_run(path: &Path, mut run: impl Read + Send, progress: Progress) -> Result<(), Error> {
    stream::with_payload(path, &mut run, PayloadUse::Read, progress, |_, _| Ok::<(), Error>(()))
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

#[cfg(test)]
pub mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::catalog::Catalog;
    use crate::identity::identify;

    /// Fails unless `work` on an archive, and on a .run file, counts as many bytes as it says beforehand.
    pub fn progress_reaches(size: impl Fn(&Path) -> u64, work: impl Fn(&Path, Progress)) {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in [vgpu_sample::grid_archive().unwrap(), vgpu_sample::run_file(Role::Host).unwrap()] {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            let done = AtomicU64::new(0);
            let count = |count| {
                done.fetch_add(count, Ordering::Relaxed);
            };
            work(&path, &count);
            assert_eq!(done.into_inner(), size(&path), "{}", path.display());
        }
    }

    /// Otherwise the bar of an archive ends at a half, or beyond the end.
    #[test]
    fn progress_reaches_the_size() {
        let identity = |path: &Path| identify(path, Catalog::builtin(), &|_| {}).unwrap();
        progress_reaches(
            |path| size(path, &identity(path)),
            |path, progress| {
                verify_all(path, &identity(path), progress).unwrap();
            },
        );
    }
}
