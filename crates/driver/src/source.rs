//! Where a driver comes from: a GRID archive, a .run file, or a directory with an unpacked driver.
//!
//! All three give the same: the files of one driver package, one after the other.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use vgpu_base::bounded::{self, ReadError};

use crate::archive::grid::{Driver, Grid};
use crate::archive::kind::Kind;
use crate::archive::makeself::Header;
use crate::archive::payload::{LARGEST_MEMBER, Member, for_each_member, most_unpacked};
use crate::archive::stream::{self, PayloadUse};
use crate::archive::{self, MemberError, Progress};
use crate::confined::Tree;
use crate::error::Error;
use crate::manifest::{self, Manifest, ManifestError};
use crate::memory::Memory;
use crate::words::path::RelativePath;
use crate::words::role::Role;

/// A driver package, not yet read.
pub struct Source {
    path: PathBuf,
    role: Role,
    form: Form,
    /// How many bytes there are to read. 0 for directories.
    pub size: u64,
    /// The length of the file, in bytes. It limits what a driver may unpack to. The size that a GRID archive gives for a
    /// .run file in it could be a lie.
    packed: u64,
}

enum Form {
    Grid(Driver),
    Run,
    Directory,
}

impl Source {
    /// Opens `path`. From a GRID archive it takes the driver for `role`.
    pub fn open(path: &Path, role: Role) -> Result<Source, Error> {
        let meta = fs::metadata(path).map_err(|e| archive::Error::io(path, "cannot be opened", e))?;
        let source = |form, size| Ok(Source { path: path.into(), role, form, size, packed: meta.len() });
        if meta.is_dir() {
            return source(Form::Directory, 0);
        }
        match archive::kind_of(path)? {
            Kind::Zip => {
                let mut grid = Grid::open(path)?;
                let Some(driver) = grid.driver(role)? else {
                    let found = match grid.run_files() {
                        none if none.is_empty() => "it has no .run file at all; NVIDIA calls the archive for this \
                                                    NVIDIA-GRID-Linux-KVM-….zip"
                            .to_owned(),
                        names => format!("it has {}", names.join(", ")),
                    };
                    return Err(archive::Error::NoDriver { path: path.into(), wanted: role.to_string(), found }.into());
                };
                let size = grid.open_driver(&driver)?.0;
                source(Form::Grid(driver), size)
            }
            Kind::Script => source(Form::Run, meta.len()),
            kind => Err(archive::Error::NotADriver { path: path.into(), kind }.into()),
        }
    }

    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `visit` with each file of the package.
    pub fn for_each(
        &self,
        memory: &Memory,
        progress: Progress,
        visit: impl FnMut(Member) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match &self.form {
            Form::Grid(driver) => {
                let mut grid = Grid::open(&self.path)?;
                let (_, mut run) = grid.open_driver(driver)?;
                self.walk_run(&self.path.join(&driver.name), &mut run, memory, progress, visit)
            }
            Form::Run => {
                let mut run = archive::open(&self.path)?;
                self.walk_run(&self.path, &mut run, memory, progress, visit)
            }
            Form::Directory => self.walk_directory(visit),
        }
    }

    /// Goes through a .run file. Errors call it `name`.
    fn walk_run(
        &self,
        name: &Path,
        run: &mut (dyn Read + Send),
        memory: &Memory,
        progress: Progress,
        visit: impl FnMut(Member) -> Result<(), Error>,
    ) -> Result<(), Error> {
        stream::with_payload(name, run, PayloadUse::Unpacked, progress, |header, payload| {
            self.check_role(header)?;
            for_each_member(name, payload, self.packed, memory, visit)
        })
    }

    /// Tells hosts from guests by the directory that a .run file unpacks to. The file's own name may be wrong.
    fn check_role(&self, header: &Header) -> Result<(), Error> {
        match header.target.as_deref().and_then(role_of) {
            Some(found) if found != self.role => {
                Err(Error::OtherRole { path: self.path.clone(), found, wanted: self.role })
            }
            _ => Ok(()),
        }
    }

    /// The manifest comes first, then the files that it names. They have the same limits as files of archives. The space
    /// that they take on the disk counts as their packed size.
    fn walk_directory(&self, mut visit: impl FnMut(Member) -> Result<(), Error>) -> Result<(), Error> {
        let tree = Tree::open(&self.path).map_err(|e| archive::Error::io(&self.path, "cannot be opened", e))?;
        let unusable = |problem| Error::Manifest { path: self.path.join(manifest::FILE), problem };
        let none = |_| Error::NoManifest { path: self.path.clone() };
        let name = RelativePath::parse(manifest::FILE).map_err(none)?;
        let file = tree.file(&name).ok().filter(|file| file.metadata().is_ok_and(|metadata| metadata.is_file()));
        let file = file.ok_or_else(|| Error::NoManifest { path: self.path.clone() })?;
        let list = bounded::read(file, manifest::LARGEST).map_err(|error| match error {
            ReadError::TooLong => unusable(ManifestError::TooLarge(manifest::LARGEST + 1)),
            ReadError::Io(_) => Error::NoManifest { path: self.path.clone() },
        })?;
        let size = list.len() as u64;
        let manifest = Manifest::parse(&list).map_err(unusable)?;
        visit(Member { path: name, mode: 0o644, size, data: &mut list.as_slice() })?;
        drop(list);
        let mut files: Vec<_> = manifest.entries.into_iter().filter(|e| !e.is_symlink()).map(|e| e.file).collect();
        files.sort();
        files.dedup();
        let (mut packed, mut unpacked) = (0, 0);
        for path in files {
            let refuse = |problem| Error::from(archive::Error::member(&self.path, path.as_str(), problem));
            let unreadable = |e: io::Error| match e.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::LOOP) => refuse(MemberError::Link),
                Some(Errno::NXIO) => refuse(MemberError::Device),
                _ => archive::Error::io(&self.path.join(path.as_str()), "cannot be read", e).into(),
            };
            let mut data = match tree.file(&path) {
                // The installer knows whether this file is needed.
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
                opened => opened.map_err(unreadable)?,
            };
            let meta = data.metadata().map_err(unreadable)?;
            if meta.is_dir() {
                continue;
            }
            if !meta.is_file() {
                return Err(refuse(MemberError::Device));
            }
            (packed, unpacked) = (packed + meta.blocks() * 512, unpacked + meta.len());
            if meta.len() > LARGEST_MEMBER {
                return Err(refuse(MemberError::Huge(meta.len())));
            }
            if unpacked > most_unpacked(packed) {
                return Err(archive::Error::TooLarge { path: self.path.clone(), limit: most_unpacked(packed) }.into());
            }
            visit(Member { path, mode: meta.mode() & 0o7777, size: meta.len(), data: &mut data })?;
        }
        Ok(())
    }
}

/// The role of the driver that unpacks to `target`. `None` for consumer drivers.
pub fn role_of(target: &str) -> Option<Role> {
    [Role::Host, Role::Guest].into_iter().find(|role| target.contains(role.suffix()))
}
