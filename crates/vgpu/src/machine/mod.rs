//! Reads the state of a machine: its GPUs, what the kernel offers on them, what runs. Nothing here changes anything.
//!
//! Everything is read below a root directory. In tests, a directory tree replaces /sys, /proc and /etc. What can't be read
//! is left out. The code here only reads; it decides nothing.
//!
//! - [`pci`]: devices on the PCI bus, their drivers and virtual functions.
//! - [`vgpu`]: the kernel's three ways to make vGPUs, the types it offers, and the vGPUs there are.
//! - [`driver`]: NVIDIA's kernel modules.
//! - [`journal`]: what kernel and services wrote since the start.
//! - [`services`]: the states of services.
//! - [`nvml`]: live figures and modes, from NVIDIA's library.
//! - [`options`]: options of the module nvidia.
//! - [`processes`]: who has a vGPU open.
//! - [`program`]: what programs of the system print.
//! - [`overview`]: the machine as a whole, for `vgpu init`.
//! - [`names`]: names of boards.

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
