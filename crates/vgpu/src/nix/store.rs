//! The Nix store: finds the place of a file, tells whether the file is there, and adds it.
//!
//! All of it uses `nix-store`, which knows where the store is (NIX_STORE_DIR, NIX_REMOTE, nix.conf) and how to ask the
//! daemon. It streams files; they are never whole in our memory.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use vgpu_base::scratch::{self, Scratch};

use super::sri::Sri;

/// Why the store could not be asked or filled.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum StoreError {
    #[error("`nix-store` is not on PATH")]
    #[diagnostic(help("run this where Nix is installed: on the machine that the driver is for, or that builds it"))]
    Missing,
    #[error("could not run `nix-store`")]
    #[diagnostic(help("check that Nix works: `nix-store --version`"))]
    Run(#[source] io::Error),
    #[error("`nix-store {operation}` failed: {message}")]
    #[diagnostic(help("check that Nix works and that the store has room: `nix-store --version`, `df -h /nix/store`"))]
    Failed { operation: &'static str, message: String },
    #[error("{} could not be made ready under the name {name}", file.display())]
    #[diagnostic(help("the file is linked or copied beside itself or into TMPDIR: check rights and free space there"))]
    Rename { file: PathBuf, name: String, source: io::Error },
    #[error("the store took {} as {} instead of {}", file.display(), found.display(), expected.display())]
    #[diagnostic(help("the file changed while it was read: wait until its download is complete and try again"))]
    Changed { file: PathBuf, found: PathBuf, expected: PathBuf },
}

/// The place of a file with this name and hash in the store, even if the file is not there. Fetchers that expect this hash
/// and name find it at this place.
pub fn fixed_path(name: &str, hash: Sri) -> Result<PathBuf, StoreError> {
    let printed = nix_store("--print-fixed-path", ["sha256", &hash.hex(), name])?;
    Ok(PathBuf::from(printed))
}

/// Whether the store holds this path.
pub fn is_valid(path: &Path) -> Result<bool, StoreError> {
    match nix_store("--check-validity", [path]) {
        Ok(_) => Ok(true),
        Err(StoreError::Failed { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file under the name that it will have in the store.
///
/// `nix-store` takes the name from the file, and refuses symbolic links. So a file with another name gets a hard link with
/// the right name. Where no link can be made (another owner, a file system without links), it is copied.
pub struct Named {
    path: PathBuf,
    /// The link or copy, if one was needed.
    _directory: Option<Scratch>,
}

impl Named {
    /// Gives `file` the name `name`, for as long as the result lives.
    pub fn new(file: &Path, name: &str) -> Result<Named, StoreError> {
        let failed = |source| StoreError::Rename { file: file.to_owned(), name: name.to_owned(), source };
        let real = file.canonicalize().map_err(failed)?;
        if real.file_name() == Some(OsStr::new(name)) {
            return Ok(Named { path: real, _directory: None });
        }
        let directory = link(&real, name).or_else(|_| copy(&real, name)).map_err(failed)?;
        Ok(Named { path: directory.path().join(name), _directory: Some(directory) })
    }
}

/// Removes the links and copies that runs have left which were killed.
pub fn remove_leftovers(file: &Path) {
    let beside = file.canonicalize().ok().and_then(|file| Some(file.parent()?.to_owned()));
    beside.into_iter().chain([std::env::temp_dir()]).for_each(|directory| scratch::remove_leftovers(&directory));
}

/// A directory beside `file` that holds a hard link to it.
fn link(file: &Path, name: &str) -> io::Result<Scratch> {
    let directory = Scratch::directory(file.parent().unwrap_or(Path::new("/")))?;
    fs::hard_link(file, directory.path().join(name))?;
    Ok(directory)
}

/// A temporary directory that holds a copy of `file`. The kernel copies; file systems that can share the data.
fn copy(file: &Path, name: &str) -> io::Result<Scratch> {
    let directory = Scratch::directory(&std::env::temp_dir())?;
    fs::copy(file, directory.path().join(name))?;
    Ok(directory)
}

/// Adds a file to the store, at `expected` (from [`fixed_path`]).
pub fn add(file: &Named, expected: &Path) -> Result<(), StoreError> {
    let found = nix_store("--add-fixed", [OsStr::new("sha256"), file.path.as_os_str()]).map(PathBuf::from)?;
    if found == expected {
        Ok(())
    } else {
        Err(StoreError::Changed { file: file.path.clone(), found, expected: expected.to_owned() })
    }
}

/// Runs one operation of `nix-store` and returns what it printed, trimmed.
fn nix_store<A: AsRef<OsStr>>(
    operation: &'static str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String, StoreError> {
    let output = Command::new("nix-store").arg(operation).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::Missing,
        _ => StoreError::Run(error),
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        let message = text(&output.stderr);
        let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
        Err(StoreError::Failed { operation, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_name_is_linked_and_not_copied() {
        use std::os::unix::fs::MetadataExt;
        let downloads = tempfile::tempdir().unwrap();
        let file = downloads.path().join("download (1).zip");
        fs::write(&file, "content").unwrap();
        let named = Named::new(&file, "expected.zip").unwrap();
        assert_eq!(named.path.file_name(), Some(OsStr::new("expected.zip")));
        assert_eq!(named.path.metadata().unwrap().ino(), file.metadata().unwrap().ino());
        drop(named);
        assert_eq!(fs::read_dir(downloads.path()).unwrap().count(), 1, "the link was left behind");
        assert_eq!(Named::new(&file, "download (1).zip").unwrap().path, file.canonicalize().unwrap());
    }

    #[test]
    fn a_file_that_cannot_be_linked_is_copied() {
        let named = Named::new(Path::new("/proc/version"), "other").unwrap();
        assert_eq!(fs::read(&named.path).unwrap(), fs::read("/proc/version").unwrap());
        let directory = named.path.parent().unwrap().to_owned();
        drop(named);
        assert!(!directory.exists(), "the copy was left behind");
    }
}
