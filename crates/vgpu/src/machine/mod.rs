//! Looks at a machine: its GPUs, what the kernel offers on them, what runs. Nothing here changes anything.
//!
//! Everything is read below a root directory, so that a directory tree can stand for /sys, /proc and /etc in tests. What
//! can't be read is left out: readers tell what they see, and decide nothing.
//!
//! - [`pci`]: devices on the PCI bus, their drivers and virtual functions.
//! - [`vgpu`]: the kernel's three ways to make vGPUs, the types it offers, and the vGPUs there are.
//! - [`driver`]: NVIDIA's kernel modules.
//! - [`journal`]: what kernel and services wrote since the start.
//! - [`services`]: what services do.
//! - [`nvml`]: live figures and modes, from NVIDIA's library.
//! - [`options`]: options of the module nvidia.
//! - [`processes`]: who has a vGPU open.
//! - [`program`]: what programs of the system print.
//! - [`overview`]: the machine as a whole, for `vgpu init`.
//! - [`names`]: what boards are called.

pub mod driver;
pub(crate) mod files;
pub mod journal;
pub mod names;
pub mod nvml;
pub mod options;
pub mod overview;
pub mod pci;
pub mod processes;
pub mod program;
pub mod services;
pub mod vgpu;
