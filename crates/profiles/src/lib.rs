//! vgpuConfig.xml of a host driver: what a physical GPU may be cut into. Read it, clone GPUs, override profiles.
//!
//! NVIDIA's daemon reads the file with a strict parser, so nothing here writes XML anew: a file is read with the place of
//! every element in it, and a change replaces the few bytes it is about. Everything else stays byte for byte.
//!
//! - [`document`]: the XML with its places, and edits spliced into it.
//! - [`model`]: what the file says: profiles and physical GPUs.
//! - [`changes`]: what a user asks for, as JSON, checked.
//! - [`apply`](apply()): the changes as edits of the file.
//! - [`likeness`]: the nearest names of a misspelt one.
//! - [`file`]: reading within bounds, replacing in one step.

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

/// Applies the JSON in the file `changes` to the vgpuConfig.xml `config`, and returns that file's text and what becomes of it.
///
/// # Errors
/// When one of the files cannot be read or is damaged, or a change cannot be made.
pub fn apply_file(changes: &Path, config: &Path) -> Result<(String, Applied), Error> {
    let changes = Changes::parse(file::read(changes)?.as_bytes())?;
    let text = file::read(config)?;
    let applied = apply(&text, &changes)?;
    Ok((text, applied))
}
