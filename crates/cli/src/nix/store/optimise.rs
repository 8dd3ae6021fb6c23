//! `nix store optimise`: replace equal files by links to one of them.

use std::ffi::OsString;

use clap::Parser;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::Opened;
use crate::output::garbage::optimise_and_say;

/// Replace equal files of the store by hard links to one of them
#[derive(Parser, Debug)]
#[command(name = "nix store optimise")]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    optimise_and_say(&Opened { surface, session: open(surface, &words.given, &words.args.common)? })
}
