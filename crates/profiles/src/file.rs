//! Reading a file within bounds, and replacing one in one step.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::limits::MAX_BYTES;

/// Reads a vgpuConfig.xml or changes to it, whole.
pub fn read(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
    text(path, bytes)
}

/// The text that these bytes are, if they are not more than [`MAX_BYTES`]. `path` names them in errors.
pub fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Error> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooLong { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|_| Error::NotText { path: path.to_owned() })
}

/// Puts a text in place of a file, or makes the file: wholly or not at all. A link is followed; permissions stay.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let target = target(path)?;
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let permissions = match fs::metadata(&target) {
        Ok(metadata) if !metadata.is_file() => return Err(Error::NotAFile { path: path.to_owned() }),
        Ok(metadata) => metadata.permissions(),
        Err(_) => Permissions::from_mode(0o644),
    };
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".vgpuConfig.").tempfile_in(directory).map_err(failed)?;
    new.write_all(text.as_bytes()).map_err(failed)?;
    new.as_file().set_permissions(permissions).map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist(&target).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The file that a path means, through links.
fn target(path: &Path) -> Result<PathBuf, Error> {
    if path.is_symlink() {
        fs::canonicalize(path).map_err(|source| Error::Write { path: path.to_owned(), source })
    } else {
        Ok(path.to_owned())
    }
}
