//! `nix shell`: a shell or a command with packages on its search path.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use store::BuildMode;
use store_model::{DerivedPath, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::installable::InstallableArgs;
use crate::output::build::Opened;

/// Start a shell with packages on its search path, or a command with -c
#[derive(Parser, Debug)]
#[command(name = "nix shell")]
struct Args {
    /// Run this command instead of a shell; every word after it belongs to it
    #[arg(short = 'c', long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    command: Option<Vec<OsString>>,
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute paths or store paths
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &["-c", "--command"])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let built = packages(&opened, &args.installables, &args.arguments)?;
    let path = search_path(&opened, &built)?;
    let shell = || vec![std::env::var_os("SHELL").unwrap_or_else(|| "bash".into())];
    start(&opened, &args.command.unwrap_or_else(shell), Some(path))
}

/// Builds packages and gives their outputs.
pub fn packages(
    opened: &Opened<'_>,
    installables: &InstallableArgs,
    words: &[String],
) -> Result<Vec<StorePath>, CommandError> {
    let wanted: Vec<DerivedPath> = installables.resolve(opened, words)?.into_iter().map(|one| one.path).collect();
    opened.build(&wanted, BuildMode::Normal)?;
    let mut built = Vec::new();
    for path in &wanted {
        built.extend(opened.outputs(path)?.into_iter().map(|(_, output)| output));
    }
    Ok(built)
}

/// The `bin` folders of some outputs and of what they propagate to users, before the search path there is.
pub fn search_path(opened: &Opened<'_>, outputs: &[StorePath]) -> Result<OsString, CommandError> {
    let mut open: Vec<StorePath> = outputs.iter().rev().cloned().collect();
    let mut seen = BTreeSet::new();
    let mut folders = Vec::new();
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        folders.push(PathBuf::from(format!("{}/bin", opened.show(&path))));
        let list = opened.session.real_path(&path).join("nix-support/propagated-user-env-packages");
        for word in std::fs::read_to_string(list).unwrap_or_default().split_whitespace() {
            open.extend(opened.session.store_dir().parse(word));
        }
    }
    let before = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.into_iter().chain(std::env::split_paths(&before));
    std::env::join_paths(all).map_err(|error| CommandError::failed(format!("the search path: {error}")))
}

/// Becomes a program that sees the store at its logical place.
pub fn start(opened: &Opened<'_>, command: &[OsString], path: Option<OsString>) -> CommandResult {
    let Some((program, arguments)) = command.split_first() else {
        return Err(CommandError::usage("no command was given"));
    };
    opened.surface.progress.close();
    let mut variables = opened.session.settings.around.variables.clone();
    if let Some(path) = path {
        variables.insert("PATH".into(), path);
    }
    Err(opened.session.become_program(program, arguments, &variables).into())
}
