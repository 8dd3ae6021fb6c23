//! Text for a pipe: no escape sequences, tabs as spaces, as C++ Nix writes what it logs.
//!
//! A tab ends at the next multiple of eight columns, counted from the beginning of the whole text, not of its line.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar as _;

/// The text without what only a terminal understands.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(['\t', '\r', '\u{7}', '\u{1b}']) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut column = 0;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        match next {
            '\u{1b}' => {
                rest = after_escape(rest);
                continue;
            }
            '\t' => {
                let end = (column / 8 + 1) * 8;
                plain.extend(std::iter::repeat_n(' ', end - column));
                column = end;
            }
            '\r' | '\u{7}' => {}
            other => {
                plain.push(other);
                column += other.width().unwrap_or(0);
            }
        }
        rest = &rest[next.len_utf8()..];
    }
    plain.into()
}

/// What follows the escape sequence that the text begins with.
fn after_escape(text: &str) -> &str {
    let bytes = text.as_bytes();
    let skip = |at: usize, range: std::ops::RangeInclusive<u8>| {
        at + bytes[at..].iter().take_while(|byte| range.contains(byte)).count()
    };
    let end = match bytes.get(1) {
        Some(b'[') => {
            let end = skip(skip(2, 0x30..=0x3f), 0x20..=0x2f);
            end + usize::from(bytes.get(end).is_some_and(|byte| (0x40..=0x7e).contains(byte)))
        }
        Some(b']') => {
            let end = 2 + bytes[2..].iter().take_while(|byte| !matches!(byte, 0x1b | 0x07)).count();
            match (bytes.get(end), bytes.get(end + 1)) {
                (Some(0x1b), Some(b'\\')) => end + 2,
                (Some(_), _) => end + 1,
                (None, _) => end,
            }
        }
        Some(0x40..=0x5f) => 2,
        _ => 1,
    };
    &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_end_at_multiples_of_eight() {
        assert_eq!(plain("a\tb\t\tc"), "a       b               c");
        assert_eq!(plain("é\tb\r\u{7}"), "é       b");
    }

    #[test]
    fn escapes_are_left_out() {
        assert_eq!(
            plain("\u{1b}[31;1mred\u{1b}[0m \u{1b}]8;;x\u{1b}\\link\u{1b}]8;;\u{7} \u{1b}Ma\u{1b}"),
            "red link a"
        );
        assert_eq!(plain("\u{1b}[\u{1b}]"), "");
    }
}
