//! The GRID archive: a .zip with the drivers for hosts and guests of one release.
//!
//! Drivers are found by their file names, at any depth: NVIDIA has moved them between folders.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crc_fast::CrcAlgorithm;
use flate2::bufread::DeflateDecoder;
use vgpu_base::shown;
use zip::read::ZipFile;
use zip::result::{ZipError, ZipResult};
use zip::{CompressionMethod, ZipArchive};

use super::{Error, MemberError};
use crate::words::path::RelativePath;
use crate::words::role::Role;

/// A zip member may not unpack to more than this many times its packed size: .run files are compressed already.
const RATIO: u64 = 20;
/// Members of up to this many bytes may unpack to more.
const UNPACKED_ANYWAY: u64 = 64 << 20;

/// The most bytes that are read to find and read the directory of an archive. NVIDIA's has less than 10 KB.
const LARGEST_DIRECTORY: u64 = 2 << 20;
/// How many names an error shows.
const MOST_SHOWN: usize = 5;

/// An open GRID archive.
pub struct Grid {
    path: std::path::PathBuf,
    zip: ZipArchive<Metered>,
    /// The length of the archive, in bytes. No member can have more.
    length: u64,
}

/// A file that can be read only up to a limit until its directory is known. So the directory takes limited memory.
struct Metered {
    file: File,
    left: Arc<AtomicU64>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let left = self.left.load(Ordering::Relaxed).checked_sub(count as u64);
        self.left.store(left.ok_or_else(|| io::Error::other("its directory is too large"))?, Ordering::Relaxed);
        Ok(count)
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A driver in a GRID archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Full name of the member.
    pub name: String,
    /// Its version, from the name: `550.163.01`, for Windows `553.74`.
    pub version: String,
}

impl Driver {
    /// The name without folders.
    pub fn file(&self) -> &str {
        base_name(&self.name)
    }
}

impl Grid {
    /// Opens an archive and reads its directory.
    pub fn open(path: &Path) -> Result<Grid, Error> {
        let file = super::open(path)?;
        let length = file.metadata().map_err(|source| Error::io(path, "cannot be read", source))?.len();
        let left = Arc::new(AtomicU64::new(LARGEST_DIRECTORY));
        let metered = Metered { file, left: left.clone() };
        let zip = ZipArchive::new(metered).map_err(|source| Error::Zip { path: path.into(), source })?;
        left.store(u64::MAX, Ordering::Relaxed);
        Ok(Grid { path: path.into(), zip, length })
    }

    /// The Linux driver for hosts or guests, if there is exactly one.
    pub fn driver(&self, role: Role) -> Result<Option<Driver>, Error> {
        let suffix = format!("{}.run", role.suffix());
        let mut found = self.matching(|name| {
            let version = name.strip_prefix("NVIDIA-Linux-x86_64-")?.strip_suffix(&suffix)?;
            is_version(version).then_some(version)
        });
        if found.len() > 1 {
            let names: Vec<_> = found.iter().take(MOST_SHOWN).map(|driver| driver.name.as_str()).collect();
            return Err(Error::NoDriver {
                path: self.path.clone(),
                wanted: format!("unambiguous {role}"),
                found: format!("it has several: {}; give the one you want as a .run file", names.join(", ")),
            });
        }
        Ok(found.pop())
    }

    /// The Windows guest driver: `553.74_grid_win10_win11_server2022_dch_64bit_international.exe`.
    /// Some archives have one for each version of Windows, all with the same driver version. Then the first by name counts.
    pub fn windows(&self) -> Option<Driver> {
        self.matching(|name| {
            let (version, rest) = name.split_once("_grid_win")?;
            (is_version(version) && rest.ends_with(".exe")).then_some(version)
        })
        .into_iter()
        .next()
    }

    /// The members in whose file name `version` finds a version, sorted by name.
    fn matching(&self, version: impl Fn(&str) -> Option<&str>) -> Vec<Driver> {
        let mut found: Vec<_> = (self.zip.file_names().flatten())
            .filter_map(|name| {
                // No driver has a name that leads out of the folder or moves a terminal's cursor. Some programs write `\\`.
                RelativePath::parse(name.as_bytes()).ok()?;
                let version = version(base_name(&name))?.to_owned();
                Some(Driver { name: name.into_owned(), version })
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// The names of the first .run members, for error messages.
    pub fn run_files(&self) -> Vec<String> {
        let mut names: Vec<_> = self.zip.file_names().flatten().map(|name| name.into_owned()).collect();
        names.retain(|name| name.ends_with(".run"));
        names.sort();
        names.truncate(MOST_SHOWN);
        names.iter_mut().for_each(|name| *name = shown::name(name));
        names
    }

    /// The size and content of a member. Reading it to its end fails when it is longer or shorter than declared, or when its
    /// CRC is wrong.
    pub fn open_driver(&mut self, driver: &Driver) -> Result<(u64, impl Read + Send + '_), Error> {
        let path = self.path.clone();
        let unreadable = |source| Error::Zip { path: path.clone(), source };
        let index = self.zip.index_for_name(&driver.name).ok_or_else(|| unreadable(ZipError::FileNotFound))?;
        let member = self.zip.by_index_raw(index).map_err(unreadable)?;
        let size = member.size();
        // The directory may claim any packed size.
        let packed = member.compressed_size().min(self.length);
        if size > UNPACKED_ANYWAY.saturating_add(packed.saturating_mul(RATIO)) {
            return Err(Error::member(&path, &driver.name, MemberError::Bomb(size)));
        }
        Ok((size, Whole::new(member).map_err(unreadable)?))
    }
}

/// The content of a member. It must have as many bytes as the directory says, and the CRC that it says.
///
/// The crate zip could unpack it, too, but it reads 8 kB at a time. So unpacking took longer than reading a .run file.
struct Whole<'a> {
    content: Box<dyn Read + Send + 'a>,
    left: u64,
    crc: crc_fast::Digest,
    expected: u32,
}

/// How many bytes of a member are read at a time. They stay in the processor's cache until they are inflated.
const PACKED_CHUNK: usize = 128 << 10;

impl<'a> Whole<'a> {
    fn new(member: ZipFile<'a, Metered>) -> ZipResult<Whole<'a>> {
        if member.encrypted() {
            return Err(ZipError::UnsupportedArchive("it is encrypted"));
        }
        let (left, expected) = (member.size(), member.crc32());
        let content: Box<dyn Read + Send> = match member.compression() {
            CompressionMethod::Stored => Box::new(member),
            CompressionMethod::Deflated => {
                Box::new(DeflateDecoder::new(BufReader::with_capacity(PACKED_CHUNK, member)))
            }
            _ => return Err(ZipError::UnsupportedArchive("it is compressed in another way than deflate")),
        };
        Ok(Whole { content, left, crc: crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc), expected })
    }
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.crc.update(&buffer[..count]);
        let problem = if count as u64 > self.left {
            "it is longer than the archive's directory says".to_owned()
        } else if count > 0 || buffer.is_empty() {
            self.left -= count as u64;
            return Ok(count);
        } else if self.left > 0 {
            format!("it is {} bytes shorter than the archive's directory says", self.left)
        } else if self.crc.finalize() != u64::from(self.expected) {
            "its CRC is wrong".to_owned()
        } else {
            return Ok(0);
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, problem))
    }
}

fn base_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

fn is_version(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}
