//! `nix run`: a program out of something that is built first. With `-c` it is the `nix run` of Nix 2.0 to 2.3: a command
//! with packages on its search path.

use std::ffi::OsString;

use clap::Parser;

use super::shell::{packages, search_path, start};
use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::environment::EnvironmentArgs;
use crate::input::installable::InstallableArgs;
use crate::output::build::Opened;

/// Run a program out of an attribute of a file or an expression, or out of a store path
///
/// `nix run -f FILE ATTRIBUTE [-- ARGUMENTS...]` runs the program that the package names as its main one.
/// `nix run -f FILE ATTRIBUTE... -c COMMAND [ARGUMENTS...]` runs a command with the programs of all packages.
#[derive(Parser, Debug)]
#[command(name = "nix run")]
struct Args {
    /// Run this command, with the packages on its search path; every word after it belongs to it
    #[arg(short = 'c', long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    command: Option<Vec<OsString>>,
    #[command(flatten)]
    environment: EnvironmentArgs,
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute path or store path
    arguments: Vec<String>,
    /// Arguments of the program
    #[arg(last = true)]
    rest: Vec<OsString>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &["-c", "--command"])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let mut variables = args.environment.apply(opened.session.settings.around.variables.clone())?;
    if let Some(command) = &args.command {
        let built = packages(&opened, &args.installables, &args.arguments)?;
        variables.insert("PATH".into(), search_path(&opened, &built, &variables)?);
        return start(&opened, command, &variables);
    }
    let (first, rest) = match args.arguments.split_first() {
        Some((first, rest)) => (std::slice::from_ref(first), rest),
        None => (&[][..], &[][..]),
    };
    let wanted = args.installables.resolve(&opened, first)?;
    let Some(one) = wanted.first() else { return Err(CommandError::usage("nothing to run was named")) };
    opened.build(std::slice::from_ref(&one.path), store::BuildMode::Normal)?;
    let outputs = opened.outputs(&one.path)?;
    let Some((_, output)) = outputs.iter().find(|(name, _)| name == "out" || name == "bin").or(outputs.first()) else {
        return Err(CommandError::failed("the derivation has no outputs"));
    };
    let program = one.main_program.clone().unwrap_or_else(|| output.name().to_owned());
    let mut command = vec![OsString::from(format!("{}/bin/{program}", opened.show(output)))];
    command.extend(rest.iter().map(OsString::from));
    command.extend(args.rest);
    start(&opened, &command, &variables)
}
