//! Reads a .run file once, from start to end. One thread reads it and computes the check sums. Where the file needs its
//! MD5, which takes longest, another thread computes that. The caller consumes the bytes.
//!
//! The caller's result counts only if the check sums are right at the end.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use md5::{Digest, Md5};
use memchr::memchr_iter;

use super::makeself::{CheckSums, Header, HeaderError, LONGEST_SCRIPT, md5_text};
use super::payload::checks_content;
use super::{Error, Progress, kind, read_up_to};

/// How many bytes are read at a time, and how many such chunks may wait for the consumer. Some files take longer to unpack
/// and others longer to check, so sometimes one thread is ahead and sometimes the other.
const CHUNK: usize = 512 << 10;
const WAITING: usize = 32;

/// The longest script with its decompressor, in bytes. That of the 550 driver has 2 MB.
const LONGEST_STUB: usize = 16 << 20;

/// The MD5 of files up to this size is always compared, because nobody notices the time. So damage of the MD5 itself is
/// found, too.
const SMALL: u64 = 4 << 20;

/// What happens to a payload. This decides which check sums are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadUse {
    /// It is unpacked, by a decompressor that compares the check sums in it. If it has any, the MD5 of the file would find no
    /// damage of the content that these and the CRC miss, and takes a quarter of the time of an installation. It never was a
    /// protection against an attacker.
    Unpacked,
    /// It is only read.
    Read,
}

/// Hands the payload of the .run file `input` to `consume`, and checks the file's sums at the same time.
///
/// `path` names the file in errors. If the sums are wrong, that is the error, whatever `consume` returned: the errors that
/// a damaged file causes later would mislead.
pub fn with_payload<T, E: From<Error>>(
    path: &Path,
    input: &mut (dyn Read + Send),
    using: PayloadUse,
    progress: Progress,
    consume: impl FnOnce(&Header, Payload) -> Result<T, E>,
) -> Result<T, E> {
    let stub = Stub::read(path, input)?;
    let needs_md5 = using == PayloadUse::Read || !checks_content(stub.payload());
    let no_thread = |e| Error::io(path, "cannot be read: no thread can be started for it", e);
    thread::scope(|scope| {
        let (mut sender, receiver) = sync_channel(WAITING);
        let (spend, spent) = sync_channel(WAITING);
        let payload = Payload { chunks: receiver, chunk: stub.payload().to_vec(), at: 0, spend };
        let header = stub.header.clone();
        let mut md5 = None;
        if needs_md5 {
            let (to_md5, chunks) = sync_channel(WAITING);
            let consumer = std::mem::replace(&mut sender, to_md5);
            let start = stub.checked().to_vec();
            let hash = move || pass_on(Md5::new_with_prefix(start), chunks, &consumer);
            md5 = Some(thread::Builder::new().name("md5".into()).spawn_scoped(scope, hash).map_err(no_thread)?);
        }
        let sums = CheckSums::new(if needs_md5 { 0 } else { SMALL });
        let check = move || check(path, input, &stub, sums, &sender, &spent, progress);
        let reader = thread::Builder::new().name("reader".into()).spawn_scoped(scope, check);
        let reader = reader.map_err(no_thread)?;
        let consumed = consume(&header, payload);
        // Both end here, whatever they say: a scope waits for their work, but not for their threads.
        let (checked, md5) = (joined(reader), md5.map(joined));
        checked?;
        md5.map_or(Ok(()), |md5| check_md5(path, &header, md5))?;
        consumed
    })
}

/// Waits for a thread's end, and goes on with its panic, if it has one.
fn joined<T>(thread: ScopedJoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The MD5 of all chunks that come. Each is passed on to the consumer, as long as the consumer wants them.
fn pass_on(mut md5: Md5, chunks: Receiver<Vec<u8>>, consumer: &SyncSender<Vec<u8>>) -> [u8; 16] {
    let mut wanted = true;
    for chunk in chunks {
        md5.update(&chunk);
        wanted = wanted && consumer.send(chunk).is_ok();
    }
    md5.finalize().into()
}

/// What comes before the payload: the script and its embedded decompressor. The beginning of the payload may be with it.
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

    /// The part that counts for the check sums.
    fn checked(&self) -> &[u8] {
        self.bytes.get(self.header.checked_from..).unwrap_or_default()
    }
}

/// Reads `input` to its end, passes it on, and compares the check sums with those in the header.
fn check(
    path: &Path,
    input: &mut (dyn Read + Send),
    stub: &Stub,
    mut sums: CheckSums,
    sender: &SyncSender<Vec<u8>>,
    spent: &Receiver<Vec<u8>>,
    progress: Progress,
) -> Result<(), Error> {
    let header = &stub.header;
    sums.update(stub.checked());
    progress(stub.bytes.len() as u64);
    let mut wanted = true;
    loop {
        let mut chunk = spent.try_recv().unwrap_or_default();
        fill(&mut chunk, input).map_err(|e| Error::io(path, "cannot be read to its end", e))?;
        if chunk.is_empty() {
            break;
        }
        sums.update(&chunk);
        progress(chunk.len() as u64);
        wanted = wanted && sender.send(chunk).is_ok();
    }
    let (crc, md5) = sums.finish();
    if crc != header.crc {
        return Err(wrong(path, "CRC", header.crc.to_string(), crc.to_string()));
    }
    md5.map_or(Ok(()), |md5| check_md5(path, header, md5))
}

/// Makes a chunk of the next bytes of `input`. At its end the chunk is shorter, or empty.
fn fill(chunk: &mut Vec<u8>, input: &mut dyn Read) -> io::Result<()> {
    chunk.resize(CHUNK, 0);
    let mut filled = 0;
    while filled < CHUNK {
        match input.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    chunk.truncate(filled);
    Ok(())
}

fn check_md5(path: &Path, header: &Header, md5: [u8; 16]) -> Result<(), Error> {
    if md5 == header.md5 { Ok(()) } else { Err(wrong(path, "MD5", md5_text(header.md5), md5_text(md5))) }
}

fn wrong(path: &Path, sum: &'static str, expected: String, found: String) -> Error {
    Error::CheckSum { path: path.into(), sum, expected, found }
}

/// The bytes of a .run file that the reading thread sends.
pub struct Payload {
    chunks: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    /// How much of `chunk` has been consumed, in bytes.
    at: usize,
    /// Takes chunks back: the reader fills them again, since memory that is new has to be cleared first.
    spend: SyncSender<Vec<u8>>,
}

impl Payload {
    fn rest(&mut self) -> &[u8] {
        if self.at == self.chunk.len() {
            let next = self.chunks.recv().unwrap_or_default();
            // There may be no reader any more.
            let _ = self.spend.try_send(std::mem::replace(&mut self.chunk, next));
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
