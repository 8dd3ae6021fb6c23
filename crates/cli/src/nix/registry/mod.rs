//! `nix registry`: where names of flakes lead.

pub mod add;
pub mod list;
pub mod remove;
