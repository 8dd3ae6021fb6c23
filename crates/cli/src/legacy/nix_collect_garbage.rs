//! `nix-collect-garbage`: delete what no root needs.

use std::ffi::OsString;
use std::time::SystemTime;

use clap::Parser;
use store::profile::days_before;
use store::{Doomed, GcAction, GcOptions};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::output::build::{Opened, store_error};
use crate::output::garbage::{bytes, collect_and_say};

/// Delete every store path that no root needs
#[derive(Parser, Debug)]
#[command(name = "nix-collect-garbage", disable_version_flag = true)]
struct Args {
    /// Delete the old generations of all profiles first: there is no going back to them then
    #[arg(short = 'd', long)]
    delete_old: bool,
    /// The same for generations that were not current any more so long ago: `14d`
    #[arg(long, value_name = "AGE")]
    delete_older_than: Option<String>,
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
        surface.line(&crate::programs::version("nix-collect-garbage", &words));
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
    let doomed = match &args.delete_older_than {
        Some(age) => Some(Doomed::OlderThan(days_before(age, SystemTime::now()).map_err(store_error)?)),
        None => args.delete_old.then_some(Doomed::Old),
    };
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    if let Some(doomed) = doomed {
        opened.session.delete_old_generations(opened.activity(), &doomed, args.dry_run)?;
    }
    collect_and_say(&opened, &options)
}
