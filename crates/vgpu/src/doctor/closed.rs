//! Places that this user may not read.
//!
//! The evidence of a check says which file or directory shows what was found. If the user may not read that place, it shows
//! nothing: what looks missing may be there.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::Path;

use rustix::fs::{Access, access};

use super::check::Finding;
use super::observed::Observed;

/// Whether a check could not be made because a place is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Yes,
    No,
}

impl Observed {
    /// The finding; or an unknown one, if it rests on a place that this user may not read. Evidence names places at the
    /// start of a line, or after a semicolon.
    pub fn or_closed(&self, finding: Finding) -> (Finding, Closed) {
        let parts = finding.evidence.lines().flat_map(|line| line.split("; "));
        let mut places = parts.filter_map(|part| Some(part.strip_prefix('/')?.split(": ").next()?.trim_end()));
        match places.find_map(|place| self.closed(place)) {
            Some(unknown) => (unknown, Closed::Yes),
            None => (finding, Closed::No),
        }
    }

    /// The finding of a check that has nothing to ask, since a place is not there or empty; unless this user may not read it.
    pub fn nothing_in(&self, place: &str) -> Finding {
        self.closed(place).unwrap_or_else(Finding::irrelevant)
    }

    /// Unknown, if this user may not read a place.
    pub fn closed(&self, place: &str) -> Option<Finding> {
        let unknown = || Finding::unknown(format!("this user may not read /{place}: run vgpu doctor as root"));
        is_closed(&self.root.join(place)).then(unknown)
    }
}

/// Whether a file may not be read; or a directory, or one of those in it, may not be listed.
fn is_closed(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let list = Access::READ_OK | Access::EXEC_OK;
            let mut inside = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
            refused(path, list)
                || inside.any(|entry| match fs::metadata(&entry) {
                    Ok(metadata) => metadata.is_dir() && refused(&entry, list),
                    Err(error) => is_refusal(&error),
                })
        }
        Ok(_) => refused(path, Access::READ_OK),
        Err(error) => is_refusal(&error),
    }
}

fn refused(path: &Path, how: Access) -> bool {
    access(path, how).is_err_and(|error| is_refusal(&error.into()))
}

/// Not for a place that is missing: there is nothing to be read.
fn is_refusal(error: &Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied
}
