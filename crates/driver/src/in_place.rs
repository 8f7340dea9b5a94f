//! Large libraries are written while they are unpacked, and then corrected in place. Only their headers and names change.
//! So the rest of them costs neither memory nor time.
//!
//! The rewriter passes on most of a file as the same memory that it was given. This memory need not be compared.

use std::io::{self, Write};

use crate::confined::{Mapped, NewFile};
use crate::treat::{self, Failed};
use crate::words::options::Options;
use crate::words::output::Place;

/// If more bytes than this change, a library is not corrected in place, but written again as a whole.
const MOST_CHANGED: usize = 8 << 20;

/// After this many bytes, memory that was read is given back.
const LOOKED_AT: usize = 4 << 20;

/// Bytes are compared in blocks of this size.
const BLOCK: usize = 4 << 10;

/// How much memory [`correct`] takes for a file that was written, in bytes.
pub fn memory(file: &NewFile, place: &Place) -> io::Result<usize> {
    Ok(MOST_CHANGED + treat::memory(place.treatment, &file.mapped()?))
}

/// Corrects a library that was written without changes. Returns its SONAME.
///
/// If too much of the library changes, `anew` creates the same file again, empty.
///
/// # Errors
/// When the library is not as it should be, and when it cannot be written.
pub fn correct<'l>(
    mut file: NewFile<'l>,
    place: &Place,
    options: &Options,
    anew: impl FnOnce() -> io::Result<NewFile<'l>>,
) -> Result<Corrected, Failed> {
    let mapped = file.mapped()?;
    let mut difference = Difference { old: &mapped, at: 0, changes: vec![], held: 0 };
    let treated = treat::library(place, &mapped, options, &mut ReleasingWriter::of(&mapped, &mut difference));
    if difference.held > MOST_CHANGED {
        file.forget(mapped.len() as u64);
        let mut out = io::BufWriter::with_capacity(256 << 10, anew()?);
        let soname = treat::library(place, &mapped, options, &mut ReleasingWriter::of(&mapped, &mut out))?;
        out.flush()?;
        return Ok(Corrected { soname, length: out.get_ref().length()? });
    }
    let soname = treated?;
    let (length, changes) = (difference.at as u64, difference.changes);
    drop(mapped); // Nobody may read bytes while they change.
    for (offset, bytes) in changes {
        file.change(&bytes, offset)?;
    }
    file.end_at(length)?;
    Ok(Corrected { soname, length })
}

/// A library that was changed.
pub struct Corrected {
    pub soname: Option<String>,
    /// In bytes.
    pub length: u64,
}

/// Passes bytes on, and gives back the memory of the mapping that was read for them. A library may be larger than all
/// memory that this program may take.
struct ReleasingWriter<'a> {
    mapped: &'a Mapped,
    out: &'a mut dyn Write,
    /// Bytes that came since memory was given back the last time.
    looked_at: usize,
}

impl<'a> ReleasingWriter<'a> {
    fn of(mapped: &'a Mapped, out: &'a mut dyn Write) -> ReleasingWriter<'a> {
        ReleasingWriter { mapped, out, looked_at: 0 }
    }
}

impl Write for ReleasingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.chunks(LOOKED_AT) {
            self.out.write_all(part)?;
            self.looked_at += part.len();
            if self.looked_at >= LOOKED_AT {
                self.mapped.let_go()?;
                self.looked_at = 0;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Receives the new content of a file, and keeps what differs from the old content.
struct Difference<'a> {
    old: &'a [u8],
    /// Bytes that came so far.
    at: usize,
    /// By offset, in order.
    changes: Vec<(u64, Vec<u8>)>,
    /// The length of all changes, in bytes. More than [`MOST_CHANGED`] are too many.
    held: usize,
}

impl Difference<'_> {
    fn keep(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.held += bytes.len();
        if self.held > MOST_CHANGED {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        match self.changes.last_mut() {
            Some((start, last)) if *start as usize + last.len() == offset => last.extend_from_slice(bytes),
            _ => self.changes.push((offset as u64, bytes.to_vec())),
        }
        Ok(())
    }
}

impl Write for Difference<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let start = self.at.min(self.old.len());
        let old = &self.old[start..self.old.len().min(start + bytes.len())];
        // The same memory. Comparing would read all of the file.
        if old.len() < bytes.len() || old.as_ptr() != bytes.as_ptr() {
            let blocks = bytes.chunks(BLOCK).zip((0..).step_by(BLOCK));
            for (block, from) in blocks {
                if old.get(from..from + block.len()) != Some(block) {
                    self.keep(self.at + from, block)?;
                }
            }
        }
        self.at += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The old bytes with the changes in them.
    fn changed(old: &[u8], difference: &Difference) -> Vec<u8> {
        let mut new = old.to_vec();
        new.resize(difference.at, 0);
        for (offset, bytes) in &difference.changes {
            new[*offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        new
    }

    fn difference<'a>(old: &'a [u8], parts: &[&[u8]]) -> io::Result<Difference<'a>> {
        let mut difference = Difference { old, at: 0, changes: vec![], held: 0 };
        parts.iter().try_for_each(|part| difference.write_all(part))?;
        Ok(difference)
    }

    #[test]
    fn only_what_changed_is_kept() {
        let old: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let mut new = old.clone();
        new[50_000] ^= 1;
        new.extend(b"more");
        let found = difference(&old, &[&new[..7], &new[7..60_000], &new[60_000..]]).unwrap();
        assert_eq!(changed(&old, &found), new);
        assert!(found.held < 2 * BLOCK + 4, "{} bytes are kept", found.held);
        let found = difference(&old, &[&new[..30_000]]).unwrap();
        assert_eq!((changed(&old, &found), found.held), (new[..30_000].to_vec(), 0));
    }

    #[test]
    fn the_mapping_itself_is_no_change_only_where_it_lies() {
        let old: Vec<u8> = (0..100_000_u32).map(|n| (n / 7) as u8).collect();
        let found = difference(&old, &[&old[..20_000], b"new", &old[20_000..]]).unwrap();
        assert_eq!(changed(&old, &found), [&old[..20_000], b"new", &old[20_000..]].concat());
        assert!(found.held >= 80_000);
    }

    #[test]
    fn too_many_changes_are_refused() {
        let (old, new) = (vec![0; MOST_CHANGED + 2], vec![1; MOST_CHANGED + 1]);
        assert!(difference(&old, &[&new]).is_err());
        assert!(difference(&old, &[&new[1..]]).is_ok());
    }
}
