//! Why a driver could not be installed.

use std::io;
use std::path::{Path, PathBuf};

use vgpu_base::publish::advice;

use crate::archive;
use crate::links::LinkError;
use crate::manifest::ManifestError;
use crate::treat::Problem;
use crate::words::options::Unwritable;
use crate::words::path::RelativePath;
use crate::words::role::Role;

/// Why a driver could not be installed. Every message names the file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Archive(#[from] archive::Error),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Path(#[from] Unwritable),

    #[error("{} has no .manifest", .path.display())]
    #[diagnostic(help("give a driver from NVIDIA: a GRID .zip, a .run file, or one unpacked with `sh FILE.run -x`"))]
    NoManifest { path: PathBuf },

    #[error("{}: its .manifest cannot be used: {problem}", .path.display())]
    #[diagnostic(help("the file is damaged or was not made by NVIDIA: download it again"))]
    Manifest { path: PathBuf, problem: ManifestError },

    #[error("{}: its .manifest names {}, which {} not there", .path.display(), first_names(.files), if .files.len() == 1 { "is" } else { "are" })]
    #[diagnostic(help("the driver is incomplete: download it again, or unpack it again if this is a directory"))]
    Absent { path: PathBuf, files: Vec<RelativePath> },

    #[error("{}: {first} and {second} would both be installed as {place}", .path.display())]
    #[diagnostic(help("NVIDIA's drivers do not do that: get the file from NVIDIA"))]
    Conflict { path: PathBuf, first: String, second: RelativePath, place: RelativePath },

    #[error("{}: {link} {problem}", .path.display())]
    #[diagnostic(help("NVIDIA's drivers have no such link: get the file from NVIDIA"))]
    Link { path: PathBuf, link: RelativePath, problem: LinkError },

    #[error("{}: {file} {problem}", .path.display())]
    #[diagnostic(help("the file is damaged or was not made by NVIDIA: download it again"))]
    File { path: PathBuf, file: RelativePath, problem: Problem },

    #[error("{} would be installed as more than {most} bytes, far more than it holds", .path.display())]
    #[diagnostic(help("NVIDIA's drivers do not grow like that: do not use this file, get it from NVIDIA"))]
    Growth { path: PathBuf, most: u64 },

    #[error("{} is the {found} driver, not the one for a {wanted}", .path.display())]
    #[diagnostic(help("use --role {found}, or give the archive's other .run file"))]
    OtherRole { path: PathBuf, found: Role, wanted: Role },

    #[error("{} cannot be written", .path.display())]
    #[diagnostic(help("{}", advice(.source)))]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// A failed attempt to write `path`.
    pub fn write(path: &Path, source: io::Error) -> Self {
        Error::Write { path: path.into(), source }
    }
}

/// Up to three of the names.
fn first_names(files: &[RelativePath]) -> String {
    let shown = files.iter().take(3).map(RelativePath::as_str).collect::<Vec<_>>().join(", ");
    if files.len() > 3 { format!("{shown} and {} more files", files.len() - 3) } else { shown }
}
