//! `nix config`: settings as they are.

pub mod check;
pub mod show;
