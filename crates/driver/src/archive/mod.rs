//! NVIDIA's archives: GRID .zip files and makeself .run files → a stream of checked members.
//!
//! Every archive is read once, front to back, and is treated as hostile:
//!
//! - [`grid`] finds the drivers in a GRID archive.
//! - [`makeself`] reads the header of a .run file.
//! - [`stream`] passes a .run file to its consumer, and computes the check sums at the same time.
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
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

pub use error::{Error, MemberError};
use kind::{ENOUGH, Kind};

/// The largest archive, in bytes. NVIDIA's have less than 4 GB. This limit ends the reading of files without end.
pub const LARGEST: u64 = 16 << 30;

/// Opens the file at `path`. It must be a regular file, since archives are read more than once, and opening a pipe could
/// wait for ever.
///
/// # Errors
/// When it cannot be opened, is no regular file, or is larger than any archive.
pub fn open(path: &Path) -> Result<File, Error> {
    let unopened = |e| Error::io(path, "cannot be opened", e);
    // Checked before it is opened: opening a device can have an effect.
    if !fs::metadata(path).map_err(unopened)?.is_file() {
        return Err(Error::NotAFile { path: path.into() });
    }
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(unopened)?;
    let meta = file.metadata().map_err(unopened)?;
    match meta.is_file() {
        false => Err(Error::NotAFile { path: path.into() }),
        true if meta.len() > LARGEST => Err(Error::TooLong { path: path.into() }),
        true => Ok(file),
    }
}

/// Tells the kind of the file at `path`.
///
/// # Errors
/// When [`open`] cannot open it, or when it cannot be read.
pub fn kind_of(path: &Path) -> Result<Kind, Error> {
    let mut file = open(path)?;
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
