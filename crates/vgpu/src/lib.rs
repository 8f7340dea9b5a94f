//! NVIDIA vGPU on NixOS: from an archive NVIDIA gave you to virtual machines with working vGPUs.
//!
//! The map, a line a module. Drivers are installed by the crate `vgpu_driver`, profiles changed by `vgpu_profiles`.
//!
//! - [`catalog`]: the releases of vGPU software: versions, hashes, patchers, what fits together.
//! - [`identity`]: what an archive is, and whether the catalog has it.
//! - [`verify`]: checks a driver without unpacking it.
//! - [`certificate`]: is a file the root certificate of a licence server?
//! - [`nix`]: what Nix and we say to each other: SRI hashes, store, Nix syntax.
//! - [`machine`]: what a machine has: GPUs, kernel, NixOS, IOMMU.
//! - [`cli`]: a file a command: parse, call, render. Nothing else parses arguments or prints.

pub mod catalog;
pub mod certificate;
pub mod cli;
pub mod identity;
pub mod machine;
pub mod nix;
pub mod verify;
