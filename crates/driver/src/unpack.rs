//! Unpacks a driver as it is, for those who change NVIDIA's files before they are installed.

use std::io;
use std::path::Path;

use crate::Error;
use crate::source::Source;
use crate::writer::write_file;

/// Writes every file of the driver below `dir`, without setuid bits. What is there after an error is not to be used:
/// check sums are known at the end.
pub fn unpack(source: &Source, dir: &Path) -> Result<(), Error> {
    source.for_each(&|_| {}, |member| {
        let path = dir.join(&member.path);
        write_file(&path, member.mode & 0o111 != 0, |out| io::copy(member.data, out).map(drop))
            .map_err(|source| Error::write(&path, source))
    })
}
