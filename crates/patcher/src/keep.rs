//! Moves what patch.sh made out of the directory that it worked in.

use std::path::Path;
use std::process::Command;
use std::{fs, io};

use miette::Result;
use vgpu_base::terminal;

use crate::error::io_error;
use crate::names::{CERTIFICATE, names};

/// Moves all results of patch.sh into the directory `here`. They replace the results of earlier runs.
pub fn keep_all(work: &Path, here: &Path) -> Result<()> {
    let results = ["-patched", "-patched.run", CERTIFICATE].iter().flat_map(|end| names(work, end));
    for name in results.filter(|name| !work.join(name).is_symlink()) {
        let old = here.join(&name);
        if old.is_dir() {
            fs::remove_dir_all(&old).map_err(io_error("replace", &old))?;
        }
        keep(&work.join(&name), &old)?;
    }
    Ok(())
}

/// Moves a result to `to`, and prints that path. `mv` can also move to another file system; patch.sh needs it, too.
pub fn keep(result: &Path, to: &Path) -> Result<()> {
    let moved =
        Command::new("mv").args(["-T", "--"]).args([result, to]).status().and_then(|status| match status.success() {
            true => Ok(()),
            false => Err(io::Error::other("mv failed")),
        });
    moved.map_err(io_error("write", to))?;
    terminal::print(to.display())
}
