//! `nix log`: what a builder printed.

use std::ffi::OsString;

use clap::Parser;
use store_model::{DerivedPath, SingleDerivedPath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::installable::InstallableArgs;
use crate::output::build::Opened;

/// Print the build log of a package or store path
#[derive(Parser, Debug)]
#[command(name = "nix log")]
struct Args {
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute path or store path
    argument: Option<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let mut words = parse::<Args>(words, &[])?;
    words.args.common.readonly_mode = true;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let named: Vec<String> = args.argument.into_iter().collect();
    for one in args.installables.resolve(&opened, &named)? {
        let path = match one.path {
            DerivedPath::Opaque(path) | DerivedPath::Built { drv: SingleDerivedPath::Opaque(path), .. } => path,
            DerivedPath::Built { .. } => return Err(CommandError::failed("outputs of outputs are not there yet")),
        };
        let what = named.first().cloned().unwrap_or_else(|| opened.show(&path));
        let log = opened.build_log(&path)?;
        let log = log.ok_or_else(|| CommandError::failed(format!("build log of '{what}' is not available")))?;
        surface.print(&log);
    }
    Ok(0)
}
