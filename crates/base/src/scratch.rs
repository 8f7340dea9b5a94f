//! Temporary files and directories in a directory of the user. They are removed at the end of the run, or by the next run.
//!
//! A [`Scratch`] is removed when it is dropped, or by an interruption ([`crate::interrupt`]). SIGKILL and a power cut leave
//! it, under a name that begins with `.vgpu-new-`. The next run that makes something in that directory removes it. A run
//! that is still at work holds a lock on what it has made. When a run is killed, the kernel drops its locks.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use crate::interrupt;

/// What the names of unfinished files and directories begin with.
pub const PREFIX: &str = ".vgpu-new-";

/// What is made.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    File,
    Directory,
}

/// A file or directory with a unique name. It is removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Its lock keeps other runs from removing this as a leftover.
    pub(crate) file: File,
    kept: bool,
}

impl Scratch {
    /// Makes a directory for this user alone. First it removes what killed runs have left beside it.
    ///
    /// # Errors
    /// When it cannot be made or locked, or there is no thread to wait for signals.
    pub fn directory(within: &Path) -> io::Result<Scratch> {
        interrupt::begin(|| {
            let made = Scratch::make(within, Kind::Directory)?;
            Ok(interrupt::Started { path: made.path.clone(), target: None, parents: Vec::new(), made })
        })
    }

    /// Makes it. The caller tells [`interrupt`] about it.
    pub(crate) fn make(within: &Path, kind: Kind) -> io::Result<Scratch> {
        remove_leftovers(within);
        let (path, file) = locked(within, kind)?;
        Ok(Scratch { path, file, kept: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it: it has another name now.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept {
            let _ = interrupt::finish(&self.path, || remove(&self.path));
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if !path.symlink_metadata()?.is_dir() {
        return fs::remove_file(path);
    }
    // Removing an empty directory needs no descriptor.
    fs::remove_dir(path).or_else(|_| fs::remove_dir_all(path)).or_else(|_| remove_frugally(path))
}

/// Removes a directory with one open descriptor at a time: the lack of descriptors may be the reason for the removal. An
/// entry holds the descriptor of its directory, so no entries are kept.
fn remove_frugally(directory: &Path) -> io::Result<()> {
    let entries = fs::read_dir(directory)?.map(|entry| {
        let entry = entry?;
        Ok((entry.path(), entry.file_type()?.is_dir()))
    });
    for (path, is_directory) in entries.collect::<io::Result<Vec<_>>>()? {
        if is_directory { remove_frugally(&path)? } else { fs::remove_file(path)? }
    }
    fs::remove_dir(directory)
}

/// Makes a file or directory with a unique name, and locks it.
fn locked(directory: &Path, kind: Kind) -> io::Result<(PathBuf, File)> {
    loop {
        let builder = &mut tempfile::Builder::new();
        builder.prefix(PREFIX);
        let (path, file) = match kind {
            Kind::Directory => {
                let path = builder.tempdir_in(directory)?.keep();
                let file = File::open(&path);
                (path, file)
            }
            Kind::File => {
                let new = builder.permissions(Permissions::from_mode(0o666)).tempfile_in(directory)?;
                let (file, path) = new.keep().map_err(|failed| failed.error)?;
                (path, Ok(file))
            }
        };
        let locked = file.and_then(|file| {
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        });
        let file = locked.inspect_err(|_| drop(remove(&path)))?;
        // Before it was locked, another run may have removed it as a leftover.
        if path.symlink_metadata().is_ok_and(|found| file.metadata().is_ok_and(|own| own.ino() == found.ino())) {
            return Ok((path, file));
        }
    }
}

/// Removes what killed runs have left in a directory. A run that is still at work holds its lock.
pub fn remove_leftovers(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) || !is_own(&path) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match open(&path, flags, Mode::empty()) {
            Ok(file) if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() => drop(remove(&path)),
            // This is left if an interruption was itself killed: see interrupt.rs.
            Err(Errno::LOOP) if fs::read_link(&path).is_ok_and(|link| link == path) => drop(fs::remove_file(&path)),
            _ => {}
        }
    }
}

/// Whether a file, directory or link belongs to the user of this process.
fn is_own(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn leftovers_go_and_work_under_way_stays() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at(".vgpu-new-killed/out")).unwrap();
        fs::write(at(".vgpu-new-file"), "").unwrap();
        std::os::unix::fs::symlink(at(".vgpu-new-loop"), at(".vgpu-new-loop")).unwrap();
        std::os::unix::fs::symlink("/etc", at(".vgpu-new-link")).unwrap();
        fs::write(at("other"), "").unwrap();
        let first = Scratch::directory(place.path()).unwrap();
        fs::write(first.path().join("file"), "").unwrap();
        let second = Scratch::directory(place.path()).unwrap();
        assert!(first.path().join("file").exists() && second.path().exists());
        drop((first, second));
        assert_eq!(names(place.path()), [".vgpu-new-link", "other"]);
    }
}
