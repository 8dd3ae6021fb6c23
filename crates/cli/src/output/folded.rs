//! Evaluation errors for who sits at a terminal and did not ask for `--show-trace`: the frames in one's own files, all of
//! them in the order of calls, then how many others there were, then the message, next to where the eye is.
//!
//! One's own files are those under the folder of what was evaluated, and texts of the command line. To a pipe go C++ Nix's
//! bytes (`diagnostic.rs`).

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use evaluator::{ErrorReport, Origin, TraceFrame, text_as_bytes};

use super::diagnostic::{frame, indented, message, without_numbers};

/// The most own frames that are shown: the innermost.
const MOST: usize = 12;

/// The text of an error, with its leading `error:`. `folder` is that of the expression.
pub fn render(report: &ErrorReport, folder: &Path) -> String {
    let mut own: Vec<&TraceFrame> = Vec::new();
    let mut folded = 0;
    for frame in report.trace.iter().filter(|frame| !frame.text.is_empty()) {
        if !(frame.always || is_own(frame, folder)) {
            folded += 1;
        } else if !own.contains(&frame) {
            own.push(frame);
        }
    }
    let surplus = own.len().saturating_sub(MOST);
    let mut text = String::new();
    if surplus > 0 {
        let _ = writeln!(text, "\n({surplus} more frames in your files; use '--show-trace' to see them)");
    }
    for one in &own[surplus..] {
        frame(&mut text, one);
    }
    if folded > 0 {
        let frames = if folded == 1 { "frame" } else { "frames" };
        let _ = writeln!(text, "\n({folded} {frames} in other files; use '--show-trace' to see them)");
    }
    if !text.is_empty() {
        text.push_str("\nerror: ");
    }
    message(&mut text, report);
    indented("error: ", without_numbers(&text).trim_end())
}

fn is_own(frame: &TraceFrame, folder: &Path) -> bool {
    frame.position.as_ref().is_some_and(|position| match &position.origin {
        Origin::File(path) => Path::new(OsStr::from_bytes(&text_as_bytes(path))).starts_with(folder),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use evaluator::{ErrorKind, Position};

    use super::*;

    fn frame_in(origin: Origin, line: u32, always: bool) -> TraceFrame {
        let position = Position { origin, line, column: 1, source: [None, Some("x".to_owned()), None] };
        TraceFrame { text: format!("while at {line}"), position: Some(position), always }
    }

    fn report(trace: Vec<TraceFrame>) -> ErrorReport {
        ErrorReport { kind: ErrorKind::Throw, message: "no".to_owned(), position: None, trace, suggestions: Vec::new() }
    }

    fn file(path: &str) -> Origin {
        Origin::File(path.into())
    }

    #[test]
    fn own_frames_stand_before_the_number_of_the_others() {
        let trace = vec![
            frame_in(file("/lib/a.nix"), 1, false),
            frame_in(file("/home/me/x/a.nix"), 2, false),
            frame_in(file("/home/me/xy/a.nix"), 3, false),
            frame_in(Origin::String, 4, false),
            frame_in(file("/home/me/x/a.nix"), 2, false),
            frame_in(file("/lib/b.nix"), 5, true),
            TraceFrame { text: "nowhere".to_owned(), position: None, always: false },
        ];
        let wanted = "error:
       … while at 2
         at /home/me/x/a.nix:2:1:
            2| x
             | ^

       … while at 4
         at «string»:4:1:
            4| x
             | ^

       … while at 5
         at /lib/b.nix:5:1:
            5| x
             | ^

       (3 frames in other files; use '--show-trace' to see them)

       error: no";
        assert_eq!(render(&report(trace), Path::new("/home/me/x")), wanted);
        assert_eq!(render(&report(Vec::new()), Path::new("/home/me/x")), "error: no");
    }

    #[test]
    fn of_many_own_frames_the_innermost_are_shown() {
        let trace: Vec<TraceFrame> = (1..=15).map(|line| frame_in(file("/x/a.nix"), line, false)).collect();
        let text = render(&report(trace), Path::new("/x"));
        assert!(text.contains("(3 more frames in your files; use '--show-trace' to see them)"));
        assert!(!text.contains("while at 3\n") && text.contains("while at 4\n") && text.contains("while at 15\n"));
        let one = render(&report(vec![frame_in(file("/y/a.nix"), 1, false)]), Path::new("/x"));
        assert_eq!(one, "error:\n       (1 frame in other files; use '--show-trace' to see them)\n\n       error: no");
    }
}
