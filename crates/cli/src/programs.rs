//! THE table: program name → entry function. A first word (or argv[0]) of the table is that program, anything else is a
//! sub-command of `nix`.

use std::ffi::OsString;

use crate::command::{CommandError, CommandResult, Surface, finish};
use crate::{firn, legacy, nix};

/// What runs a program: its arguments without the program's name.
pub type Entry = fn(&Surface, Vec<OsString>) -> CommandResult;

/// Programs with a name of their own.
#[rustfmt::skip]
pub const PROGRAMS: &[(&str, Entry)] = &[
    ("nix-build", legacy::nix_build::run),
    ("nix-hash", legacy::nix_hash::run),
    ("nix-instantiate", legacy::nix_instantiate::run),
    ("nix-store", legacy::nix_store::run),
];

/// Sub-commands of `nix` and of `firn`, by the words typed.
#[rustfmt::skip]
pub const COMMANDS: &[(&str, Entry)] = &[
    ("build", nix::build::run),
    ("eval", nix::eval::run),
    ("link", firn::link::run),
    ("path-info", nix::path_info::run),
    ("run", nix::run::run),
    ("shell", nix::shell::run),
    ("sources", firn::sources::run),
];

/// Runs what the arguments ask for and ends the process.
pub fn enter(mut arguments: Vec<OsString>) -> ! {
    if arguments.get(1).is_some_and(|word| word == builder::sandbox::CHILD_ARGUMENT) {
        std::process::exit(builder::child_main());
    }
    let called = match arguments.is_empty() {
        true => OsString::from("firn"),
        false => arguments.remove(0),
    };
    let name = std::path::Path::new(&called).file_name().and_then(|name| name.to_str()).unwrap_or("firn").to_owned();
    let program = PROGRAMS.iter().find(|(program, _)| *program == name).or_else(|| {
        let first = arguments.first()?.to_str()?;
        PROGRAMS.iter().find(|(program, _)| *program == first).inspect(|_| drop(arguments.remove(0)))
    });
    let (name, entry): (&str, Entry) = match program {
        Some((name, entry)) => (name, *entry),
        None => (if name == "nix" { "nix" } else { "firn" }, nix_command),
    };
    let surface = Surface::open(name, &called.to_string_lossy());
    let result = entry(&surface, arguments);
    finish(&surface, result)
}

/// `nix COMMAND …`.
fn nix_command(surface: &Surface, mut arguments: Vec<OsString>) -> CommandResult {
    // Settings and verbosity may stand before the command; they are handed on to it.
    let mut before = Vec::new();
    while arguments.first().is_some_and(|word| word.to_string_lossy().starts_with('-')) {
        let word = arguments.remove(0);
        match word.to_str() {
            Some("--version") => {
                surface.line(&format!("{} (Nix) {}", surface.program, nix_version()));
                return Ok(0);
            }
            Some("--help" | "-h") => {
                surface.print(overview().as_bytes());
                return Ok(0);
            }
            _ => {}
        }
        let takes = crate::input::settings::words_taken(&word.to_string_lossy());
        before.push(word);
        before.extend(arguments.drain(..takes.min(arguments.len())));
    }
    let Some(command) = arguments.first().map(|word| word.to_string_lossy().into_owned()) else {
        surface.print(overview().as_bytes());
        return Err(CommandError::usage("no subcommand specified"));
    };
    arguments.remove(0);
    let Some((_, entry)) = COMMANDS.iter().find(|(name, _)| *name == command) else {
        let mut error = CommandError::usage(format!("'{command}' is not a recognised command"));
        let names = COMMANDS.iter().chain(PROGRAMS).map(|(name, _)| *name);
        if let Some(near) = crate::input::nearest(&command, names) {
            error = error.hint(format!("Did you mean {near}?"));
        }
        return Err(error.hint(format!("Try '{} --help' for more information.", surface.program)));
    };
    before.extend(arguments);
    entry(surface, before)
}

/// The version of C++ Nix whose behaviour this binary has; tools ask for it.
pub fn nix_version() -> &'static str {
    "2.34.8"
}

fn overview() -> String {
    let mut text = format!(
        "firn {}: a purely functional deployment system, a drop-in for Nix {}\n\nUsage: firn COMMAND [ARGUMENTS...]\n\nCommands:\n",
        env!("CARGO_PKG_VERSION"),
        nix_version()
    );
    for (name, _) in COMMANDS.iter().chain(PROGRAMS) {
        text.push_str(&format!("  {name}\n"));
    }
    text.push_str("\nEach command tells more with --help. `firn link DIR` makes links under all program names.\n");
    text
}
