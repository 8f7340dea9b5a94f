//! Reads a .run file once, front to back: one thread reads and computes the check sums, the caller consumes.
//!
//! What the caller makes of the bytes counts only when the check sums are right at the end.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use memchr::memchr_iter;

use super::makeself::{CheckSums, Header, LONGEST_SCRIPT, md5_text};
use super::{Error, Progress, kind, read_up_to};

/// How much is read at a time, in bytes, and how many such chunks may wait for the consumer. Files that compress well
/// take long to unpack, others to check: the threads run ahead of each other by turns.
const CHUNK: usize = 512 << 10;
const WAITING: usize = 64;

/// No script with its decompressor is longer than this, in bytes.
const LONGEST_STUB: usize = 64 << 20;

/// Hands the payload of the .run file `input` to `consume`, and checks the file's sums meanwhile.
///
/// `path` names the file in errors. If the sums are wrong, that is the error, whatever `consume` returned: a damaged
/// file makes for misleading errors further down.
pub fn with_payload<T, E: From<Error>>(
    path: &Path,
    input: &mut (dyn Read + Send),
    progress: Progress,
    consume: impl FnOnce(&Header, Payload) -> Result<T, E>,
) -> Result<T, E> {
    let start = read_up_to(input, LONGEST_SCRIPT).map_err(|e| Error::io(path, "cannot be read", e))?;
    let kind = kind::Kind::of(&start);
    if kind != kind::Kind::Script {
        return Err(Error::NotADriver { path: path.into(), kind }.into());
    }
    let header = Header::parse(&start).map_err(|problem| Error::Header { path: path.into(), problem })?;
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        let expected = header.clone();
        let reader = scope.spawn(move || check(path, input, start, &expected, &sender, progress));
        let mut payload = Payload { chunks: receiver, chunk: Vec::new(), at: 0 };
        let consumed = match payload.skip_lines(header.lines) {
            Ok(()) => consume(&header, payload),
            Err(problem) => {
                drop(payload);
                Err(Error::Header { path: path.into(), problem }.into())
            }
        };
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        consumed
    })
}

/// Reads `input` to its end, passes it on, and compares the check sums with those of `header`.
fn check(
    path: &Path,
    input: &mut (dyn Read + Send),
    start: Vec<u8>,
    header: &Header,
    sender: &SyncSender<Vec<u8>>,
    progress: Progress,
) -> Result<(), Error> {
    let mut sums = CheckSums::default();
    let mut chunk = start;
    let mut from = header.checked_from;
    let mut wanted = true;
    while !chunk.is_empty() {
        sums.update(chunk.get(from..).unwrap_or_default());
        from = 0;
        progress(chunk.len() as u64);
        wanted = wanted && sender.send(chunk).is_ok();
        chunk = read_up_to(input, CHUNK).map_err(|e| Error::io(path, "cannot be read to its end", e))?;
    }
    let wrong = |sum, expected, found| Err(Error::CheckSum { path: path.into(), sum, expected, found });
    let (crc, md5) = sums.finish();
    if crc != header.crc {
        return wrong("CRC", header.crc.to_string(), crc.to_string());
    }
    if md5 != header.md5 {
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

    /// Skips `count` lines, script and embedded decompressor.
    fn skip_lines(&mut self, mut count: u64) -> Result<(), String> {
        let mut skipped = 0;
        while count > 0 {
            let rest = self.rest();
            if rest.is_empty() || skipped > LONGEST_STUB {
                return Err(format!("the payload should start {count} lines further on than the file goes"));
            }
            let mut ends = memchr_iter(b'\n', rest);
            let taken = match ends.nth(count as usize - 1) {
                Some(end) => {
                    count = 0;
                    end + 1
                }
                None => {
                    count -= memchr_iter(b'\n', rest).count() as u64;
                    rest.len()
                }
            };
            self.at += taken;
            skipped += taken;
        }
        Ok(())
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
