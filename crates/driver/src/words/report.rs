//! What was installed, for `vgpu build --json`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::role::Role;

/// What was done, for `vgpu build --json`.
#[derive(Debug, Serialize)]
pub struct Report {
    pub role: Role,
    /// Version of the driver, from its manifest.
    pub version: String,
    /// Number of files written, without symlinks.
    pub files: u64,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// Where each output lies, by name.
    pub outputs: BTreeMap<&'static str, PathBuf>,
    /// Files that were left out, and why, sorted.
    pub skipped: Vec<Skipped>,
    /// Types in the manifest that this version doesn't know, sorted.
    pub unknown: Vec<String>,
}

/// A file of the driver that was not installed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Skipped {
    /// Its path within the package.
    pub file: String,
    pub reason: String,
}
