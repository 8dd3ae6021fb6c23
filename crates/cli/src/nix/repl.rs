//! `nix repl`: expressions evaluated as they are typed.

mod commands;
mod lines;
mod scope;

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::Ordering;

use activity::Verbosity;
use clap::Parser;
use evaluator::with_large_stack;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, Words, open, parse};
use crate::input::installable::InstallableArgs;
use crate::output::build::Opened;

use commands::{Next, Repl};
use lines::Lines;
use scope::Loaded;

/// Evaluate expressions as they are typed
///
/// What -f or --expr give, and files named as arguments, is loaded first: its attributes are variables. `:?` tells what
/// else can be typed.
#[derive(Parser, Debug)]
#[command(name = "nix repl")]
struct Args {
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute paths of -f or --expr; without these files, or `<name>` of the search path
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    with_large_stack(|| converse(surface, &words))
}

fn converse(surface: &Surface, words: &Words<Args>) -> CommandResult {
    let args = &words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let mut how = args.installables.evaluation(&opened.session.settings)?;
    how.pure = false;
    let version = crate::programs::nix_version();
    opened.activity().message(Verbosity::Notice, &format!("Nix {version}\nType :? for help."));
    let mut loaded = Vec::new();
    if args.installables.evaluates() {
        let whole = [String::new()];
        let paths = if args.arguments.is_empty() { &whole[..] } else { &args.arguments };
        loaded.extend(paths.iter().map(|path| Loaded::Installable(path.clone())));
    } else {
        loaded.extend(args.arguments.iter().map(|file| Loaded::File(file.clone())));
    }
    let mut repl = Repl::open(&opened, &args.installables, how, loaded)?;
    let history = opened.session.settings.around.text("XDG_DATA_HOME").filter(|dir| Path::new(dir).is_absolute());
    let history = match history {
        Some(dir) => Path::new(dir).join("nix/repl-history"),
        None => opened.session.settings.places.home.join(".local/share/nix/repl-history"),
    };
    let mut lines = Lines::open(repl.scope(), history)?;
    let mut input = String::new();
    // A line that was begun when the input ends was typed nevertheless.
    while let Some(line) = lines.read(!input.is_empty())? {
        if line.interrupted {
            input.clear();
            continue;
        }
        input.push_str(&line.text);
        let done = repl.take(&input);
        // The wish to end what was being done does not end the rest.
        surface.cancel.flag().store(false, Ordering::Release);
        match done {
            Ok(Next::More) => {
                input.push('\n');
                continue;
            }
            Ok(Next::Quit) => return Ok(0),
            Ok(Next::Done) => {}
            Err(CommandError::Interrupted) => surface.progress.error_line("error: interrupted by the user"),
            Err(error) => {
                crate::output::error::show(surface, &error);
            }
        }
        input.clear();
        surface.line("");
    }
    surface.line("");
    Ok(0)
}
