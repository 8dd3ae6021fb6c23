//! Nix expressions to values.

pub mod program;
