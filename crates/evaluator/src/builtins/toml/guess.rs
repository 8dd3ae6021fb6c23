//! What kind of value begins at a place, and what is wrong if none does.

use super::grammar as rule;
use super::pattern::Pattern;
use super::report::{Problem, Source};

/// A kind of value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    List,
    Table,
    Bool,
    Int,
    Float,
    Full,
    Local,
    Date,
    Time,
}

const FLOATS: &str = "Hint: valid  : +1.0, -2e-2, 3.141_592_653_589, inf, nan\n\
    Hint: invalid: .0, 1., _1.0, 1.0_, 1_.0, 1.0__0\n";
const INTEGERS: &str =
    "Hint: valid  : -42, 1_000, 1_2_3_4_5, 0xC0FFEE, 0b0010, 0o755\nHint: invalid: _42, 1__000, 0123\n";
const TIMES: &str = "Hint: valid  : 1979-05-27T07:32:00, 1979-05-27 07:32:00.999999\n\
    Hint: invalid: 1979-05-27T7:32:00, 1979-05-27 17:32\n";
const DATES: &str = "Hint: valid  : 1979-05-27T07:32:00-07:00, 1979-05-27 07:32:00.999999Z\n\
    Hint: invalid: 1979-05-27T7:32:00-7:00, 1979-05-27 7:32-00:30";
const OFFSETS: &str = "Hint: valid  : +09:00, -05:30\nHint: invalid: +9:00,  -5:30\n";

/// The kind of the value at `at`.
pub(super) fn kind(source: &Source, at: usize) -> Result<Kind, Problem> {
    let spelled = |word: &str, pattern: &Pattern, at: usize| {
        let title = format!("toml::parse_value: `{word}` must be in lowercase. A string must be surrounded by quotes.");
        Err(source.unexpected(&title, pattern, at))
    };
    match source.text.get(at) {
        Some(b'"' | b'\'') => Ok(Kind::Text),
        Some(b'[') => Ok(Kind::List),
        Some(b'{') => Ok(Kind::Table),
        Some(b't' | b'f') => Ok(Kind::Bool),
        Some(b'T') => spelled("true", &rule::BOOLEAN, at),
        Some(b'F') => spelled("false", &rule::BOOLEAN, at),
        Some(b'i') if source.text[at..].starts_with(b"inf") => Ok(Kind::Float),
        Some(b'n') if source.text[at..].starts_with(b"nan") => Ok(Kind::Float),
        Some(b'i' | b'I') => spelled("inf", &rule::FLOAT, at),
        Some(b'n' | b'N') => spelled("nan", &rule::FLOAT, at),
        _ => number(source, at),
    }
}

fn number(source: &Source, at: usize) -> Result<Kind, Problem> {
    let text = &source.text;
    if rule::FULL.end(text, at).is_some() {
        return Ok(Kind::Full);
    }
    if let Some(end) = rule::LOCAL.end(text, at) {
        return match text.get(end) {
            Some(b'+' | b'-') => {
                let title = "bad offset: must be [+-]HH:MM or Z";
                Err(source.unexpected(title, &rule::OFFSET, end).hint(OFFSETS))
            }
            _ => Ok(Kind::Local),
        };
    }
    if let Some(end) = rule::DATE.end(text, at) {
        return after_date(source, end);
    }
    if rule::TIME.end(text, at).is_some() {
        return Ok(Kind::Time);
    }
    if let Some(end) = rule::FLOAT.end(text, at) {
        return match text.get(end) {
            Some(b'_') => {
                Err(Problem::new("bad float: `_` must be surrounded by digits", source.at(end), "invalid underscore")
                    .hint(FLOATS))
            }
            _ => Ok(Kind::Float),
        };
    }
    if let Some(end) = rule::INTEGER.end(text, at) {
        return after_integer(source, at, end);
    }
    Err(match text.get(at) {
        Some(b'.') => Problem::new(
            "bad float: integer part is required before decimal point",
            source.at(at),
            "missing integer part",
        )
        .hint(FLOATS),
        Some(b'_') => {
            Problem::new("bad number: `_` must be surrounded by digits", source.at(at), "digits required before `_`")
                .hint(INTEGERS)
        }
        _ => Problem::new("bad format: unknown value appeared", source.at(at), "here"),
    })
}

fn after_date(source: &Source, end: usize) -> Result<Kind, Problem> {
    let text = &source.text;
    let bad_time = || Err(source.unexpected("bad time: must be HH:MM:SS.subsec", &rule::TIME, end + 1).hint(TIMES));
    match text.get(end) {
        Some(b'T' | b't') => bad_time(),
        Some(b' ') if text.get(end + 1).is_some_and(u8::is_ascii_digit) => bad_time(),
        Some(byte) if byte.is_ascii_digit() => {
            Err(source.unexpected("bad datetime: missing T or space", &rule::DELIMITER, end).hint(TIMES))
        }
        _ => Ok(Kind::Date),
    }
}

fn after_integer(source: &Source, at: usize, end: usize) -> Result<Kind, Problem> {
    let text = &source.text;
    let problem = |title: &str, at: usize, note: &str, hint| Err(Problem::new(title, source.at(at), note).hint(hint));
    match text.get(end) {
        Some(b'_') if matches!(&text[at..end], b"0" | b"-0" | b"+0") => {
            let title = "bad integer: leading zero is not allowed in decimal int";
            problem(title, end, "leading zero", INTEGERS)
        }
        Some(b'_') => problem("bad integer: `_` must be surrounded by digits", end, "invalid underscore", INTEGERS),
        Some(b'0') => problem("bad integer: leading zero", end - 1, "leading zero is not allowed", INTEGERS),
        Some(b'1'..=b'9') => {
            let title = "bad integer: invalid digit after an integer";
            problem(title, end, "this digit is not allowed", INTEGERS)
        }
        Some(b':' | b'-') => problem("bad datetime: invalid format", end, "here", DATES),
        Some(b'.' | b'e' | b'E') => problem("bad float: invalid format", end, "here", FLOATS),
        _ => Ok(Kind::Int),
    }
}
