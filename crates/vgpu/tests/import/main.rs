//! `vgpu import` into a real Nix store, for each kind of file, whole and broken, under its name and another.

mod accepted;
mod machine;
#[path = "../nix_store/mod.rs"]
mod nix_store;
mod refused;
mod unknown;
