//! `nix registry remove`: a name leads nowhere any more.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};

/// Remove a name from a registry
#[derive(Parser, Debug)]
#[command(name = "nix registry remove")]
struct Args {
    /// The registry's file; the user's own by default
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
    /// The name
    name: String,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let session = open(surface, &words.given, &args.common)?;
    session.remove_from_registry(&surface.activity, args.registry.as_deref(), &args.name)?;
    Ok(0)
}
