//! Members of an archive that come before its manifest. Only the manifest says where they go.
//!
//! NVIDIA packs the manifest first, or nearly so. Other archives may have it later.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::archive;
use crate::archive::payload::Member;
use crate::error::Error;
use crate::words::path::RelativePath;

/// Members that came before the manifest. They wait in an unnamed temporary file.
#[derive(Default)]
pub struct Waiting {
    file: Option<File>,
    members: Vec<(RelativePath, u32, u64)>,
}

impl Waiting {
    /// Keeps a member for later.
    pub fn keep(&mut self, path: &Path, member: Member) -> Result<(), Error> {
        let unwritable = |e| Error::write(&std::env::temp_dir(), e);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile().map_err(unwritable)?),
        };
        let copied = std::io::copy(member.data, file).map_err(unwritable)?;
        if copied != member.size {
            let source = std::io::ErrorKind::UnexpectedEof.into();
            return Err(archive::Error::Payload { path: path.into(), source }.into());
        }
        self.members.push((member.path, member.mode, member.size));
        Ok(())
    }

    /// Hands the members over, in the order they came.
    pub fn replay(self, path: &Path, mut take: impl FnMut(Member) -> Result<(), Error>) -> Result<(), Error> {
        let Some(mut file) = self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(0)).map_err(|e| archive::Error::io(path, "cannot be read again", e))?;
        for (member, mode, size) in self.members {
            let mut data = (&mut file).take(size);
            take(Member { path: member, mode, size, data: &mut data })?;
            std::io::copy(&mut data, &mut std::io::sink())
                .map_err(|e| archive::Error::io(path, "cannot be read again", e))?;
        }
        Ok(())
    }
}
