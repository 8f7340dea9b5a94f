//! Threads that work on files and write them, while the caller goes on reading the archive.
//!
//! The caller says what is done to a file. Memory is limited: a [`Buffer`] is given back when its work is done.
//!
//! Each thread has a queue of its own. All parts of a file go to the same thread: the kernel lets only one thread write to a
//! file at a time, and another one would wait for it at full speed.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};

use crate::error::Error;
use crate::memory::{Buffer, Memory};

const THREADS: usize = 2;

/// What is done with the content of a file.
pub type Work<'a> = Box<dyn FnOnce(&mut [u8]) -> Result<(), Error> + Send + 'a>;

/// The content of a file or a part of it, and the work on it.
struct Job<'a> {
    data: Buffer<'a>,
    work: Work<'a>,
}

/// What the threads share.
#[derive(Debug, Default)]
pub struct Shared {
    pub memory: Memory,
    failed: Mutex<Option<Error>>,
}

impl Shared {
    fn failed(&self) -> MutexGuard<'_, Option<Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first error. Call this when the threads have ended.
    pub fn finish(self) -> Result<(), Error> {
        self.failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// The way to the threads. They have ended when this has been dropped: a scope waits for their work alone.
pub struct Writers<'scope, 'a> {
    threads: Vec<Writer<'scope, 'a>>,
}

/// One of the threads.
struct Writer<'scope, 'a> {
    jobs: SyncSender<Job<'a>>,
    /// How many bytes wait for it, and are being written.
    waiting: Arc<AtomicUsize>,
    thread: ScopedJoinHandle<'scope, ()>,
}

/// Says which thread does some work.
#[derive(Clone, Copy)]
pub struct Turn(usize);

impl<'scope, 'a> Writers<'scope, 'a> {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system lets none start.
    pub fn start<'env>(scope: &'scope Scope<'scope, 'env>, shared: &'a Shared) -> io::Result<Writers<'scope, 'a>>
    where
        'a: 'scope,
    {
        let mut writers = Writers { threads: Vec::with_capacity(THREADS) };
        for _ in 0..THREADS {
            let (jobs, queue) = sync_channel(64);
            let waiting = Arc::new(AtomicUsize::new(0));
            let bytes = waiting.clone();
            let thread = thread::Builder::new().name("writer".into());
            let thread = thread.spawn_scoped(scope, move || work(shared, &queue, &bytes))?;
            writers.threads.push(Writer { jobs, waiting, thread });
        }
        Ok(writers)
    }

    /// The thread that has least to do.
    pub fn turn(&self) -> Turn {
        let waiting = |&number: &usize| self.threads[number].waiting.load(Ordering::Relaxed);
        Turn((0..self.threads.len()).min_by_key(waiting).unwrap_or_default())
    }

    /// Hands work over.
    pub fn hand_over(&self, turn: Turn, data: Buffer<'a>, work: Work<'a>) {
        let writer = &self.threads[turn.0];
        writer.waiting.fetch_add(data.len(), Ordering::Relaxed);
        // The threads take work until this is dropped, so there is always a receiver.
        let _ = writer.jobs.send(Job { data, work });
    }
}

impl Drop for Writers<'_, '_> {
    fn drop(&mut self) {
        // No more work comes to any of them.
        let threads: Vec<_> = self.threads.drain(..).map(|writer| writer.thread).collect();
        for thread in threads {
            if let Err(panic) = thread.join()
                && !thread::panicking()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn work(shared: &Shared, queue: &Receiver<Job>, waiting: &AtomicUsize) {
    for Job { mut data, work } in queue {
        let bytes = data.len();
        if shared.failed().is_none()
            && let Err(error) = work(&mut data)
        {
            shared.failed().get_or_insert(error);
            shared.memory.stop();
        }
        waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_first_error_ends_all_work() {
        let shared = Shared::default();
        let done = Mutex::new(0);
        thread::scope(|scope| {
            let writers = Writers::start(scope, &shared).unwrap();
            for number in 0..100_u8 {
                let Ok(buffer) = shared.memory.buffer(1) else { break };
                let done = &done;
                let work = move |data: &mut [u8]| {
                    data[0] = number;
                    *done.lock().unwrap() += 1;
                    let full = io::ErrorKind::StorageFull.into();
                    if number < 10 { Ok(()) } else { Err(Error::write(Path::new("file"), full)) }
                };
                writers.hand_over(writers.turn(), buffer, Box::new(work));
            }
        });
        assert!((1..=12).contains(&*done.lock().unwrap()), "one each may be at work, or still waiting");
        assert!(matches!(shared.finish(), Err(Error::Write { .. })));
    }
}
