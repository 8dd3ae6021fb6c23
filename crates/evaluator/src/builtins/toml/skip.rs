//! What is passed over after an error, to go on behind it.
//!
//! These rules decide which further errors are found, so they are those of C++ Nix's library.

use super::grammar as rule;
use super::guess::{self, Kind};
use super::read::Reader;

impl Reader<'_> {
    fn begins_head(&self) -> bool {
        rule::TABLE.end(self.text(), self.at).is_some() || rule::TABLE_OF_LIST.end(self.text(), self.at).is_some()
    }

    /// Up to where the next value of a list could begin.
    pub(super) fn skip_value(&mut self) {
        match guess::kind(self.source, self.at) {
            Ok(Kind::Text) => self.skip_string(),
            Ok(Kind::List) => self.skip_list(),
            Ok(Kind::Table) => self.skip_table(),
            _ => {
                while !self.ends() && !matches!(self.byte(), b'\n' | b',' | b']' | b'}') {
                    self.at += 1;
                }
            }
        }
    }

    fn skip_string(&mut self) {
        let rest = &self.text()[self.at..];
        for quotes in [&b"\"\"\""[..], b"'''"] {
            if rest.starts_with(quotes) {
                let inside = &rest[3..];
                let end = inside.windows(3).position(|three| three == quotes);
                self.at += 3 + end.map_or(inside.len(), |end| end + 3);
                return;
            }
        }
        let quote = self.byte();
        while !self.ends() {
            self.at += 1;
            if self.byte() == quote || self.byte() == b'\n' {
                self.at = (self.at + 1).min(self.text().len());
                return;
            }
        }
    }

    fn skip_comments(&mut self) {
        while !self.ends() {
            self.take(&rule::SPACE);
            if self.byte() == b'#' {
                while !self.ends() && self.byte() != b'\n' {
                    self.at += 1;
                }
            } else if !self.take(&rule::LINE_END) {
                return;
            }
        }
    }

    fn skip_list(&mut self) {
        self.descend(Self::skip_inside_list);
    }

    /// Passes over something with brackets. Going back to the start of a line may lead here again without end, where C++
    /// Nix's stack overflows; no text of brackets nests deeper than it is long.
    fn descend(&mut self, inside: fn(&mut Self)) {
        if self.skipping > self.text().len() {
            self.give_up();
        }
        if self.may_descend() {
            self.skipping += 1;
            inside(self);
            self.skipping -= 1;
        }
    }

    /// Back to the start of the line. What does so more often than the text has bytes goes round in a circle, where C++
    /// Nix never ends.
    fn return_to_line(&mut self) {
        let before = &self.text()[..self.at];
        self.at = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.returns += 1;
        if self.returns > self.text().len() {
            self.give_up();
        }
    }

    fn skip_inside_list(&mut self) {
        self.at += 1;
        while !self.ends() {
            match self.byte() {
                b'"' | b'\'' => self.skip_string(),
                b'#' => self.skip_comments(),
                b'{' => self.skip_table(),
                b'[' if self.begins_head() => break,
                b'[' => self.skip_list(),
                b'=' => {
                    self.return_to_line();
                    break;
                }
                b']' => break,
                _ => self.at += 1,
            }
        }
    }

    fn skip_table(&mut self) {
        self.descend(Self::skip_inside_table);
    }

    fn skip_inside_table(&mut self) {
        self.at += 1;
        while !self.ends() {
            match self.byte() {
                b'\n' | b'}' => break,
                b'"' | b'\'' => self.skip_string(),
                b'#' => {
                    self.skip_comments();
                    break;
                }
                b'[' if self.begins_head() => break,
                b'[' => self.skip_list(),
                b'{' => self.skip_table(),
                _ => self.at += 1,
            }
        }
    }

    /// Up to behind the value of this pair, or the end of the line.
    pub(super) fn skip_pair(&mut self) {
        while !self.ends() {
            match self.byte() {
                b'=' => {
                    self.take(&rule::SPACE);
                    return self.skip_value();
                }
                b'\n' => return,
                _ => self.at += 1,
            }
        }
    }

    /// Up to the next line that begins with a head.
    pub(super) fn skip_to_head(&mut self) {
        while !self.ends() {
            if self.byte() == b'\n' {
                self.at += 1;
                let line = self.at;
                self.take(&rule::SPACE);
                if self.begins_head() {
                    self.at = line;
                    return;
                }
            }
            self.at = (self.at + 1).min(self.text().len());
        }
    }
}
