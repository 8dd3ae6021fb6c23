//! `nix help`: what a command does.

use std::ffi::OsString;

use clap::Parser;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, parse};
use crate::programs::overview_of;

/// Show the help of a command
#[derive(Parser, Debug)]
#[command(name = "nix help")]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    /// The command's words; all commands are listed without any
    command: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    overview_of(surface, &words.args.command)
}
