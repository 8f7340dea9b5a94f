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
    /// Returns the finding. If its evidence names a place that this user may not read, it returns an unknown one instead.
    /// Evidence names places at the start of a line, or after a semicolon.
    pub fn or_closed(&self, finding: Finding) -> (Finding, Closed) {
        let parts = finding.evidence.lines().flat_map(|line| line.split("; "));
        let mut places = parts.filter_map(|part| Some(part.strip_prefix('/')?.split(": ").next()?.trim_end()));
        match places.find_map(|place| self.closed(place)) {
            Some(unknown) => (unknown, Closed::Yes),
            None => (finding, Closed::No),
        }
    }

    /// The finding if a place is missing or empty: the question does not apply. If this user may not read the place, the
    /// finding is unknown.
    pub fn nothing_in(&self, place: &str) -> Finding {
        self.closed(place).unwrap_or_else(Finding::irrelevant)
    }

    /// An unknown finding if this user may not read a place.
    pub fn closed(&self, place: &str) -> Option<Finding> {
        let unknown = || Finding::unknown(format!("this user may not read /{place}: run vgpu doctor as root"));
        is_closed(&self.root.join(place)).then(unknown)
    }
}

/// Whether a file may not be read, or whether a directory, or one in it, may not be listed.
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

/// A missing place is no refusal: there is nothing to read.
fn is_refusal(error: &Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied
}
