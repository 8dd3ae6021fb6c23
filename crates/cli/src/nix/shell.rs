//! `nix shell`: a shell or a command with packages on its search path.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Parser;
use session::shell::Variables;
use store::BuildMode;
use store_model::{DerivedPath, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::environment::EnvironmentArgs;
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
    environment: EnvironmentArgs,
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
    let around = &opened.session.settings.around;
    let mut variables = args.environment.apply(around.variables.clone())?;
    let path = search_path(&opened, &built, &variables)?;
    variables.insert("PATH".into(), path);
    let shell = || vec![around.variable("SHELL").cloned().unwrap_or_else(|| "bash".into())];
    start(&opened, &args.command.unwrap_or_else(shell), &variables)
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

/// The `bin` folders of some outputs and of what they propagate to users, before the search path of `variables`.
pub fn search_path(
    opened: &Opened<'_>,
    outputs: &[StorePath],
    variables: &Variables,
) -> Result<OsString, CommandError> {
    let session = &opened.session;
    let mut open: VecDeque<StorePath> = outputs.iter().cloned().collect();
    let mut seen = BTreeSet::new();
    let mut folders = Vec::new();
    while let Some(path) = open.pop_front() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let top = PathBuf::from(opened.show(&path));
        // An output may be a link, but only to another store object.
        let folder = session.follow_links(&top.join("bin"))?;
        if !folder.starts_with(session.store_dir().as_str()) {
            return Err(CommandError::failed(format!("path '{}' is not in the Nix store", folder.display())));
        }
        folders.push(folder);
        let list = session.follow_links(&top.join("nix-support/propagated-user-env-packages"))?;
        for word in std::fs::read_to_string(session.on_disk(&list)).unwrap_or_default().split_whitespace() {
            open.extend(session.store_dir().parse(word));
        }
    }
    let before = variables.get(OsStr::new("PATH")).filter(|path| !path.is_empty());
    let before = before.into_iter().flat_map(|path| std::env::split_paths(path));
    let all = folders.into_iter().chain(before);
    std::env::join_paths(all).map_err(|error| CommandError::failed(format!("the search path: {error}")))
}

/// Becomes a program that sees the store at its logical place.
pub fn start(opened: &Opened<'_>, command: &[OsString], variables: &Variables) -> CommandResult {
    let Some((program, arguments)) = command.split_first() else {
        return Err(CommandError::usage("no command was given"));
    };
    opened.surface.progress.close();
    Err(opened.session.become_program(program, arguments, variables).into())
}
