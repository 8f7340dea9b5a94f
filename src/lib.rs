//! NVIDIA vGPU on NixOS: from an archive NVIDIA gave you to an installed driver, host and guest.
//!
//! The map, a line a module:
//!
//! - [`archive`]: GRID .zip and makeself .run files → a stream of members, checked.
//! - [`driver`]: the manifest, where each file goes, ELF files, the installer → outputs.
//! - [`profiles`]: vgpuConfig.xml: read, clone and override vGPU profiles.
//! - [`catalog`]: the releases of vGPU software: versions, hashes, patchers, what fits together.
//! - [`certificate`]: is a file the root certificate of a licence server?
//! - [`nix`]: what Nix and we say to each other: builder protocol, SRI hashes, store, Nix syntax.
//! - [`machine`]: what a machine has: GPUs, kernel, NixOS, IOMMU.
//! - [`sample`]: a sample GRID archive, for the demo and for tests.
//! - [`cli`]: a file a command: parse, call, render. Nothing else parses arguments or prints.

pub mod archive;
pub mod catalog;
pub mod certificate;
pub mod cli;
pub mod driver;
pub mod machine;
pub mod nix;
pub mod profiles;
pub mod sample;
