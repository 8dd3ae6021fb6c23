//! `nix store ls`: what a path in the store holds.

use std::ffi::OsString;

use clap::Parser;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::Opened;
use crate::output::listing::{Listed, ListingArgs};

/// List what a path in the store holds
#[derive(Parser, Debug)]
#[command(name = "nix store ls")]
struct Args {
    #[command(flatten)]
    listing: ListingArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// A store path, or a path below one
    path: String,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let opened = Opened { surface, session: open(surface, &words.given, &words.args.common)? };
    let (accessor, path) = opened.look_inside(&words.args.path)?;
    Listed { accessor: &*accessor, listing: None }.print(surface, &words.args.listing, &path)
}
