//! `nix store cat`: a file in the store.

use std::ffi::OsString;

use clap::Parser;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::Opened;
use crate::output::listing::print_file;

/// Print a file in the store
#[derive(Parser, Debug)]
#[command(name = "nix store cat")]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    /// The file
    path: String,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let opened = Opened { surface, session: open(surface, &words.given, &words.args.common)? };
    let (accessor, path) = opened.look_inside(&words.args.path)?;
    print_file(surface, &*accessor, &path)
}
