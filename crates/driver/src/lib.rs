//! A driver package: its manifest, where each file goes, ELF files, and the installer that ties them together.
//!
//! - [`source`]: opens a GRID archive, a .run file or an unpacked driver.
//! - [`manifest`]: NVIDIA's list of files with their types.
//! - [`placement`]: the table from types to places.
//! - [`elf`]: run path and interpreter.
//! - [`text`]: scripts, ICD files and the path compiled into nvidia-vgpud.
//! - [`links`]: symlinks of the manifest, SONAMEs and `.so` names.
//! - `writer`: threads that treat and write files.
//! - `plan`: what is to happen with each file of the manifest.
//! - `early`: members that come before the manifest.
//! - [`install`]: the installer.
//! - [`builder`]: what Nix runs.
//! - [`protocol`]: what Nix tells it.
//! - [`archive`]: GRID .zip and .run files → a stream of members.

pub mod archive;
pub mod builder;
mod early;
pub mod elf;
pub mod install;
pub mod links;
pub mod manifest;
pub mod placement;
mod plan;
pub mod protocol;
pub mod source;
pub mod text;
pub mod unpack;
mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which side of a vGPU a driver serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The hypervisor: the vGPU Manager (`…-vgpu-kvm.run`).
    Host,
    /// A virtual machine (`…-grid.run`).
    Guest,
}

impl Role {
    /// What the names of NVIDIA's drivers for this role end in: `NVIDIA-Linux-x86_64-550.163.01-grid`.
    pub fn suffix(self) -> &'static str {
        match self {
            Role::Host => "-vgpu-kvm",
            Role::Guest => "-grid",
        }
    }
}

/// A text that is no role.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("`{0}` is not a role")]
#[diagnostic(help("a role is `host` or `guest`"))]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Role, RoleError> {
        match text {
            "host" => Ok(Role::Host),
            "guest" => Ok(Role::Guest),
            _ => Err(RoleError(text.to_owned())),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Host => "host",
            Role::Guest => "guest",
        })
    }
}

/// Why a driver could not be installed. Every message names the file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(#[from] archive::Error),

    #[error("{} has no .manifest", .path.display())]
    #[diagnostic(help("give a driver of NVIDIA's: a GRID .zip, a .run file, or one unpacked with `sh FILE.run -x`"))]
    NoManifest { path: PathBuf },

    #[error("{}: its .manifest cannot be used: {problem}", .path.display())]
    #[diagnostic(help("the file is damaged or was not made by NVIDIA: download it again"))]
    Manifest { path: PathBuf, problem: String },

    #[error("{}: its .manifest names {}, which {} not there", .path.display(), some(.files), if .files.len() == 1 { "is" } else { "are" })]
    #[diagnostic(help("the driver is incomplete: download it again, or unpack it again if this is a directory"))]
    Absent { path: PathBuf, files: Vec<String> },

    #[error("{}: {first} and {second} would both be installed as {place}", .path.display())]
    #[diagnostic(help("no driver of NVIDIA's does that: get the file from NVIDIA"))]
    Conflict { path: PathBuf, first: String, second: String, place: String },

    #[error("{}: {file} {problem}", .path.display())]
    #[diagnostic(help("the file is damaged or was not made by NVIDIA: download it again"))]
    File { path: PathBuf, file: String, problem: String },

    #[error("{} is the {found} driver, not the one for a {wanted}", .path.display())]
    #[diagnostic(help("use --role {found}, or give the archive's other .run file"))]
    OtherRole { path: PathBuf, found: Role, wanted: Role },

    #[error("{} exists already", .path.display())]
    #[diagnostic(help("remove it, or choose another --out"))]
    OutputExists { path: PathBuf },

    #[error("{} cannot be written", .path.display())]
    #[diagnostic(help("{}", advice(.source)))]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Error::Write { path: path.into(), source }
    }
}

/// Up to three of the names.
fn some(files: &[String]) -> String {
    let shown = files.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    if files.len() > 3 { format!("{shown} and {} more files", files.len() - 3) } else { shown }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "an installed driver takes up to 1.5 GB: make room there, or choose another place"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "choose a place you may write to",
        io::ErrorKind::NotFound => "create the directory it is to lie in first",
        _ => "look at the cause above; nothing was left behind",
    }
}
