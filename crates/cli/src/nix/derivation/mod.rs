//! `nix derivation`: derivations as JSON.

pub mod add;
pub mod show;
