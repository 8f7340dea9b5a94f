//! What can be wrong with an archive.

use std::io;
use std::path::{Path, PathBuf};

use vgpu_base::publish::scarce;
use vgpu_base::shown;

use super::LARGEST;
use super::kind::Kind;
use super::makeself::HeaderError;
use crate::words::path::PathError;

/// Why an archive could not be read. Every message names the file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error("{} {problem}", .path.display())]
    #[diagnostic(help("{}", advice(.source)))]
    Io {
        path: PathBuf,
        problem: &'static str,
        #[source]
        source: io::Error,
    },

    #[error("{} is a directory, pipe or device, not an archive", .path.display())]
    #[diagnostic(help("give the .zip or .run file itself"))]
    NotAFile { path: PathBuf },

    #[error("{} is larger than {} GiB, and no archive of NVIDIA's is", .path.display(), LARGEST >> 30)]
    #[diagnostic(help("check that this is the right file, and that nothing is still writing into it"))]
    TooLong { path: PathBuf },

    #[error("{} is {kind}, not a driver", .path.display())]
    #[diagnostic(help("{}", .kind.advice()))]
    NotADriver { path: PathBuf, kind: Kind },

    #[error("{} is a damaged or incomplete .zip archive", .path.display())]
    #[diagnostic(help("download it again and compare its size with the one NVIDIA's portal shows"))]
    Zip {
        path: PathBuf,
        #[source]
        source: zip::result::ZipError,
    },

    #[error("{} has no {wanted} driver", .path.display())]
    #[diagnostic(help("{found}"))]
    NoDriver { path: PathBuf, wanted: String, found: String },

    #[error("{}: the header of the .run file is damaged: {problem}", .path.display())]
    #[diagnostic(help("download it again; NVIDIA's .run files start with `#! /bin/sh`, CRCsum, MD5 and skip"))]
    Header { path: PathBuf, problem: HeaderError },

    #[error("{} is damaged or incomplete: its {sum} is {found}, its header says {expected}", .path.display())]
    #[diagnostic(help("download it again and compare its size with the one NVIDIA shows"))]
    CheckSum { path: PathBuf, sum: &'static str, expected: String, found: String },

    #[error("{} has a payload that cannot be unpacked", .path.display())]
    #[diagnostic(help("the file is damaged or was not made by NVIDIA: download it again"))]
    Payload {
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("{} contains {member}, which {problem}", .path.display())]
    #[diagnostic(help("NVIDIA's drivers have no such member: do not use this file, get it from NVIDIA"))]
    Member { path: PathBuf, member: String, problem: MemberError },

    #[error("{} contains more than {limit} files, or very long names", .path.display())]
    #[diagnostic(help("NVIDIA's drivers do not: do not use this file, get it from NVIDIA"))]
    TooMany { path: PathBuf, limit: usize },

    #[error("{} unpacks to more than {limit} bytes, far more than a driver of its size", .path.display())]
    #[diagnostic(help("NVIDIA's drivers do not: do not use this file, get it from NVIDIA"))]
    TooLarge { path: PathBuf, limit: u64 },
}

impl Error {
    /// The error of a failed operation on a file. `problem` follows the path in the message: "cannot be opened".
    pub fn io(path: &Path, problem: &'static str, source: io::Error) -> Self {
        Error::Io { path: path.into(), problem, source }
    }

    /// The error for a member that no real driver has. Its name is escaped when it is shown.
    pub fn member(path: &Path, member: &str, problem: MemberError) -> Self {
        Error::Member { path: path.into(), member: shown::name(member), problem }
    }
}

/// What is wrong with a member. The text continues a sentence that begins with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    #[error("{0}")]
    Path(#[from] PathError),
    #[error("claims to have {0} bytes")]
    Huge(u64),
    #[error("claims to unpack to {0} bytes")]
    Bomb(u64),
    #[error("has two sizes")]
    TwoSizes,
    #[error("is there twice")]
    Twice,
    #[error("would be installed set-user-ID, set-group-ID or sticky")]
    SetId,
    #[error("lies below a symbolic link of the same archive")]
    BelowLink,
    #[error("is a symbolic link that leads out of the package")]
    LinkOut,
    #[error("is a symbolic link, or lies below one")]
    Link,
    #[error("is a hard link")]
    HardLink,
    #[error("is a device")]
    Device,
    #[error("is neither a file, a directory nor a symbolic link")]
    Strange,
}

fn advice(error: &io::Error) -> &'static str {
    if let Some(advice) = scarce(error) {
        return advice;
    }
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => {
            "the file is damaged or incomplete: download it again"
        }
        _ => "check the path, and that you may read it",
    }
}
