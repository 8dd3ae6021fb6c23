//! `nix store gc`: delete what no root needs.

use std::ffi::OsString;

use clap::Parser;
use store::{GcAction, GcOptions};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::Opened;
use crate::output::garbage::{bytes, collect_and_say, time_before};

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
    /// Keep what was used or added less long ago: `14d`, `12h`
    #[arg(long, value_name = "AGE")]
    keep_since: Option<String>,
    /// Delete no more than is needed for the store to be so small, what was not used for longest first
    #[arg(long, value_name = "BYTES")]
    max_size: Option<String>,
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
    options.keep_since = args.keep_since.as_deref().map(time_before).transpose()?;
    options.max_size = args.max_size.as_deref().map(bytes).transpose()?;
    if args.dry_run {
        options.action = GcAction::ReturnDead;
    }
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    collect_and_say(&opened, &options)
}
