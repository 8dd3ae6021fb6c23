//! `nix-collect-garbage`: delete what no root needs.

use std::ffi::OsString;

use clap::Parser;
use store::{GcAction, GcOptions};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::Opened;
use crate::output::garbage::{bytes, collect_and_say};

/// Delete every store path that no root needs
#[derive(Parser, Debug)]
#[command(name = "nix-collect-garbage", disable_version_flag = true)]
struct Args {
    /// Delete nothing; say how much would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Stop once so many bytes were freed; K, M, G and T behind the number are units
    #[arg(long, value_name = "BYTES")]
    max_freed: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the program.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    if words.iter().any(|word| word == "--version") {
        surface.line(&format!("nix-collect-garbage (Nix) {}", crate::programs::nix_version()));
        return Ok(0);
    }
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    if args.max_freed.is_some() && args.dry_run {
        return Err(CommandError::usage("options --max-freed and --dry-run cannot be combined"));
    }
    let mut options = GcOptions::default();
    if let Some(text) = &args.max_freed {
        options.max_freed = bytes(text)?;
    }
    if args.dry_run {
        options.action = GcAction::ReturnDead;
    }
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    collect_and_say(&opened, &options)
}
