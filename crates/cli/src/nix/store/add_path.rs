//! `nix store add-path`: an older name of `nix store add`.

use std::ffi::OsString;

use crate::command::{CommandResult, Surface};

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    super::add::run(surface, words)
}
