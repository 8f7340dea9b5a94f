//! Where a driver is installed: its outputs, what was written into them, and errors about files in them.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::archive::{self, MemberError};
use crate::confined::{Directory, Executable};
use crate::error::Error;
use crate::ledger::Ledger;
use crate::memory::Refused;
use crate::treat::{self, Failed, Problem};
use crate::words::options::Options;
use crate::words::output::{Output, Place, Treatment};
use crate::words::path::RelativePath;

/// What was written so far.
#[derive(Debug, Default)]
pub struct Written {
    pub files: u64,
    /// In bytes.
    pub bytes: u64,
    pub installed: Vec<Installed>,
}

/// A file that was written.
#[derive(Debug)]
pub struct Installed {
    pub place: Place,
    /// The SONAME, if this is a library that has one.
    pub soname: Option<String>,
}

/// Where the driver is installed.
pub struct Target<'a> {
    /// Names the archive in errors.
    pub archive: &'a Path,
    pub options: &'a Options,
    /// In the order of [`Output::ALL`]; `None` where an output is not wanted.
    directories: Vec<Option<Directory<'a>>>,
    pub ledger: &'a Ledger,
    pub written: Mutex<Written>,
}

impl<'a> Target<'a> {
    pub fn open(archive: &'a Path, options: &'a Options, ledger: &'a Ledger) -> Result<Target<'a>, Error> {
        let open = |output| {
            let Some(path) = options.destination.get(output) else { return Ok(None) };
            Directory::create(path, ledger).map(Some).map_err(|e| Error::write(path, e))
        };
        let directories = Output::ALL.into_iter().map(open).collect::<Result<_, Error>>()?;
        Ok(Target { archive, options, directories, ledger, written: Mutex::default() })
    }

    /// The directory of an output. No plan has a file in an output that is not wanted.
    pub fn directory(&self, output: Output) -> Result<&Directory<'a>, Error> {
        let at = Output::ALL.iter().position(|other| *other == output);
        let directory = at.and_then(|at| self.directories[at].as_ref());
        directory.ok_or_else(|| Error::write(Path::new(output.name()), io::ErrorKind::NotFound.into()))
    }

    pub fn damaged(&self, file: &RelativePath, problem: Problem) -> Error {
        Error::File { path: self.archive.into(), file: file.clone(), problem }
    }

    pub fn member(&self, file: &RelativePath, problem: MemberError) -> Error {
        archive::Error::member(self.archive, file.as_str(), problem).into()
    }

    /// The error for a file that there is no memory for. If writing has failed, the writers' error replaces this one.
    pub fn refused(&self, file: &RelativePath, refused: Refused) -> Error {
        match refused {
            Refused::Stopped => Error::write(self.archive, io::ErrorKind::Interrupted.into()),
            refused => self.damaged(file, refused.into()),
        }
    }

    /// The error for a file that could not be changed as its place wants it.
    pub fn failed(&self, file: &RelativePath, place: &Place, failed: Failed) -> Error {
        match (failed, self.directory(place.output)) {
            (Failed::File(problem), _) => self.damaged(file, problem),
            (Failed::Write(source), Ok(directory)) => Error::write(&directory.shown(&place.path), source),
            (Failed::Write(_), Err(error)) => error,
        }
    }

    /// Counts a file that was written.
    pub fn count(&self, bytes: u64, installed: Option<Installed>) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.files += 1;
        written.bytes += bytes;
        written.installed.extend(installed);
    }

    /// Writes a file with this content.
    pub fn write(
        &self,
        output: Output,
        path: &RelativePath,
        executable: Executable,
        content: &[u8],
    ) -> Result<u64, Error> {
        let directory = self.directory(output)?;
        let written = directory.file(path, executable).and_then(|mut file| file.write_all(content));
        written.map_err(|e| Error::write(&directory.shown(path), e))?;
        Ok(content.len() as u64)
    }

    /// Writes a file of the driver to one place.
    pub fn install(
        &self,
        file: &RelativePath,
        place: Place,
        executable: Executable,
        data: &mut [u8],
    ) -> Result<(), Error> {
        let treatment = treat::of_content(place.treatment, data);
        if treatment == Treatment::Program
            && let Some(name) = place.path.as_str().strip_prefix("bin/")
        {
            // Containers get programs as NVIDIA made them.
            let original = RelativePath::parse(format!("origBin/{name}")).map_err(|e| self.member(file, e.into()))?;
            self.count(self.write(place.output, &original, Executable::Yes, data)?, None);
        }
        let executable = match treatment {
            Treatment::Library | Treatment::Program | Treatment::Script => Executable::Yes,
            _ if place.keeps_executable() => executable,
            _ => Executable::No,
        };
        let directory = self.directory(place.output)?;
        let unwritable = |e| Error::write(&directory.shown(&place.path), e);
        let file_out = directory.file(&place.path, executable).map_err(unwritable)?;
        let mut out = io::BufWriter::with_capacity(256 << 10, file_out);
        let treated = treat::treat(treatment, &place, data, self.options, &mut out);
        let soname = treated.map_err(|failed| self.failed(file, &place, failed))?;
        out.flush().and_then(|()| out.get_ref().length()).map_err(unwritable).map(|length| {
            self.count(length, Some(Installed { place: Place { treatment, ..place.clone() }, soname }));
        })
    }
}
