//! One account for all memory that grows with the input, so that no archive and no directory takes more than 250 MB.
//! Code that needs much memory asks here first: for files of the driver, for their symbol tables while they are changed,
//! for the manifest, and for the window of the decompressor.
//!
//! The program itself, its threads, and what is read before the decompressor needs it (archive/stream.rs) take another
//! 40 MB or so.
//!
//! Only the thread that reads ever waits here. The threads that write give back the memory that it waits for.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// All memory that may be in use at one time, in bytes.
pub const LIMIT: usize = 184 << 20;
/// Files that were read and are not yet written may take this much together, in bytes. One larger file may exceed it, alone.
const ROOM: usize = 32 << 20;
/// These files and the buffers that are kept for later, in bytes.
const KEPT: usize = 40 << 20;

/// Address space for all of this, in bytes. It includes the program itself and what the system's allocator reserves for
/// each thread, even if that is never used.
const ADDRESSES: usize = 640 << 20;

/// The system gives this program too little memory.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the system gives this program less than {} MiB of memory to use", ADDRESSES >> 20)]
#[diagnostic(help(
    "raise the limit (ulimit -v), or end other programs. Less than 250 MB of it are used, but to find out in the middle that \
     there is none left would end the program at once"
))]
pub struct OutOfMemory;

/// Asks the system whether it has enough memory to install a driver. This uses none of it.
///
/// # Errors
/// When it has too little memory.
pub fn enough() -> Result<(), OutOfMemory> {
    Vec::<u8>::new().try_reserve_exact(ADDRESSES).map_err(|_| OutOfMemory)
}

/// The account.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Taken until the program ends, in bytes.
    leased: usize,
    /// Buffers in use, in bytes.
    used: usize,
    /// Buffers that are kept for later, smallest first.
    spare: Vec<Vec<u8>>,
    stopped: bool,
}

/// Why there is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// So much memory will never be available.
    #[error("{needed} bytes of memory are needed for it, more than any driver needs")]
    TooMuch { needed: usize },
    /// The system has no more memory.
    #[error("the system has no memory left")]
    None,
    /// Writing has failed, so there is no point in reading on.
    #[error("writing has failed")]
    Stopped,
}

impl State {
    fn held(&self) -> usize {
        self.leased + self.used + self.spare.iter().map(Vec::len).sum::<usize>()
    }

    /// Gives kept buffers back to the system until at most `most` bytes are held.
    fn shrink(&mut self, most: usize) {
        while self.held() > most && !self.spare.is_empty() {
            self.spare.remove(0);
        }
    }
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes this many bytes until the program ends.
    ///
    /// # Errors
    /// When too little would be left.
    pub fn lease(&self, bytes: usize) -> Result<(), Refused> {
        let mut state = self.state();
        let needed = state.leased.saturating_add(bytes);
        if needed.saturating_add(state.used) > LIMIT {
            return Err(Refused::TooMuch { needed: bytes });
        }
        state.leased = needed;
        state.shrink(LIMIT);
        Ok(())
    }

    /// Waits until a file of `size` bytes may be read into memory, and gives a buffer to read it into.
    ///
    /// # Errors
    /// When so much will never be available, or writing has failed.
    pub fn buffer(&self, size: u64) -> Result<Buffer<'_>, Refused> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let mut state = self.state();
        if size > LIMIT.saturating_sub(state.leased) {
            return Err(Refused::TooMuch { needed: size });
        }
        while !state.stopped && state.used > 0 && (state.used + size > ROOM || state.leased + state.used + size > LIMIT)
        {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped {
            return Err(Refused::Stopped);
        }
        // The smallest one that is large enough. If there is none, the largest one grows.
        let fitting = state.spare.partition_point(|memory| memory.len() < size);
        let fitting = fitting.min(state.spare.len().saturating_sub(1));
        let mut memory = if state.spare.is_empty() { Vec::new() } else { state.spare.remove(fitting) };
        state.shrink(LIMIT.saturating_sub(size.max(memory.len())));
        if memory.len() < size {
            memory.try_reserve_exact(size - memory.len()).map_err(|_| Refused::None)?;
            memory.resize(size, 0);
        }
        state.used += memory.len();
        Ok(Buffer { account: self, memory, size, besides: 0 })
    }

    /// Waits until all buffers were given back, or writing has failed.
    pub fn settle(&self) {
        let mut state = self.state();
        while !state.stopped && state.used > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives out no more buffers, because writing has failed.
    pub fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }
}

/// The content of a file, in memory that the next file uses again. The kernel has to clear new memory page by page. That
/// would take as long as decompressing into it.
#[derive(Debug)]
pub struct Buffer<'m> {
    account: &'m Memory,
    memory: Vec<u8>,
    size: usize,
    /// Taken for work on the content, in bytes.
    besides: usize,
}

impl Buffer<'_> {
    /// Waits until this many more bytes may be taken, for work on the content.
    ///
    /// # Errors
    /// When there will never be so much, or writing has failed.
    pub fn take_besides(&mut self, bytes: usize) -> Result<(), Refused> {
        let mut state = self.account.state();
        let own = self.memory.len() + self.besides;
        if bytes > LIMIT.saturating_sub(state.leased + own) {
            return Err(Refused::TooMuch { needed: self.size.saturating_add(bytes) });
        }
        while !state.stopped && state.leased + state.used + bytes > LIMIT {
            state = self.account.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped {
            return Err(Refused::Stopped);
        }
        state.used += bytes;
        state.shrink(LIMIT);
        self.besides += bytes;
        Ok(())
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let mut state = self.account.state();
        state.used -= memory.len() + self.besides;
        let place = state.spare.partition_point(|spare| spare.len() < memory.len());
        state.spare.insert(place, memory);
        state.shrink(KEPT);
        self.account.changed.notify_all();
    }
}

impl Deref for Buffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.size]
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.size]
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_never_fits_is_refused_at_once() {
        let memory = Memory::default();
        memory.lease(64 << 20).unwrap();
        let needed = (LIMIT - (64 << 20)) + 1;
        assert_eq!(memory.buffer(needed as u64).unwrap_err(), Refused::TooMuch { needed });
        let mut buffer = memory.buffer(100 << 20).unwrap();
        assert!(matches!(buffer.take_besides(40 << 20), Err(Refused::TooMuch { .. })));
        buffer.take_besides(10 << 20).unwrap();
        assert!(memory.lease(20 << 20).is_err());
        drop(buffer);
        memory.lease(20 << 20).unwrap();
    }

    #[test]
    fn the_reader_waits_for_the_writers() {
        let memory = Memory::default();
        let first = memory.buffer(100 << 20).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| memory.buffer(90 << 20).map(|buffer| buffer.len()));
            thread::sleep(std::time::Duration::from_millis(20));
            assert!(!waiting.is_finished());
            drop(first);
            assert_eq!(waiting.join().unwrap(), Ok(90 << 20));
        });
        let _last = memory.buffer(100 << 20).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| memory.buffer(90 << 20).map(drop));
            memory.stop();
            assert_eq!(waiting.join().unwrap(), Err(Refused::Stopped));
        });
    }
}
