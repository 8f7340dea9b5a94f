//! The interface with Nix: hashes, store, syntax, configurations.

pub mod configuration;
pub mod expression;
pub mod sri;
pub mod starter;
pub mod store;
