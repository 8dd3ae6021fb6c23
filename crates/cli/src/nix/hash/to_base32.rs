//! `nix hash to-base32`: hashes in Nix's base-32 (deprecated).

use std::ffi::OsString;

use store_model::HashFormat;

use crate::command::{CommandResult, Surface};

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    super::convert_to(surface, words, HashFormat::Nix32)
}
