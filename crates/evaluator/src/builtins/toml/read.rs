//! Values: scalars, strings, lists, inline tables, keys.
//!
//! A reader goes on after an error where C++ Nix's library does, since its report holds all that it found; when
//! something was wrong no value comes out.
//!
//! Absent: heads and the document as a whole (`document.rs`), what is passed over after an error (`skip.rs`).

use super::grammar as rule;
use super::guess::{self, Kind};
use super::pattern::Pattern;
use super::report::{Problem, Source};
use super::tree::{self, Item, Key, Node, Origin, Table, Timestamp, insert};

pub(super) type Read<T> = Result<T, Problem>;

/// A place in a text, and what was wrong before it.
pub(super) struct Reader<'s> {
    pub(super) source: &'s Source,
    pub(super) at: usize,
    pub(super) problems: Vec<Problem>,
    /// Whether there is room to go deeper.
    fits: &'s dyn Fn() -> bool,
    /// There was none.
    pub(super) too_deep: bool,
    /// Brackets open while something wrong is passed over.
    pub(super) skipping: usize,
    /// How often passing over led back.
    pub(super) returns: usize,
}

impl<'s> Reader<'s> {
    /// Begins; `fits` says whether there is room to go deeper.
    pub(super) fn new(source: &'s Source, fits: &'s dyn Fn() -> bool) -> Reader<'s> {
        Reader { source, at: 0, problems: Vec::new(), fits, too_deep: false, skipping: 0, returns: 0 }
    }

    pub(super) fn text(&self) -> &'s [u8] {
        &self.source.text
    }

    pub(super) fn ends(&self) -> bool {
        self.at >= self.text().len()
    }

    /// The byte here; 0 at the end.
    pub(super) fn byte(&self) -> u8 {
        self.text().get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn take(&mut self, pattern: &Pattern) -> bool {
        pattern.take(self.text(), &mut self.at)
    }

    pub(super) fn here(&self, title: &str, note: &str) -> Problem {
        Problem::new(title, self.source.at(self.at), note)
    }

    pub(super) fn unexpected(&self, title: &str, pattern: &Pattern) -> Problem {
        self.source.unexpected(title, pattern, self.at)
    }

    /// The text of a match.
    fn matched(&mut self, title: &str, pattern: &Pattern) -> Read<&'s [u8]> {
        let start = self.at;
        if self.take(pattern) { Ok(&self.text()[start..self.at]) } else { Err(self.unexpected(title, pattern)) }
    }

    /// A comment up to and including its line end; whether there was one.
    pub(super) fn comment(&mut self) -> Read<bool> {
        let start = self.at;
        self.take(&rule::SPACE);
        if !self.take(&rule::COMMENT) {
            self.at = start;
            return Ok(false);
        }
        if self.ends() || self.take(&rule::LINE_END) {
            return Ok(true);
        }
        while !self.ends() {
            self.at += 1;
            if self.byte() == b'\n' {
                self.at += 1;
                break;
            }
        }
        let title = "toml::parse_comment_line: newline (LF / CRLF) or EOF is expected";
        Err(self.here(title, "but got this").hint("Hint: most of the control characters are not allowed in comments"))
    }

    /// Blank space, line ends and comments: `None` if there are none, else whether a line ended or `ended`.
    pub(super) fn spacer(&mut self, ended: bool) -> Option<bool> {
        let start = self.at;
        let mut ended = ended;
        while !self.ends() {
            let comment = rule::COMMENT.end(self.text(), self.at);
            let after = comment.and_then(|end| rule::LINE_END.end(self.text(), end));
            if let Some(end) = after.or_else(|| rule::LINE_END.end(self.text(), self.at)) {
                self.at = end;
                ended = true;
            } else if matches!(self.byte(), b' ' | b'\t') {
                self.at += 1;
            } else {
                break;
            }
        }
        (self.at > start).then_some(ended)
    }

    /// Ends reading: the text is too deep.
    pub(super) fn give_up(&mut self) {
        self.too_deep = true;
        self.at = self.text().len();
    }

    /// Whether there is room to go deeper; else reading ends.
    pub(super) fn may_descend(&mut self) -> bool {
        if !self.too_deep && !(self.fits)() {
            self.give_up();
        }
        !self.too_deep
    }

    /// Any value.
    pub(super) fn value(&mut self) -> Read<Node> {
        if !self.may_descend() {
            return Err(self.here("too deep", "here"));
        }
        let start = self.at;
        let value = match guess::kind(self.source, start)? {
            Kind::Bool => {
                let title = "toml::parse_boolean: invalid boolean: boolean must be `true` or `false`, in lowercase. \
                    string must be surrounded by `\"`";
                Item::Bool(self.matched(title, &rule::BOOLEAN)? == b"true")
            }
            Kind::Int => Item::Int(self.integer()?),
            Kind::Float => Item::Float(self.float()?),
            Kind::Text => Item::Text(self.string()?),
            Kind::List => Item::List(self.list()?, false),
            Kind::Table => Item::Table(self.inline_table()?),
            Kind::Date => Item::Time(Timestamp { date: Some(self.date()?), ..Timestamp::default() }),
            Kind::Time => Item::Time(Timestamp { time: Some(self.time()?), ..Timestamp::default() }),
            Kind::Local => Item::Time(self.date_and_time()?),
            Kind::Full => {
                let time = self.date_and_time()?;
                Item::Time(Timestamp { offset: Some(self.offset(start)?), ..time })
            }
        };
        Ok(Node { value, place: self.source.between(start, self.at) })
    }

    fn integer(&mut self) -> Read<i64> {
        let start = self.at;
        let (name, like, largest, radix, pattern) = match self.text()[start..] {
            [b'0', b'x', ..] | [b'+' | b'-', b'0', b'x', ..] => {
                ("hex", "0xC0FFEE, 0xdead_beef", "max value", 16, &rule::HEXADECIMAL)
            }
            [b'0', b'o', ..] | [b'+' | b'-', b'0', b'o', ..] => ("oct", "0o775, 0o04_44", "max value", 8, &rule::OCTAL),
            [b'0', b'b', ..] | [b'+' | b'-', b'0', b'b', ..] => {
                ("bin", "0b0101, 0b1111_0000", "max value", 2, &rule::BINARY)
            }
            _ => ("dec", "42, 123_456_789", "max digits", 10, &rule::DECIMAL),
        };
        let title = format!("toml::parse_{name}_integer: invalid integer: {name}_int must be like: {like}");
        let digits = self.matched(&title, pattern)?;
        let digits: String = digits.iter().filter(|byte| **byte != b'_').map(|byte| char::from(*byte)).collect();
        // What is not decimal begins with its two letters, of which the second may also be a digit.
        let digits = if radix == 10 { &digits[..] } else { &digits[2..] };
        i64::from_str_radix(digits, radix).map_err(|_| {
            let title = format!("toml::parse_{name}_integer: too large integer: current {largest} = 2^63");
            let problem = self.here(&title, "must be < 2^63");
            self.at = start;
            problem
        })
    }

    fn float(&mut self) -> Read<f64> {
        let text = self.matched("toml::parse_floating: invalid floating point value", &rule::FLOAT)?;
        let text: String = text.iter().filter(|byte| **byte != b'_').map(|byte| char::from(*byte)).collect();
        let written = text.contains(|byte: char| byte.is_ascii_digit());
        let value: f64 = text.parse().unwrap_or(f64::NAN);
        // As C++ streams read numbers: what is too large or too small for a float is refused.
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let zero = !mantissa.contains(|byte: char| ('1'..='9').contains(&byte));
        if written && (value.is_infinite() || (!zero && !value.is_normal())) {
            return Err(self.here("toml::parse_floating: failed to read floating point value from stream", "here"));
        }
        Ok(if text == "-nan" { -f64::NAN } else { value })
    }

    fn number_at(text: &[u8]) -> u32 {
        text.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
    }

    fn date(&mut self) -> Read<[u32; 3]> {
        let start = self.at;
        let title = "toml::parse_local_date: invalid date: date must be like: 1234-05-06, yyyy-mm-dd.";
        let text = self.matched(title, &rule::DATE)?;
        let [year, month, day] = [&text[..4], &text[5..7], &text[8..]].map(Self::number_at);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if !(1..=12).contains(&month) || !(1..=days).contains(&day) {
            let note = "month must be 01-12, day must be any of 01-28,29,30,31 depending on the month/year.";
            return Err(Problem::new("toml::parse_local_date: invalid date.", self.source.at(start), note));
        }
        Ok([year, month, day])
    }

    fn time(&mut self) -> Read<[u32; 4]> {
        let start = self.at;
        let title = "toml::parse_local_time: invalid time: time must be HH:MM:SS(.sss) (subseconds are optional)";
        let text = self.matched(title, &rule::TIME)?;
        let [hour, minute, second] = [&text[..2], &text[3..5], &text[6..8]].map(Self::number_at);
        let refuse =
            |note: &str| Err(Problem::new("toml::parse_local_time: invalid time.", self.source.at(start), note));
        if hour > 23 || minute > 59 {
            return refuse("hour must be 00-23, minute must be 00-59.");
        }
        if second > 60 {
            return refuse("second must be 00-60.");
        }
        let fraction = text.get(9..).unwrap_or_default().iter().copied().chain(std::iter::repeat(b'0'));
        let nanoseconds = Self::number_at(&fraction.take(9).collect::<Vec<_>>());
        Ok([hour, minute, second, nanoseconds])
    }

    fn date_and_time(&mut self) -> Read<Timestamp> {
        let date = self.date()?;
        self.at += 1;
        Ok(Timestamp { date: Some(date), time: Some(self.time()?), offset: None })
    }

    fn offset(&mut self, start: usize) -> Read<i32> {
        let title = "toml::parse_offset_datetime: invalid offset: offset must be like: Z, +01:00, or -10:00.";
        let text = self.matched(title, &rule::OFFSET)?;
        let [sign @ (b'+' | b'-'), rest @ ..] = text else { return Ok(0) };
        let [hours, minutes] = [&rest[..2], &rest[3..]].map(Self::number_at);
        if hours > 24 || minutes > 60 {
            let title = "toml::parse_offset_datetime: too large offset: |hour| <= 24, |minute| <= 60";
            return Err(Problem::new(title, self.source.between(start, self.at), "here"));
        }
        let offset = (hours * 60 + minutes) as i32;
        Ok(if *sign == b'-' { -offset } else { offset })
    }

    fn string(&mut self) -> Read<Vec<u8>> {
        let text = self.text();
        let rest = &text[self.at..];
        if rest.starts_with(b"\"\"\"") {
            let title = "toml::parse_ml_basic_string: invalid string format";
            let body = self.matched(title, &rule::LONG_BASIC_STRING)?;
            return self.unescape(without_first_line_end(&body[3..body.len() - 3]));
        }
        if rest.starts_with(b"'''") {
            let title = "toml::parse_ml_literal_string: invalid string format";
            let body = self.matched(title, &rule::LONG_LITERAL_STRING)?;
            return Ok(without_first_line_end(&body[3..body.len() - 3]).to_vec());
        }
        if rest.starts_with(b"\"") { self.basic_string() } else { self.literal_string() }
    }

    fn basic_string(&mut self) -> Read<Vec<u8>> {
        let body = self.matched("toml::parse_basic_string: invalid string format", &rule::BASIC_STRING)?;
        self.unescape(&body[1..body.len() - 1])
    }

    fn literal_string(&mut self) -> Read<Vec<u8>> {
        let body = self.matched("toml::parse_literal_string: invalid string format", &rule::LITERAL_STRING)?;
        Ok(body[1..body.len() - 1].to_vec())
    }

    /// A string's text with its escapes replaced; all of them fit the grammar.
    fn unescape(&self, body: &[u8]) -> Read<Vec<u8>> {
        let mut out = Vec::with_capacity(body.len());
        let mut at = 0;
        while at < body.len() {
            if body[at] != b'\\' {
                out.push(body[at]);
                at += 1;
                continue;
            }
            if let Some(end) = rule::HIDDEN_LINE_END.end(body, at) {
                at = end;
                continue;
            }
            at += 1;
            let length = match body.get(at) {
                Some(b'u') => 4,
                Some(b'U') => 8,
                Some(byte) => {
                    out.push(match byte {
                        b'b' => 8,
                        b'f' => 12,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        byte => *byte,
                    });
                    at += 1;
                    continue;
                }
                None => break,
            };
            let digits = &body[at + 1..at + 1 + length];
            let code = digits.iter().fold(0, |code, digit| code << 4 | char::from(*digit).to_digit(16).unwrap_or(0));
            let Some(character) = char::from_u32(code) else { return Err(bad_code(body, at, length, code)) };
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            at += 1 + length;
        }
        Ok(out)
    }

    fn list(&mut self) -> Read<Vec<Node>> {
        let problems = self.problems.len();
        self.at += 1;
        let mut nodes = Vec::new();
        self.spacer(false);
        let mut comma = true;
        while !self.ends() && self.byte() != b']' {
            if !comma {
                return Err(self.here("toml::parse_array: expected value-separator `,` or closing `]`", "here"));
            }
            match self.value() {
                Ok(node) => {
                    self.spacer(false);
                    comma = self.take(&Pattern::Byte(b','));
                    if let Err(problem) = self.comment() {
                        self.problems.push(problem);
                    }
                    if comma {
                        self.spacer(false);
                    }
                    nodes.push(node);
                }
                Err(problem) => {
                    self.problems.push(problem);
                    let before = self.at;
                    self.skip_value();
                    if self.at == before {
                        break;
                    }
                }
            }
        }
        if self.byte() != b']' {
            return Err(self.here("toml::parse_array: missing closing bracket `]`", "expected `]`, reached EOF"));
        }
        self.at += 1;
        match self.problems.last() {
            // It is told of twice.
            Some(problem) if self.problems.len() > problems => Err(problem.clone()),
            _ => Ok(nodes),
        }
    }

    fn inline_table(&mut self) -> Read<Table> {
        let problems = self.problems.len();
        self.at += 1;
        let mut table = Table::new(Origin::Inline);
        self.take(&rule::SPACE);
        let (mut empty, mut comma) = (true, false);
        while !self.ends() {
            if self.byte() == b'}' {
                if comma {
                    let title = "toml::parse_inline_table: trailing comma is not allowed in TOML-v1.0.0)";
                    return Err(self.here(title, "here"));
                }
                break;
            }
            if !comma && !empty {
                let title = "toml::parse_inline_table: expected value-separator `,` or closing `}`";
                return Err(self.here(title, "here"));
            }
            empty = false;
            match self.pair() {
                Ok((key, node)) => {
                    if let Err(problem) = insert(&mut table, tree::Kind::Value, key, node) {
                        self.problems.push(problem);
                        while !self.ends() && !matches!(self.byte(), b',' | b'\n' | b'}') {
                            self.at += 1;
                        }
                        if !self.ends() {
                            comma = self.byte() == b',';
                        }
                        continue;
                    }
                    self.take(&rule::SPACE);
                    comma = self.take(&Pattern::Byte(b','));
                    self.take(&rule::SPACE);
                }
                Err(problem) => {
                    self.problems.push(problem);
                    while !self.ends() && !matches!(self.byte(), b'}' | b'\n') {
                        self.at += 1;
                    }
                    break;
                }
            }
        }
        if self.byte() != b'}' {
            let title = "toml::parse_inline_table: missing closing bracket `}`";
            return Err(self.here(title, "expected `}`, reached line end"));
        }
        self.at += 1;
        match self.problems.pop() {
            Some(problem) if self.problems.len() >= problems => Err(problem),
            Some(problem) => {
                self.problems.push(problem);
                Ok(table)
            }
            None => Ok(table),
        }
    }

    /// A key, `=` and a value.
    pub(super) fn pair(&mut self) -> Read<(Key, Node)> {
        let start = self.at;
        let key = self.key().inspect_err(|_| self.at = start)?;
        if !self.take(&rule::EQUALS) {
            let title = "toml::parse_key_value_pair: invalid key value separator `=`";
            let problem = self.unexpected(title, &rule::EQUALS);
            self.at = start;
            return Err(problem);
        }
        Ok((key, self.value()?))
    }

    /// A key with its dots.
    pub(super) fn key(&mut self) -> Read<Key> {
        let start = self.at;
        let mut names = Vec::new();
        while !self.ends() {
            names.push(self.simple_key()?);
            if !self.take(&rule::DOT) {
                break;
            }
        }
        if names.is_empty() {
            let title = "toml::parse_key: expected a new key, but got nothing";
            return Err(Problem::new(title, self.source.at(start), "reached EOF"));
        }
        Ok((names, self.source.between(start, self.at)))
    }

    fn simple_key(&mut self) -> Read<Vec<u8>> {
        match self.byte() {
            b'"' => return self.basic_string(),
            b'\'' => return self.literal_string(),
            _ => {}
        }
        let title = "toml::parse_simple_key: invalid key: key must be \"quoted\", 'quoted-literal', or bare key.";
        let hint = "Hint: non-ASCII scripts are allowed in toml v1.1.0, but not in v1.0.0.\n";
        self.matched(title, &rule::BARE_KEY).map(<[u8]>::to_vec).map_err(|problem| problem.hint(hint))
    }
}

fn without_first_line_end(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\n").or_else(|| body.strip_prefix(b"\r\n")).unwrap_or(body)
}

/// A code that is no character. It is shown in what is left of the string, as if that were a text of its own.
#[cold]
fn bad_code(body: &[u8], at: usize, length: usize, code: u32) -> Problem {
    let rest = Source::named("internal temporary", body[at - 1..].to_vec());
    let place = rest.between(1, 2 + length);
    if code < 0x11_0000 {
        let title = "toml::parse_utf8_codepoint: [0xD800, 0xDFFF] is not a valid UTF-8";
        return Problem::new(title, place, "here").within(rest);
    }
    let title = "toml::parse_utf8_codepoint: input codepoint is too large.";
    Problem::new(title, place, "must be in range [0x00, 0x10FFFF]").within(rest)
}
