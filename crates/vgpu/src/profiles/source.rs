//! Where a list of profiles comes from: a vgpuConfig.xml, or the host driver in a GRID archive or .run file.

use std::path::Path;

use miette::Diagnostic;
use vgpu_base::bounded::{self, ReadError};
use vgpu_driver::Role;
use vgpu_driver::archive::kind::Kind;
use vgpu_driver::archive::{self, Progress};
use vgpu_driver::memory::Memory;
use vgpu_driver::source::Source;
use vgpu_profiles::file;
use vgpu_profiles::limits::MAX_BYTES;

/// Why there is no list.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] vgpu_profiles::Error),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Driver(#[from] vgpu_driver::Error),
    // The error of the driver crate would advise an option that `vgpu profiles` does not have.
    #[error("{0} is the guest driver, not the one for a host")]
    #[diagnostic(help("only host drivers have profiles: give a GRID archive, or NVIDIA-Linux-x86_64-…-vgpu-kvm.run"))]
    Guest(String),
    #[error("{0} has no vgpuConfig.xml")]
    #[diagnostic(help("only host drivers have one: give a GRID archive, or NVIDIA-Linux-x86_64-…-vgpu-kvm.run"))]
    NoList(String),
}

const NAME: &str = "vgpuConfig.xml";

/// How many bytes [`read`] goes through. 0 for a vgpuConfig.xml, which takes no time.
pub fn size(path: &Path) -> u64 {
    match archive::kind_of(path) {
        Ok(Kind::Zip | Kind::Script) => Source::open(path, Role::Host).map_or(0, |source| source.size),
        _ => 0,
    }
}

/// The text of a vgpuConfig.xml: that file itself, or the one in an archive or .run file, which is read to its end.
pub fn read(path: &Path, progress: Progress) -> Result<String, Error> {
    // What is no regular file, such as a pipe, can only be the list itself.
    match archive::kind_of(path) {
        Ok(Kind::Zip | Kind::Script) => unpack(path, progress),
        _ => Ok(file::read(path)?),
    }
}

fn unpack(path: &Path, progress: Progress) -> Result<String, Error> {
    let mut found = None;
    let read = Source::open(path, Role::Host)?.for_each(&Memory::default(), progress, |member| {
        if member.path.as_str() == NAME {
            found = Some(match bounded::read(member.data, MAX_BYTES) {
                Err(ReadError::Io(error)) => return Err(archive::Error::io(path, "cannot be read", error).into()),
                read => read,
            });
        }
        Ok(())
    });
    read.map_err(|error| match error {
        vgpu_driver::Error::OtherRole { path, .. } => Error::Guest(path.display().to_string()),
        other => other.into(),
    })?;
    let read = found.ok_or_else(|| Error::NoList(path.display().to_string()))?;
    Ok(file::text(&path.join(NAME), read)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::progress_reaches;

    /// Otherwise the bar of an archive ends at a fifth, or beyond the end.
    #[test]
    fn progress_reaches_the_size() {
        progress_reaches(size, |path, progress| {
            read(path, progress).unwrap();
        });
    }
}
