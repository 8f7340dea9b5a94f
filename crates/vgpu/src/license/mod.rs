//! Licences of guests: what a licence server hands out, and what the licence client makes of it.
//!
//! - [`token`]: what a client configuration token says, and what is wrong with it.
//! - [`failures`]: lines in the journal of nvidia-gridd: what they mean, and the way out.
//! - [`certificate`]: is a file the root certificate of a licence server?

pub mod certificate;
pub mod failures;
pub mod token;
mod wrong_file;
