//! A driver package: its manifest, where each file goes, ELF files, and the installer that ties them together.
//!
//! The lowest come first. A file needs only files that are above it in this list.
//!
//! - [`words`]: plain data that all other files use.
//! - [`memory`], [`ledger`]: limits for memory, and for what is written, in relation to what was read.
//! - `confined`: files below one directory and nowhere else.
//! - [`manifest`]: NVIDIA's list of files with their types.
//! - [`archive`]: GRID .zip and .run files → a stream of members.
//! - [`placement`], [`links`], [`plan`]: where files and symlinks go. Nothing is read or written there.
//! - [`elf`], [`text`], [`treat`]: what is done to the content of files: bytes in, bytes out.
//! - `in_place`: corrects large libraries after they were written.
//! - [`error`]: why a driver could not be installed.
//! - [`source`]: opens a GRID archive, a .run file or an unpacked driver.
//! - `target`: the outputs, and what was written into them.
//! - `writer`, `parts`, `waiting`: threads that write; large files in parts; members that come before the manifest.
//! - [`install`]: the installer. [`unpack`]: writes a driver as it is.
//! - [`protocol`], [`builder`]: what Nix tells a builder, and what it runs.

pub mod archive;
pub mod builder;
mod confined;
pub mod elf;
mod error;
mod in_place;
pub mod install;
mod ledger;
pub mod links;
pub mod manifest;
pub mod memory;
mod parts;
mod placement;
pub mod plan;
mod protocol;
pub mod source;
mod target;
pub mod text;
mod treat;
mod unpack;
mod waiting;
pub mod words;
mod writer;

pub use error::Error;
pub use words::role::{Role, RoleError};
