//! The payload of a .run file: compressed tar → members, one after the other.
//!
//! It refuses what an attacker might use and no driver package contains: names that lead out of the package, members below
//! a symlink, hard links, devices, sparse files, and sizes that cannot be real. Nothing is written here.

use std::collections::HashSet;
use std::io::{self, BufRead, Read};
use std::path::Path;

use liblzma::stream::Stream;
use tar::{EntryType, Header, PaxExtensions};

use super::{Error, MemberError};
use crate::manifest::MOST_FILES;
use crate::memory::Memory;
use crate::words::path::{LONGEST_PATH, PathError, RelativePath, Target};

/// The largest file that a driver may have, in bytes. The largest of the 550 driver has 100 MB.
pub const LARGEST_MEMBER: u64 = 512 << 20;
/// The most bytes of a header that holds a name.
const LONGEST_HEADER: u64 = 4 * LONGEST_PATH as u64;
/// The most bytes of all names together.
const ALL_NAMES: usize = 4 << 20;
/// A payload may unpack to this much plus [`RATIO`] times its packed size, in bytes. The 550 driver's ratio is 3.2.
const UNPACKED_ANYWAY: u64 = 64 << 20;
const RATIO: u64 = 12;
/// Memory that a decompressor of xz may use, in bytes: xz -9 wants 65 MiB.
const XZ_MEMORY: u64 = 66 << 20;
/// The smallest and the largest window of zstd, as powers of two. `zstd --ultra -22` makes the largest.
const WINDOWS: [u32; 2] = [21, 27];
/// The memory that its decompressor takes besides the window, in bytes.
const ZSTD_BESIDES: usize = 1 << 20;

/// A file in a package.
pub struct Member<'a> {
    /// Path within the package.
    pub path: RelativePath,
    /// Permission bits as they are in the archive, also setuid.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// The content.
    pub data: &'a mut dyn Read,
}

impl Member<'_> {
    /// Reads the content into `buffer`, which has its size. It is an error if the content ends early.
    pub fn read_into(self, archive: &Path, buffer: &mut [u8]) -> Result<(), Error> {
        self.data.read_exact(buffer).map_err(|source| Error::Payload { path: archive.into(), source })
    }

    /// The content of a member. The caller knows that it is small.
    pub fn read(self, archive: &Path) -> Result<Vec<u8>, Error> {
        let mut buffer = vec![0; self.size as usize];
        self.read_into(archive, &mut buffer)?;
        Ok(buffer)
    }
}

/// Goes through the compressed tar stream `payload` of the archive `path`, and calls `visit` with each file.
///
/// `packed` is the size of the archive in bytes. It limits what the payload may unpack to. The decompressor takes its
/// memory from `memory`.
pub fn for_each_member<E: From<Error>>(
    path: &Path,
    payload: impl BufRead,
    packed: u64,
    memory: &Memory,
    visit: impl FnMut(Member) -> Result<(), E>,
) -> Result<(), E> {
    let limit = most_unpacked(packed);
    let unpacked = decompress(payload, memory).map_err(|source| Error::Payload { path: path.into(), source })?;
    let mut unpacked = unpacked.take(limit);
    let walked = walk(path, &mut unpacked, limit, visit).and_then(|()| {
        // A decompressor compares its check sum at the end of the stream, which comes after the end of the tar.
        io::copy(&mut unpacked, &mut io::sink()).map_err(|source| Error::Payload { path: path.into(), source })?;
        Ok(())
    });
    if unpacked.limit() == 0 {
        return Err(Error::TooLarge { path: path.into(), limit }.into());
    }
    walked
}

/// The most bytes that a file of `packed` bytes may unpack to.
pub fn most_unpacked(packed: u64) -> u64 {
    UNPACKED_ANYWAY.saturating_add(packed.saturating_mul(RATIO))
}

/// Tells the compression by its magic number. NVIDIA used gzip, bzip2 and xz before 530.30, zstd since. Each may come
/// in several parts, as parallel compressors make them.
fn decompress<'a>(mut packed: impl BufRead + 'a, memory: &Memory) -> io::Result<Box<dyn Read + 'a>> {
    let start = packed.fill_buf()?;
    let lease = |bytes| memory.lease(bytes).map_err(|refused| io::Error::new(io::ErrorKind::OutOfMemory, refused));
    Ok(match start {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let window = zstd_window(start);
            lease((1 << window) + ZSTD_BESIDES)?;
            let mut decoder = zstd::Decoder::with_buffer(packed)?;
            decoder.window_log_max(window)?;
            Box::new(decoder)
        }
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            lease(XZ_MEMORY as usize)?;
            let decoder =
                Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED).map_err(io::Error::from)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, decoder))
        }
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        [] => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the payload is missing")),
        _ => return Err(io::Error::other("it is neither zstd, xz, gzip nor bzip2")),
    })
}

/// The window of a zstd stream with this beginning, as a power of two (RFC 8878, 3.1.1.1.2). Other frames of the stream may
/// not have a larger one. For a frame in one segment, the window is as large as its content.
fn zstd_window(start: &[u8]) -> u32 {
    let [least, most] = WINDOWS;
    match start {
        [_, _, _, _, descriptor, window, ..] if descriptor & 0x20 == 0 => {
            let (exponent, mantissa) = (u32::from(window >> 3), window & 7);
            (10 + exponent + u32::from(mantissa > 0)).clamp(least, most)
        }
        _ => 23,
    }
}

/// Whether a payload with this beginning has a check sum of its unpacked content. Decompressors compare it with their
/// result. gzip and bzip2 always have one; zstd and xz may have one.
///
/// zstd: the flag Content_Checksum of the frame header (RFC 8878, 3.1.1.1.1). xz: the kind of check in the stream
/// header (The .xz File Format, 2.1.1.2), 0 for none, which is what NVIDIA used.
pub fn checks_content(start: &[u8]) -> bool {
    match start {
        [0x28, 0xb5, 0x2f, 0xfd, descriptor, ..] => descriptor & 0x04 != 0,
        [0xfd, b'7', b'z', b'X', b'Z', 0, _, check, ..] => check & 0x0f != 0,
        [0x1f, 0x8b, ..] | [b'B', b'Z', b'h', ..] => true,
        _ => false,
    }
}

/// What earlier tar headers said about the next member.
#[derive(Default)]
struct Next {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

fn walk<E: From<Error>>(
    path: &Path,
    unpacked: &mut dyn Read,
    limit: u64,
    mut visit: impl FnMut(Member) -> Result<(), E>,
) -> Result<(), E> {
    let unreadable = |source| Error::Payload { path: path.into(), source };
    let mut tar = tar::Archive::new(unpacked);
    let mut symlinks = HashSet::new();
    let mut next = Next::default();
    let (mut members, mut all_names) = (0, 0);
    // Raw entries: otherwise the crate would read long names into memory, whatever their size.
    for entry in tar.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        let header = entry.header().clone();
        let shown = String::from_utf8_lossy(next.name.as_deref().unwrap_or(&header.path_bytes())).into_owned();
        let refuse = |problem: MemberError| E::from(Error::member(path, &shown, problem));
        let declared = header.entry_size().map_err(unreadable)?;
        match header.entry_type() {
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader => {
                if declared > LONGEST_HEADER {
                    return Err(refuse(PathError::TooLong.into()));
                }
                let mut data = Vec::new();
                entry.read_to_end(&mut data).map_err(unreadable)?;
                remember(&mut next, header.entry_type(), data).map_err(unreadable)?;
                continue;
            }
            EntryType::XGlobalHeader => continue,
            _ => {}
        }
        let Next { name, link, size } = std::mem::take(&mut next);
        let name = match RelativePath::parse(name.as_deref().unwrap_or(&header.path_bytes())) {
            // The folder that contains all others.
            Err(PathError::Empty) if header.entry_type() == EntryType::Directory => continue,
            name => name.map_err(|problem| refuse(problem.into()))?,
        };
        (members, all_names) = (members + 1, all_names + name.as_str().len());
        if members > MOST_FILES || all_names > ALL_NAMES {
            return Err(Error::TooMany { path: path.into(), limit: MOST_FILES }.into());
        }
        if below_any(&name, &symlinks) {
            return Err(refuse(MemberError::BelowLink));
        }
        let size = size.unwrap_or(declared);
        match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                if size > LARGEST_MEMBER {
                    return Err(refuse(MemberError::Huge(size)));
                }
                if size > limit {
                    return Err(Error::TooLarge { path: path.into(), limit }.into());
                }
                if size != declared {
                    return Err(refuse(MemberError::TwoSizes));
                }
                let mode = header.mode().map_err(unreadable)?;
                visit(Member { path: name, mode, size, data: &mut entry })?;
            }
            EntryType::Directory => {}
            EntryType::Symlink => {
                // Symlinks are never created. But if one leads out of the package, the archive is hostile.
                let target = Target::parse(link_target(link, &header)).ok().and_then(|target| target.from(&name));
                target.ok_or_else(|| refuse(MemberError::LinkOut))?;
                symlinks.insert(name.to_string());
            }
            EntryType::Link => return Err(refuse(MemberError::HardLink)),
            EntryType::Char | EntryType::Block | EntryType::Fifo => return Err(refuse(MemberError::Device)),
            _ => return Err(refuse(MemberError::Strange)),
        }
    }
    Ok(())
}

/// Remembers what a header says about the next member. One that is damaged is an error: the member would get another name.
fn remember(next: &mut Next, kind: EntryType, mut data: Vec<u8>) -> io::Result<()> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a PAX header is damaged");
    match kind {
        EntryType::XHeader => {
            let records = PaxExtensions::new(&data).collect::<io::Result<Vec<_>>>().map_err(|_| damaged())?;
            // The crate stops at an empty line.
            if records.len() != data.iter().filter(|&&byte| byte == b'\n').count() {
                return Err(damaged());
            }
            for record in records {
                let value = record.value_bytes();
                match record.key_bytes() {
                    b"path" => next.name = Some(value.to_vec()),
                    b"linkpath" => next.link = Some(value.to_vec()),
                    b"size" => {
                        let size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok());
                        next.size = Some(size.ok_or_else(damaged)?);
                    }
                    _ => {}
                }
            }
        }
        kind => {
            while data.last() == Some(&0) {
                data.pop();
            }
            let place = if kind == EntryType::GNULongName { &mut next.name } else { &mut next.link };
            *place = Some(data);
        }
    }
    Ok(())
}

fn below_any(name: &RelativePath, symlinks: &HashSet<String>) -> bool {
    !symlinks.is_empty() && (symlinks.contains(name.as_str()) || name.folders().any(|folder| symlinks.contains(folder)))
}

fn link_target(long: Option<Vec<u8>>, header: &Header) -> Vec<u8> {
    long.or_else(|| header.link_name_bytes().map(|t| t.into_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_covers_what_lies_below_it() {
        let links = HashSet::from(["a/b".to_owned()]);
        let below = |name: &str| below_any(&RelativePath::parse(name).unwrap(), &links);
        assert!(below("a/b") && below("a/b/c"));
        assert!(!below("a/bc"));
    }

    #[test]
    fn the_window_is_that_of_the_frame() {
        let window = |content: &[u8], level| zstd_window(&zstd::encode_all(content, level).unwrap());
        assert_eq!(zstd_window(&[0x28, 0xb5, 0x2f, 0xfd, 0x04, 17 << 3]), 27);
        assert_eq!(zstd_window(&[0x28, 0xb5, 0x2f, 0xfd, 0x04, 12 << 3 | 1]), 23);
        assert_eq!(zstd_window(&[0x28, 0xb5, 0x2f, 0xfd, 0x04, 255]), 27);
        assert_eq!(window(b"small", 3), 21);
    }
}
