//! `nix nar pack`: a path as an archive on standard output.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Parser;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};
use crate::output::listing::tree_error;

/// Write the NAR of a path to standard output
#[derive(Parser, Debug)]
#[command(name = "nix nar pack")]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    /// The path
    path: PathBuf,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    configuration(surface, &words.given)?;
    refuse_terminal()?;
    let mut out = surface.output();
    let packed = file_tree::nar::dump_path(&words.args.path, &mut surface.watched(&mut out));
    surface.activity.check()?;
    packed.map_err(tree_error)?;
    out.flush()?;
    Ok(0)
}

/// An archive would do harm to a terminal.
pub fn refuse_terminal() -> Result<(), CommandError> {
    if std::io::stdout().is_terminal() {
        return Err(CommandError::usage("refusing to write NAR to a terminal"));
    }
    Ok(())
}
