//! Patched drivers, with a stand-in for patch.sh that takes the same options and fails as quietly as the real one.

mod machine;
#[path = "../nix_store/mod.rs"]
mod nix_store;
mod packages;
mod pinned;
#[path = "../support/program.rs"]
mod program;
mod scene;
mod script;
