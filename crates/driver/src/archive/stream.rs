//! Reads a .run file once, front to back: one thread reads and computes the check sums, the caller consumes.
//!
//! What the caller makes of the bytes counts only when the check sums are right at the end.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use memchr::memchr_iter;

use super::makeself::{CheckSums, Header, HeaderError, LONGEST_SCRIPT, Sums, md5_text};
use super::payload::checks_content;
use super::{Error, Progress, kind, read_up_to};

/// How much is read at a time, in bytes, and how many such chunks may wait for the consumer. Files that compress well
/// take long to unpack, others to check: the threads run ahead of each other by turns.
const CHUNK: usize = 512 << 10;
const WAITING: usize = 32;

/// No script with its decompressor is longer than this, in bytes: that of the 550 driver has 2 MB.
const LONGEST_STUB: usize = 16 << 20;

/// What happens to a payload. This decides which check sums are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is unpacked, by a decompressor that compares the check sums in it.
    Unpacked,
    /// It is only read.
    Read,
}

/// Hands the payload of the .run file `input` to `consume`, and checks the file's sums meanwhile.
///
/// `path` names the file in errors. Wrong sums are the error, whatever `consume` returned: with a damaged file, later
/// errors mislead.
pub fn with_payload<T, E: From<Error>>(
    path: &Path,
    input: &mut (dyn Read + Send),
    using: Use,
    progress: Progress,
    consume: impl FnOnce(&Header, Payload) -> Result<T, E>,
) -> Result<T, E> {
    let stub = Stub::read(path, input)?;
    let sums = match using {
        Use::Unpacked if checks_content(stub.payload()) => Sums::Crc,
        _ => Sums::All,
    };
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        let payload = Payload { chunks: receiver, chunk: stub.payload().to_vec(), at: 0 };
        let header = stub.header.clone();
        let check = move || check(path, input, &stub, sums, &sender, progress);
        let reader = thread::Builder::new().name("reader".into()).spawn_scoped(scope, check);
        let reader = reader.map_err(|e| Error::io(path, "cannot be read: no thread can be started for it", e))?;
        let consumed = consume(&header, payload);
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        consumed
    })
}

/// What comes before the payload: the script and its embedded decompressor, with as much of the payload as was read along.
struct Stub {
    header: Header,
    bytes: Vec<u8>,
    /// Where the payload begins in `bytes`.
    length: usize,
}

impl Stub {
    fn read(path: &Path, input: &mut dyn Read) -> Result<Stub, Error> {
        let unreadable = |e| Error::io(path, "cannot be read", e);
        let mut bytes = read_up_to(input, LONGEST_SCRIPT).map_err(unreadable)?;
        let kind = kind::Kind::of(&bytes);
        if kind != kind::Kind::Script {
            return Err(Error::NotADriver { path: path.into(), kind });
        }
        let header = Header::parse(&bytes).map_err(|problem| Error::Header { path: path.into(), problem })?;
        let (mut lines, mut length) = (0, 0);
        loop {
            let missing = (header.lines - lines) as usize;
            if let Some(end) = memchr_iter(b'\n', &bytes[length..]).nth(missing - 1) {
                length += end + 1;
                break;
            }
            lines += memchr_iter(b'\n', &bytes[length..]).count() as u64;
            length = bytes.len();
            let more = read_up_to(input, CHUNK).map_err(unreadable)?;
            if more.is_empty() || length > LONGEST_STUB {
                let missing = header.lines - lines;
                let problem = HeaderError::Short(missing);
                return Err(Error::Header { path: path.into(), problem });
            }
            bytes.extend(more);
        }
        Ok(Stub { header, bytes, length })
    }

    /// The beginning of the payload.
    fn payload(&self) -> &[u8] {
        &self.bytes[self.length..]
    }
}

/// Reads `input` to its end, passes it on, and compares the check sums with those in the header.
fn check(
    path: &Path,
    input: &mut (dyn Read + Send),
    stub: &Stub,
    sums: Sums,
    sender: &SyncSender<Vec<u8>>,
    progress: Progress,
) -> Result<(), Error> {
    let header = &stub.header;
    let mut sums = CheckSums::new(sums);
    sums.update(stub.bytes.get(header.checked_from..).unwrap_or_default());
    progress(stub.bytes.len() as u64);
    let mut wanted = true;
    loop {
        let chunk = read_up_to(input, CHUNK).map_err(|e| Error::io(path, "cannot be read to its end", e))?;
        if chunk.is_empty() {
            break;
        }
        sums.update(&chunk);
        progress(chunk.len() as u64);
        wanted = wanted && sender.send(chunk).is_ok();
    }
    let wrong = |sum, expected, found| Err(Error::CheckSum { path: path.into(), sum, expected, found });
    let (crc, md5) = sums.finish();
    if crc != header.crc {
        return wrong("CRC", header.crc.to_string(), crc.to_string());
    }
    if let Some(md5) = md5.filter(|md5| *md5 != header.md5) {
        return wrong("MD5", md5_text(header.md5), md5_text(md5));
    }
    Ok(())
}

/// The bytes of a .run file as they come from the reading thread.
pub struct Payload {
    chunks: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    /// How much of `chunk` has been consumed, in bytes.
    at: usize,
}

impl Payload {
    fn rest(&mut self) -> &[u8] {
        if self.at == self.chunk.len() {
            self.chunk = self.chunks.recv().unwrap_or_default();
            self.at = 0;
        }
        &self.chunk[self.at..]
    }
}

impl Read for Payload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.rest();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

impl io::BufRead for Payload {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest())
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}
