//! Reads a file up to a limit, and replaces a file in one step.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use vgpu_base::bounded::{self, ReadError};
use vgpu_base::publish::{self, Staged};

use crate::Error;
use crate::limits::MAX_BYTES;

/// Reads a whole vgpuConfig.xml, or changes to it.
pub fn read(path: &Path) -> Result<String, Error> {
    text(path, bounded::read_file(path, MAX_BYTES))
}

/// Turns the result of [`bounded::read`] into text. `path` names it in errors.
pub fn text(path: &Path, read: Result<Vec<u8>, ReadError>) -> Result<String, Error> {
    let bytes = read.map_err(|error| match error {
        ReadError::Io(source) => Error::Read { path: path.to_owned(), source },
        ReadError::TooLong => Error::TooLong { path: path.to_owned() },
    })?;
    String::from_utf8(bytes).map_err(|_| Error::NotText { path: path.to_owned() })
}

/// Writes a text to a file, completely or not at all. A link is followed. Owner and permissions of an old file stay.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let target = target(path)?;
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let unpublished = |error| match error {
        publish::Error::Write { source, .. } => failed(source),
        other => failed(io::Error::other(other)),
    };
    let old = match fs::metadata(&target) {
        Ok(metadata) if !metadata.is_file() => return Err(Error::NotAFile { path: path.to_owned() }),
        Ok(metadata) => Some(metadata),
        Err(_) => None,
    };
    fs::metadata(directory(&target)).map_err(failed)?;
    let mut new = Staged::file(&target).map_err(unpublished)?;
    new.content().write_all(text.as_bytes()).map_err(failed)?;
    let permissions = match &old {
        Some(old) => {
            let created = new.content().metadata().map_err(failed)?;
            if (created.uid(), created.gid()) != (old.uid(), old.gid()) {
                fchown(new.content(), Some(old.uid()), Some(old.gid())).map_err(failed)?;
            }
            old.permissions()
        }
        None => Permissions::from_mode(0o644),
    };
    new.content().set_permissions(permissions).map_err(failed)?;
    new.replace().map_err(unpublished)
}

/// Locks a file against changes by others until the result is dropped. A change reads the file and writes it again, so one
/// of two changes at once would be lost. The lock is on the directory, because the file itself is replaced.
pub fn lock(path: &Path) -> Result<File, Error> {
    let target = target(path)?;
    let locked = File::open(directory(&target)).and_then(|directory| {
        directory.lock()?;
        Ok(directory)
    });
    locked.map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn directory(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file that a path leads to, through links.
fn target(path: &Path) -> Result<PathBuf, Error> {
    if path.is_symlink() {
        fs::canonicalize(path).map_err(|source| Error::Write { path: path.to_owned(), source })
    } else {
        Ok(path.to_owned())
    }
}
