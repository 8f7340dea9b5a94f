//! `vgpu import` into a real Nix store, for each kind of file: complete and broken, under its own name and another.

mod accepted;
mod machine;
#[path = "../nix_store/mod.rs"]
mod nix_store;
mod refused;
mod unknown;
