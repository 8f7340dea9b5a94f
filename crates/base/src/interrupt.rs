//! What is half done goes when the program is interrupted (Ctrl-C), terminated, or loses its terminal.
//!
//! A signal that was ignored when the program started stays ignored: that is how nohup works.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What is half done. Locked for good when the program is interrupted: whoever ends it must hold the lock.
static HALF_DONE: Mutex<HalfDone> = Mutex::new(HalfDone { paths: Vec::new(), watched: false });

struct HalfDone {
    /// Each with the directories made for it.
    paths: Vec<(PathBuf, Vec<PathBuf>)>,
    /// Whether a thread waits for signals.
    watched: bool,
}

/// Holds up the removal of what is half done: nobody reads two endings of one program.
pub fn hold() -> impl Drop {
    half_done()
}

fn half_done() -> MutexGuard<'static, HalfDone> {
    HALF_DONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a half-done file or directory when the program is interrupted (Ctrl-C) or terminated, until [`finish`].
///
/// # Errors
/// When there is no thread to wait for signals.
pub fn remove_when_interrupted(path: &Path) -> io::Result<()> {
    begin(|| Ok(Begun { path: path.to_owned(), parents: Vec::new(), made: () }))
}

/// What was begun.
pub(crate) struct Begun<T> {
    pub path: PathBuf,
    /// Directories that were made for it, outermost first. They go, too, if nothing else is in them.
    pub parents: Vec<PathBuf>,
    pub made: T,
}

/// Makes something half done that goes when the program is interrupted. An interruption waits until it is known.
pub(crate) fn begin<T>(make: impl FnOnce() -> io::Result<Begun<T>>) -> io::Result<T> {
    let mut half_done = half_done();
    if !half_done.watched {
        let mut signals = Signals::new(not_ignored([SIGINT, SIGTERM, SIGHUP]))?;
        thread::Builder::new().name("signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let half_done = self::half_done();
                for (path, parents) in &half_done.paths {
                    remove_under_way(path);
                    remove_empty(parents);
                }
                std::process::exit(128 + signal);
            }
        })?;
        half_done.watched = true;
    }
    let Begun { path, parents, made } = make()?;
    half_done.paths.push((path, parents));
    Ok(made)
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
    half_done.paths.retain(|(other, _)| other != path);
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
