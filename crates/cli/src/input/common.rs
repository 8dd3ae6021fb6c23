//! The arguments that every command takes, and the session they open.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use session::settings::Surroundings;
use session::{Session, Settings};

use super::settings::{Given, extract};
use crate::command::{CommandError, Surface};
use crate::output::completions;
use crate::output::json_log::JsonLog;
use crate::output::progress::LogFormat;

/// Options of every command. Settings are options too: `--NAME VALUE`, `--option NAME VALUE`.
#[derive(Args, Debug, Default)]
pub struct CommonArgs {
    /// Say more; may be repeated
    #[arg(short = 'v', long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Say less; may be repeated
    #[arg(long, action = clap::ArgAction::Count, global = true)]
    pub quiet: u8,
    /// Say everything
    #[arg(long, global = true)]
    pub debug: bool,
    /// How many builds may run at once: a number or `auto`
    #[arg(short = 'j', long = "max-jobs", value_name = "JOBS", global = true)]
    pub max_jobs: Option<String>,
    /// Go on with other builds after one failed
    #[arg(short = 'k', long, global = true)]
    pub keep_going: bool,
    /// Keep the build directory of a failed build
    #[arg(short = 'K', long, global = true)]
    pub keep_failed: bool,
    /// Do not show builders' output
    #[arg(short = 'Q', long, global = true)]
    pub no_build_output: bool,
    /// Show builders' output
    #[arg(short = 'L', long, global = true)]
    pub print_build_logs: bool,
    /// How to show work: raw, raw-with-logs, bar, bar-with-logs, internal-json
    #[arg(long, value_name = "FORMAT", global = true)]
    pub log_format: Option<String>,
    /// Use no network: what was downloaded is fresh
    #[arg(long, alias = "no-net", global = true)]
    pub offline: bool,
    /// Ask anew for everything that was downloaded
    #[arg(long, global = true)]
    pub refresh: bool,
    /// Do not say that nothing keeps results from being collected
    #[arg(long, global = true)]
    pub no_gc_warning: bool,
    /// Write nothing: derivations are computed, not stored
    #[arg(long, global = true)]
    pub readonly_mode: bool,
}

/// Option words that a command of this house claims although settings have the same name.
const CLAIMED: &[&str] = &["--max-jobs", "--keep-going", "--keep-failed"];

/// A command's words, taken apart: its own arguments and the settings among them.
pub struct Words<A> {
    /// The command's own arguments.
    pub args: A,
    /// The settings.
    pub given: Vec<Given>,
}

/// Parses a command's words. `stops` are options after which every word belongs to another program.
///
/// # Errors
/// What clap or the settings do not understand.
pub fn parse<A: clap::Parser>(words: Vec<OsString>, stops: &[&str]) -> Result<Words<A>, CommandError> {
    parse_claiming(words, stops, &[])
}

/// The same for a command that has options of its own with names of settings.
///
/// # Errors
/// What clap or the settings do not understand.
pub fn parse_claiming<A: clap::Parser>(
    words: Vec<OsString>,
    stops: &[&str],
    claimed: &[&str],
) -> Result<Words<A>, CommandError> {
    if completions::wanted().is_some() {
        return Err(completions::of::<A>(&words));
    }
    let claimed = [CLAIMED, claimed].concat();
    let (given, rest) = extract(words, stops, &claimed).map_err(CommandError::usage)?;
    let mut command = A::command();
    if command.get_arguments().any(|one| one.get_id() != "keep_going" && one.get_short() == Some('k')) {
        // There `-k` is about something else.
        command = command.mut_arg("keep_going", |argument| argument.short(None));
    }
    // Of an option that is typed twice the last one counts, as in C++ Nix.
    let mut command = command.args_override_self(true).no_binary_name(true);
    let matches = command.try_get_matches_from_mut(rest).map_err(|error| match error.kind() {
        clap::error::ErrorKind::DisplayHelp if command.get_name().starts_with("nix-") => {
            CommandError::Manual(Box::new(command), error)
        }
        _ => error.into(),
    })?;
    Ok(Words { args: A::from_arg_matches(&matches)?, given })
}

/// Reads the configuration and applies the settings among the words.
///
/// # Errors
/// A configuration that cannot be read, a setting that is unknown or has a wrong value.
pub fn configuration(surface: &Surface, given: &[Given]) -> Result<Settings, CommandError> {
    configuration_in(surface, Surroundings::of_process(), given)
}

fn configuration_in(surface: &Surface, around: Surroundings, given: &[Given]) -> Result<Settings, CommandError> {
    let (mut settings, warnings) = Settings::load(around)?;
    for warning in warnings {
        surface.warn(&warning.0);
    }
    if surface.progress.shows_logs() {
        // An error need not repeat what was shown already.
        settings.set("log-lines", "0")?;
    }
    for setting in given {
        match settings.set(&setting.name, &setting.value) {
            // C++ Nix goes on after an unknown `--option`.
            Err(session::SessionError::UnknownSetting { name }) => surface.warn(&format!("unknown setting '{name}'")),
            result => result?,
        }
    }
    let typed: Vec<&str> = given.iter().map(|setting| setting.name.as_str()).collect();
    for warning in settings.settle(&typed)? {
        surface.warn(&warning.0);
    }
    Ok(settings)
}

/// Reads the configuration, applies what the words said, and opens the session.
///
/// # Errors
/// A configuration that cannot be read, a setting that is unknown or has a wrong value.
pub fn open(surface: &Surface, given: &[Given], common: &CommonArgs) -> Result<Arc<Session>, CommandError> {
    open_in(surface, Surroundings::of_process(), given, common)
}

/// The same in surroundings of the command's own making.
///
/// # Errors
/// As [`open`].
pub fn open_in(
    surface: &Surface,
    around: Surroundings,
    given: &[Given],
    common: &CommonArgs,
) -> Result<Arc<Session>, CommandError> {
    let steps = i64::from(common.verbose) - i64::from(common.quiet) + if common.debug { 6 } else { 0 };
    surface.progress.change_verbosity(steps);
    if let Some(name) = &common.log_format {
        let format = LogFormat::from_name(name);
        surface.progress.set_format(format.ok_or_else(|| CommandError::usage(format!("invalid log format '{name}'")))?);
    }
    if common.no_build_output {
        surface.progress.set_logs(false);
    }
    if common.print_build_logs {
        surface.progress.set_logs(true);
    }
    let mut settings = configuration_in(surface, around, given)?;
    if surface.progress.is_live() {
        surface.progress.set_history(session::build_history(&settings));
    }
    let path = settings.text("json-log-path");
    if !path.is_empty() {
        let log = JsonLog::open(Path::new(path));
        let failed =
            |error| CommandError::failed(format!("opening the log '{path}' (setting 'json-log-path'): {error}"));
        surface.progress.set_json_log(log.map_err(failed)?);
    }
    if let Some(jobs) = &common.max_jobs {
        settings.set("max-jobs", jobs)?;
    }
    for (flag, name) in [(common.keep_going, "keep-going"), (common.keep_failed, "keep-failed")] {
        if flag {
            settings.set(name, "true")?;
        }
    }
    if common.offline {
        let for_ever = u64::MAX.to_string();
        let pairs =
            [("substitute", "false"), ("tarball-ttl", &for_ever), ("download-attempts", "0"), ("connect-timeout", "1")];
        for (name, value) in pairs {
            if !settings.is_given(name) {
                settings.set(name, value)?;
            }
        }
    }
    if common.refresh {
        settings.set("tarball-ttl", "0")?;
    }
    let session = Session::open(settings, common.readonly_mode)?;
    surface.progress.set_clock(session.suspension());
    session.suspension().when_needed(crate::command::suspend_with);
    Ok(session)
}
