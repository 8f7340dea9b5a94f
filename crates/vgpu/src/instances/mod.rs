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
//! - [`view`]: the vGPUs of a machine as they are now.
//! - [`situation`]: what there is beside what is wanted: which vGPU is whose.
//! - [`step`](mod@step): the steps of a plan.
//! - [`choose`]: the GPU and the virtual function that an instance gets.
//! - [`apply`](mod@apply): doing it; [`outcome`]: what came of it.
//! - [`request`]: one that is asked for by its name.
//! - [`remove`](mod@remove): removing one by its name.
//! - [`lock`]: one process at a time.
//! - [`report`]: steps in words and for JSON.
//! - [`functions`]: virtual functions.
//! - [`make`]: single vGPUs.
//! - [`kernel`]: what the kernel answers.
//! - [`list`](mod@list): what is declared and what there is, side by side.
//! - [`status`]: a host as it is now.
//! - [`attach`]: how virtual machines are given one.
//! - [`check`](mod@check): what is wrong with a declaration on any machine.
//! - [`place`]: links and owners.

pub mod apply;
pub mod attach;
pub mod check;
pub mod choose;
pub mod declaration;
pub mod functions;
pub mod kernel;
pub mod list;
pub mod lock;
pub mod make;
pub mod memory;
pub mod outcome;
pub mod place;
pub mod plan;
pub mod profiles;
pub mod reason;
pub mod remove;
pub mod report;
pub mod request;
pub mod room;
pub mod situation;
pub mod status;
pub mod step;
pub mod view;
