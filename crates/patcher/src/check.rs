//! Checks the unpacked driver that patch.sh leaves.

use std::ffi::OsStr;
use std::path::Path;
use std::{fs, io};

use vgpu_driver::manifest::{self, Manifest, ManifestError};

use crate::error::{PatchError, io_error, list};

/// Checks an unpacked driver and returns its version. It must have a .manifest and every file in it, no patch may be
/// rejected, and the version must be `expected` where one is given.
pub fn check(tree: &Path, expected: Option<&str>) -> Result<String, PatchError> {
    let path = tree.join(manifest::FILE);
    let text = fs::read(&path).map_err(|source| PatchError::NoManifest { tree: tree.to_owned(), source })?;
    let damaged = |problem| PatchError::Manifest { tree: tree.to_owned(), problem };
    let Manifest { version, entries } = Manifest::parse(&text).map_err(damaged)?;
    if entries.is_empty() {
        return Err(damaged(ManifestError::Empty));
    }
    if let Some(expected) = expected.filter(|&expected| expected != version) {
        return Err(PatchError::Version { found: version, expected: expected.to_owned() });
    }
    // The installer makes the links. All other files must be there.
    let files = entries.into_iter().filter(|entry| !entry.is_symlink()).map(|entry| entry.file.to_string());
    let missing: Vec<String> = files.filter(|file| !tree.join(file).is_file()).collect();
    if !missing.is_empty() {
        return Err(PatchError::Missing { tree: tree.to_owned(), count: missing.len(), first: list(missing) });
    }
    let rejected = rejects(tree).map_err(io_error("read", tree))?;
    match rejected.is_empty() {
        true => Ok(version),
        false => Err(PatchError::Rejected { files: list(rejected) }),
    }
}

/// The files, relative to `tree`, in which patch(1) leaves the hunks that did not fit.
fn rejects(tree: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                directories.push(path);
            } else if path.extension() == Some(OsStr::new("rej")) {
                found.push(path.strip_prefix(tree).unwrap_or(&path).display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}
