//! What all programs of vgpu4nixos share.
//!
//! - [`terminal`]: results, notes and errors.
//! - [`shown`]: text from outside on its way to a terminal or log.
//! - [`bounded`]: files from outside, read whole up to a limit.
//! - [`publish`]: files and directories that are there whole or not at all.
//! - [`scratch`]: what is needed for a while, and is gone afterwards.
//! - [`interrupt`]: what is half done goes when the program is interrupted.

pub mod bounded;
pub mod interrupt;
pub mod publish;
pub mod scratch;
pub mod shown;
pub mod terminal;
