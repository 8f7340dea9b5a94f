//! NVIDIA vGPU on NixOS: from an archive NVIDIA gave you to virtual machines with working vGPUs.
//!
//! The crate `vgpu_driver` installs drivers, and `vgpu_profiles` changes profiles. The modules here are:
//!
//! - [`catalog`]: the releases of vGPU software: versions, hashes, patchers, what fits together.
//! - [`identity`]: what an archive is, and whether the catalog has it.
//! - [`import`]: what to configure for a file.
//! - [`verify`]: checks a driver without unpacking it.
//! - [`license`]: licences of guests: tokens, certificates, the licence client.
//! - [`profiles`]: lists of profiles: where they come from, and what is shown of them.
//! - [`start`]: what a machine needs to begin with.
//! - [`nix`]: the interface with Nix: SRI hashes, store, Nix syntax.
//! - [`instances`]: the vGPUs of a host that are declared and kept.
//! - [`machine`]: what a machine has, read below a root directory: GPUs, vGPUs, drivers, processes.
//! - [`doctor`]: why does vGPU not work on this machine?
//! - [`cli`]: a file a command: parse, call, render. Nothing else parses arguments or prints.

pub mod catalog;
pub mod cli;
pub mod doctor;
mod identity;
mod import;
mod instances;
pub mod license;
pub mod machine;
pub mod nix;
mod profiles;
mod start;
mod verify;
