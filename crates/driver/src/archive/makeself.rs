//! The header of a .run file: a shell script made by makeself, as NVIDIA packs it (1.6.0-nv, up to nv9).
//!
//! ```text
//! #! /bin/sh
//! CRCsum=2148384920        cksum(1) of the rest of the file
//! MD5=43b4e149fa40…        md5 of the same bytes
//! skip=1022                the payload starts at this line, counted from 1
//! …
//! ```
//!
//! The check sums cover everything after the later of their two lines. In all packages that we have seen, this is line 4
//! and all that follows. Lines before the payload may belong to an embedded decompressor. They are binary, and are counted
//! by their newlines.

use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::{Digest, Md5};
use memchr::memchr;

/// The script itself, without an embedded decompressor, is never longer than this.
pub const LONGEST_SCRIPT: usize = 150 * 1024;

/// The largest `skip` that is accepted. Script and decompressor of NVIDIA's packages have some thousand lines.
const MOST_LINES: u64 = 1_000_000;

/// How many lines are searched for CRCsum, MD5 and skip. They are lines 2 to 4, in any order.
const FIRST_LINES: usize = 8;

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("its first line is not `#! /bin/sh`")]
    NoScript,
    #[error("{0} is not a number")]
    NoNumber(&'static str),
    #[error("MD5 is not 32 hex digits")]
    NoMd5,
    #[error("it has no {0} line")]
    Missing(&'static str),
    #[error("the payload cannot start at line {0}")]
    Skip(u64),
    #[error("the payload should start {0} lines further on than the file goes")]
    Short(u64),
}

/// What the header of a .run file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// POSIX cksum(1) of the file from [`checked_from`](Self::checked_from) to its end.
    pub crc: u32,
    /// MD5 of the same bytes.
    pub md5: [u8; 16],
    /// Where the bytes begin that the check sums cover: an offset into the file.
    pub checked_from: usize,
    /// Number of lines before the payload.
    pub lines: u64,
    /// Version of the driver: `550.163.01`.
    pub version: Option<String>,
    /// Where the package unpacks itself to: `NVIDIA-Linux-x86_64-550.163.01-grid`. Tells host from guest drivers.
    pub target: Option<String>,
}

impl Header {
    /// Reads the header from the first bytes of a file ([`LONGEST_SCRIPT`] of them, or all there are).
    ///
    /// The error says what is wrong, without the name of the file.
    pub fn parse(start: &[u8]) -> Result<Header, HeaderError> {
        let mut header = Header { crc: 0, md5: [0; 16], checked_from: 0, lines: 0, version: None, target: None };
        let (mut crc, mut md5, mut skip) = (None, None, None);
        for (number, (offset, line)) in lines(start).enumerate() {
            if number == 0 {
                if !matches!(line, b"#! /bin/sh" | b"#!/bin/sh") {
                    return Err(HeaderError::NoScript);
                }
            } else if number < FIRST_LINES
                && let Some(value) = line.strip_prefix(b"CRCsum=")
            {
                crc =
                    Some(number_of(value).and_then(|n| u32::try_from(n).ok()).ok_or(HeaderError::NoNumber("CRCsum"))?);
                header.checked_from = offset + line.len() + 1;
            } else if number < FIRST_LINES
                && let Some(value) = line.strip_prefix(b"MD5=")
            {
                md5 = Some(md5_of(value).ok_or(HeaderError::NoMd5)?);
                header.checked_from = offset + line.len() + 1;
            } else if number < FIRST_LINES
                && let Some(value) = line.strip_prefix(b"skip=")
            {
                skip = Some(number_of(value).ok_or(HeaderError::NoNumber("skip"))?);
            } else if let Some(value) = line.strip_prefix(b"version_string=") {
                header.version = text_of(value);
            } else if let Some(value) = line.strip_prefix(b"targetdir=") {
                header.target = text_of(value);
            }
            if header.version.is_some() && header.target.is_some() && skip.is_some() {
                break; // What follows is the script and the payload.
            }
        }
        header.crc = crc.ok_or(HeaderError::Missing("CRCsum"))?;
        header.md5 = md5.ok_or(HeaderError::Missing("MD5"))?;
        let skip = skip.ok_or(HeaderError::Missing("skip"))?;
        if !(FIRST_LINES as u64..MOST_LINES).contains(&skip) {
            return Err(HeaderError::Skip(skip));
        }
        header.lines = skip - 1;
        Ok(header)
    }
}

/// Computes the check sums of a .run file as its bytes come.
pub struct CheckSums {
    crc: Crc,
    md5: Option<Md5>,
    md5_up_to: u64,
    length: u64,
}

impl CheckSums {
    /// The MD5 is computed of files of at most `md5_up_to` bytes.
    pub fn new(md5_up_to: u64) -> CheckSums {
        CheckSums { crc: Crc::new(CrcAlgorithm::Crc32Cksum), md5: Some(Md5::new()), md5_up_to, length: 0 }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.length += bytes.len() as u64;
        self.md5 = self.md5.take().filter(|_| self.length <= self.md5_up_to);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// The CRC as cksum(1) computes it, and the MD5 unless the file is too large for it.
    pub fn finish(mut self) -> (u32, Option<[u8; 16]>) {
        // cksum(1) goes on with the length, lowest byte first, without leading zeros.
        while self.length != 0 {
            self.crc.update(&[self.length as u8]);
            self.length >>= 8;
        }
        (self.crc.finalize() as u32, self.md5.map(|md5| md5.finalize().into()))
    }
}

/// The lines of `text` with their offsets. A last line without a newline does not count: it may be cut short.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = text.get(offset..)?;
        let line = &rest[..memchr(b'\n', rest)?];
        let start = offset;
        offset += line.len() + 1;
        Some((start, line))
    })
}

/// A decimal number of at most 10 digits, as printf("%010u") writes check sums.
fn number_of(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.len() <= 10 && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

fn md5_of(value: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(value).ok().filter(|t| t.len() == 32 && t.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some(u128::from_str_radix(text, 16).ok()?.to_be_bytes())
}

/// An MD5 as headers have it: 32 hexadecimal digits.
pub fn md5_text(md5: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(md5))
}

fn text_of(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim_matches('"');
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b));
    plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "#! /bin/sh\nCRCsum=2148384920\nMD5=43b4e149fa4059434b4e149fa405943b\nskip=1022\n\
                        label=\"NVIDIA\"\nversion_string=550.163.01\ntargetdir=NVIDIA-Linux-x86_64-550.163.01-grid\n";

    #[test]
    fn reads_what_nvidia_writes() {
        let header = Header::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((header.crc, header.lines), (2148384920, 1021));
        assert_eq!(&GOOD[header.checked_from..][..9], "skip=1022");
        assert_eq!(header.version.as_deref(), Some("550.163.01"));
        assert_eq!(header.target.as_deref(), Some("NVIDIA-Linux-x86_64-550.163.01-grid"));
    }

    #[test]
    fn the_first_lines_come_in_any_order() {
        let header =
            Header::parse(b"#!/bin/sh\nskip=99\nMD5=43b4e149fa4059434b4e149fa405943b\nCRCsum=1\nrest\n").unwrap();
        assert_eq!((header.crc, header.lines, header.checked_from), (1, 98, 64));
    }

    #[test]
    fn nonsense_is_named() {
        for (from, to, problem) in [
            ("#! /bin/sh", "#! /bin/sj", "its first line is not `#! /bin/sh`"),
            ("CRCsum=2148384920", "CRCsum=99999999999", "CRCsum is not a number"),
            ("CRCsum=", "CRC5um=", "it has no CRCsum line"),
            ("MD5=43", "MD5=g3", "MD5 is not 32 hex digits"),
            ("skip=1022", "skip=-1", "skip is not a number"),
            ("skip=1022", "skip=0", "the payload cannot start at line 0"),
            ("skip=1022", "skip=4000000000", "the payload cannot start at line 4000000000"),
        ] {
            let error = Header::parse(GOOD.replace(from, to).as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), problem);
        }
    }
}
