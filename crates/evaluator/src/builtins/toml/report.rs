//! What is wrong with a document, in the form of C++ Nix's library: title, lines with marks below, hints.
//!
//! Absent: finding it (`read.rs`, `document.rs`).

use super::pattern::{Pattern, show_byte};
use std::sync::Arc;

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    first: usize,
    last: usize,
    first_line: usize,
    last_line: usize,
}

/// Something wrong.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    title: String,
    places: Vec<(Region, String)>,
    hint: &'static str,
    /// The text that the places are in, if it is another.
    within: Option<Arc<Source>>,
}

impl Problem {
    /// Something wrong at one place; `note` stands below it.
    pub(super) fn new(title: impl Into<String>, place: Region, note: impl Into<String>) -> Problem {
        Problem { title: title.into(), places: vec![(place, note.into())], hint: "", within: None }
    }

    /// With another place.
    pub(super) fn and(mut self, place: Region, note: &str) -> Problem {
        self.places.push((place, note.to_owned()));
        self
    }

    /// In another text.
    pub(super) fn within(self, source: Source) -> Problem {
        Problem { within: Some(Arc::new(source)), ..self }
    }

    /// With advice, which ends in a line end.
    pub(super) fn hint(self, hint: &'static str) -> Problem {
        Problem { hint, ..self }
    }
}

/// The whole text, ending in a line end, with its lines.
#[derive(Debug)]
pub(super) struct Source {
    name: &'static str,
    /// The text.
    pub(super) text: Vec<u8>,
    /// Offsets of line ends.
    line_ends: Vec<usize>,
}

impl Source {
    /// Takes a text.
    pub(super) fn new(mut text: Vec<u8>) -> Source {
        if !matches!(text.last(), None | Some(b'\n' | b'\r')) {
            text.push(b'\n');
        }
        Source::named("fromTOML", text)
    }

    /// Takes a text as it is, with a name for messages.
    pub(super) fn named(name: &'static str, text: Vec<u8>) -> Source {
        let line_ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        Source { name, text, line_ends }
    }

    fn line(&self, at: usize) -> usize {
        self.line_ends.partition_point(|end| *end < at) + 1
    }

    /// The byte at a place; at the end that before it.
    pub(super) fn at(&self, at: usize) -> Region {
        if at < self.text.len() {
            let line = self.line(at);
            return Region { first: at, last: at + 1, first_line: line, last_line: line };
        }
        let end = self.text.len();
        let before = end.saturating_sub(1);
        Region { first: before, last: end, first_line: self.line(before), last_line: self.line(end) }
    }

    /// From one place to another.
    pub(super) fn between(&self, first: usize, last: usize) -> Region {
        Region { first, last, first_line: self.line(first), last_line: self.line(last) }
    }

    /// A pattern that did not match from `at`.
    pub(super) fn unexpected(&self, title: &str, pattern: &Pattern, at: usize) -> Problem {
        let mut place = at;
        let expected = pattern.expected(&self.text, &mut place);
        Problem::new(title, self.at(place), format!("expected {expected}"))
    }

    /// The line around a piece, cut where it is long, and where in it the piece begins.
    fn take_line(&self, begin: usize, end: usize) -> (Vec<u8>, usize) {
        const SHOWN: usize = 30;
        let text = &self.text;
        let least = begin.saturating_sub(SHOWN);
        let most = (end + SHOWN).min(text.len());
        let start = text[least..begin].iter().rposition(|byte| *byte == b'\n').map_or(least, |at| least + at + 1);
        let stop = text[end..most].iter().position(|byte| *byte == b'\n').map_or(most, |at| end + at);
        let mut line = Vec::new();
        let mut offset = begin - start;
        if start != 0 && text[start - 1] != b'\n' {
            line.extend_from_slice(b"... ");
            offset += 4;
        }
        line.extend_from_slice(&text[start..stop]);
        if stop != text.len() && text[stop] != b'\n' {
            line.extend_from_slice(b" ...");
        }
        (line, offset)
    }

    fn lines(&self, region: Region) -> Vec<(Vec<u8>, usize)> {
        const NEAR: usize = 50;
        const FAR: usize = 60;
        if region.first == region.last {
            return vec![(Vec::new(), 0)];
        }
        let (begin, end) = (region.first, region.last - 1);
        if region.first_line == region.last_line {
            return vec![self.take_line(begin, end)];
        }
        let text = &self.text;
        let most = if text.len() - begin > FAR { begin + NEAR } else { text.len() };
        let least = if end > FAR { end - NEAR } else { 0 };
        let first_end = text[begin..most].iter().position(|byte| *byte == b'\n').map_or(most, |at| begin + at);
        let last_begin = text[least..end].iter().position(|byte| *byte == b'\n').map_or(end, |at| least + at);
        let (first, last) = (self.take_line(begin, first_end), self.take_line(last_begin, end));
        if region.first_line + 1 == region.last_line {
            return vec![first, last];
        }
        vec![first, (b"...".to_vec(), 0), last]
    }

    /// All that is wrong, as one text.
    pub(super) fn report(&self, problems: &[Problem]) -> String {
        problems.iter().map(|problem| problem.within.as_deref().unwrap_or(self).one(problem)).collect()
    }

    fn one(&self, problem: &Problem) -> String {
        let mut out = format!("[error] {}\n", problem.title);
        let width = problem.places.iter().map(|(place, _)| place.last_line.to_string().len()).max().unwrap_or(0);
        let margin = " ".repeat(width + 1);
        for (index, (place, note)) in problem.places.iter().enumerate() {
            if index == 0 {
                out.push_str(&format!(" --> {}\n{margin} |\n", self.name));
            } else {
                out.push_str(&format!("{margin} | ...\n{margin} |\n"));
            }
            self.place(&mut out, width, *place, note);
        }
        out + problem.hint
    }

    fn place(&self, out: &mut String, width: usize, region: Region, note: &str) {
        let lines = self.lines(region);
        let (first, offset) = &lines[0];
        let rest = first.len().saturating_sub(*offset);
        match &lines[1..] {
            [] => {
                let limit = if first.len() < offset + 1 { 1 } else { rest };
                show_line(out, width, region.first_line, first);
                underline(out, width, offset + 1, limit.min(region.last - region.first), note);
            }
            [between @ .., (last, last_offset)] => {
                show_line(out, width, region.first_line, first);
                underline(out, width, offset + 1, rest, if between.is_empty() { "" } else { "and" });
                for (line, _) in between {
                    show_line(out, width, region.first_line + 1, line);
                    underline(out, width, 1, line.len(), "and");
                }
                show_line(out, width, region.last_line, last);
                underline(out, width, 1, last_offset + 1, note);
            }
        }
    }
}

fn show_line(out: &mut String, width: usize, number: usize, line: &[u8]) {
    out.push_str(&format!(" {number:>width$} | "));
    for byte in line {
        match byte {
            b' ' => out.push(' '),
            byte => out.push_str(&show_byte(*byte)),
        }
    }
    out.push('\n');
}

fn underline(out: &mut String, width: usize, column: usize, length: usize, note: &str) {
    let margin = " ".repeat(width + 1);
    out.push_str(&format!("{margin} | {}{}-- {note}\n", " ".repeat(column - 1), "^".repeat(length)));
}
