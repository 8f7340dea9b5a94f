//! Licences of guests: what a licence server hands out, and what the licence client makes of it.
//!
//! - [`token`]: what a client configuration token says, and what is wrong with it.
//! - [`failures`]: lines in the journal of nvidia-gridd: what they mean, and the way out.
//! - [`story`]: what that journal comes down to.
//! - [`state`]: the words in which NVIDIA's programs tell whether there is a licence.
//! - [`gridd_conf`]: settings of the licence client.
//! - [`reach`]: whether the ports of licence servers answer.
//! - [`status`]: the licences of this machine, guest or host, from all of these.
//! - [`certificate`]: is a file the root certificate of a licence server?

pub mod certificate;
pub mod failures;
pub mod gridd_conf;
pub mod reach;
pub mod state;
pub mod status;
pub mod story;
pub mod token;
mod wrong_file;
