//! Unpacks a driver as it is, for people who change NVIDIA's files before they are installed.

use std::io;
use std::path::Path;

use crate::confined::{Directory, Executable};
use crate::error::Error;
use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::source::Source;

/// Writes every file of the driver below `dir`, without setuid bits. After an error, do not use what is there: check sums
/// are compared at the end.
pub fn unpack(source: &Source, dir: &Path) -> Result<(), Error> {
    let ledger = Ledger::default();
    let directory = Directory::create(dir, &ledger).map_err(|e| Error::write(dir, e))?;
    source.for_each(&Memory::default(), &|_| {}, |member| {
        ledger.read(member.size);
        let copied = directory
            .file(&member.path, Executable::of(member.mode))
            .and_then(|mut file| io::copy(member.data, &mut file));
        copied.map(drop).map_err(|e| Error::write(&directory.shown(&member.path), e))
    })
}
