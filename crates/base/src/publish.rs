//! Replaces a file or directory in one step: the new one is made beside its target, and then takes its name. At any time
//! there is the old one or the new one.
//!
//! ```no_run
//! # fn main() -> Result<(), vgpu_base::publish::Error> {
//! # use std::path::Path;
//! use std::io::Write;
//! use vgpu_base::publish::{Error, Staged};
//!
//! let target = Path::new("vgpu.nix");
//! let mut staged = Staged::file(target)?;
//! staged.content().write_all(b"{ }").map_err(|source| Error::write(target, source))?;
//! staged.publish()?; // Or `replace`, for a file that may be there.
//! # Ok(())
//! # }
//! ```
//!
//! Until `publish`, the target stays as it was. An error drops [`Staged`], which removes what it made. An interruption
//! ([`crate::interrupt`]) removes it, too, and says so. SIGKILL and a power cut leave it beside the target. The next run
//! there removes it: see [`crate::scratch`].

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::interrupt;
use crate::scratch::{Kind, PREFIX, Scratch};

/// The longest name of a file, in bytes, on all of Linux' file systems.
const LONGEST_NAME: usize = 255;

/// Why nothing was published. Nothing is left then.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error("{} exists already", .path.display())]
    #[diagnostic(help("remove it, or choose another --out"))]
    Exists { path: PathBuf },

    #[error("{} cannot be the name of something new: {problem}", .path.display())]
    #[diagnostic(help("choose another --out"))]
    Name { path: PathBuf, problem: &'static str },

    #[error("{} cannot be written", .path.display())]
    #[diagnostic(help("{}", advice(.source)))]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// A failed attempt to write `path`.
    pub fn write(path: &Path, source: io::Error) -> Error {
        Error::Write { path: path.to_owned(), source }
    }
}

/// What to do when something cannot be written.
pub fn advice(error: &io::Error) -> &'static str {
    if let Some(advice) = scarce(error) {
        return advice;
    }
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "make room there (an installed driver takes up to 1.5 GB), or choose another place"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "choose a place you may write to",
        io::ErrorKind::NotADirectory => "a part of this path is a file: choose another place",
        _ => "look at the cause above; nothing was left behind",
    }
}

/// What to do when the system gives this program too little of something.
pub fn scarce(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::MFILE | Errno::NFILE => {
            Some("too many files are open: raise the limit (ulimit -n), or end other programs")
        }
        Errno::AGAIN => {
            Some("there are too many threads: raise the limits (ulimit -u, ulimit -v), or end other programs")
        }
        Errno::NOMEM => Some("there is too little memory: raise the limit (ulimit -v), or end other programs"),
        _ => None,
    }
}

/// A file or directory that is being made beside its target. If it is dropped before it is published, it is removed.
#[derive(Debug)]
pub struct Staged {
    target: PathBuf,
    scratch: Scratch,
    /// Directories above the target that were made for it, outermost first. They are dropped after what is in them.
    parents: Parents,
}

/// Directories that are removed when this is dropped, if they are empty.
#[derive(Debug)]
struct Parents(Vec<PathBuf>);

impl Drop for Parents {
    fn drop(&mut self) {
        interrupt::remove_empty(&self.0);
    }
}

impl Staged {
    /// Begins a directory. Missing parents are created. When it is published, it has the mode 0755.
    ///
    /// # Errors
    /// When the target is there already, or cannot be made.
    pub fn directory(target: &Path) -> Result<Staged, Error> {
        let target = absolute(target)?;
        if target.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: target });
        }
        Staged::begin(target, Kind::Directory)
    }

    /// Begins a file. Everybody may read it, as far as the umask allows.
    ///
    /// # Errors
    /// When it cannot be made, and when the target is something else than a file.
    pub fn file(target: &Path) -> Result<Staged, Error> {
        let refused = |problem| Err(Error::Name { path: target.to_owned(), problem });
        // A device would be replaced by a file, also one behind a link: /dev/stdout.
        match target.metadata() {
            Ok(found) if found.is_dir() => return refused("it is a directory"),
            Ok(found) if !found.is_file() => return refused("it is a device or a pipe"),
            _ if target.as_os_str().as_bytes().ends_with(b"/") => return refused("it ends in `/`, as no file does"),
            _ => {}
        }
        Staged::begin(absolute(target)?, Kind::File)
    }

    fn begin(target: PathBuf, kind: Kind) -> Result<Staged, Error> {
        let directory = target.parent().unwrap_or(Path::new("/")).to_owned();
        let begun = interrupt::begin(|| {
            let parents = Parents(create_parents(&directory)?);
            let scratch = Scratch::make(&directory, kind)?;
            let (path, target) = (scratch.path().to_owned(), Some(target.clone()));
            Ok(interrupt::Started { path, target, parents: parents.0.clone(), made: (scratch, parents) })
        });
        let (scratch, parents) = begun.map_err(|source| Error::write(&directory, source))?;
        Ok(Staged { target, scratch, parents })
    }

    /// Where it lies until it is published.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// The content of a file that is staged, to be written.
    pub fn content(&mut self) -> &mut File {
        &mut self.scratch.file
    }

    /// Gives it its name. Nothing may have that name yet.
    ///
    /// # Errors
    /// When something has the name meanwhile, or when it cannot be given.
    pub fn publish(self) -> Result<(), Error> {
        self.rename(|from, to| match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // This file system cannot refuse to replace. So somebody may take the name between the check and the step.
            Err(Errno::INVAL) if to.symlink_metadata().is_err() => fs::rename(from, to),
            Err(Errno::INVAL) => Err(io::ErrorKind::AlreadyExists.into()),
            renamed => Ok(renamed?),
        })
    }

    /// Gives a file its name, and replaces the file that has it. Before that, the content is written to the disk.
    ///
    /// # Errors
    /// When that is not possible. The old file is still there then.
    pub fn replace(self) -> Result<(), Error> {
        self.scratch.file.sync_all().map_err(|source| Error::write(&self.target, source))?;
        self.rename(|from, to| fs::rename(from, to))
    }

    fn rename(mut self, step: impl FnOnce(&Path, &Path) -> io::Result<()>) -> Result<(), Error> {
        let renamed = interrupt::finish(self.scratch.path(), || {
            if self.scratch.file.metadata()?.is_dir() {
                self.scratch.file.set_permissions(Permissions::from_mode(0o755))?;
            }
            step(self.scratch.path(), &self.target)
        });
        match renamed {
            Ok(()) => {
                self.scratch.keep();
                self.parents.0.clear();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::Exists { path: self.target.clone() })
            }
            Err(error) => Err(Error::write(&self.target, error)),
        }
    }
}

/// The target as an absolute path that can be a name.
fn absolute(target: &Path) -> Result<PathBuf, Error> {
    let refused = |problem| Error::Name { path: target.to_owned(), problem };
    let absolute = std::path::absolute(target).map_err(|_| refused("it is empty"))?;
    match absolute.file_name() {
        None => Err(refused("it ends in `..` or is the root")),
        Some(name) if name.len() > LONGEST_NAME => Err(refused("it is longer than 255 bytes")),
        Some(name) if name.as_bytes().starts_with(PREFIX.as_bytes()) => {
            Err(refused("names that begin so are those of unfinished files"))
        }
        Some(_) => Ok(absolute),
    }
}

/// Creates a directory and those above it, where they are missing. Returns the new ones, outermost first.
fn create_parents(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let above = directory.ancestors().find_map(|above| above.metadata().ok());
    if above.is_some_and(|above| !above.is_dir()) {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let missing = directory.ancestors().take_while(|above| above.symlink_metadata().is_err());
    let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    missing.reverse();
    fs::create_dir_all(directory).inspect_err(|_| interrupt::remove_empty(&missing))?;
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_directory_is_there_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("above/it/driver");
        let staged = Staged::directory(&target).unwrap();
        fs::write(staged.path().join("file"), "").unwrap();
        assert!(!target.exists());
        drop(staged);
        assert_eq!(names(place.path()), [""; 0], "the parents go with it");
        let staged = Staged::directory(&target).unwrap();
        fs::write(staged.path().join("file"), "").unwrap();
        staged.publish().unwrap();
        assert_eq!(names(&target), ["file"]);
        assert_eq!(names(target.parent().unwrap()), ["driver"]);
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o755);
        assert!(matches!(Staged::directory(&target), Err(Error::Exists { .. })));
    }

    #[test]
    fn what_is_there_by_then_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("driver");
        let staged = Staged::directory(&target).unwrap();
        fs::create_dir(&target).unwrap();
        assert!(matches!(staged.publish(), Err(Error::Exists { .. })));
        let file = place.path().join("vgpu.nix");
        fs::write(&file, "mine").unwrap();
        assert!(matches!(Staged::file(&file).unwrap().publish(), Err(Error::Exists { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        let mut staged = Staged::file(&file).unwrap();
        staged.content().write_all(b"new").unwrap();
        staged.replace().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(names(place.path()), ["driver", "vgpu.nix"]);
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "").unwrap();
        for name in ["..", "a/..", &"x".repeat(256), ".vgpu-new-x"] {
            let refused = Staged::directory(&place.path().join(name));
            assert!(matches!(refused, Err(Error::Name { .. } | Error::Exists { .. })), "{name}: {refused:?}");
        }
        assert!(matches!(Staged::directory(Path::new("")), Err(Error::Name { .. })));
        symlink("/dev/null", place.path().join("link")).unwrap();
        fs::create_dir(place.path().join("folder")).unwrap();
        for name in ["link", "folder", "absent/", "file/"] {
            let refused = Staged::file(&place.path().join(name));
            assert!(matches!(refused, Err(Error::Name { .. })), "{name}: {refused:?}");
        }
        let below_file = Staged::directory(&place.path().join("file/deep/driver"));
        assert!(matches!(below_file, Err(Error::Write { .. })), "{below_file:?}");
        assert_eq!(names(place.path()), ["file", "folder", "link"]);
    }
}
