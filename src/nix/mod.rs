//! What Nix and we say to each other.

pub mod sri;
