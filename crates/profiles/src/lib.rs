//! vgpuConfig.xml of a host driver says what a physical GPU may be cut into. This crate reads it, clones GPUs, and overrides
//! profiles.
//!
//! NVIDIA's daemon reads the file with a strict parser. So nothing here writes a new XML file. A file is read with the place
//! of every element, and a change replaces only a few bytes. All other bytes stay.
//!
//! - [`document`]: the XML with the places of its elements, and edits of it.
//! - [`model`]: what the file says: profiles and physical GPUs.
//! - [`changes`]: the changes that a user wants, read from JSON and checked.
//! - [`apply`](apply()): the changes as edits of the file.
//! - [`likeness`]: finds the nearest names of a misspelt one.
//! - [`file`]: reads a file up to a limit, and replaces a file in one step.

use std::path::Path;

mod apply;
pub mod changes;
mod document;
mod error;
pub mod file;
pub mod gpu_id;
pub mod likeness;
pub mod limits;
pub mod model;

pub use apply::{Applied, apply};
pub use changes::Changes;
pub use error::Error;
pub use model::Config;

/// Applies the JSON in the file `changes` to the vgpuConfig.xml `config`. Returns the old text and the result.
///
/// # Errors
/// When one of the files cannot be read or is damaged, or a change cannot be made.
pub fn apply_file(changes: &Path, config: &Path) -> Result<(String, Applied), Error> {
    let changes = Changes::parse(file::read(changes)?.as_bytes())?;
    let text = file::read(config)?;
    let applied = apply(&text, &changes)?;
    Ok((text, applied))
}
