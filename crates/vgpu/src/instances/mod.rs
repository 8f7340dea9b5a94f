//! Declared vGPUs: made at every start of the machine, and changed when their declaration changes.
//!
//! The declaration and the state of the machine are compared. The result is a plan, which is carried out step by step.
//!
//! - [`declaration`]: what is wanted.
//! - [`profiles`]: what the driver knows: profiles, boards, sizes.
//! - [`memory`]: which vGPU was made for which name.
//! - [`room`]: what fits on a GPU.
//! - [`plan`]: what must be done. It changes nothing.
//! - [`reason`]: why something is not possible.
//! - [`view`]: the vGPUs of a machine as they are now.
//! - [`situation`]: which existing vGPU belongs to which name.
//! - [`step`](mod@step): the steps of a plan.
//! - [`choose`]: the GPU and the virtual function that an instance gets.
//! - [`apply`](mod@apply): carries out the plan; [`outcome`]: the results.
//! - [`request`]: one instance that a user asks for.
//! - [`remove`](mod@remove): removes one by its name.
//! - [`lock`]: only one process changes vGPUs at a time.
//! - [`report`]: steps in words and for JSON.
//! - [`functions`]: switches on virtual functions.
//! - [`make`]: single vGPUs.
//! - [`kernel`]: what the kernel answers.
//! - [`list`](mod@list): declared and existing vGPUs, side by side.
//! - [`status`]: a host as it is now.
//! - [`attach`]: what a virtual machine needs to use one.
//! - [`check`](mod@check): what is wrong with a declaration on any machine.
//! - [`place`]: links and owners.
//! - `unique`: keys stand once.

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
mod unique;
pub mod view;
