//! `nix nar cat`: a file inside an archive.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::Parser;
use file_tree::{NarListing, TreePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};
use crate::output::listing::print_file;

/// Print a file that a NAR file holds
#[derive(Parser, Debug)]
#[command(name = "nix nar cat")]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    /// The NAR file
    nar: PathBuf,
    /// The path in it
    path: OsString,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    configuration(surface, &words.given)?;
    let accessor = super::open(&words.args.nar)?;
    let path = TreePath::normalise(words.args.path.as_bytes());
    match accessor.listing().find(&path) {
        Some(NarListing::Regular { .. }) => print_file(surface, &accessor, &path),
        _ => {
            let path = words.args.path.display();
            Err(CommandError::failed(format!("NAR does not contain regular file '{path}'")))
        }
    }
}
