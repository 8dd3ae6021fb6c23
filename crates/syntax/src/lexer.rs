//! Text to tokens, by longest match as C++ Nix's scanner does it.
//!
//! [`Lexer::next`] reads one token of ordinary code and reports the trivia before it. Inside strings and paths the
//! parser asks for the pieces itself ([`Lexer::string_chunk`], [`Lexer::indented_chunk`], [`Lexer::path_chunk`]): the
//! grammar knows where it stands, so the lexer keeps no stack of modes.
//!
//! Cost: every byte is looked at a bounded number of times. `a.b.c/d` is one path and `a.b.c:d` one URI, so a name
//! must look ahead to the end of such a run; the end found is kept, or a long chain of dots would be quadratic.
//!
//! Absent: processing of escapes and indentation (`parser/strings.rs`).

use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::sink::Sink;
use crate::span::Span;
use crate::token::{TokenKind, TriviaKind};

const NAME_START: u8 = 1;
const NAME: u8 = 2;
const PATH: u8 = 4;
const URI: u8 = 8;
const SCHEME: u8 = 16;
const BLANK: u8 = 32;
const DIGIT: u8 = 64;
/// Stands for itself in a `"` string and ends no piece of it.
const STRING_TEXT: u8 = 128;

/// The classes of each byte.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        let mut class = 0;
        if byte.is_ascii_alphabetic() {
            class |= NAME_START | NAME | PATH | URI | SCHEME;
        }
        if byte.is_ascii_digit() {
            class |= NAME | PATH | URI | SCHEME | DIGIT;
        }
        match byte {
            b'_' => class |= NAME_START | NAME | PATH | URI,
            b'-' => class |= NAME | PATH | URI | SCHEME,
            b'.' | b'+' => class |= PATH | URI | SCHEME,
            b'\'' => class |= NAME | URI,
            b'%' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'$' | b',' | b'!' | b'~' | b'*' => class |= URI,
            b' ' | b'\t' | b'\n' | b'\r' => class |= BLANK,
            _ => {}
        }
        if !matches!(byte, b'"' | b'$' | b'\\' | b'\r' | 0) {
            class |= STRING_TEXT;
        }
        classes[index] = class;
        index += 1;
    }
    classes
};

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// A piece of a `"` string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StringChunk {
    /// Its bytes, raw; may be empty.
    pub(crate) span: Span,
    /// Whether there is a backslash or a carriage return in it.
    pub(crate) special: bool,
    /// Whether there is a NUL in it.
    pub(crate) nul: bool,
    /// What ends it: `"`, `${` or the end of the text.
    pub(crate) end: TokenKind,
}

/// A piece of a `''` string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IndentedChunk {
    /// Text whose indentation counts.
    Text(Span),
    /// Text that an escape stands for, or a lone quote or dollar: `text` is a range of the source or one byte.
    Verbatim { span: Span, text: VerbatimText },
    /// `${`
    Interpolation,
    /// `''`
    Close,
    /// The end of the text.
    EndOfFile,
}

/// What a verbatim piece of a `''` string stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum VerbatimText {
    Source(Span),
    Byte(u8),
}

/// Where the lexer is in a text.
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    /// The next byte to read.
    pub(crate) at: usize,
    /// End of the run of path bytes found last; valid while `at` is before it.
    path_run: usize,
    /// End of the run of scheme bytes found last; valid while `at` is before it.
    scheme_run: usize,
    /// The value of the integer token read last.
    pub(crate) integer: i64,
    pipe_operators: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8], pipe_operators: bool) -> Lexer<'a> {
        Lexer { text, at: 0, path_run: 0, scheme_run: 0, integer: 0, pipe_operators }
    }

    /// The text being read.
    #[inline(always)]
    pub(crate) fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Whether nothing is left to read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        match self.text.get(at) {
            Some(&byte) => byte,
            None => 0,
        }
    }

    #[inline(always)]
    fn is(&self, at: usize, class: u8) -> bool {
        CLASSES[self.byte(at) as usize] & class != 0
    }

    #[inline(always)]
    fn run(&self, mut at: usize, class: u8) -> usize {
        while self.is(at, class) {
            at += 1;
        }
        at
    }

    /// Passes trivia and reads one token of ordinary code.
    #[inline]
    pub(crate) fn next<S: Sink>(&mut self, sink: &mut S) -> Result<Token, Box<SyntaxError>> {
        self.skip_trivia(sink);
        let start = self.at;
        let kind = self.scan(start)?;
        Ok(Token { kind, span: Span::new(start as u32, self.at as u32) })
    }

    #[inline]
    fn skip_trivia<S: Sink>(&mut self, sink: &mut S) {
        loop {
            let start = self.at;
            let kind = match self.byte(start) {
                b' ' | b'\t' | b'\n' | b'\r' => {
                    self.at = self.run(start, BLANK);
                    TriviaKind::Whitespace
                }
                b'#' => {
                    let rest = &self.text[start..];
                    let length = memchr::memchr2(b'\n', b'\r', rest);
                    self.at = start + length.unwrap_or(rest.len());
                    TriviaKind::LineComment
                }
                b'/' if self.byte(start + 1) == b'*' => match self.block_comment(start) {
                    Some(kind) => kind,
                    None => return,
                },
                _ => return,
            };
            sink.trivia(kind, Span::new(start as u32, self.at as u32));
        }
    }

    /// Passes `/* … */`; an unterminated one is no comment at all.
    fn block_comment(&mut self, start: usize) -> Option<TriviaKind> {
        let mut at = start + 2;
        loop {
            at += memchr::memchr(b'*', self.text.get(at..)?)? + 1;
            if self.byte(at) == b'/' {
                break;
            }
        }
        self.at = at + 1;
        let documents = self.byte(start + 2) == b'*' && !matches!(self.byte(start + 3), b'/' | b'*');
        Some(if documents { TriviaKind::DocComment } else { TriviaKind::BlockComment })
    }

    /// Reads the token at `start` and moves past it.
    #[inline]
    fn scan(&mut self, start: usize) -> Result<TokenKind, Box<SyntaxError>> {
        use TokenKind::*;
        let byte = self.byte(start);
        let next = self.byte(start + 1);
        let (kind, length) = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => return Ok(self.scan_name(start)),
            b'0'..=b'9' => return self.scan_number(start),
            b'.' | b'-' | b'+' | b'/' | b'~' => return Ok(self.scan_path_or_operator(start)),
            b'{' => (BraceOpen, 1),
            b'}' => (BraceClose, 1),
            b'[' => (BracketOpen, 1),
            b']' => (BracketClose, 1),
            b'(' => (ParenOpen, 1),
            b')' => (ParenClose, 1),
            b';' => (Semicolon, 1),
            b':' => (Colon, 1),
            b',' => (Comma, 1),
            b'@' => (At, 1),
            b'?' => (Question, 1),
            b'*' => (Star, 1),
            b'"' => (Quote, 1),
            b'\'' if next == b'\'' => (IndentedOpen, self.indented_open_length(start)),
            b'$' if next == b'{' => (DollarBrace, 2),
            b'=' if next == b'=' => (Equal, 2),
            b'=' => (Assign, 1),
            b'!' if next == b'=' => (NotEqual, 2),
            b'!' => (Not, 1),
            b'<' if next == b'=' => (LessEqual, 2),
            b'<' if next == b'|' => (self.pipe(PipeFrom, start)?, 2),
            b'<' => match self.search_path_end(start) {
                Some(end) => (SearchPath, end - start),
                None => (Less, 1),
            },
            b'>' if next == b'=' => (GreaterEqual, 2),
            b'>' => (Greater, 1),
            b'&' if next == b'&' => (And, 2),
            b'|' if next == b'|' => (Or, 2),
            b'|' if next == b'>' => (self.pipe(PipeInto, start)?, 2),
            0 if start >= self.text.len() => (EndOfFile, 0),
            0 => (EndOfFile, 1),
            _ => (Invalid, 1),
        };
        self.at = start + length;
        Ok(kind)
    }

    #[cold]
    fn pipe(&self, kind: TokenKind, start: usize) -> Result<TokenKind, Box<SyntaxError>> {
        if self.pipe_operators {
            return Ok(kind);
        }
        let span = Span::new(start as u32, start as u32 + 2);
        Err(Box::new(SyntaxError { span, kind: SyntaxErrorKind::FeatureDisabled("pipe-operators") }))
    }

    #[inline]
    fn scan_name(&mut self, start: usize) -> TokenKind {
        let end = self.run(start + 1, NAME);
        match self.byte(end) {
            b'/' | b'.' | b'+' | b':' => {
                if let Some(kind) = self.scan_path_or_uri(start) {
                    return kind;
                }
            }
            _ => {}
        }
        self.at = end;
        keyword(&self.text[start..end])
    }

    fn scan_path_or_uri(&mut self, start: usize) -> Option<TokenKind> {
        if let Some(end) = self.path_end(start) {
            self.at = end;
            return Some(TokenKind::Path);
        }
        if start >= self.scheme_run {
            self.scheme_run = self.run(start, SCHEME);
        }
        let colon = self.scheme_run;
        if self.byte(start) == b'_' || self.byte(colon) != b':' || !self.is(colon + 1, URI) {
            return None;
        }
        self.at = self.run(colon + 1, URI);
        Some(TokenKind::Uri)
    }

    /// The end of the path that starts here, if one does. With a trailing slash it goes on with `${` or is an error.
    fn path_end(&mut self, start: usize) -> Option<usize> {
        if start >= self.path_run {
            self.path_run = self.run(start, PATH);
        }
        let head = self.path_run;
        let end = self.segments_end(head);
        if end > head {
            return Some(if self.byte(end) == b'/' { end + 1 } else { end });
        }
        let interpolates = self.byte(head) == b'/' && self.byte(head + 1) == b'$' && self.byte(head + 2) == b'{';
        interpolates.then_some(head + 1)
    }

    /// Past all `/segment` from here.
    fn segments_end(&self, mut at: usize) -> usize {
        while self.byte(at) == b'/' && self.is(at + 1, PATH) {
            at = self.run(at + 1, PATH);
        }
        at
    }

    fn scan_number(&mut self, start: usize) -> Result<TokenKind, Box<SyntaxError>> {
        let digits = self.run(start, DIGIT);
        if self.is(digits, PATH) || self.byte(digits) == b'/' {
            if let Some(end) = self.path_end(start) {
                self.at = end;
                return Ok(TokenKind::Path);
            }
            let leading_zero = self.byte(start) == b'0';
            let float =
                self.byte(digits) == b'.' && (!leading_zero || (digits == start + 1 && self.is(digits + 1, DIGIT)));
            if float {
                self.at = self.exponent_end(self.run(digits + 1, DIGIT));
                return Ok(TokenKind::Float);
            }
        }
        self.at = digits;
        let mut value: i64 = 0;
        for &digit in &self.text[start..digits] {
            let sum = value.checked_mul(10).and_then(|value| value.checked_add(i64::from(digit - b'0')));
            value = sum.ok_or_else(|| {
                let text = String::from_utf8_lossy(&self.text[start..digits]).into_owned();
                let span = Span::new(start as u32, digits as u32);
                Box::new(SyntaxError { span, kind: SyntaxErrorKind::InvalidInteger(text) })
            })?;
        }
        self.integer = value;
        Ok(TokenKind::Integer)
    }

    fn exponent_end(&self, at: usize) -> usize {
        if !matches!(self.byte(at), b'e' | b'E') {
            return at;
        }
        let digits = if matches!(self.byte(at + 1), b'+' | b'-') { at + 2 } else { at + 1 };
        let end = self.run(digits, DIGIT);
        if end > digits { end } else { at }
    }

    fn scan_path_or_operator(&mut self, start: usize) -> TokenKind {
        use TokenKind::*;
        let byte = self.byte(start);
        let next = self.byte(start + 1);
        if byte == b'~' {
            let end = self.segments_end(start + 1);
            let slash = self.byte(end) == b'/';
            if end > start + 1 {
                self.at = if slash { end + 1 } else { end };
                return HomePath;
            }
            if slash && self.byte(start + 2) == b'$' && self.byte(start + 3) == b'{' {
                self.at = start + 2;
                return HomePath;
            }
            self.at = start + 1;
            return Invalid;
        }
        if let Some(end) = self.path_end(start) {
            self.at = end;
            return Path;
        }
        let (kind, length) = match (byte, next) {
            (b'.', b'.') if self.byte(start + 2) == b'.' => (Ellipsis, 3),
            (b'.', b'0'..=b'9') => {
                self.at = self.exponent_end(self.run(start + 1, DIGIT));
                return Float;
            }
            (b'.', _) => (Dot, 1),
            (b'-', b'>') => (Implies, 2),
            (b'-', _) => (Minus, 1),
            (b'+', b'+') => (Concat, 2),
            (b'+', _) => (Plus, 1),
            (_, b'/') => (Update, 2),
            _ => (Slash, 1),
        };
        self.at = start + length;
        kind
    }

    fn search_path_end(&self, start: usize) -> Option<usize> {
        if !self.is(start + 1, PATH) {
            return None;
        }
        let end = self.segments_end(self.run(start + 1, PATH));
        (self.byte(end) == b'>').then_some(end + 1)
    }

    fn indented_open_length(&self, start: usize) -> usize {
        let mut at = start + 2;
        while self.byte(at) == b' ' {
            at += 1;
        }
        if self.byte(at) == b'\n' { at + 1 - start } else { 2 }
    }

    /// Reads raw text of a `"` string up to, and not including, what ends it.
    pub(crate) fn string_chunk(&mut self) -> StringChunk {
        let start = self.at;
        let mut at = start;
        let (mut special, mut nul) = (false, false);
        let end = loop {
            at = self.run(at, STRING_TEXT);
            let Some(&byte) = self.text.get(at) else { break TokenKind::EndOfFile };
            match byte {
                b'"' => break TokenKind::Quote,
                b'$' => match self.byte(at + 1) {
                    b'{' => break TokenKind::DollarBrace,
                    b'"' | b'\\' => at += 1,
                    byte => {
                        special |= byte == b'\r';
                        nul |= byte == 0 && at + 1 < self.text.len();
                        at += 2;
                    }
                },
                b'\\' => {
                    special = true;
                    nul |= self.byte(at + 1) == 0 && at + 1 < self.text.len();
                    at += 2;
                }
                byte => {
                    special |= byte == b'\r';
                    nul |= byte == 0;
                    at += 1;
                }
            }
        };
        self.at = at.min(self.text.len());
        StringChunk { span: Span::new(start as u32, self.at as u32), special, nul, end }
    }

    /// Reads one piece of a `''` string and moves past it.
    pub(crate) fn indented_chunk(&mut self) -> IndentedChunk {
        let start = self.at;
        let end = self.indented_text_end(start);
        if end > start {
            self.at = end;
            return IndentedChunk::Text(Span::new(start as u32, end as u32));
        }
        if start >= self.text.len() {
            return IndentedChunk::EndOfFile;
        }
        let quotes = self.byte(start + 1) == b'\'';
        let (length, text) = match (self.byte(start), self.byte(start + 2)) {
            (b'$', _) if self.byte(start + 1) == b'{' => {
                self.at = start + 2;
                return IndentedChunk::Interpolation;
            }
            (b'\'', b'$') if quotes => (3, VerbatimText::Byte(b'$')),
            (b'\'', b'\'') if quotes => (3, VerbatimText::Source(Span::new(start as u32, start as u32 + 2))),
            (b'\'', b'\\') if quotes && start + 3 < self.text.len() => {
                (4, VerbatimText::Byte(unescape(self.byte(start + 3))))
            }
            (b'\'', _) if quotes => {
                self.at = start + 2;
                return IndentedChunk::Close;
            }
            (byte, _) => (1, VerbatimText::Byte(byte)),
        };
        self.at = start + length;
        IndentedChunk::Verbatim { span: Span::new(start as u32, self.at as u32), text }
    }

    fn indented_text_end(&self, mut at: usize) -> usize {
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let Some(length) = rest.iter().position(|&byte| byte == b'$' || byte == b'\'') else {
                return self.text.len();
            };
            at += length;
            let Some(&next) = self.text.get(at + 1) else { return at };
            let stops = match self.text[at] {
                b'$' => matches!(next, b'{' | b'\''),
                _ => matches!(next, b'$' | b'\''),
            };
            if stops {
                return at;
            }
            at += 2;
        }
    }

    /// Reads literal text of a path after its head, or nothing where the path ends or goes on with `${`.
    pub(crate) fn path_chunk(&mut self) -> Option<Span> {
        let start = self.at;
        let mut end = self.segments_end(self.run(start, PATH));
        if self.byte(end) == b'/' {
            end += 1;
        }
        self.at = end;
        (end > start).then(|| Span::new(start as u32, end as u32))
    }

    /// Passes `${` if it stands here.
    pub(crate) fn dollar_brace(&mut self) -> Option<Span> {
        let start = self.at;
        let found = self.byte(start) == b'$' && self.byte(start + 1) == b'{';
        found.then(|| {
            self.at = start + 2;
            Span::new(start as u32, start as u32 + 2)
        })
    }
}

/// What a backslash and this byte stand for.
pub(crate) fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        byte => byte,
    }
}

#[inline]
fn keyword(name: &[u8]) -> TokenKind {
    match name {
        b"if" => TokenKind::If,
        b"in" => TokenKind::In,
        b"or" => TokenKind::OrKeyword,
        b"let" => TokenKind::Let,
        b"rec" => TokenKind::Rec,
        b"then" => TokenKind::Then,
        b"else" => TokenKind::Else,
        b"with" => TokenKind::With,
        b"assert" => TokenKind::Assert,
        b"inherit" => TokenKind::Inherit,
        _ => TokenKind::Identifier,
    }
}
