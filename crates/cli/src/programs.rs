//! THE table: program name → entry function. A first word (or argv[0]) of the table is that program, anything else is a
//! sub-command of `nix`.

use std::ffi::OsString;

use session::Settings;
use session::settings::Surroundings;

use crate::command::{CommandError, CommandResult, Surface, finish};
use crate::output::completions;
use crate::{firn, legacy, nix};

/// What runs a program: its arguments without the program's name.
pub type Entry = fn(&Surface, Vec<OsString>) -> CommandResult;

/// Programs with a name of their own.
#[rustfmt::skip]
pub const PROGRAMS: &[(&str, Entry)] = &[
    ("nix-build", legacy::nix_build::run),
    ("nix-channel", legacy::nix_channel::run),
    ("nix-collect-garbage", legacy::nix_collect_garbage::run),
    ("nix-env", legacy::nix_env::run),
    ("nix-hash", legacy::nix_hash::run),
    ("nix-instantiate", legacy::nix_instantiate::run),
    ("nix-prefetch-url", legacy::nix_prefetch_url::run),
    ("nix-shell", legacy::nix_shell::run),
    ("nix-store", legacy::nix_store::run),
];

/// Sub-commands of `nix` and of `firn`, by the words typed; those below one word ("store gc", "store info") are a group.
#[rustfmt::skip]
pub const COMMANDS: &[(&str, Entry)] = &[
    ("build", nix::build::run),
    ("completions", firn::completions::run),
    ("config check", nix::config::check::run),
    ("config show", nix::config::show::run),
    ("copy", nix::copy::run),
    ("derivation add", nix::derivation::add::run),
    ("derivation show", nix::derivation::show::run),
    ("develop", nix::develop::run),
    ("edit", nix::edit::run),
    ("eval", nix::eval::run),
    ("hash convert", nix::hash::convert::run),
    ("hash file", nix::hash::file::run),
    ("hash path", nix::hash::path::run),
    ("hash to-base16", nix::hash::to_base16::run),
    ("hash to-base32", nix::hash::to_base32::run),
    ("hash to-base64", nix::hash::to_base64::run),
    ("hash to-sri", nix::hash::to_sri::run),
    ("help", nix::help::run),
    ("key convert-secret-to-public", nix::key::convert_secret_to_public::run),
    ("key generate-secret", nix::key::generate_secret::run),
    ("link", firn::link::run),
    ("log", nix::log::run),
    ("nar cat", nix::nar::cat::run),
    ("nar dump-path", nix::nar::dump_path::run),
    ("nar ls", nix::nar::ls::run),
    ("nar pack", nix::nar::pack::run),
    ("path-info", nix::path_info::run),
    ("print-dev-env", nix::print_dev_env::run),
    ("realisation info", nix::realisation::info::run),
    ("registry add", nix::registry::add::run),
    ("registry list", nix::registry::list::run),
    ("registry remove", nix::registry::remove::run),
    ("repl", nix::repl::run),
    ("run", nix::run::run),
    ("shell", nix::shell::run),
    ("sources", firn::sources::run),
    ("store add", nix::store::add::run),
    ("store add-file", nix::store::add_file::run),
    ("store add-path", nix::store::add_path::run),
    ("store cat", nix::store::cat::run),
    ("store copy-sigs", nix::store::copy_sigs::run),
    ("store delete", nix::store::delete::run),
    ("store diff-closures", nix::store::diff_closures::run),
    ("store dump-path", nix::store::dump_path::run),
    ("store gc", nix::store::gc::run),
    ("store info", nix::store::info::run),
    ("store ls", nix::store::ls::run),
    ("store make-content-addressed", nix::store::make_content_addressed::run),
    ("store optimise", nix::store::optimise::run),
    ("store path-from-hash-part", nix::store::path_from_hash_part::run),
    ("store prefetch-file", nix::store::prefetch_file::run),
    ("store repair", nix::store::repair::run),
    ("store sign", nix::store::sign::run),
    ("store verify", nix::store::verify::run),
    ("upgrade-nix", nix::upgrade_nix::run),
    ("why-depends", nix::why_depends::run),
];

/// What else sub-commands are called, and what was meant; whether a warning says so.
#[rustfmt::skip]
pub const ALIASES: &[(&str, &str, bool)] = &[
    ("add-to-store", "store add-path", true),
    ("cat-nar", "nar cat", true),
    ("cat-store", "store cat", true),
    ("copy-sigs", "store copy-sigs", true),
    ("dev-shell", "develop", true),
    ("diff-closures", "store diff-closures", true),
    ("doctor", "config check", true),
    ("dump-path", "store dump-path", true),
    ("env shell", "shell", false),
    ("hash-file", "hash file", true),
    ("hash-path", "hash path", true),
    ("ls-nar", "nar ls", true),
    ("ls-store", "store ls", true),
    ("make-content-addressable", "store make-content-addressed", true),
    ("optimise-store", "store optimise", true),
    ("ping-store", "store info", true),
    ("show-config", "config show", true),
    ("show-derivation", "derivation show", true),
    ("sign-paths", "store sign", true),
    ("store ping", "store info", true),
    ("to-base16", "hash to-base16", true),
    ("to-base32", "hash to-base32", true),
    ("to-base64", "hash to-base64", true),
    ("verify", "store verify", true),
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
    if let Some(number) = completions::wanted() {
        // What stands behind the word being typed decides nothing.
        let number = number.min(arguments.len() + 1);
        arguments.truncate(number);
        arguments.resize(number, OsString::new());
    }
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

/// Refuses options that belong to the experimental feature `nix-command`, where the user named features without it.
fn refuse_disabled(surface: &Surface, before: &[OsString]) -> Result<(), CommandError> {
    let belongs =
        |word: &OsString| ["--print-build-logs", "-L", "--offline", "--refresh"].iter().any(|one| word == one);
    if !before.iter().any(belongs) {
        return Ok(());
    }
    let (given, _) = crate::input::settings::extract(before.to_vec(), &[], &[]).map_err(CommandError::usage)?;
    let settings = crate::input::common::configuration(surface, &given)?;
    match settings.is_given("experimental-features") && !settings.feature("nix-command") {
        true => Err(session::SessionError::FeatureDisabled { feature: "nix-command".to_owned() }.into()),
        false => Ok(()),
    }
}

/// `nix COMMAND …`, where a command is one word, or two of which the first names a group.
fn nix_command(surface: &Surface, mut arguments: Vec<OsString>) -> CommandResult {
    // Settings and verbosity may stand before each word of the command; they are handed on to it.
    let mut before = Vec::new();
    let mut command = String::new();
    loop {
        while arguments.first().is_some_and(|word| word.to_string_lossy().starts_with('-')) {
            let word = arguments.remove(0);
            match word.to_str() {
                Some("--version") if command.is_empty() => {
                    surface.line(&format!("{} (Nix) {}", surface.program, nix_version()));
                    return Ok(0);
                }
                Some("--help" | "-h") => {
                    refuse_disabled(surface, &before)?;
                    surface.print(overview(&command).as_bytes());
                    return Ok(0);
                }
                _ => {}
            }
            let takes = crate::input::settings::words_taken(&word.to_string_lossy());
            before.push(word);
            before.extend(arguments.drain(..takes.min(arguments.len())));
        }
        let Some(word) = arguments.first().map(|word| word.to_string_lossy().into_owned()) else {
            if completions::wanted().is_some() {
                let typed = before.last().map(|word: &OsString| word.to_string_lossy().into_owned());
                return Err(completions::answer("normal", completions::settings(&typed.unwrap_or_default())));
            }
            return Err(no_subcommand(surface, &command));
        };
        if completions::wanted().is_some() && arguments.len() == 1 {
            let names = COMMANDS.iter().map(|(name, _)| *name);
            return Err(completions::commands(names, &command, &word));
        }
        arguments.remove(0);
        let typed = if command.is_empty() { word.clone() } else { format!("{command} {word}") };
        let meant = ALIASES.iter().find(|(alias, ..)| *alias == typed);
        if let Some((alias, meant, true)) = meant {
            surface.warn(&format!("'{alias}' is a deprecated alias for '{meant}'"));
        }
        command = meant.map_or(typed, |(_, meant, _)| (*meant).to_owned());
        if let Some((_, entry)) = COMMANDS.iter().find(|(name, _)| *name == command) {
            before.extend(arguments);
            return entry(surface, before);
        }
        if !is_group(&command) {
            return Err(unrecognised(surface, &command, &word));
        }
    }
}

/// Shows the help of the command that words name, of a group, or of everything.
pub fn overview_of(surface: &Surface, words: &[String]) -> CommandResult {
    let mut arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
    arguments.push("--help".into());
    match words {
        [program] if let Some((_, entry)) = PROGRAMS.iter().find(|(name, _)| name == program) => {
            entry(surface, vec!["--help".into()])
        }
        _ => nix_command(surface, arguments),
    }
}

/// Whether commands of two words begin with this one.
fn is_group(word: &str) -> bool {
    let names = COMMANDS.iter().map(|(name, _)| *name).chain(ALIASES.iter().map(|(alias, ..)| *alias));
    names.filter_map(|name| name.split_once(' ')).any(|(group, _)| group == word)
}

/// A word that is no command: what was meant instead.
fn unrecognised(surface: &Surface, command: &str, word: &str) -> CommandError {
    let mut error = CommandError::usage(format!("'{word}' is not a recognised command"));
    let names = COMMANDS.iter().chain(PROGRAMS).map(|(name, _)| *name);
    if let Some(near) = crate::input::nearest(command, names) {
        error = error.hint(format!("Did you mean {near}?"));
    }
    error.hint(format!("Try '{} --help' for more information.", surface.program))
}

/// The words ended before a command was named.
fn no_subcommand(surface: &Surface, group: &str) -> CommandError {
    surface.print(overview(group).as_bytes());
    CommandError::usage(match group {
        "" => "no subcommand specified".to_owned(),
        group => format!("'nix {group}' requires a sub-command."),
    })
}

/// What `--version` prints: a line, and with `--verbose` where settings and stores are.
pub fn version(name: &str, words: &[OsString]) -> String {
    let line = format!("{name} (Nix) {}", nix_version());
    if !words.iter().any(|word| word == "--verbose" || word == "-v" || word == "--debug") {
        return line;
    }
    let settings = Settings::defaults(Surroundings::of_process());
    let files: Vec<String> = settings.user_files().iter().map(|file| file.display().to_string()).collect();
    let places = &settings.places;
    format!(
        "{line}\nSystem type: {}\nAdditional system types: {}\nFeatures: gc, signed-caches\n\
         System configuration file: {}\nUser configuration files: {}\nStore directory: {}\nState directory: {}",
        settings.system(),
        settings.list("extra-platforms").join(", "),
        places.configuration.join("nix.conf").display(),
        files.join(":"),
        places.store,
        places.state.display(),
    )
}

/// The version of C++ Nix whose behaviour this binary has; tools ask for it.
pub fn nix_version() -> &'static str {
    "2.34.8"
}

/// What there is: everything, or a group's commands.
pub fn overview(group: &str) -> String {
    if !group.is_empty() {
        let mut text = format!("Usage: firn {group} COMMAND [ARGUMENTS...]\n\nCommands:\n");
        for (name, _) in COMMANDS.iter().filter(|(name, _)| name.split_once(' ').is_some_and(|(word, _)| word == group))
        {
            text.push_str(&format!("  {name}\n"));
        }
        return text;
    }
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
