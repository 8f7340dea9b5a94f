//! The lock that a process holds while it changes vGPUs.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::outcome::Error;
use super::place;

/// The lock, until it is dropped.
pub struct Lock(File);

/// Takes the lock. `waiting` is called if another process has it.
///
/// # Errors
/// When /run/vgpu can't be written to.
pub fn take(root: &Path, waiting: impl FnOnce()) -> Result<Lock, Error> {
    let path = root.join(place::DIRECTORY).join(".lock");
    let open = || {
        fs::create_dir_all(root.join(place::DIRECTORY))?;
        let file = File::create(&path)?;
        if file.try_lock().is_err() {
            waiting();
            file.lock()?;
        }
        Ok(Lock(file))
    };
    open().map_err(|source| Error::Run { path: path.clone(), source })
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
