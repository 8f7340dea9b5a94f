//! Licences of guests: tokens of licence servers, and the licence client.
//!
//! - [`token`]: what a client configuration token says, and what is wrong with it.
//! - [`failures`]: lines in the journal of nvidia-gridd: what they mean, and what to do.
//! - [`journal_summary`]: a summary of that journal.
//! - [`state`]: the words of NVIDIA's programs for the state of a licence.
//! - [`gridd_conf`]: settings of the licence client.
//! - [`reach`]: whether the ports of licence servers answer.
//! - [`status`]: the licences of this machine, guest or host, from all of these.
//! - [`certificate`]: is a file the root certificate of a licence server?

pub mod certificate;
pub mod failures;
pub mod gridd_conf;
pub mod journal_summary;
pub mod reach;
pub mod state;
pub mod status;
pub mod token;
mod wrong_file;
