//! Large files are handed to the writers in parts, while they are unpacked. A library is changed when all its parts are
//! written.

use std::sync::Arc;

use crate::archive::payload::Member;
use crate::confined::{Executable, NewFile};
use crate::error::Error;
use crate::in_place;
use crate::memory::Memory;
use crate::target::{Installed, Target};
use crate::words::output::{Place, Treatment};
use crate::words::path::RelativePath;
use crate::writer::Writers;

/// The size of a part, in bytes, of libraries and of files that stay as they are. With parts, reading and writing overlap,
/// and the bytes are still in the processor's cache when they are written.
pub const PART: u64 = 1 << 20;

/// The writers, and the work that waits for them.
pub struct Threads<'s, 't> {
    pub memory: &'t Memory,
    pub writers: Writers<'s, 't>,
    /// Libraries that may not be written completely yet.
    unfinished: Vec<Unfinished<'t>>,
}

/// A library, not yet changed.
struct Unfinished<'t> {
    /// Each part that is not yet written holds a reference to the file, too.
    written: Arc<NewFile<'t>>,
    file: RelativePath,
    place: Place,
}

impl<'s, 't> Threads<'s, 't> {
    pub fn new(memory: &'t Memory, writers: Writers<'s, 't>) -> Threads<'s, 't> {
        Threads { memory, writers, unfinished: vec![] }
    }

    /// Writes a large file that has only one place. It is a library, or it stays as it is.
    pub fn write_in_parts(
        &mut self,
        target: &'t Target<'_>,
        place: &Place,
        executable: Executable,
        member: Member,
    ) -> Result<(), Error> {
        let directory = target.directory(place.output)?;
        let path = Arc::new(directory.shown(&place.path));
        let file = Arc::new(directory.file(&place.path, executable).map_err(|e| Error::write(&path, e))?);
        let turn = self.writers.turn();
        let mut offset = 0;
        while offset < member.size {
            let size = (member.size - offset).min(PART);
            let mut data = self.memory.buffer(size).map_err(|r| target.refused(&member.path, r))?;
            let part = Member { path: member.path.clone(), mode: 0, size, data: &mut *member.data };
            part.read_into(target.archive, &mut data)?;
            let (path, file) = (path.clone(), file.clone());
            let work = move |data: &mut [u8]| file.write_all_at(data, offset).map_err(|e| Error::write(&path, e));
            self.writers.hand_over(turn, data, Box::new(work));
            offset += size;
        }
        if place.treatment == Treatment::Library {
            self.unfinished.push(Unfinished { written: file, file: member.path, place: place.clone() });
        } else {
            target.count(member.size, Some(Installed { place: place.clone(), soname: None }));
        }
        self.correct_written(target)
    }

    /// Hands all remaining libraries over to be corrected. Call this when no more files come.
    pub fn correct_rest(&mut self, target: &'t Target<'_>) -> Result<(), Error> {
        self.memory.settle();
        self.correct_written(target)
    }

    /// Hands over the libraries whose parts are all written, to be corrected.
    fn correct_written(&mut self, target: &'t Target<'_>) -> Result<(), Error> {
        for Unfinished { written, file, place } in std::mem::take(&mut self.unfinished) {
            match Arc::try_unwrap(written) {
                Ok(written) => self.correct(target, written, file, place)?,
                Err(written) => self.unfinished.push(Unfinished { written, file, place }),
            }
        }
        Ok(())
    }

    fn correct(
        &self,
        target: &'t Target<'_>,
        written: NewFile<'t>,
        file: RelativePath,
        place: Place,
    ) -> Result<(), Error> {
        let directory = target.directory(place.output)?;
        let needed = in_place::memory(&written, &place).map_err(|e| Error::write(&directory.shown(&place.path), e))?;
        let refused = |r| target.refused(&file, r);
        let mut room = self.memory.buffer(0).map_err(refused)?;
        room.take_besides(needed).map_err(refused)?;
        let work = move |_: &mut [u8]| {
            let anew = || directory.file_anew(&place.path, Executable::Yes);
            let corrected = in_place::correct(written, &place, target.options, anew);
            let corrected = corrected.map_err(|failed| target.failed(&file, &place, failed))?;
            target.count(corrected.length, Some(Installed { place, soname: corrected.soname }));
            Ok(())
        };
        self.writers.hand_over(self.writers.turn(), room, Box::new(work));
        Ok(())
    }
}
