//! JSON text to tokens, with nlohmann's messages.

/// A token.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Token {
    True,
    False,
    Null,
    /// Its text is in [`Scanner::string`].
    String,
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    ArrayOpen,
    ArrayClose,
    ObjectOpen,
    ObjectClose,
    Colon,
    Comma,
    End,
    /// [`Scanner::message`] says why.
    Bad,
}

impl Token {
    pub(super) fn describe(self) -> &'static str {
        match self {
            Token::True => "true literal",
            Token::False => "false literal",
            Token::Null => "null literal",
            Token::String => "string literal",
            Token::Integer(_) | Token::Unsigned(_) | Token::Float(_) => "number literal",
            Token::ArrayOpen => "'['",
            Token::ArrayClose => "']'",
            Token::ObjectOpen => "'{'",
            Token::ObjectClose => "'}'",
            Token::Colon => "':'",
            Token::Comma => "','",
            Token::End => "end of input",
            Token::Bad => "<parse error>",
        }
    }
}

/// Where the reading of a text stands.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    /// Bytes read.
    at: usize,
    /// The end of the text was read, which counts as a byte in columns.
    ended: bool,
    /// Where the last string or number begins: messages show the text since then.
    start: usize,
    /// The token read last.
    pub(super) current: Token,
    /// The text of a string token.
    pub(super) string: Vec<u8>,
    /// Why a token is bad.
    pub(super) message: String,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Scanner<'a> {
        Scanner { text, at: 0, ended: false, start: 0, current: Token::End, string: Vec::new(), message: String::new() }
    }

    /// Whether there is no byte at all.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Line, from 1, and the number of bytes read in it.
    pub(super) fn position(&self) -> (usize, usize) {
        let read = &self.text[..self.at];
        let lines = read.iter().filter(|byte| **byte == b'\n').count();
        let column = read.iter().rev().position(|byte| *byte == b'\n').unwrap_or(read.len());
        (lines + 1, column + usize::from(self.ended))
    }

    /// The text since the last string or number began, control characters spelt out.
    pub(super) fn shown(&self) -> String {
        let mut shown = Vec::new();
        for byte in &self.text[self.start..self.at] {
            match byte {
                0..=0x1f => shown.extend(format!("<U+{byte:04X}>").bytes()),
                byte => shown.push(*byte),
            }
        }
        crate::text::bytes_as_text(&shown).into_owned()
    }

    fn get(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied();
        match byte {
            Some(_) => self.at += 1,
            None => self.ended = true,
        }
        byte
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn bad(&mut self, message: impl Into<String>) -> Token {
        self.message = message.into();
        Token::Bad
    }

    /// Reads the next token.
    pub(super) fn next(&mut self) -> Token {
        self.current = self.scan();
        self.current
    }

    fn scan(&mut self) -> Token {
        if self.at == 0 && self.peek() == Some(0xef) && !self.skip_mark() {
            return self.bad("invalid BOM; must be 0xEF 0xBB 0xBF if given");
        }
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        match self.get() {
            Some(b'[') => Token::ArrayOpen,
            Some(b']') => Token::ArrayClose,
            Some(b'{') => Token::ObjectOpen,
            Some(b'}') => Token::ObjectClose,
            Some(b':') => Token::Colon,
            Some(b',') => Token::Comma,
            Some(b't') => self.literal(b"rue", Token::True),
            Some(b'f') => self.literal(b"alse", Token::False),
            Some(b'n') => self.literal(b"ull", Token::Null),
            Some(b'"') => self.quoted(),
            Some(byte @ (b'-' | b'0'..=b'9')) => self.number(byte),
            Some(0) | None => Token::End,
            Some(_) => self.bad("invalid literal"),
        }
    }

    fn skip_mark(&mut self) -> bool {
        self.at += 1;
        self.get() == Some(0xbb) && self.get() == Some(0xbf)
    }

    fn literal(&mut self, rest: &[u8], token: Token) -> Token {
        for expected in rest {
            if self.get() != Some(*expected) {
                return self.bad("invalid literal");
            }
        }
        token
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self, first: u8) -> Token {
        self.start = self.at - 1;
        let negative = first == b'-';
        let mut lead = first;
        if negative {
            match self.get() {
                Some(digit @ b'0'..=b'9') => lead = digit,
                _ => return self.bad("invalid number; expected digit after '-'"),
            }
        }
        if lead != b'0' {
            self.digits();
        }
        let mut float = false;
        if self.peek() == Some(b'.') {
            float = true;
            self.at += 1;
            if !matches!(self.get(), Some(b'0'..=b'9')) {
                return self.bad("invalid number; expected digit after '.'");
            }
            self.digits();
        }
        if let Some(b'e' | b'E') = self.peek() {
            float = true;
            self.at += 1;
            match self.get() {
                Some(b'0'..=b'9') => {}
                Some(b'+' | b'-') => {
                    if !matches!(self.get(), Some(b'0'..=b'9')) {
                        return self.bad("invalid number; expected digit after exponent sign");
                    }
                }
                _ => return self.bad("invalid number; expected '+', '-', or digit after exponent"),
            }
            self.digits();
        }
        let text = std::str::from_utf8(&self.text[self.start..self.at]).unwrap_or("0");
        let integer = match (float, negative) {
            (true, _) => None,
            (false, true) => text.parse().ok().map(Token::Integer),
            (false, false) => text.parse().ok().map(Token::Unsigned),
        };
        integer.unwrap_or_else(|| Token::Float(text.parse().unwrap_or(0.0)))
    }

    fn quoted(&mut self) -> Token {
        self.start = self.at - 1;
        self.string.clear();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.iter().position(|byte| !matches!(byte, b' '..=b'!' | b'#'..=b'[' | b']'..=0x7f));
            let plain = plain.unwrap_or(rest.len());
            self.string.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.get() {
                None => return self.bad("invalid string: missing closing quote"),
                Some(b'"') => return Token::String,
                Some(b'\\') => {
                    if let Err(message) = self.escape() {
                        return self.bad(message);
                    }
                }
                Some(byte @ 0..=0x1f) => return self.bad(control_message(byte)),
                Some(byte) => {
                    if !self.character(byte) {
                        return self.bad("invalid string: ill-formed UTF-8 byte");
                    }
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let byte = match self.get() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let character = self.code_point()?;
                let mut buffer = [0; 4];
                self.string.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                return Ok(());
            }
            _ => return Err("invalid string: forbidden character after backslash"),
        };
        self.string.push(byte);
        Ok(())
    }

    fn code_point(&mut self) -> Result<char, &'static str> {
        const LONE: &str = "invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF";
        let mut code = self.four_digits()?;
        if let 0xd800..=0xdbff = code {
            if self.get() != Some(b'\\') || self.get() != Some(b'u') {
                return Err(LONE);
            }
            match self.four_digits()? {
                low @ 0xdc00..=0xdfff => code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00),
                _ => return Err(LONE),
            }
        }
        char::from_u32(code).ok_or("invalid string: surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF")
    }

    fn four_digits(&mut self) -> Result<u32, &'static str> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.get().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or("invalid string: '\\u' must be followed by 4 hex digits")?;
        }
        Ok(code)
    }

    /// The rest of a character beyond ASCII; false at the first byte that cannot be.
    fn character(&mut self, first: u8) -> bool {
        let second = match first {
            0xc2..=0xdf | 0xe1..=0xec | 0xee..=0xef | 0xf1..=0xf3 => 0x80..=0xbf,
            0xe0 => 0xa0..=0xbf,
            0xed => 0x80..=0x9f,
            0xf0 => 0x90..=0xbf,
            0xf4 => 0x80..=0x8f,
            _ => return false,
        };
        let more = match first {
            0xc2..=0xdf => 1,
            0xe0..=0xef => 2,
            _ => 3,
        };
        self.string.push(first);
        for index in 0..more {
            let range = if index == 0 { second.clone() } else { 0x80..=0xbf };
            match self.get() {
                Some(byte) if range.contains(&byte) => self.string.push(byte),
                _ => return false,
            }
        }
        true
    }
}

fn control_message(byte: u8) -> String {
    const NAMES: [&str; 32] = [
        "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR", "SO", "SI", "DLE",
        "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US",
    ];
    let short = match byte {
        8 => " or \\b",
        9 => " or \\t",
        10 => " or \\n",
        12 => " or \\f",
        13 => " or \\r",
        _ => "",
    };
    let name = NAMES[usize::from(byte & 31)];
    format!("invalid string: control character U+{byte:04X} ({name}) must be escaped to \\u{byte:04X}{short}")
}
