//! `nix store diff-closures`: what changed between two closures.

use std::ffi::OsString;

use clap::Parser;
use store_model::StorePath;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::installable::InstallableArgs;
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::output::build::Opened;
use crate::output::closure_difference::closure_difference;

/// Show which packages and versions differ between two closures
#[derive(Parser, Debug)]
#[command(name = "nix store diff-closures")]
struct Args {
    /// Take the derivations, not their results
    #[arg(long)]
    derivation: bool,
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute path or store path of the older one
    before: String,
    /// Attribute path or store path of the newer one
    after: String,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let paths = StorePathsArgs { derivation: args.derivation, installables: args.installables, ..Default::default() };
    let one = |word: &String| -> Result<StorePath, CommandError> {
        let found = paths.named(&opened, std::slice::from_ref(word), Realise::Outputs)?;
        let found = <[StorePath; 1]>::try_from(found);
        found.map_or_else(
            |_| Err(CommandError::failed(format!("argument '{word}' should evaluate to one store path"))),
            |[path]| Ok(path),
        )
    };
    let difference = closure_difference(&opened, &one(&args.before)?, &one(&args.after)?, "")?;
    surface.print(difference.as_bytes());
    Ok(0)
}
