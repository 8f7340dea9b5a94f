//! NVIDIA's archives: GRID .zip files and makeself .run files → a stream of checked members.
//!
//! Every archive is read once, front to back, and is treated as hostile:
//!
//! - [`grid`] finds the drivers in a GRID archive.
//! - [`makeself`] reads the header of a .run file.
//! - [`stream`] feeds a .run file to its consumer while it computes the check sums beside it.
//! - [`payload`] decompresses, walks the tar stream and refuses what no driver package contains.
//! - [`kind`] tells what a file is by its first bytes.

mod error;
pub mod grid;
pub mod kind;
pub mod makeself;
pub mod payload;
pub mod stream;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

pub use error::{Error, MemberError};
use kind::{ENOUGH, Kind};

/// Tells the kind of the file at `path`.
///
/// It must be a regular file: archives are read more than once, and opening a pipe might wait for ever.
///
/// # Errors
/// When it cannot be read, or is no regular file.
pub fn kind_of(path: &Path) -> Result<Kind, Error> {
    if !fs::metadata(path).map_err(|e| Error::io(path, "cannot be opened", e))?.is_file() {
        return Err(Error::NotAFile { path: path.into() });
    }
    let mut file = File::open(path).map_err(|e| Error::io(path, "cannot be opened", e))?;
    let start = read_up_to(&mut file, ENOUGH).map_err(|e| Error::io(path, "cannot be read", e))?;
    Ok(Kind::of(&start))
}

/// Called with a number of bytes whenever that much more of the archive has been read.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

/// Reads until `limit` bytes or the end of `input`.
pub fn read_up_to(input: &mut dyn Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(limit.min(1 << 20));
    Read::take(input, limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
