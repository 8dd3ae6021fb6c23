//! The document: pairs below heads.

use super::grammar as rule;
use super::pattern::Pattern;
use super::read::{Read, Reader};
use super::report::Region;
use super::tree::{Item, Key, Kind, Node, Origin, Table, insert};

static HEAD: Pattern = Pattern::Sequence(&[&rule::SPACE, &Pattern::Byte(b'[')]);
static EMPTY_LINE: Pattern = Pattern::Sequence(&[&rule::SPACE, &rule::LINE_END]);

impl Reader<'_> {
    /// The whole document; what was wrong is among the problems.
    pub(super) fn document(&mut self) -> Table {
        let mut root = Table::new(Origin::Headed);
        if self.text().starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        let start = self.at;
        while !self.ends() {
            match self.comment() {
                Ok(true) => {}
                Ok(false) => {
                    if !self.take(&EMPTY_LINE) {
                        self.at = start;
                    }
                    break;
                }
                Err(problem) => self.problems.push(problem),
            }
        }
        self.body(&mut root);
        while !self.ends() {
            self.section(&mut root);
        }
        root
    }

    /// The pairs of a table; an error is told of, and the next head looked for.
    fn body(&mut self, table: &mut Table) {
        if let Err(problem) = self.pairs(table) {
            self.problems.push(problem);
            self.skip_to_head();
        }
    }

    fn pairs(&mut self, table: &mut Table) -> Read<()> {
        let problems = self.problems.len();
        let mut ended = true;
        while !self.ends() {
            let start = self.at;
            let spacer = self.spacer(ended);
            if self.ends() {
                break;
            }
            if HEAD.end(self.text(), self.at).is_some() {
                self.at = start;
                break;
            }
            if !(ended || spacer == Some(true)) {
                return Err(self.here("toml::parse_table: newline (LF / CRLF) or EOF is expected", "here"));
            }
            ended = false;
            match self.pair() {
                Ok((key, node)) => {
                    match self.comment() {
                        Ok(found) => ended = found,
                        Err(problem) => self.problems.push(problem),
                    }
                    if let Err(problem) = insert(table, Kind::Value, key, node) {
                        self.problems.push(problem);
                    }
                }
                Err(problem) => {
                    self.problems.push(problem);
                    self.skip_pair();
                }
            }
        }
        // The caller tells of the last one.
        if self.problems.len() > problems { self.problems.pop().map_or(Ok(()), Err) } else { Ok(()) }
    }

    /// A head and the pairs below it.
    fn section(&mut self, root: &mut Table) {
        self.spacer(true);
        let found = match self.head(&rule::TABLE_OF_LIST, 2) {
            Some(head) => Some((Kind::TableOfList, head)),
            None => self.head(&rule::TABLE, 1).map(|head| (Kind::Table, head)),
        };
        let Some((kind, found)) = found else {
            let problem = if self.text()[self.at..].starts_with(b"[[") {
                self.unexpected("toml::parse_file: invalid array-table key", &rule::TABLE_OF_LIST)
            } else {
                self.unexpected("toml::parse_file: invalid table key", &rule::TABLE)
            };
            self.problems.push(problem);
            return self.skip_to_head();
        };
        let (key, place) = match found {
            Ok(head) => head,
            Err(problem) => {
                self.problems.push(problem);
                return self.skip_to_head();
            }
        };
        match self.comment() {
            Ok(true) => {}
            Ok(false) => {
                self.take(&rule::SPACE);
                if !self.ends() && !self.take(&rule::LINE_END) {
                    let problem = self.unexpected("toml::parse_file: newline (or EOF) expected", &rule::LINE_END);
                    self.problems.push(problem);
                    return self.skip_to_head();
                }
            }
            Err(problem) => {
                self.problems.push(problem);
                return self.skip_to_head();
            }
        }
        let node = Node { value: Item::Table(Table::new(Origin::Headed)), place };
        match insert(root, kind, key, node) {
            Ok(Some(table)) => self.body(table),
            Ok(None) => {}
            Err(problem) => {
                self.problems.push(problem);
                self.body(&mut Table::new(Origin::Headed));
            }
        }
    }

    /// The key between brackets, if a head of this form stands here.
    fn head(&mut self, pattern: &Pattern, brackets: usize) -> Option<Read<(Key, Region)>> {
        let start = self.at;
        let end = pattern.end(self.text(), start)?;
        self.at += brackets;
        self.take(&rule::SPACE);
        let key = self.key();
        self.at = end;
        let place = self.source.between(start, end);
        Some(key.map(|(names, _)| ((names, place), place)))
    }
}
