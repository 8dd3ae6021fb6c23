//! `nix realisation`: what outputs of derivations became.

pub mod info;
