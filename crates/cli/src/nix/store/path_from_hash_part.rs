//! `nix store path-from-hash-part`: the store path that begins with a hash.

use std::ffi::OsString;

use clap::Parser;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::{Opened, store_error};

/// Print the store path that has this hash part
#[derive(Parser, Debug)]
#[command(name = "nix store path-from-hash-part")]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    /// The 32 digits before the name
    hash_part: String,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let part = &words.args.hash_part;
    let opened = Opened { surface, session: open(surface, &words.given, &words.args.common)? };
    let found = opened.source()?.path_from_hash_part(opened.activity(), part).map_err(store_error)?;
    let path =
        found.ok_or_else(|| CommandError::failed(format!("there is no store path corresponding to '{part}'")))?;
    surface.line(&opened.show(&path));
    Ok(0)
}
