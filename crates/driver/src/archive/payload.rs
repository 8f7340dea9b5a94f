//! The payload of a .run file: compressed tar → members, one after the other.
//!
//! Refuses whatever no driver package contains and an attacker would: names that lead out of the package, members below
//! a symlink, hard links, devices, sparse files, and sizes out of all proportion. Nothing is written here.

use std::collections::HashSet;
use std::io::{self, BufRead, Read};
use std::path::{Component, Path};

use liblzma::stream::Stream;
use tar::{EntryType, Header, PaxExtensions};

use super::Error;

/// No file of a driver is larger, in bytes: the largest of the 550 driver has 100 MB. The installer holds one in memory.
const LARGEST_MEMBER: u64 = 512 << 20;
/// No name in a driver is longer, in bytes.
const LONGEST_NAME: u64 = 4096;
/// A payload may unpack to this much plus [`RATIO`] times its packed size. The 550 driver's ratio is 3.2.
const UNPACKED_ANYWAY: u64 = 256 << 20;
const RATIO: u64 = 30;
/// Memory that a decompressor may use, in bytes; xz -9 wants 65 MiB.
const DECOMPRESSOR_MEMORY: u64 = 200 << 20;

/// A file in a package.
pub struct Member<'a> {
    /// Path within the package, without `./`; never leads out of it.
    pub path: String,
    /// Permission bits as the archive has them, setuid and all.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// The content.
    pub data: &'a mut dyn Read,
}

impl Member<'_> {
    /// Reads the content into `buffer`, which has its size. One that ends early is an error.
    pub fn read_into(self, archive: &Path, buffer: &mut [u8]) -> Result<(), Error> {
        self.data.read_exact(buffer).map_err(|source| Error::Payload { path: archive.into(), source })
    }

    /// The content of a member whose size the caller knows to be small.
    pub fn read(self, archive: &Path) -> Result<Vec<u8>, Error> {
        let mut buffer = vec![0; self.size as usize];
        self.read_into(archive, &mut buffer)?;
        Ok(buffer)
    }
}

/// Walks the compressed tar stream `payload` of the archive `path`, and calls `visit` with each file.
///
/// `packed` is the size of the archive in bytes, which bounds what the payload may unpack to.
pub fn for_each_member<E: From<Error>>(
    path: &Path,
    payload: impl BufRead,
    packed: u64,
    visit: impl FnMut(Member) -> Result<(), E>,
) -> Result<(), E> {
    let limit = UNPACKED_ANYWAY.saturating_add(packed.saturating_mul(RATIO));
    let unpacked = decompress(payload).map_err(|source| Error::Payload { path: path.into(), source })?;
    let mut unpacked = unpacked.take(limit);
    let walked = walk(path, &mut unpacked, limit, visit).and_then(|()| {
        // A decompressor compares its check of the content at the end of the stream, which lies behind that of the tar.
        io::copy(&mut unpacked, &mut io::sink()).map_err(|source| Error::Payload { path: path.into(), source })?;
        Ok(())
    });
    if unpacked.limit() == 0 {
        return Err(Error::TooLarge { path: path.into(), limit }.into());
    }
    walked
}

/// Tells the compression by its magic number. NVIDIA used gzip, bzip2 and xz before 530.30, zstd since. Each may come
/// in several parts, as parallel compressors make them.
fn decompress<'a>(mut packed: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let start = packed.fill_buf()?;
    Ok(match start {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(packed)?),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            let decoder = Stream::new_stream_decoder(DECOMPRESSOR_MEMORY, liblzma::stream::CONCATENATED)
                .map_err(io::Error::from)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, decoder))
        }
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        [] => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the payload is missing")),
        _ => return Err(io::Error::other("it is neither zstd, xz, gzip nor bzip2")),
    })
}

/// Whether a payload that begins so carries a check of its unpacked content, which decompressors compare with what they
/// made. gzip and bzip2 always do; zstd and xz may.
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
    // Raw: the crate would read long names into memory whatever their size.
    for entry in tar.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        let header = entry.header().clone();
        let shown = String::from_utf8_lossy(next.name.as_deref().unwrap_or(&header.path_bytes())).into_owned();
        let refuse = |problem: &str| E::from(Error::member(path, &shown, problem));
        let declared = header.entry_size().map_err(unreadable)?;
        match header.entry_type() {
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader => {
                if declared > LONGEST_NAME * 4 {
                    return Err(refuse("has a name of absurd length"));
                }
                let mut data = Vec::new();
                entry.read_to_end(&mut data).map_err(unreadable)?;
                remember(&mut next, header.entry_type(), data);
                continue;
            }
            EntryType::XGlobalHeader => continue,
            _ => {}
        }
        let Next { name, link, size } = std::mem::take(&mut next);
        let name = member_path(name.as_deref().unwrap_or(&header.path_bytes())).map_err(&refuse)?;
        if below_any(&name, &symlinks) {
            return Err(refuse("lies below a symbolic link of the same archive"));
        }
        let size = size.unwrap_or(declared);
        match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                if size > LARGEST_MEMBER {
                    return Err(refuse(&format!("claims to have {size} bytes")));
                }
                if size > limit {
                    return Err(Error::TooLarge { path: path.into(), limit }.into());
                }
                if size != declared {
                    return Err(refuse("has two sizes"));
                }
                let mode = header.mode().map_err(unreadable)?;
                visit(Member { path: name, mode, size, data: &mut entry })?;
            }
            EntryType::Directory => {}
            EntryType::Symlink => {
                check_link(&name, &link_target(link, &header)).map_err(&refuse)?;
                symlinks.insert(name);
            }
            EntryType::Link => return Err(refuse("is a hard link")),
            EntryType::Char | EntryType::Block | EntryType::Fifo => return Err(refuse("is a device")),
            _ => return Err(refuse("is neither a file, a directory nor a symbolic link")),
        }
    }
    Ok(())
}

fn remember(next: &mut Next, kind: EntryType, mut data: Vec<u8>) {
    match kind {
        EntryType::XHeader => {
            for extension in PaxExtensions::new(&data).flatten() {
                match extension.key_bytes() {
                    b"path" => next.name = Some(extension.value_bytes().to_vec()),
                    b"linkpath" => next.link = Some(extension.value_bytes().to_vec()),
                    b"size" => next.size = extension.value().ok().and_then(|v| v.parse().ok()),
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
}

/// A name in an archive as a path within the package: no `./`, no way out.
pub(crate) fn member_path(name: &[u8]) -> Result<String, &'static str> {
    let name = std::str::from_utf8(name).map_err(|_| "has a name that is not UTF-8")?;
    if name.len() as u64 > LONGEST_NAME {
        return Err("has a name of absurd length");
    }
    if name.contains('\0') {
        return Err("has a NUL byte in its name");
    }
    let mut parts = Vec::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            Component::CurDir => {}
            Component::ParentDir => return Err("leads out of the package with `..`"),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute path"),
        }
    }
    Ok(parts.join("/"))
}

fn below_any(name: &str, symlinks: &HashSet<String>) -> bool {
    !symlinks.is_empty()
        && (symlinks.contains(name) || name.match_indices('/').any(|(end, _)| symlinks.contains(&name[..end])))
}

fn link_target(long: Option<Vec<u8>>, header: &Header) -> Vec<u8> {
    long.or_else(|| header.link_name_bytes().map(|t| t.into_owned())).unwrap_or_default()
}

/// Symlinks are never created, but one that leads out of the package shows an archive that means harm.
fn check_link(name: &str, target: &[u8]) -> Result<(), &'static str> {
    const OUT: &str = "is a symbolic link that leads out of the package";
    let target = std::str::from_utf8(target).map_err(|_| OUT)?;
    let mut depth = name.matches('/').count();
    for component in Path::new(target).components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth = depth.checked_sub(1).ok_or(OUT)?,
            Component::RootDir | Component::Prefix(_) => return Err(OUT),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_the_package() {
        assert_eq!(member_path(b"./32/libcuda.so").as_deref(), Ok("32/libcuda.so"));
        assert_eq!(member_path(b"a//b/./c").as_deref(), Ok("a/b/c"));
        assert!(member_path(b"a/../../b").is_err());
        assert!(member_path(b"/etc/passwd").is_err());
        assert!(member_path(b"a\xff").is_err());
    }

    #[test]
    fn symlinks_may_go_up_only_as_far_as_they_are_deep() {
        assert!(check_link("lib/gbm/a.so", b"../b.so").is_ok());
        assert!(check_link("lib/a.so", b"../../b.so").is_err());
        assert!(check_link("a", b"/etc").is_err());
    }

    #[test]
    fn a_link_covers_what_lies_below_it() {
        let links = HashSet::from(["a/b".to_owned()]);
        assert!(below_any("a/b", &links) && below_any("a/b/c", &links));
        assert!(!below_any("a/bc", &links));
    }
}
