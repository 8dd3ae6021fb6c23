//! `nix hash to-base64`: hashes in base-64 (deprecated).

use std::ffi::OsString;

use store_model::HashFormat;

use crate::command::{CommandResult, Surface};

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    super::convert_to(surface, words, HashFormat::Base64)
}
