//! What is half done goes when the program is interrupted (Ctrl-C), terminated, or loses its terminal; and what was left
//! is said.
//!
//! A signal that was ignored when the program started stays ignored: that is how nohup works.

use std::io::{self, IsTerminal};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::shown;

/// What is half done. Locked for good when the program is interrupted: whoever ends it must hold the lock.
static HALF_DONE: Mutex<HalfDone> = Mutex::new(HalfDone { items: Vec::new(), also: None, watched: false });

struct HalfDone {
    items: Vec<Item>,
    /// What else is said to be left.
    also: Option<&'static str>,
    /// Whether a thread waits for signals.
    watched: bool,
}

struct Item {
    path: PathBuf,
    /// The name that it would have had in the end.
    target: Option<PathBuf>,
    /// Directories that were made for it, outermost first. They go, too, if nothing else is in them.
    parents: Vec<PathBuf>,
}

/// Holds up the removal of what is half done: nobody reads two endings of one program.
pub fn hold() -> impl Drop {
    half_done()
}

fn half_done() -> MutexGuard<'static, HalfDone> {
    HALF_DONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on an interruption is answered with what was left, though nothing is half done yet.
///
/// # Errors
/// When there is no thread to wait for signals.
pub fn answer() -> io::Result<()> {
    watch(&mut half_done())
}

/// Something that this program cannot remove, as an interruption is to say it: `the Nix store may have it`.
pub fn also_left(what: &'static str) {
    half_done().also = Some(what);
}

/// What was begun.
pub(crate) struct Started<T> {
    pub path: PathBuf,
    /// The name that it will have in the end.
    pub target: Option<PathBuf>,
    /// Directories that were made for it, outermost first.
    pub parents: Vec<PathBuf>,
    pub made: T,
}

/// Makes something half done that goes when the program is interrupted. An interruption waits until it is known.
pub(crate) fn begin<T>(make: impl FnOnce() -> io::Result<Started<T>>) -> io::Result<T> {
    let mut half_done = half_done();
    watch(&mut half_done)?;
    let Started { path, target, parents, made } = make()?;
    half_done.items.push(Item { path, target, parents });
    Ok(made)
}

/// Has a thread wait for signals, once.
fn watch(half_done: &mut HalfDone) -> io::Result<()> {
    if half_done.watched {
        return Ok(());
    }
    let mut signals = Signals::new(not_ignored([SIGINT, SIGTERM, SIGHUP]))?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let half_done = self::half_done();
            for item in &half_done.items {
                remove_under_way(&item.path);
                remove_empty(&item.parents);
            }
            say(&left(&half_done));
            std::process::exit(128 + signal);
        }
    })?;
    half_done.watched = true;
    Ok(())
}

/// The signal that is to end a program which goes on until one comes, and which then ends by itself.
pub struct Ending(Receiver<i32>);

impl Ending {
    /// From now on signals wait for [`Ending::within`], and end nothing.
    ///
    /// # Errors
    /// When there is no thread to wait for signals.
    pub fn awaited() -> io::Result<Ending> {
        let mut signals = Signals::new(not_ignored([SIGINT, SIGTERM, SIGHUP]))?;
        let (sender, receiver) = channel();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if sender.send(signal).is_err() {
                    return;
                }
            }
        })?;
        Ok(Ending(receiver))
    }

    /// Waits for so long, or until a signal came. Its number, as in `128 + signal`, the exit code that belongs to it.
    pub fn within(&self, time: Duration) -> Option<i32> {
        self.0.recv_timeout(time).ok()
    }
}

/// What an interruption has left, when all that was half done is gone.
fn left(half_done: &HalfDone) -> String {
    let targets = half_done.items.iter().filter_map(|item| item.target.as_deref());
    let mut left: Vec<String> = targets
        .map(|target| match target.symlink_metadata() {
            Ok(_) => format!("{} is as it was", target.display()),
            Err(_) => format!("nothing was left at {}", target.display()),
        })
        .collect();
    left.extend(half_done.also.map(str::to_owned));
    if left.is_empty() {
        left.push("nothing was left".to_owned());
    }
    format!("interrupted: {}", left.join("; "))
}

/// Writes a line to standard error, in place of a progress bar. Past the lock of [`std::io::Stderr`]: who has it may wait
/// for a terminal that is gone.
fn say(line: &str) {
    let stderr = io::stderr();
    let start = if stderr.is_terminal() { "\r\x1b[K" } else { "" };
    let line = format!("{start}{}\n", shown::message(line));
    let _ = rustix::io::write(stderr, line.as_bytes());
}

/// Removes those directories that are empty, innermost first.
pub(crate) fn remove_empty(parents: &[PathBuf]) {
    for parent in parents.iter().rev() {
        let _ = std::fs::remove_dir(parent);
    }
}

/// Does what makes a half-done file or directory a finished one. An interruption comes before or after this, never
/// in its middle.
pub fn finish<T>(path: &Path, step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut half_done = half_done();
    let done = step()?;
    half_done.items.retain(|item| item.path != path);
    Ok(done)
}

/// Those signals that are not ignored. The kernel tells in a mask of 64 bits, lowest first.
fn not_ignored(signals: [i32; 3]) -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    signals.into_iter().filter(|signal| mask >> (signal - 1) & 1 == 0).collect()
}

/// Removes what other threads are writing into. They would create it again, so a link to itself takes its name:
/// nothing can be written through that.
fn remove_under_way(path: &Path) {
    let mut moved = Vec::new();
    for attempt in 0..100 {
        let doomed = path.with_extension(format!("interrupted-{attempt}"));
        if std::fs::rename(path, &doomed).is_err() {
            break; // It has another name, or is gone: done.
        }
        moved.push(doomed);
        if symlink(path, path).is_ok() {
            break; // Else somebody was faster, and created it again.
        }
    }
    for doomed in &moved {
        // Through handles they go on writing until the folder they write into is gone.
        for _ in 0..1000 {
            let _ = std::fs::remove_file(doomed).or_else(|_| std::fs::remove_dir_all(doomed));
            if doomed.symlink_metadata().is_err() {
                break;
            }
        }
    }
    if path.is_symlink() {
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Writers go on while the directory is removed, and must not bring it back.
    #[test]
    fn a_directory_that_is_written_into_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("half-done");
        std::fs::create_dir(&dir).unwrap();
        for number in 0..2000 {
            std::fs::write(dir.join(number.to_string()), "").unwrap();
        }
        let inside = dir.join("deep/inside");
        let written = inside.clone();
        let writer = std::thread::spawn(move || {
            let begin = Instant::now();
            while std::fs::create_dir_all(&inside).is_ok() && begin.elapsed() < Duration::from_secs(5) {}
        });
        while !written.exists() {
            std::thread::yield_now();
        }
        remove_under_way(&dir);
        writer.join().unwrap();
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
