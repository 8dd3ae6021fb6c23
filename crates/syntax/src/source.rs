//! Source texts: bytes with a name, a line index made at the first question, and the map that holds them all.
//!
//! Texts are bytes, not UTF-8. Lines end where C++ Nix says they do: at `\n`, `\r\n` and a lone `\r`.
//!
//! Absent: reading files; a text is handed in.

use std::fmt;
use std::sync::{Arc, OnceLock, RwLock};

/// Where a text came from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// A file, by the path that messages show.
    File(Arc<str>),
    /// Standard input.
    Stdin,
    /// A string on the command line, or one handed in by a program.
    String,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => formatter.write_str(path),
            Origin::Stdin => formatter.write_str("«stdin»"),
            Origin::String => formatter.write_str("«string»"),
        }
    }
}

/// A text of four gigabytes or more: offsets are 32 bits wide.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin} is too large to parse ({length} bytes)")]
pub struct SourceTooLarge {
    /// Which text.
    pub origin: Origin,
    /// Its length in bytes.
    pub length: usize,
}

/// A line and a column, both counted from 1; columns are bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineColumn {
    /// The line.
    pub line: u32,
    /// The byte in it.
    pub column: u32,
}

/// A line with its neighbours, without line ends, for an excerpt in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceLines<'a> {
    /// The line before, if there is one.
    pub before: Option<&'a [u8]>,
    /// The line itself.
    pub at: &'a [u8],
    /// The line after, if there is one; the empty rest after a final line end counts as one.
    pub after: Option<&'a [u8]>,
}

/// One source text.
#[derive(Debug)]
pub struct Source {
    origin: Origin,
    text: Vec<u8>,
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    /// Takes a text. Fails if it has 2^32 − 1 bytes or more.
    pub fn new(origin: Origin, text: impl Into<Vec<u8>>) -> Result<Source, SourceTooLarge> {
        let text = text.into();
        if text.len() >= u32::MAX as usize {
            return Err(SourceTooLarge { origin, length: text.len() });
        }
        Ok(Source { origin, text, lines: OnceLock::new() })
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its bytes.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Line and column of an offset; offsets past the end count as the end.
    pub fn line_column(&self, offset: u32) -> LineColumn {
        let lines = self.line_starts();
        let offset = offset.min(self.text.len() as u32);
        let line = lines.partition_point(|&start| start <= offset);
        LineColumn { line: line as u32, column: offset - lines[line - 1] + 1 }
    }

    /// The line (counted from 1) with its neighbours, or nothing if there is no such line.
    pub fn lines_around(&self, line: u32) -> Option<SourceLines<'_>> {
        let index = (line as usize).checked_sub(1)?;
        Some(SourceLines {
            before: index.checked_sub(1).and_then(|index| self.line(index)),
            at: self.line(index)?,
            after: self.line(index + 1),
        })
    }

    fn line(&self, index: usize) -> Option<&[u8]> {
        let lines = self.line_starts();
        let start = *lines.get(index)? as usize;
        let end = lines.get(index + 1).map_or(self.text.len(), |&next| next as usize);
        let line = &self.text[start..end];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn line_starts(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let mut starts = vec![0];
            // A line ends with "\n", "\r\n" or "\r"; the first half of a pair ends none.
            let ends = memchr::memchr2_iter(b'\n', b'\r', &self.text);
            let ends = ends.filter(|at| self.text[*at] == b'\n' || self.text.get(at + 1) != Some(&b'\n'));
            starts.extend(ends.map(|at| at as u32 + 1));
            starts
        })
    }
}

/// The number of a text in a [`SourceMap`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceId(pub u32);

/// All texts of one evaluation; grows only, may be shared by threads.
#[derive(Debug, Default)]
pub struct SourceMap {
    sources: RwLock<Vec<Arc<Source>>>,
}

impl SourceMap {
    /// An empty map.
    pub fn new() -> SourceMap {
        SourceMap::default()
    }

    /// Adds a text and gives its number.
    pub fn add(&self, source: Arc<Source>) -> SourceId {
        let mut sources = self.sources.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        sources.push(source);
        SourceId(sources.len() as u32 - 1)
    }

    /// The text with this number, if this map gave it.
    pub fn get(&self, id: SourceId) -> Option<Arc<Source>> {
        let sources = self.sources.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        sources.get(id.0 as usize).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Origin::String, text.as_bytes()).expect("a short text")
    }

    #[test]
    fn lines_end_at_all_three_forms() {
        let source = source("a\nbc\r\nd\re");
        let places: Vec<_> = [0, 1, 2, 4, 6, 7, 8, 99].map(|at| source.line_column(at)).to_vec();
        let expected = [(1, 1), (1, 2), (2, 1), (2, 3), (3, 1), (3, 2), (4, 1), (4, 2)];
        assert_eq!(places, expected.map(|(line, column)| LineColumn { line, column }));
    }

    #[test]
    fn excerpts_have_neighbours() {
        let source = source("a\r\nb\n");
        let lines = source.lines_around(2).expect("line 2");
        assert_eq!((lines.before, lines.at, lines.after), (Some(&b"a"[..]), &b"b"[..], Some(&b""[..])));
        assert_eq!(source.lines_around(0), None);
        assert_eq!(source.lines_around(4), None);
    }

    #[test]
    fn the_map_keeps_what_it_was_given() {
        let map = SourceMap::new();
        let id = map.add(Arc::new(source("x")));
        assert_eq!(map.get(id).expect("the text").text(), b"x");
        assert!(map.get(SourceId(7)).is_none());
    }
}
