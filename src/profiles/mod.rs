//! vgpuConfig.xml of a host driver: what a physical GPU may be cut into. Read it, clone GPUs, override profiles.
//!
//! NVIDIA's daemon reads the file with a strict parser, so nothing here writes XML anew: a file is read with the place of
//! every element in it, and a change replaces the few bytes it is about. Everything else stays byte for byte.
//!
//! - [`document`]: the XML with its places, and edits spliced into it.
//! - [`model`]: what the file says: profiles and physical GPUs.
//! - [`changes`]: what a user asks for, as JSON, checked.
//! - [`apply`](apply()): the changes as edits of the file.
//! - [`file`]: reading within bounds, replacing in one step.

mod apply;
pub mod changes;
pub mod document;
mod error;
pub mod file;
pub mod model;

pub use apply::{Applied, apply};
pub use changes::Changes;
pub use error::Error;
pub use model::Config;
