//! The one place where errors become text and exit status.

use super::diagnostic::{indented, without_numbers};
use crate::command::{CommandError, Surface};

/// How a full disk is told by the system, SQLite, the store, and of a build that failed.
const FULL: [&str; 5] = [
    "No space left on device",
    "Disk quota exceeded",
    "database or disk is full",
    "not enough space in",
    "lack of free disk space",
];

/// What to do about an error whose cause may come from any depth.
pub(super) fn way_out(message: &str) -> Option<&'static str> {
    let full = FULL.iter().any(|text| message.contains(text));
    full.then_some(
        "Make room and try again: 'nix-store --gc' deletes what nothing needs, and works on a full disk too.",
    )
}

/// An error that does not end the command, with what to do about it.
pub fn told_on_the_way(error: &dyn std::error::Error) -> String {
    let message = error.to_string();
    match way_out(&message) {
        Some(hint) => format!("{message}\n{hint}"),
        None => message,
    }
}

/// Prints an error on standard error; gives the exit status.
pub fn show(surface: &Surface, error: &CommandError) -> i32 {
    let (message, hints, status) = match error {
        CommandError::Clap(error) => {
            let status = if error.use_stderr() { 1 } else { 0 };
            let _ = error.print();
            return status;
        }
        CommandError::Manual(command, text) => return super::manual::show(surface, command, text),
        CommandError::Answered(text) => {
            surface.print(text.as_bytes());
            return 0;
        }
        CommandError::Usage { message, hints } => (message.as_str(), hints.as_slice(), 1),
        CommandError::Failed { message, hints, status } => (message.as_str(), hints.as_slice(), *status),
        CommandError::Evaluation { text, status } => {
            surface.progress.error_line(text.trim_end_matches('\n'));
            if let Some(hint) = way_out(text) {
                surface.progress.error_line(&indented("       ", hint));
            }
            return *status;
        }
        CommandError::EvaluationUsage(text) => {
            surface.progress.error_line(text.trim_end_matches('\n'));
            surface.progress.error_line(&format!("Try '{} --help' for more information.", surface.called));
            return 1;
        }
        CommandError::Interrupted => ("interrupted by the user", &[][..], 130),
    };
    let mut text = indented("error: ", without_numbers(message).trim_end_matches('\n'));
    for hint in hints.iter().map(String::as_str).chain(way_out(message).filter(|_| hints.is_empty())) {
        text.push('\n');
        text.push_str(&indented("       ", hint));
    }
    surface.progress.error_line(&text);
    status
}
