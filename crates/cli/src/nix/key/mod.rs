//! `nix key`: keys that sign store paths.

pub mod convert_secret_to_public;
pub mod generate_secret;
