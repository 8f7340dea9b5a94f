//! Licences of guests: what a licence server hands out, and what the licence client makes of it.
//!
//! - [`certificate`]: is a file the root certificate of a licence server?

pub mod certificate;
