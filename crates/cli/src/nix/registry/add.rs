//! `nix registry add`: a name leads to a flake.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};

/// Add a name to a registry, or change where it leads
#[derive(Parser, Debug)]
#[command(name = "nix registry add")]
struct Args {
    /// The registry's file; the user's own by default
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
    /// The name
    from: String,
    /// The flake that it means
    to: String,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let session = open(surface, &words.given, &args.common)?;
    session.add_to_registry(&surface.activity, args.registry.as_deref(), &args.from, &args.to)?;
    Ok(0)
}
