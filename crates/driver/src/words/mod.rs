//! Plain data that the whole crate shares. It imports no other code of this project, except its neighbours and
//! [`vgpu_base::shown`].
//!
//! - [`role`]: host or guest.
//! - [`path`]: names in packages and outputs, and what links name.
//! - [`file_type`]: the types of a manifest, in one table.
//! - [`output`]: the five parts of an installed driver, and places in them.
//! - [`options`]: what the installer is told.
//! - [`report`]: what it tells.

pub mod file_type;
pub mod options;
pub mod output;
pub mod path;
pub mod report;
pub mod role;
