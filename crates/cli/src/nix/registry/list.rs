//! `nix registry list`: where names of flakes lead.

use std::ffi::OsString;

use clap::Parser;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};

/// List what the registries say
#[derive(Parser, Debug)]
#[command(name = "nix registry list")]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let session = open(surface, &words.given, &words.args.common)?;
    for entry in session.registry_entries(&surface.activity)? {
        surface.line(&format!("{:<6} {} {}", entry.whose, entry.from, entry.to));
    }
    Ok(0)
}
