//! The journal of this start of the machine: lines of the kernel, of NVIDIA's services, and of programs that start virtual
//! machines.
//!
//! It is read from journald (`journalctl -o json`), with limits of time and size. Or it is read from files, as JSON lines or
//! as the text that `journalctl` and `dmesg` print. A journal can have millions of lines, so only relevant ones are kept.

mod entry;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

pub use entry::{Entry, Source};

/// Services whose lines are read, without `.service`.
const UNITS: [&str; 10] = [
    "nvidia-vgpud",
    "nvidia-vgpu-mgr",
    "nvidia-gridd",
    "nvidia-vgpu-instances",
    "libvirtd",
    "virtqemud",
    "virtnodedevd",
    "pvedaemon",
    "systemd-udevd",
    "systemd-modules-load",
];

/// Lines of the kernel with one of these words are kept. Lower case.
const KERNEL: [&str; 15] = [
    "nvidia",
    "nvrm",
    "vfio",
    "mdev",
    "iommu",
    "dmar",
    "amd-vi",
    "nouveau",
    "nova_core",
    "enable_apicv",
    "lockdown",
    "key was rejected",
    "unsigned module",
    "unavailable key",
    "rlimit_memlock",
];

/// The time limit for journald.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many bytes of a journal are read, and the longest line. journald's own limit for a message is 48 KiB (LineMax=). Its
/// bytes may be written as numbers.
const MOST: u64 = 64 << 20;
const LONGEST_LINE: u64 = 256 << 10;
/// How many lines are kept: the first ones, which have the causes, and the last ones.
const FIRST: usize = 5_000;
const LAST: usize = 15_000;

/// The lines that could be read, oldest first.
#[derive(Debug, Default)]
pub struct Journal {
    pub entries: Vec<Entry>,
    /// Whether there were any lines of the kernel, even if they were not kept.
    pub kernel: bool,
    /// Why lines are missing, if some are.
    pub incomplete: Option<String>,
}

/// A journal in a file that cannot be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot read the journal in {file}")]
#[diagnostic(help("make the file with: journalctl --boot --output json > FILE"))]
pub struct JournalError {
    file: String,
    source: io::Error,
}

impl Journal {
    /// Reads what journald has of this start of the machine.
    pub fn of_this_boot() -> Journal {
        match spawn() {
            Ok(child) => from_child(child),
            Err(error) => Journal::missing(&format!("journalctl: {error}")),
        }
    }

    /// Reads files, one after the other.
    pub fn of_files<P: AsRef<Path>>(files: &[P]) -> Result<Journal, JournalError> {
        let mut kept = KeptLines::default();
        for path in files {
            let wrong = |source| JournalError { file: path.as_ref().display().to_string(), source };
            let file = File::open(path).map_err(wrong)?;
            let end = lines(file, |line| {
                kept.add(&line);
                true
            });
            if end.map_err(wrong)? == End::TooMuch {
                kept.incomplete = Some(format!("{} is longer than {} MiB", path.as_ref().display(), MOST >> 20));
            }
        }
        Ok(kept.finish())
    }

    /// An empty journal, and why it could not be read.
    pub fn missing(why: &str) -> Journal {
        Journal { entries: Vec::new(), kernel: false, incomplete: Some(why.to_owned()) }
    }

    /// Adds lines from elsewhere, in the order of time if all times can be compared.
    pub fn add(&mut self, entries: Vec<Entry>) {
        self.entries.extend(entries);
        if self.entries.iter().all(|entry| entry.time.ends_with(" UTC")) {
            self.entries.sort_by(|one, other| one.time.cmp(&other.time));
        }
    }

    /// The entries of a source.
    pub fn of<'a>(&'a self, source: &'a Source) -> impl DoubleEndedIterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.source == *source)
    }
}

fn spawn() -> io::Result<Child> {
    let mut command = Command::new("journalctl");
    command.args(["--boot", "--output=json", "--all", "--no-pager", "--quiet"]);
    command.arg("--output-fields=MESSAGE,_TRANSPORT,_SYSTEMD_UNIT,UNIT,SYSLOG_IDENTIFIER,_PID");
    command.arg("_TRANSPORT=kernel");
    for unit in UNITS {
        // Its own lines, and the lines of systemd about it.
        command.args(["+", &format!("_SYSTEMD_UNIT={unit}.service"), "+", "_PID=1", &format!("UNIT={unit}.service")]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Reads until the end, the time limit or the size limit, and then ends the program.
fn from_child(mut child: Child) -> Journal {
    let (send, receive) = mpsc::sync_channel(1024);
    let (Some(output), Some(complaints)) = (child.stdout.take(), child.stderr.take()) else {
        return Journal::missing("journalctl has no output");
    };
    let start = || {
        let reader = thread::Builder::new().spawn(move || lines(output, |line| send.send(line).is_ok()))?;
        Ok((reader, first_line(complaints)?))
    };
    let (reader, complaint) = match start() {
        Ok(started) => started,
        Err(error) => {
            let error: io::Error = error;
            let _ = child.kill();
            let _ = child.wait();
            return Journal::missing(&format!("no thread can be started to read journalctl: {error}"));
        }
    };
    let mut kept = KeptLines::default();
    let end = Instant::now() + PATIENCE;
    loop {
        match receive.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => kept.add(&line),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                if matches!(reader.join(), Ok(Ok(End::TooMuch))) {
                    kept.incomplete = Some(format!("journalctl printed more than {} MiB", MOST >> 20));
                }
                break;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                kept.incomplete = Some(format!("journalctl took longer than {} seconds", PATIENCE.as_secs()));
                break;
            }
        }
    }
    let _ = child.kill();
    // If it has children, these may hold the pipe open.
    let complaint = complaint.recv_timeout(Duration::from_millis(500)).unwrap_or_default();
    let failed = child.wait().is_ok_and(|status| status.code().is_some_and(|code| code != 0));
    let silent = kept.read == 0;
    let mut journal = kept.finish();
    // Users who may not read the system's journal get no lines, and no error.
    if journal.incomplete.is_none() && (silent || failed) {
        journal.incomplete = Some(match complaint.trim() {
            "" if !rustix::process::geteuid().is_root() => {
                "journald shows this user nothing: run it as root".to_owned()
            }
            "" => "journald has nothing of this start of the machine".to_owned(),
            complaint => complaint.to_owned(),
        });
    }
    journal
}

/// The first line that a program prints on standard error. The rest is read, too, so that the program need not wait.
fn first_line(complaints: impl Read + Send + 'static) -> io::Result<mpsc::Receiver<String>> {
    let (send, receive) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let mut complaints = BufReader::new(complaints);
        let mut first = Vec::new();
        let _ = complaints.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut first);
        let _ = send.send(String::from_utf8_lossy(&first).into_owned());
        let _ = io::copy(&mut complaints, &mut io::sink());
    })?;
    Ok(receive)
}

/// How reading lines ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With the last line, or because nobody wants more.
    Reached,
    /// With more than is read.
    TooMuch,
}

/// Gives lines to `each` until it returns false. Lines that are too long are left out.
fn lines(input: impl Read, mut each: impl FnMut(Vec<u8>) -> bool) -> io::Result<End> {
    let mut input = BufReader::new(input.take(MOST));
    let mut inside = false;
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        let whole = line.ends_with(b"\n") || (read as u64) < LONGEST_LINE;
        if read == 0 {
            return Ok(if input.get_ref().limit() == 0 { End::TooMuch } else { End::Reached });
        }
        if whole && !inside && !each(line) {
            return Ok(End::Reached);
        }
        inside = !whole;
    }
}

/// Relevant lines: the first and the last ones.
#[derive(Default)]
struct KeptLines {
    /// How many lines were read, kept or not.
    read: usize,
    kernel: bool,
    first: Vec<Entry>,
    last: VecDeque<Entry>,
    incomplete: Option<String>,
}

impl KeptLines {
    fn add(&mut self, line: &[u8]) {
        self.read += 1;
        let line = String::from_utf8_lossy(line);
        let Some(entry) = entry::read(&line) else { return };
        self.kernel |= entry.source == Source::Kernel;
        let lower = entry.message.to_lowercase();
        if entry.source == Source::Kernel && !KERNEL.iter().any(|word| lower.contains(word)) {
            return;
        }
        if self.first.len() < FIRST {
            self.first.push(entry);
            return;
        }
        if self.last.len() == LAST {
            self.last.pop_front();
            self.incomplete = Some(format!("the journal has more than {} lines about NVIDIA", FIRST + LAST));
        }
        self.last.push_back(entry);
    }

    fn finish(self) -> Journal {
        let entries = self.first.into_iter().chain(self.last).collect();
        Journal { entries, kernel: self.kernel, incomplete: self.incomplete }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Journal {
        let mut kept = KeptLines::default();
        lines(text.as_bytes(), |line| {
            kept.add(&line);
            true
        })
        .unwrap();
        kept.finish()
    }

    #[test]
    fn lines_of_the_kernel_about_other_things_are_dropped() {
        let journal = read("[ 1.0] usb 1-1: new device\n[ 1.1] NVRM: loading\n");
        assert_eq!(journal.entries.iter().map(|entry| entry.message.as_str()).collect::<Vec<_>>(), ["NVRM: loading"]);
        assert!(read("[ 1.0] usb 1-1: new device\n").kernel);
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_its_end_is_no_line() {
        let long = "x".repeat(LONGEST_LINE as usize);
        let text = format!("[ 1.0] NVRM: a\n[ 2.0] NVRM: {long} host kernel: NVRM: b\n[ 3.0] NVRM: c");
        let messages: Vec<String> = read(&text).entries.into_iter().map(|entry| entry.message).collect();
        assert_eq!(messages, ["NVRM: a", "NVRM: c"]);
    }

    #[test]
    fn how_much_is_read_is_bounded_and_told() {
        assert_eq!(lines(io::repeat(b'x'), |_| true).unwrap(), End::TooMuch);
        assert_eq!(lines(&b"a\nb"[..], |_| true).unwrap(), End::Reached);
    }

    #[test]
    fn of_a_flood_the_beginning_and_the_end_are_kept() {
        let flood: String = (0..FIRST + LAST + 10).map(|at| format!("[ 1.0] NVRM: {at}\n")).collect();
        let journal = read(&flood);
        assert_eq!(journal.entries.len(), FIRST + LAST);
        assert_eq!(journal.entries[0].message, "NVRM: 0");
        assert_eq!(journal.entries.last().unwrap().message, format!("NVRM: {}", FIRST + LAST + 9));
        assert!(journal.incomplete.is_some());
    }

    #[test]
    fn a_program_that_never_ends_is_ended() {
        let begin = Instant::now();
        let child = Command::new("sh")
            .args(["-c", "echo '[ 1.0] NVRM: a'; exec sleep 60"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let journal = from_child(child.unwrap());
        assert!(begin.elapsed() < PATIENCE + Duration::from_secs(5));
        assert_eq!(journal.entries.len(), 1);
        assert!(journal.incomplete.unwrap().contains("longer than"));
    }
}
