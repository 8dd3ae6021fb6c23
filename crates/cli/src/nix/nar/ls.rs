//! `nix nar ls`: what an archive holds.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::Parser;
use file_tree::TreePath;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};
use crate::output::listing::{Listed, ListingArgs};

/// List what a NAR file holds
#[derive(Parser, Debug)]
#[command(name = "nix nar ls")]
struct Args {
    #[command(flatten)]
    listing: ListingArgs,
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
    let listed = Listed { accessor: &accessor, listing: Some(accessor.listing()) };
    listed.print(surface, &words.args.listing, &path)
}
