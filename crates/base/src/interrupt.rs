//! When the program is interrupted (Ctrl-C), is terminated, or loses its terminal, unfinished files are removed. A message
//! says what is left.
//!
//! A signal that was ignored when the program started stays ignored: that is how nohup works.

use std::io::{self, IsTerminal};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::shown;

/// What is unfinished. An interruption locks it for ever: only the holder of the lock may end the program.
static HALF_DONE: Mutex<HalfDone> = Mutex::new(HalfDone { items: Vec::new(), also: None, watched: false });

struct HalfDone {
    items: Vec<Item>,
    /// What else the message says is left.
    also: Option<&'static str>,
    /// Whether a thread waits for signals.
    watched: bool,
}

struct Item {
    path: PathBuf,
    /// The name that it would have got.
    target: Option<PathBuf>,
    /// Directories that were made for it, outermost first. They are removed, too, if they are empty.
    parents: Vec<PathBuf>,
}

/// Delays an interruption while the program ends by itself, so that it does not report two endings.
pub fn hold() -> impl Drop {
    half_done()
}

fn half_done() -> MutexGuard<'static, HalfDone> {
    HALF_DONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, an interruption is answered with a message of what is left, even if nothing is unfinished yet.
///
/// # Errors
/// When there is no thread to wait for signals.
pub fn answer() -> io::Result<()> {
    watch(&mut half_done())
}

/// Names something that this program cannot remove, for the message of an interruption: `the Nix store may have it`.
pub fn also_left(what: &'static str) {
    half_done().also = Some(what);
}

/// Something unfinished that was made.
pub(crate) struct Started<T> {
    pub path: PathBuf,
    /// The name that it will get when it is finished.
    pub target: Option<PathBuf>,
    /// Directories that were made for it, outermost first.
    pub parents: Vec<PathBuf>,
    pub made: T,
}

/// Makes something unfinished, which an interruption removes. An interruption meanwhile waits until it is noted.
pub(crate) fn begin<T>(make: impl FnOnce() -> io::Result<Started<T>>) -> io::Result<T> {
    let mut half_done = half_done();
    watch(&mut half_done)?;
    let Started { path, target, parents, made } = make()?;
    half_done.items.push(Item { path, target, parents });
    Ok(made)
}

/// Starts the thread that waits for signals, if there is none yet.
fn watch(half_done: &mut HalfDone) -> io::Result<()> {
    if half_done.watched {
        return Ok(());
    }
    // Then a file that gets too large is an error in writing. The signal would end the program in the middle of it.
    flag::register(SIGXFSZ, Arc::default())?;
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

/// The signal that ends a program like `--watch`. It runs until a signal comes, and then ends by itself.
pub struct Ending(Receiver<i32>);

impl Ending {
    /// From now on, signals wait for [`Ending::within`]. They do not end the program.
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

    /// Waits until a signal comes, but at most for `time`. Returns the number of the signal; the exit code is `128 + signal`.
    pub fn within(&self, time: Duration) -> Option<i32> {
        self.0.recv_timeout(time).ok()
    }
}

/// Says what is left after an interruption, when all that was unfinished is removed.
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

/// Writes a line to standard error, in place of a progress bar. It does not use the lock of [`std::io::Stderr`]: another
/// thread may hold it and wait for a terminal that is gone.
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

/// Does the step that finishes a file or directory. An interruption comes before or after this step, never in the middle
/// of it.
pub fn finish<T>(path: &Path, step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut half_done = half_done();
    let done = step()?;
    half_done.items.retain(|item| item.path != path);
    Ok(done)
}

/// The signals that are not ignored. The kernel shows this in a mask of 64 bits, the lowest first.
fn not_ignored(signals: [i32; 3]) -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    signals.into_iter().filter(|signal| mask >> (signal - 1) & 1 == 0).collect()
}

/// Removes something that other threads are writing into. They would create it again. So a link to itself takes its name,
/// through which nothing can be written.
fn remove_under_way(path: &Path) {
    let mut moved = Vec::new();
    for attempt in 0..100 {
        let doomed = path.with_extension(format!("interrupted-{attempt}"));
        if std::fs::rename(path, &doomed).is_err() {
            break; // It has another name or is gone. There is nothing more to do.
        }
        moved.push(doomed);
        if symlink(path, path).is_ok() {
            break; // If this fails, another thread was faster and has created it again.
        }
    }
    for doomed in &moved {
        // Threads with an open handle go on writing until the folder that they write into is gone.
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

    /// Writers continue while the directory is removed. They must not create it again.
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
