//! `nix store gc`: delete what no root needs.

use std::ffi::OsString;

use clap::Parser;
use store::{GcAction, GcOptions};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::Opened;
use crate::output::garbage::{bytes, collect_and_say};

/// Delete every store path that no root needs
#[derive(Parser, Debug)]
#[command(name = "nix store gc")]
struct Args {
    /// Delete nothing; say how much would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Stop once so many bytes were freed; K, M, G and T behind the number are units
    #[arg(long, value_name = "BYTES")]
    max: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    if args.max.is_some() && args.dry_run {
        return Err(CommandError::usage("options --max and --dry-run cannot be combined"));
    }
    let mut options = GcOptions::default();
    if let Some(text) = &args.max {
        options.max_freed = bytes(text)?;
    }
    if args.dry_run {
        options.action = GcAction::ReturnDead;
    }
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    collect_and_say(&opened, &options)
}
