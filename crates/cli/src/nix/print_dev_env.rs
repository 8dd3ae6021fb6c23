//! `nix print-dev-env`: what `nix develop` sets, as bash or as JSON.

use std::ffi::OsString;

use clap::Parser;

use super::develop::{CapturedArgs, capture};
use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::installable::InstallableArgs;
use crate::output::build::Opened;

/// Print bash that sets the environment of a derivation's build, its own setup run
#[derive(Parser, Debug)]
#[command(name = "nix print-dev-env")]
struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    captured: CapturedArgs,
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute path, store path of a derivation, or environment that was captured before
    argument: Option<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let captured = capture(&opened, &args.installables, args.argument.as_ref(), &args.captured)?;
    if args.json {
        surface.line(&captured.environment.to_json().to_string());
    } else {
        surface.print(captured.to_bash(&opened)?.as_bytes());
    }
    Ok(0)
}
