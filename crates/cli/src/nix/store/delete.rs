//! `nix store delete`: delete paths that nothing needs.

use std::ffi::OsString;

use clap::Parser;
use store::{GcAction, GcOptions};

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::output::build::Opened;
use crate::output::garbage::collect_and_say;

/// Delete paths that nothing needs
#[derive(Parser, Debug)]
#[command(name = "nix store delete")]
struct Args {
    /// Delete although roots need the paths, as long as no other path refers to them
    #[arg(long)]
    ignore_liveness: bool,
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
    let paths = args.paths.paths(&opened, &args.arguments, args.recursive, Realise::Nothing)?;
    // What was evaluated keeps its derivations until the session ends; results are named by what they are.
    let action = GcAction::DeleteSpecific(paths.into_iter().collect());
    collect_and_say(&opened, &GcOptions { action, ignore_liveness: args.ignore_liveness, ..GcOptions::default() })
}
