//! What all programs of vgpu4nixos share.
//!
//! - [`terminal`]: results, notes and errors.
//! - [`interrupt`]: what is half done goes when the program is interrupted.

pub mod interrupt;
pub mod terminal;
