//! What Nix and we say to each other.

pub mod configuration;
pub mod expression;
pub mod sri;
pub mod starter;
pub mod store;
