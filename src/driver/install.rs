//! The installer: takes a driver package and writes the outputs NixOS wants.

use std::path::PathBuf;

use serde::Serialize;

use super::Role;

/// Where the five parts of a driver go. Paths are absolute and end up inside the files (run paths, ICD files).
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Libraries and data.
    pub out: PathBuf,
    /// Programs and the X driver.
    pub bin: PathBuf,
    /// 32-bit libraries. `None` drops them.
    pub lib32: Option<PathBuf>,
    /// GSP firmware.
    pub firmware: PathBuf,
    /// Kernel module sources.
    pub modsrc: PathBuf,
}

/// What the installer needs to know beyond the driver itself.
#[derive(Clone, Debug)]
pub struct Options {
    pub role: Role,
    pub outputs: Outputs,
    /// Directories after the driver's own in the run path of 64-bit libraries and programs.
    pub lib_path: Vec<PathBuf>,
    /// The same for 32-bit libraries.
    pub lib_path_32: Vec<PathBuf>,
    /// The dynamic loader of programs. `None` keeps NVIDIA's.
    pub interpreter: Option<PathBuf>,
    /// A vgpuConfig.xml to install in place of the driver's.
    pub vgpu_config: Option<PathBuf>,
    /// The shell that scripts start with. `None` keeps NVIDIA's.
    pub shell: Option<PathBuf>,
    /// Directories of programs that scripts call, put in front of their PATH.
    pub tools: Vec<PathBuf>,
}

/// What was done, for `vgpu build --json`.
#[derive(Debug, Serialize)]
pub struct Report {
    pub role: Role,
    /// Version of the driver, from its manifest.
    pub version: String,
    /// Number of files written.
    pub files: u64,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// Where each output lies, by name.
    pub outputs: std::collections::BTreeMap<String, PathBuf>,
    /// What went nowhere, and why.
    pub skipped: Vec<Skipped>,
    /// Types in the manifest this version doesn't know, sorted.
    pub unknown: Vec<String>,
}

/// A file of the manifest that was not installed.
#[derive(Debug, Serialize)]
pub struct Skipped {
    pub file: String,
    pub reason: String,
}
