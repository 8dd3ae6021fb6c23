//! Nix expressions to values.

pub mod compile;
pub mod program;
