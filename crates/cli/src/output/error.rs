//! The one place where errors become text and exit status.

use super::diagnostic::indented;
use crate::command::{CommandError, Surface};

/// Prints an error on standard error; gives the exit status.
pub fn show(surface: &Surface, error: &CommandError) -> i32 {
    let (message, hints, status) = match error {
        CommandError::Clap(error) => {
            let status = if error.use_stderr() { 1 } else { 0 };
            let _ = error.print();
            return status;
        }
        CommandError::Usage { message, hints } => (message.as_str(), hints.as_slice(), 1),
        CommandError::Failed { message, hints, status } => (message.as_str(), hints.as_slice(), *status),
        CommandError::Evaluation(text) => {
            surface.progress.error_line(text.trim_end_matches('\n'));
            return 1;
        }
        CommandError::Interrupted => ("interrupted by the user", &[][..], 130),
    };
    let mut text = indented("error: ", without_numbers(message).trim_end_matches('\n'));
    for hint in hints {
        text.push('\n');
        text.push_str(&indented("       ", hint));
    }
    surface.progress.error_line(&text);
    status
}

/// A message without the numbers that Rust puts behind the system's words: `(os error 2)`.
fn without_numbers(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(" (os error ") {
        text.push_str(before);
        let digits = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
        rest = digits.strip_prefix(')').unwrap_or(digits);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_of_errors_are_left_out() {
        let text = super::without_numbers("a: No such file (os error 2), b: Denied (os error 13)");
        assert_eq!(text, "a: No such file, b: Denied");
    }
}
