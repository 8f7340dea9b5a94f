//! Files below one directory, and nowhere else. The kernel guarantees this: every path is looked up from the directory's
//! handle with openat2(2). It follows no link, and no `..` leads out of the directory.
//!
//! Linux has openat2 since 5.6. Older kernels cannot confine a lookup, so writing is an error there.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use memmap2::{Mmap, UncheckedAdvice};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, fchmod, mkdirat, open, openat2, symlinkat, unlinkat};
use rustix::io::Errno;

use crate::ledger::Ledger;
use crate::words::path::{RelativePath, Target};

/// How every lookup is confined.
const CONFINED: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// What a folder takes of the [`Ledger`], in bytes: a block, as on most file systems. So a list of deep paths cannot make millions.
const FOLDER: u64 = 4096;

/// A directory, for lookups only.
const LOOKUP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn lookup(directory: &OwnedFd, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    openat2(directory, path, flags | OFlags::CLOEXEC, mode, CONFINED).map_err(|error| match error {
        Errno::NOSYS => io::Error::new(
            io::ErrorKind::Unsupported,
            "this kernel has no openat2(2), by which files are kept within a directory: Linux 5.6 and later have it",
        ),
        error => error.into(),
    })
}

/// Whether a file may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executable {
    Yes,
    No,
}

impl Executable {
    /// Reads it from permission bits.
    pub fn of(mode: u32) -> Executable {
        if mode & 0o111 == 0 { Executable::No } else { Executable::Yes }
    }

    /// The mode that such files have in the Nix store.
    fn mode(self) -> Mode {
        Mode::from_raw_mode(if self == Executable::Yes { 0o755 } else { 0o644 })
    }
}

/// A directory to write into. Everything below it is new.
#[derive(Debug)]
pub struct Directory<'l> {
    handle: OwnedFd,
    path: PathBuf,
    ledger: &'l Ledger,
    /// Folders that exist already.
    made: Mutex<HashSet<String>>,
}

impl<'l> Directory<'l> {
    /// Opens a directory. If it is missing, it is created. `ledger` counts all bytes that are written into it.
    ///
    /// The directory above it is never created: if it is not there, an interruption has just removed it.
    pub fn create(path: &Path, ledger: &'l Ledger) -> io::Result<Directory<'l>> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => created?,
        }
        let handle = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        fchmod(&handle, Executable::Yes.mode())?;
        Ok(Directory { handle, path: path.to_owned(), ledger, made: Mutex::default() })
    }

    /// How errors name a path in it.
    pub fn shown(&self, path: &RelativePath) -> PathBuf {
        self.path.join(path.as_str())
    }

    /// Creates a file, and its folders.
    pub fn file(&self, path: &RelativePath, executable: Executable) -> io::Result<NewFile<'l>> {
        self.make_folders(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let handle = lookup(&self.handle, path.as_str(), flags, executable.mode())?;
        fchmod(&handle, executable.mode())?; // Whatever the umask is.
        Ok(NewFile { file: handle.into(), ledger: self.ledger })
    }

    /// Removes a file that was created here, and creates it again.
    pub fn file_anew(&self, path: &RelativePath, executable: Executable) -> io::Result<NewFile<'l>> {
        match path.folder() {
            Some(folder) => {
                let folder = lookup(&self.handle, folder.as_str(), LOOKUP, Mode::empty())?;
                unlinkat(folder, path.name(), AtFlags::empty())?;
            }
            None => unlinkat(&self.handle, path.name(), AtFlags::empty())?,
        }
        self.file(path, executable)
    }

    /// Creates a symbolic link, and its folders.
    pub fn link(&self, path: &RelativePath, target: &Target) -> io::Result<()> {
        self.make_folders(path)?;
        let target = target.to_string();
        match path.folder() {
            Some(folder) => {
                let folder = lookup(&self.handle, folder.as_str(), LOOKUP, Mode::empty())?;
                symlinkat(target, folder, path.name())?;
            }
            None => symlinkat(target, &self.handle, path.name())?,
        }
        Ok(())
    }

    /// Makes the folders that a path lies in, with the mode that folders have in the Nix store.
    fn make_folders(&self, path: &RelativePath) -> io::Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if path.folder().is_none_or(|folder| made.contains(folder.as_str())) {
            return Ok(());
        }
        let mut above: Option<&str> = None;
        for folder in path.folders() {
            if !made.contains(folder) {
                self.ledger.write(FOLDER)?;
                let name = folder.rsplit('/').next().unwrap_or(folder);
                let created = match above {
                    Some(above) => {
                        let above = lookup(&self.handle, above, LOOKUP, Mode::empty())?;
                        mkdirat(above, name, Executable::Yes.mode())
                    }
                    None => mkdirat(&self.handle, name, Executable::Yes.mode()),
                };
                match created {
                    Ok(()) => {
                        let new = lookup(&self.handle, folder, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
                        fchmod(new, Executable::Yes.mode())?;
                    }
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                made.insert(folder.to_owned());
            }
            above = Some(folder);
        }
        Ok(())
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct NewFile<'l> {
    file: File,
    ledger: &'l Ledger,
}

impl NewFile<'_> {
    /// Writes at an offset, in bytes. Others may write to other places at the same time.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.ledger.write(bytes.len() as u64)?;
        self.file.write_all_at(bytes, offset)
    }

    /// Maps the file as it is now. Nothing may write to it while the mapping is in use.
    pub fn mapped(&self) -> io::Result<Mapped> {
        // SAFETY: the file is new and lies in an output that nobody else writes to; its own writers have ended.
        #[allow(unsafe_code)]
        unsafe {
            Mmap::map(&self.file).map(Mapped)
        }
    }

    /// Replaces bytes that were written already. Only bytes after the end of the file count as written.
    pub fn change(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        self.ledger.write(end.saturating_sub(self.length()?.max(offset)))?;
        self.file.write_all_at(bytes, offset)
    }

    /// Cuts the file off at this length, in bytes.
    pub fn end_at(&mut self, length: u64) -> io::Result<()> {
        if length < self.length()? { self.file.set_len(length) } else { Ok(()) }
    }

    /// Takes this number of bytes out of the count, because they are written again.
    pub fn forget(&self, bytes: u64) {
        self.ledger.forget(bytes);
    }

    /// Its length, in bytes.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl Write for NewFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ledger.write(bytes.len() as u64)?;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The content of a file. The parts that were read count as memory of this program until [`Mapped::let_go`].
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// Gives the memory back to the system. The content can still be read, and is the same.
    pub fn let_go(&self) -> io::Result<()> {
        // SAFETY: the content is in the file. Nobody has changed it through this mapping.
        #[allow(unsafe_code)]
        unsafe {
            self.0.unchecked_advise(UncheckedAdvice::DontNeed)
        }
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A directory to read from.
#[derive(Debug)]
pub struct Tree(OwnedFd);

impl Tree {
    /// Opens a directory.
    pub fn open(path: &Path) -> io::Result<Tree> {
        Ok(Tree(rustix::fs::openat(CWD, path, LOOKUP, Mode::empty())?))
    }

    /// Opens a file in it for reading. It follows no link and never waits: opening a pipe returns at once.
    pub fn file(&self, path: &RelativePath) -> io::Result<File> {
        Ok(lookup(&self.0, path.as_str(), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).unwrap()
    }

    #[test]
    fn files_and_links_come_with_their_folders() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::default();
        let out = place.path().join("out");
        let directory = Directory::create(&out, &ledger).unwrap();
        directory.file(&path("lib/deep/file"), Executable::Yes).unwrap().write_all(b"text").unwrap();
        directory.link(&path("lib/link"), &Target::parse("deep/file").unwrap()).unwrap();
        directory.link(&path("top"), &Target::parse("lib/link").unwrap()).unwrap();
        assert_eq!(fs::read(out.join("top")).unwrap(), b"text");
        assert_eq!(fs::metadata(out.join("lib/deep/file")).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::metadata(out.join("lib/deep")).unwrap().permissions().mode() & 0o7777, 0o755);
        let twice = directory.file(&path("top"), Executable::No).unwrap_err();
        assert_eq!(twice.kind(), io::ErrorKind::AlreadyExists);
    }

    /// An interruption removes it. It must not come back.
    #[test]
    fn the_directory_above_is_not_made() {
        let place = tempfile::tempdir().unwrap();
        let error = Directory::create(&place.path().join("gone/out"), &Ledger::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!place.path().join("gone").exists());
    }

    #[test]
    fn a_file_that_is_made_anew_is_another() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::default();
        let out = place.path().join("out");
        let directory = Directory::create(&out, &ledger).unwrap();
        for name in ["top", "lib/deep/file"] {
            let mut old = directory.file(&path(name), Executable::No).unwrap();
            old.write_all(b"much text").unwrap();
            let mut new = directory.file_anew(&path(name), Executable::Yes).unwrap();
            new.write_all(b"text").unwrap();
            old.change(b"MUCH TEXT", 0).unwrap(); // Whoever has the old one open does not see the new one.
            assert_eq!(fs::read(out.join(name)).unwrap(), b"text");
            assert_eq!(fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o7777, 0o755);
        }
        let absent = directory.file_anew(&path("lib/absent"), Executable::No).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        // Nothing is removed through a link.
        fs::create_dir(place.path().join("elsewhere")).unwrap();
        fs::write(place.path().join("elsewhere/file"), "mine").unwrap();
        symlink("../elsewhere", out.join("link")).unwrap();
        assert!(directory.file_anew(&path("link/file"), Executable::No).is_err());
        assert_eq!(fs::read(place.path().join("elsewhere/file")).unwrap(), b"mine");
    }

    #[test]
    fn only_what_comes_after_the_end_counts_as_written() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::default();
        let directory = Directory::create(&place.path().join("out"), &ledger).unwrap();
        let mut file = directory.file(&path("file"), Executable::No).unwrap();
        let most = ledger.most() as usize;
        file.write_all(&vec![1; most - 1]).unwrap();
        file.change(&[2; 1000], 0).unwrap();
        file.change(&[3; 1000], most as u64 - 1000).unwrap(); // One byte more.
        assert!(file.change(&[4; 1000], most as u64 - 999).is_err() && ledger.is_exceeded());
        file.end_at(10).unwrap();
        assert_eq!(fs::read(place.path().join("out/file")).unwrap(), [2; 10]);
        // Bytes that are written again do not count. Neither does the byte that failed.
        file.forget(1001);
        file.write_all_at(&[5; 1000], 10).unwrap();
        assert!(file.write_all_at(b"6", 10).is_err());
    }

    /// It does not matter who put the link there: nothing is written through it.
    #[test]
    fn no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let (out, elsewhere) = (place.path().join("out"), place.path().join("elsewhere"));
        fs::create_dir_all(&elsewhere).unwrap();
        let ledger = Ledger::default();
        let directory = Directory::create(&out, &ledger).unwrap();
        symlink(&elsewhere, out.join("absolute")).unwrap();
        symlink("../elsewhere", out.join("relative")).unwrap();
        symlink(".", out.join("own")).unwrap();
        for folder in ["absolute", "relative", "own"] {
            assert!(directory.file(&path(&format!("{folder}/file")), Executable::No).is_err(), "{folder}");
            assert!(directory.file(&path(&format!("{folder}/more/file")), Executable::No).is_err(), "{folder}");
            let target = Target::parse("x").unwrap();
            assert!(directory.link(&path(&format!("{folder}/link")), &target).is_err(), "{folder}");
        }
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 3);
        let tree = Tree::open(place.path()).unwrap();
        fs::write(elsewhere.join("file"), "").unwrap();
        assert!(tree.file(&path("elsewhere/file")).is_ok());
        assert!(tree.file(&path("out/relative/file")).is_err());
    }
}
