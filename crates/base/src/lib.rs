//! What all programs of vgpu4nixos share.
//!
//! - [`terminal`]: results, notes and errors.
//! - [`shown`]: text from outside on its way to a terminal or log.
//! - [`bounded`]: files from outside, read completely up to a limit.
//! - [`publish`]: files and directories that are complete, or not there at all.
//! - [`scratch`]: temporary files and directories, which are removed afterwards.
//! - [`interrupt`]: removes what is unfinished when the program is interrupted.

pub mod bounded;
pub mod interrupt;
pub mod publish;
pub mod scratch;
pub mod shown;
pub mod terminal;
