//! `nix store repair`: make broken paths what they should be.

use std::ffi::OsString;

use clap::Parser;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::output::build::Opened;

/// Fetch or build paths again, whatever their bytes are now
#[derive(Parser, Debug)]
#[command(name = "nix store repair")]
struct Args {
    /// Take the closures of the paths
    #[arg(short = 'r', long)]
    recursive: bool,
    #[command(flatten)]
    paths: StorePathsArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute paths or store paths
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    for path in args.paths.paths(&opened, &args.arguments, args.recursive, Realise::Nothing)? {
        opened.session.repair_path(opened.activity(), &path)?;
    }
    Ok(0)
}
