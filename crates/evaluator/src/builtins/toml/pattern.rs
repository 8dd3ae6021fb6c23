//! Patterns over bytes, and what they would have taken where they do not match.
//!
//! C++ Nix's library describes the syntax by such patterns, and its messages name what the part that failed expected; the
//! same words come out of the same shapes. [`Pattern::end`] matches greedily without going back, in time linear in what
//! is matched; [`Pattern::expected`] runs on errors only.
//!
//! Absent: the patterns themselves (`grammar.rs`).

/// A pattern.
#[derive(Debug)]
pub(super) enum Pattern {
    /// One byte.
    Byte(u8),
    /// One of several bytes.
    OneOf(&'static [u8]),
    /// One byte of a range.
    Within(u8, u8),
    /// A text.
    Text(&'static str),
    /// One after another.
    Sequence(&'static [&'static Pattern]),
    /// The first that matches.
    First(&'static [&'static Pattern]),
    /// As often as said.
    Exactly(usize, &'static Pattern),
    /// As often as possible, but at least so often.
    AtLeast(usize, &'static Pattern),
    /// Once or not at all.
    Maybe(&'static Pattern),
    /// A pattern with a name of its own in messages.
    Named(&'static str, &'static Pattern),
}

impl Pattern {
    /// Where a match that begins at `at` ends.
    pub(super) fn end(&self, text: &[u8], at: usize) -> Option<usize> {
        let byte = || text.get(at).copied();
        match self {
            Pattern::Byte(wanted) => (byte()? == *wanted).then_some(at + 1),
            Pattern::OneOf(wanted) => wanted.contains(&byte()?).then_some(at + 1),
            Pattern::Within(from, to) => (*from..=*to).contains(&byte()?).then_some(at + 1),
            Pattern::Text(wanted) => text.get(at..)?.starts_with(wanted.as_bytes()).then_some(at + wanted.len()),
            Pattern::Sequence(parts) => parts.iter().try_fold(at, |at, part| part.end(text, at)),
            Pattern::First(parts) => parts.iter().find_map(|part| part.end(text, at)),
            Pattern::Exactly(count, part) => (0..*count).try_fold(at, |at, _| part.end(text, at)),
            Pattern::AtLeast(least, part) => {
                let mut at = (0..*least).try_fold(at, |at, _| part.end(text, at))?;
                while let Some(next) = part.end(text, at).filter(|next| *next > at) {
                    at = next;
                }
                Some(at)
            }
            Pattern::Maybe(part) => Some(part.end(text, at).unwrap_or(at)),
            Pattern::Named(_, part) => part.end(text, at),
        }
    }

    /// Passes a match, if there is one.
    pub(super) fn take(&self, text: &[u8], at: &mut usize) -> bool {
        match self.end(text, *at) {
            Some(end) => {
                *at = end;
                true
            }
            None => false,
        }
    }

    /// What was expected where it does not match; `at` moves to that place.
    pub(super) fn expected(&self, text: &[u8], at: &mut usize) -> String {
        match self {
            Pattern::Byte(wanted) => show_byte(*wanted),
            Pattern::OneOf(wanted) => join(&wanted.iter().map(|byte| show_byte(*byte)).collect::<Vec<_>>()),
            Pattern::Within(from, to) => format!("from `{}` to `{}`", show_byte(*from), show_byte(*to)),
            Pattern::Text(wanted) => (*wanted).to_owned(),
            Pattern::Sequence(parts) => {
                let failed = parts.iter().find(|part| !part.take(text, at));
                failed.map_or_else(String::new, |part| part.expected(text, at))
            }
            Pattern::First(parts) => join(&parts.iter().map(|part| part.expected(text, at)).collect::<Vec<_>>()),
            Pattern::Exactly(count, part) | Pattern::AtLeast(count, part) => {
                match (0..*count).find(|_| !part.take(text, at)) {
                    Some(_) => part.expected(text, at),
                    None => String::new(),
                }
            }
            Pattern::Maybe(_) => String::new(),
            Pattern::Named(name, _) => (*name).to_owned(),
        }
    }
}

fn join(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} or {two}"),
        [first @ .., last] => format!("{}, or {last}", first.join(", ")),
    }
}

/// A byte as messages show it.
pub(super) fn show_byte(byte: u8) -> String {
    if byte.is_ascii_graphic() {
        return char::from(byte).to_string();
    }
    let name = match byte {
        0 => "(NUL)",
        b' ' => "(SPACE)",
        b'\n' => "(LINE FEED)",
        b'\r' => "(CARRIAGE RETURN)",
        b'\t' => "(TAB)",
        0x0b => "(VERTICAL TAB)",
        0x0c => "(FORM FEED)",
        0x1b => "(ESCAPE)",
        _ => "",
    };
    format!("0x{byte:02x}{name}")
}
