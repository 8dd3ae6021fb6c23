//! `nix why-depends`: the way from a package to something in its closure.

use std::ffi::OsString;

use clap::Parser;
use store_model::{DerivedPath, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::output::build::Opened;
use crate::output::why::{Shown, why_depends};

/// Show why a package has another one in its closure
#[derive(Parser, Debug)]
#[command(name = "nix why-depends")]
struct Args {
    /// Show every way, not only a shortest one
    #[arg(short = 'a', long = "all")]
    every: bool,
    /// Show the files that refer to each next path
    #[arg(long)]
    precise: bool,
    /// Take the derivations, not their results
    #[arg(long)]
    derivation: bool,
    #[command(flatten)]
    installables: crate::input::installable::InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute path or store path of the package
    package: String,
    /// Attribute path or store path of the dependency
    dependency: String,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let paths = StorePathsArgs { derivation: args.derivation, installables: args.installables, ..Default::default() };
    let one = |word: &String, realise: Realise| -> Result<StorePath, CommandError> {
        let found = paths.named(&opened, std::slice::from_ref(word), realise)?;
        match <[StorePath; 1]>::try_from(found) {
            Ok([path]) => Ok(path),
            Err(_) => Err(CommandError::failed(format!("argument '{word}' should evaluate to one store path"))),
        }
    };
    let package = one(&args.package, Realise::Outputs)?;
    let shown = Shown { all: args.every, precise: args.precise };
    // What was never built is needed by nothing.
    let unbuilt =
        |wanted: &DerivedPath| Ok::<_, CommandError>(opened.outputs_by_now(wanted)?.iter().any(|one| one.1.is_none()));
    let wanted = paths.wanted(&opened, std::slice::from_ref(&args.dependency), Realise::Nothing)?;
    let never = !args.derivation && wanted.iter().map(unbuilt).collect::<Result<Vec<_>, _>>()?.contains(&true);
    let found = match never {
        true => None,
        false => {
            let dependency = one(&args.dependency, Realise::Nothing)?;
            evaluator::with_large_stack(|| why_depends(&opened, &package, &dependency, shown))?
        }
    };
    match found {
        Some(lines) => surface.print(&lines),
        None => {
            let text = format!("'{}' does not depend on '{}'", args.package, args.dependency);
            surface.progress.error_line(&text);
        }
    }
    Ok(0)
}
