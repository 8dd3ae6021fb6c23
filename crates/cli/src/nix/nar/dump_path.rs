//! `nix nar dump-path`: an older name of `nix nar pack`.

use std::ffi::OsString;

use crate::command::{CommandResult, Surface};

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    surface.warn("'nix nar dump-path' is a deprecated alias for 'nix nar pack'");
    super::pack::run(surface, words)
}
