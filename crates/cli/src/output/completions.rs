//! What a shell may offer for the word being typed, told when `NIX_GET_COMPLETIONS` holds that word's number.
//!
//! The answer is C++ Nix's: a line `normal`, `filenames` or `attrs` (which may be typed on), then a candidate on each line,
//! with a tab and its description. Attribute paths are looked up in the file or expression that `-f` or `--expr` names.
//! Absent: anything said on standard error, and failures: who is typing wants neither.

use std::ffi::OsString;

use clap::CommandFactory;
use evaluator::with_large_stack;
use session::settings::{Kind, SETTINGS};

use crate::command::{CommandError, Surface};
use crate::input::common::{CommonArgs, open};
use crate::input::evaluation::{Evaluation, EvaluationArgs};

/// The number of the word to complete, if that is what is asked for.
pub fn wanted() -> Option<usize> {
    std::env::var("NIX_GET_COMPLETIONS").ok()?.parse().ok()
}

/// An answer: what kind of words, and those that there are.
pub fn answer(kind: &str, candidates: impl IntoIterator<Item = (String, String)>) -> CommandError {
    let mut text = format!("{kind}\n");
    for (candidate, description) in candidates {
        text.push_str(&format!("{candidate}\t{description}\n"));
    }
    CommandError::Answered(text)
}

/// Names of commands that begin with what was typed after `group`.
pub fn commands<'a>(names: impl Iterator<Item = &'a str>, group: &str, typed: &str) -> CommandError {
    let inside = |name: &'a str| match group {
        "" => name.split(' ').next(),
        group => name.strip_prefix(group)?.strip_prefix(' '),
    };
    let mut words: Vec<&str> = names.filter_map(inside).filter(|word| word.starts_with(typed)).collect();
    words.sort_unstable();
    words.dedup();
    answer("normal", words.into_iter().map(|word| (word.to_owned(), String::new())))
}

/// Settings as options that begin with what was typed.
pub fn settings(typed: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for setting in SETTINGS {
        let mut offer = |option: String| {
            if option.starts_with(typed) {
                found.push((option, setting.doc.to_owned()));
            }
        };
        offer(format!("--{}", setting.name));
        match setting.kind {
            Kind::Bool => offer(format!("--no-{}", setting.name)),
            Kind::List | Kind::Map => offer(format!("--extra-{}", setting.name)),
            _ => {}
        }
    }
    found
}

/// What may stand for the last of a command's words.
pub fn of<A: CommandFactory>(words: &[OsString]) -> CommandError {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let Some((typed, before)) = words.split_last() else { return answer("normal", []) };
    let command = A::command();
    let previous = before.last().map(String::as_str).unwrap_or_default();
    let takes = command.get_arguments().find(|argument| {
        let long = argument.get_long().is_some_and(|long| previous.strip_prefix("--") == Some(long));
        let short = argument.get_short().is_some_and(|short| previous == format!("-{short}"));
        argument.get_action().takes_values() && (long || short)
    });
    if let Some(argument) = takes {
        let is_file = |name: &str| ["FILE", "FOLDER", "PATH", "LINK"].contains(&name);
        let names = argument.get_value_names().unwrap_or_default();
        let kind = if names.iter().any(|name| is_file(name)) { "filenames" } else { "normal" };
        return answer(kind, []);
    }
    if typed.starts_with('-') {
        let options = command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(|argument| {
            let option = format!("--{}", argument.get_long()?);
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            option.starts_with(typed).then_some((option, help))
        });
        let mut offered: Vec<(String, String)> = options.collect();
        for setting in settings(typed) {
            if !offered.iter().any(|(option, _)| *option == setting.0) {
                offered.push(setting);
            }
        }
        return answer("normal", offered);
    }
    let value_of = |names: [&str; 2]| {
        let at = before.iter().position(|word| names.contains(&word.as_str()))?;
        before.get(at + 1).cloned()
    };
    let takes_expressions = command.get_arguments().any(|argument| argument.get_long() == Some("expr"));
    let (file, text) = (value_of(["-f", "--file"]), value_of(["--expr", "--expr"]));
    if takes_expressions && (file.is_some() || text.is_some()) {
        let found = with_large_stack(|| attributes(file.as_deref(), text.as_deref(), typed));
        return answer("attrs", found.unwrap_or_default().into_iter().map(|path| (path, String::new())));
    }
    answer("filenames", [])
}

/// Attribute paths that begin with what was typed.
fn attributes(file: Option<&str>, text: Option<&str>, typed: &str) -> Result<Vec<String>, CommandError> {
    let surface = Surface::open("nix", "nix");
    let common = CommonArgs { readonly_mode: true, quiet: 5, ..CommonArgs::default() };
    let session = open(&surface, &[], &common)?;
    let mut evaluation = Evaluation::open(&surface, &session, &EvaluationArgs::default())?;
    let root = match (file, text) {
        (Some(file), _) => evaluation.file(file)?,
        (None, text) => evaluation.text(text.unwrap_or_default())?,
    };
    let (parent, start) = typed.rsplit_once('.').unwrap_or(("", typed));
    let value = evaluation.select(&root, parent)?;
    let value = evaluation.auto_call(&value)?;
    let names = evaluation.run(|evaluator| evaluator.attr_names(&value))?;
    let joined = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
    let names = names.iter().filter_map(|name| std::str::from_utf8(name).ok());
    Ok(names.filter(|name| name.starts_with(start) && !name.contains(['.', '"'])).map(joined).collect())
}
