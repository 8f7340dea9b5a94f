//! What is half done goes when the program is interrupted (Ctrl-C) or terminated.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Directories that are half done. Locked for good when the program is interrupted: whoever ends it must hold the lock.
static HALF_DONE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Holds up the removal of what is half done: nobody reads two endings of one program.
pub fn hold() -> impl Drop {
    half_done()
}

fn half_done() -> MutexGuard<'static, Vec<PathBuf>> {
    HALF_DONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a half-done directory when the program is interrupted (Ctrl-C) or terminated.
pub fn remove_when_interrupted(dir: &Path) {
    let mut dirs = half_done();
    dirs.push(dir.to_owned());
    if dirs.len() > 1 {
        return; // A thread waits already.
    }
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let dirs = half_done();
            dirs.iter().for_each(|dir| remove_under_way(dir));
            std::process::exit(128 + signal);
        }
    });
}

/// Removes a directory that other threads are writing into. They would create it again, so a link to itself takes its
/// name: nothing can be written through that.
fn remove_under_way(dir: &Path) {
    let mut moved = Vec::new();
    for attempt in 0..100 {
        let doomed = dir.with_extension(format!("interrupted-{attempt}"));
        if std::fs::rename(dir, &doomed).is_err() {
            break; // It has another name, or is gone: done.
        }
        moved.push(doomed);
        if symlink(dir, dir).is_ok() {
            break; // Else somebody was faster, and created it again.
        }
    }
    for doomed in &moved {
        let _ = std::fs::remove_dir_all(doomed);
    }
    if dir.is_symlink() {
        let _ = std::fs::remove_file(dir);
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
