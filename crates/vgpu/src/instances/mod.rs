//! vGPUs that are declared, and kept: made at every start of the machine, changed when their declaration changes.
//!
//! What is wanted and what a machine has go in; what must be done comes out; it is done, one step after the other.
//!
//! - [`declaration`]: what is wanted.
//! - [`profiles`]: what the driver knows: profiles, boards, sizes.
//! - [`memory`]: what was made for whom.
//! - [`room`]: what fits on a GPU.
//! - [`plan`]: what must be done; pure.
//! - [`reason`]: why something cannot be.
//! - [`apply`](mod@apply): doing it.
//! - [`functions`]: virtual functions.
//! - [`make`]: single vGPUs.
//! - [`kernel`]: what the kernel answers.
//! - [`list`](mod@list): what is declared and what there is, side by side.
//! - [`attach`]: how virtual machines are given one.
//! - [`check`](mod@check): what is wrong with a declaration on any machine.
//! - [`place`]: links and owners.

pub mod apply;
pub mod attach;
pub mod check;
pub mod declaration;
pub mod functions;
pub mod kernel;
pub mod list;
pub mod make;
pub mod memory;
pub mod place;
pub mod plan;
pub mod profiles;
pub mod reason;
pub mod room;
