//! The text of the live display: what runs, since when, how long it takes usually, and what waits for it. Pure.
//!
//! A first line with the counts, then a line for each thing that runs, builds before transfers; all cut to the width of the
//! terminal, and no more of them than half its height.

use std::time::Duration;

use super::graph::BuildGraph;

/// A build that runs.
pub struct BuildLine<'a> {
    /// Its name.
    pub name: &'a str,
    /// The derivation's printed path.
    pub path: &'a str,
    /// The phase it told last.
    pub phase: Option<&'a str>,
    /// How long it runs.
    pub elapsed: Duration,
    /// How long it took earlier.
    pub expected: Option<Duration>,
}

/// A time as people say it: `4s`, `3m07s`, `2h05m`.
pub fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// The line of a build: name, phase, time, and for whom it is built.
pub fn build(line: &BuildLine<'_>, graph: &BuildGraph) -> String {
    let mut text = line.name.to_owned();
    if let Some(phase) = line.phase {
        text += &format!(" ({phase})");
    }
    text += &format!("  {}", time(line.elapsed));
    if let Some(expected) = line.expected {
        text += &format!(" of about {}", time(expected));
    }
    let chain = graph.chain(line.path);
    let waiting = graph.waiting(line.path).len();
    match chain.as_slice() {
        [] => {}
        [user] => text += &format!("  for {user}"),
        [user, top] => text += &format!("  for {user}, {top}"),
        [user, .., top] => text += &format!("  for {user} … {top}"),
    }
    if waiting > chain.len() {
        text += &format!(" ({waiting} wait)");
    }
    text
}

/// The whole display. `lines` are cut to `width` columns; of more than fit into half of `height` rows the last ones are
/// counted only.
pub fn assemble(head: &str, lines: &[String], width: usize, height: usize) -> String {
    let most = (height / 2).max(3);
    let (shown, left) = if lines.len() > most { (most - 1, lines.len() - (most - 1)) } else { (lines.len(), 0) };
    let mut text = cut(head, width);
    for (at, line) in lines[..shown].iter().enumerate() {
        let mark = if at + 1 == lines.len() { "└ " } else { "├ " };
        text.push('\n');
        text += &cut(&format!("{mark}{line}"), width);
    }
    if left > 0 {
        text.push('\n');
        text += &cut(&format!("└ and {left} more"), width);
    }
    text
}

/// At most so many columns.
fn cut(line: &str, width: usize) -> String {
    use unicode_width::UnicodeWidthChar;
    let mut columns = 0;
    let fits = |character: &char| {
        columns += character.width().unwrap_or(0);
        columns <= width
    };
    line.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_runs_how_long_and_for_whom() {
        let derivation = |path: &str, uses: &[&str]| {
            (path.to_owned(), path.to_owned(), uses.iter().map(|&used| used.to_owned()).collect::<Vec<_>>())
        };
        let graph = BuildGraph::new(
            vec![
                derivation("hello-2", &["cc-1", "lib-1"]),
                derivation("cc-1", &["lib-1", "m4-1"]),
                derivation("m4-1", &["lib-1"]),
                derivation("lib-1", &[]),
            ],
            &["hello-2".to_owned()],
        );
        let line = |name: &'static str, phase, seconds, expected: Option<u64>| BuildLine {
            name,
            path: name,
            phase,
            elapsed: Duration::from_secs(seconds),
            expected: expected.map(Duration::from_secs),
        };
        assert_eq!(build(&line("hello-2", None, 3, None), &graph), "hello-2  3s");
        let text = build(&line("m4-1", Some("buildPhase"), 75, Some(3700)), &graph);
        assert_eq!(text, "m4-1 (buildPhase)  1m15s of about 1h01m  for cc-1, hello-2");
        assert_eq!(build(&line("lib-1", None, 0, None), &graph), "lib-1  0s  for hello-2 (3 wait)");
    }

    #[test]
    fn the_display_fits_the_terminal() {
        let lines: Vec<String> = (0..9).map(|at| format!("line {at}")).collect();
        assert_eq!(assemble("head", &lines[..2], 80, 24), "head\n├ line 0\n└ line 1");
        assert_eq!(assemble("head", &lines, 6, 8), "head\n├ line\n├ line\n├ line\n└ and ");
        assert_eq!(assemble("", &[], 10, 10), "");
    }
}
