//! `nix store add-file`: an older form of `nix store add --mode flat`.

use std::ffi::OsString;

use store_model::ContentAddressMethod;

use crate::command::{CommandResult, Surface};

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    super::add::add(surface, words, ContentAddressMethod::Flat)
}
