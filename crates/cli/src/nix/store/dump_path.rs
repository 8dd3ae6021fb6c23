//! `nix store dump-path`: a store path as an archive on standard output.

use std::ffi::OsString;
use std::io::Write as _;

use clap::Parser;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::nix::nar::pack::refuse_terminal;
use crate::output::build::{Opened, store_error};

/// Write the NAR of a store path to standard output
#[derive(Parser, Debug)]
#[command(name = "nix store dump-path")]
struct Args {
    #[command(flatten)]
    paths: StorePathsArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute path or store path
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let paths = args.paths.paths(&opened, &args.arguments, false, Realise::Nothing)?;
    let [path] = paths.as_slice() else {
        return Err(CommandError::usage("this command requires exactly one store path"));
    };
    refuse_terminal()?;
    let store = opened.source()?;
    opened.require_valid(path)?;
    let mut out = surface.output();
    store.nar(opened.activity(), path, &mut out).map_err(store_error)?;
    out.flush()?;
    Ok(0)
}
