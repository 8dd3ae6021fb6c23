//! Evaluation errors as text, in C++ Nix's form: trace, message, place with its source lines, suggestions.
//!
//! Without `show_trace` a few frames are shown, a frame with a place counting as two; frames that came before are left
//! out in runs. The rules are those of `nix/src/libutil/error.cc`, observed.

use std::fmt::Write as _;

use evaluator::{ErrorReport, Position, TraceFrame};

/// Frames, counted as above, after which a short trace ends.
const SHORT_TRACE: usize = 3;
/// Repeated frames up to this many are shown all the same.
const FEW: usize = 5;

/// The text of an error, with its leading `error:`.
pub fn render(report: &ErrorReport, show_trace: bool) -> String {
    let mut text = String::new();
    if !report.trace.is_empty() {
        trace(&mut text, &report.trace, show_trace);
        text.push_str("\nerror: ");
    }
    message(&mut text, report);
    indented("error: ", without_numbers(&text).trim_end())
}

/// Writes what an error says itself, with its place and what may have been meant.
pub fn message(text: &mut String, report: &ErrorReport) {
    let _ = writeln!(text, "{}", report.message);
    if let Some(position) = &report.position {
        place(text, "", position);
    }
    if let Some(meant) = suggestions(&report.suggestions) {
        let _ = writeln!(text, "Did you mean {meant}?");
    }
}

/// Puts a head before the first line and as many spaces before the others; no line ends in spaces.
pub fn indented(head: &str, text: &str) -> String {
    let spaces = " ".repeat(head.len());
    let lines = text.split('\n').enumerate().map(|(number, line)| {
        let line = format!("{}{line}", if number == 0 { head } else { &spaces });
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `a`, or `one of a, b or c`.
pub fn suggestions(names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [only] => Some(only.clone()),
        [first @ .., last] => Some(format!("one of {} or {last}", first.join(", "))),
    }
}

/// A message without the numbers that Rust puts behind the system's words: `(os error 2)`.
pub fn without_numbers(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(" (os error ") {
        text.push_str(before);
        let digits = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
        rest = digits.strip_prefix(')').unwrap_or(digits);
    }
    text + rest
}

fn trace(text: &mut String, frames: &[TraceFrame], show_trace: bool) {
    let mut seen: Vec<&TraceFrame> = Vec::new();
    let mut skipped: Vec<&TraceFrame> = Vec::new();
    let mut count = 0;
    let mut cut = false;
    for one in frames.iter().filter(|one| !one.text.is_empty()) {
        cut |= !show_trace && count > SHORT_TRACE;
        if cut && !one.always {
            continue;
        }
        if seen.contains(&one) {
            skipped.push(one);
            continue;
        }
        seen.push(one);
        count += show_skipped(text, &mut skipped);
        count += 1;
        count += frame(text, one);
    }
    show_skipped(text, &mut skipped);
    if cut {
        text.push_str("\n(stack trace truncated; use '--show-trace' to show the full, detailed trace)\n");
    }
}

fn show_skipped(text: &mut String, skipped: &mut Vec<&TraceFrame>) -> usize {
    let frames = std::mem::take(skipped);
    if frames.len() <= FEW {
        return frames.into_iter().map(|one| frame(text, one)).sum();
    }
    let _ = writeln!(text, "\n({} duplicate frames omitted)", frames.len());
    0
}

/// Writes a frame; gives what it counts beside itself.
pub fn frame(text: &mut String, frame: &TraceFrame) -> usize {
    let _ = writeln!(text, "\n… {}", frame.text);
    match &frame.position {
        Some(position) => {
            place(text, "  ", position);
            1
        }
        None => 0,
    }
}

fn place(text: &mut String, indent: &str, position: &Position) {
    let _ = write!(text, "{indent}at {position}:");
    let [before, line, after] = &position.source;
    if before.is_none() && line.is_none() && after.is_none() {
        text.push('\n');
        return;
    }
    if let Some(before) = before {
        let _ = write!(text, "\n {:>5}| {before}", position.line - 1);
    }
    if let Some(line) = line {
        let _ = write!(text, "\n {:>5}| {line}", position.line);
        if position.column > 0 {
            let _ = write!(text, "\n      |{}^", " ".repeat(position.column as usize));
        }
    }
    if let Some(after) = after {
        let _ = write!(text, "\n {:>5}| {after}", position.line + 1);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use evaluator::{ErrorKind, Origin};

    use super::*;

    #[test]
    fn numbers_of_errors_are_left_out() {
        let text = without_numbers("a: No such file (os error 2), b: Denied (os error 13)");
        assert_eq!(text, "a: No such file, b: Denied");
    }

    #[test]
    fn message_place_trace_and_suggestions_have_the_known_form() {
        let position = Position {
            origin: Origin::String,
            line: 1,
            column: 3,
            source: [None, Some("a.b".to_owned()), Some(String::new())],
        };
        let report = ErrorReport {
            kind: ErrorKind::Eval,
            message: "attribute 'b' missing".to_owned(),
            position: Some(position.clone()),
            trace: vec![TraceFrame { text: "while calling".to_owned(), position: Some(position), always: false }],
            suggestions: vec!["c".to_owned(), "d".to_owned(), "e".to_owned()],
        };
        let wanted = "error:\n       … while calling\n         at «string»:1:3:\n            1| a.b\n             |   ^\n            2|\n\n       error: attribute 'b' missing\n       at «string»:1:3:\n            1| a.b\n             |   ^\n            2|\n       Did you mean one of c, d or e?";
        assert_eq!(render(&report, false), wanted);
    }
}
