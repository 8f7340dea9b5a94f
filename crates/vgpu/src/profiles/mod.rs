//! Lists of profiles: where they come from, and what is told of profiles and boards.
//!
//! - [`source`]: a vgpuConfig.xml, or the one in a driver.
//! - [`listing`]: profiles, boards, and what a board could be cut into.
//! - [`each_size`](mod@each_size): one profile to show for each size.

pub mod each_size;
pub mod listing;
pub mod source;
