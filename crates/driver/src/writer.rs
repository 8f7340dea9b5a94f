//! Threads that work on files and write them, while the caller goes on reading the archive.
//!
//! The caller says what is done to a file. Memory is limited: a [`Buffer`] is given back when its work is done.

use std::io;
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
    /// `None` when no more work comes.
    jobs: Option<SyncSender<Job<'a>>>,
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope, 'a> Writers<'scope, 'a> {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system lets none start.
    pub fn start<'env>(scope: &'scope Scope<'scope, 'env>, shared: &'a Shared) -> io::Result<Writers<'scope, 'a>>
    where
        'a: 'scope,
    {
        let (jobs, queue) = sync_channel(64);
        let queue = Arc::new(Mutex::new(queue));
        let mut writers = Writers { jobs: Some(jobs), threads: Vec::with_capacity(THREADS) };
        for _ in 0..THREADS {
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new().name("writer".into());
            writers.threads.push(thread.spawn_scoped(scope, move || work(shared, &queue))?);
        }
        Ok(writers)
    }

    /// Hands work over.
    pub fn hand_over(&self, data: Buffer<'a>, work: Work<'a>) {
        // The threads take work until this is dropped, so there is always a receiver.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(Job { data, work });
        }
    }
}

impl Drop for Writers<'_, '_> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join()
                && !thread::panicking()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn work(shared: &Shared, queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { mut data, work }) = job else { return };
        if shared.failed().is_some() {
            continue;
        }
        if let Err(error) = work(&mut data) {
            shared.failed().get_or_insert(error);
            shared.memory.stop();
        }
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
                writers.hand_over(buffer, Box::new(work));
            }
        });
        assert!((11..=12).contains(&*done.lock().unwrap()), "one each may be at work");
        assert!(matches!(shared.finish(), Err(Error::Write { .. })));
    }
}
