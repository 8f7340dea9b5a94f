//! Limits how much is written, in relation to how much was read. So a small archive cannot fill a disk.
//!
//! A 550 guest driver of 934 MB is installed as 936 MB: libraries grow by their run path, and programs are installed
//! twice (see treat.rs). No real driver writes 5 per cent more than was read.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// This many bytes may always be written: for run paths, and for absolute paths in small files.
const ANYWAY: u64 = 16 << 20;

/// For every group of this many bytes that were read, one extra byte may be written.
const SHARE: u64 = 20;

/// Counts the bytes of files read from a package and written to its outputs.
#[derive(Debug, Default)]
pub struct Ledger {
    read: AtomicU64,
    written: AtomicU64,
    exceeded: AtomicBool,
}

impl Ledger {
    /// Counts a file that is read from the package, by its size in bytes.
    pub fn read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that are about to be written.
    ///
    /// # Errors
    /// When the limit is exceeded: see [`is_exceeded`](Self::is_exceeded).
    pub fn write(&self, bytes: u64) -> io::Result<()> {
        let written = self.written.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if written > self.most() {
            self.exceeded.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    /// Takes bytes out of the count that were written and are about to be removed.
    pub fn forget(&self, bytes: u64) {
        self.written.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How much may be written by now, in bytes.
    pub fn most(&self) -> u64 {
        let read = self.read.load(Ordering::Relaxed);
        ANYWAY.saturating_add(read).saturating_add(read / SHARE)
    }

    /// Whether a write failed because of the limit.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_written_than_was_read() {
        let ledger = Ledger::default();
        ledger.write(ANYWAY).unwrap();
        ledger.read(100);
        ledger.write(105).unwrap();
        assert!(!ledger.is_exceeded());
        assert!(ledger.write(1).is_err() && ledger.is_exceeded());
    }

    #[test]
    fn what_is_written_again_counts_once() {
        let ledger = Ledger::default();
        ledger.write(ANYWAY).unwrap();
        ledger.forget(100);
        ledger.write(100).unwrap();
        assert!(!ledger.is_exceeded());
        assert!(ledger.write(1).is_err() && ledger.is_exceeded());
    }
}
