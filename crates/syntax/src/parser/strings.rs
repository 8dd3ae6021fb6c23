//! Strings, indented strings and paths: their pieces, escapes, indentation, interpolations.
//!
//! The parts of the strings being read lie on two stacks of the parser (`records`, `scratch`), the innermost string on
//! top; a string takes its own off when it is announced. A plain string without escapes touches neither.

use super::{Parsed, Parser};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::lexer::{IndentedChunk, Token, VerbatimText, unescape};
use crate::sink::{PartRecord, Parts, PathKind, Sink};
use crate::span::Span;
use crate::token::TokenKind;

/// What became of a `"` string.
enum StringEnd<'a> {
    /// Text of the source as it stands.
    Plain(&'a [u8]),
    /// One processed text: all of `scratch` from here.
    Processed(usize),
    /// Several parts: all of `records` from here, and of `scratch`.
    Parts(usize, usize),
}

/// A piece of a `''` string before its indentation is known.
#[derive(Clone, Copy)]
enum Piece {
    Text(Span),
    Verbatim(Span, VerbatimText),
    Expression(u32),
}

impl<'a, S: Sink> Parser<'a, '_, S> {
    /// At a `"` that begins an expression.
    pub(super) fn string(&mut self) -> Parsed<()> {
        let start = self.token.span.start;
        let end = self.string_body()?;
        let span = self.since(start);
        match end {
            StringEnd::Plain(text) => self.sink.string(span, text),
            StringEnd::Processed(scratch) => {
                self.sink.string(span, &self.scratch[scratch..]);
                self.scratch.truncate(scratch);
            }
            StringEnd::Parts(records, scratch) => self.announce_string(span, records, scratch),
        }
        Ok(())
    }

    /// At a `"` in an attribute path.
    pub(super) fn string_attribute(&mut self) -> Parsed<()> {
        let start = self.token.span.start;
        let end = self.string_body()?;
        let span = self.since(start);
        match end {
            StringEnd::Plain(text) => self.sink.attribute_name(span, text),
            StringEnd::Processed(scratch) => {
                self.sink.attribute_name(span, &self.scratch[scratch..]);
                self.scratch.truncate(scratch);
            }
            StringEnd::Parts(records, scratch) => {
                self.announce_string(span, records, scratch);
                self.sink.dynamic_attribute_name(span);
            }
        }
        Ok(())
    }

    fn announce_string(&mut self, span: Span, records: usize, scratch: usize) {
        let parts = Parts { records: &self.records[records..], source: self.lexer.text(), scratch: &self.scratch };
        self.sink.interpolated_string(span, parts);
        self.records.truncate(records);
        self.scratch.truncate(scratch);
    }

    /// Reads a `"` string, quotes included.
    fn string_body(&mut self) -> Parsed<StringEnd<'a>> {
        self.accept();
        let (records, scratch) = (self.records.len(), self.scratch.len());
        loop {
            let chunk = self.lexer.string_chunk();
            if chunk.nul {
                return Err(self.null_byte(chunk.span));
            }
            if chunk.span.start < chunk.span.end {
                self.sink.token(TokenKind::StringText, chunk.span);
            }
            let only = self.records.len() == records;
            match chunk.end {
                TokenKind::Quote => {
                    let end = match (only, chunk.special) {
                        (true, false) => StringEnd::Plain(self.text(chunk.span)),
                        (true, true) => {
                            self.unescape_into_scratch(chunk.span);
                            StringEnd::Processed(scratch)
                        }
                        (false, special) => {
                            self.record_text(chunk.span, special);
                            StringEnd::Parts(records, scratch)
                        }
                    };
                    self.take_token(TokenKind::Quote, 1);
                    self.look()?;
                    return Ok(end);
                }
                TokenKind::DollarBrace => {
                    self.record_text(chunk.span, chunk.special);
                    self.interpolation()?;
                }
                _ => return Err(self.unexpected_end(&[TokenKind::Quote])),
            }
        }
    }

    /// Reports a token of this length at the lexer's place and passes it.
    fn take_token(&mut self, kind: TokenKind, length: u32) -> Span {
        let start = self.lexer.at as u32;
        let span = Span::new(start, start + length);
        self.sink.token(kind, span);
        self.lexer.at += length as usize;
        self.last_end = span.end;
        span
    }

    /// At `${` in a string: the expression, its `}`, and a record of it. The lexer stands after the `}`.
    fn interpolation(&mut self) -> Parsed<()> {
        let open = self.take_token(TokenKind::DollarBrace, 2);
        self.look()?;
        self.expression()?;
        if self.token.kind != TokenKind::BraceClose {
            return Err(self.unexpected(&[TokenKind::BraceClose]));
        }
        self.accept();
        self.records.push(PartRecord::Expression { offset: open.start });
        Ok(())
    }

    fn record_text(&mut self, span: Span, special: bool) {
        if span.start == span.end {
            return;
        }
        if special {
            let start = self.scratch.len() as u32;
            self.unescape_into_scratch(span);
            let end = self.scratch.len() as u32;
            self.records.push(PartRecord::Scratch { offset: span.start, start, end });
        } else {
            self.records.push(PartRecord::Source { start: span.start, end: span.end });
        }
    }

    /// Escapes replaced, carriage returns made line ends.
    fn unescape_into_scratch(&mut self, span: Span) {
        let text = self.text(span);
        let mut at = 0;
        while at < text.len() {
            let byte = text[at];
            at += 1;
            match byte {
                b'\\' if at < text.len() => {
                    self.scratch.push(unescape(text[at]));
                    at += 1;
                }
                b'\r' => {
                    self.scratch.push(b'\n');
                    if text.get(at) == Some(&b'\n') {
                        at += 1;
                    }
                }
                byte => self.scratch.push(byte),
            }
        }
    }

    #[cold]
    fn null_byte(&self, span: Span) -> Box<SyntaxError> {
        let text = String::from_utf8_lossy(self.text(span)).replace('\0', "␀");
        Box::new(SyntaxError { span, kind: SyntaxErrorKind::NullByte(text) })
    }

    #[cold]
    fn unexpected_end(&self, expected: &'static [TokenKind]) -> Box<SyntaxError> {
        let end = self.lexer.text().len() as u32;
        self.unexpected_token(Token { kind: TokenKind::EndOfFile, span: Span::new(end, end) }, expected)
    }

    /// At `''`.
    pub(super) fn indented_string(&mut self) -> Parsed<()> {
        let start = self.token.span.start;
        self.accept();
        let mut pieces: Vec<Piece> = Vec::new();
        loop {
            match self.lexer.indented_chunk() {
                IndentedChunk::Text(span) => {
                    if self.text(span).contains(&0) {
                        return Err(self.null_byte(span));
                    }
                    self.sink.token(TokenKind::IndentedText, span);
                    pieces.push(Piece::Text(span));
                }
                IndentedChunk::Verbatim { span, text } => {
                    if text == VerbatimText::Byte(0) {
                        return Err(self.null_byte(Span::new(span.end - 1, span.end)));
                    }
                    self.sink.token(TokenKind::IndentedText, span);
                    pieces.push(Piece::Verbatim(span, text));
                }
                IndentedChunk::Interpolation => {
                    self.lexer.at -= 2;
                    pieces.push(Piece::Expression(self.lexer.at as u32));
                    self.interpolation()?;
                    // Recorded again, in its place, once indentation is known.
                    self.records.pop();
                }
                IndentedChunk::Close => {
                    self.lexer.at -= 2;
                    self.take_token(TokenKind::IndentedClose, 2);
                    break;
                }
                IndentedChunk::EndOfFile => {
                    return Err(self.unexpected_end(&[
                        TokenKind::IndentedText,
                        TokenKind::DollarBrace,
                        TokenKind::IndentedClose,
                    ]));
                }
            }
        }
        let span = self.since(start);
        self.look()?;
        self.announce_indented(span, &pieces);
        Ok(())
    }

    fn announce_indented(&mut self, span: Span, pieces: &[Piece]) {
        let (records, scratch) = (self.records.len(), self.scratch.len());
        self.strip_indentation(pieces);
        let mut literal = true;
        for record in &self.records[records..] {
            literal &= !matches!(record, PartRecord::Expression { .. });
        }
        match self.records.len() - records {
            0 => self.sink.string(span, b""),
            1 if literal => {
                self.sink.string(span, &self.scratch[scratch..]);
                self.records.truncate(records);
                self.scratch.truncate(scratch);
            }
            _ => self.announce_string(span, records, scratch),
        }
    }

    /// Removes from each line the spaces that all lines begin with, and spaces after the last line end. An escape or
    /// interpolation counts as a visible character, and only text beside them is stripped.
    fn strip_indentation(&mut self, pieces: &[Piece]) {
        let indentation = self.least_indentation(pieces);
        let source = self.lexer.text();
        let mut line_start = true;
        let mut dropped = 0;
        for (index, piece) in pieces.iter().enumerate() {
            let start = self.scratch.len();
            let offset = match *piece {
                Piece::Expression(offset) => {
                    (line_start, dropped) = (false, 0);
                    self.records.push(PartRecord::Expression { offset });
                    continue;
                }
                Piece::Verbatim(span, _) | Piece::Text(span) => span.start,
            };
            let byte;
            let text = match *piece {
                Piece::Verbatim(_, VerbatimText::Byte(verbatim)) => {
                    byte = [verbatim];
                    &byte[..]
                }
                Piece::Verbatim(_, VerbatimText::Source(span)) | Piece::Text(span) => &source[span.range()],
                Piece::Expression(_) => &[],
            };
            strip(text, indentation, &mut line_start, &mut dropped, &mut self.scratch);
            if index + 1 == pieces.len() {
                let added = &self.scratch[start..];
                if let Some(last) = added.iter().rposition(|&byte| byte == b'\n')
                    && added[last..].iter().skip(1).all(|&byte| byte == b' ')
                {
                    self.scratch.truncate(start + last + 1);
                }
            }
            if self.scratch.len() > start {
                let (start, end) = (start as u32, self.scratch.len() as u32);
                self.records.push(PartRecord::Scratch { offset, start, end });
            }
        }
    }

    fn least_indentation(&self, pieces: &[Piece]) -> usize {
        let mut least = usize::MAX;
        let mut current = 0;
        let mut line_start = true;
        for piece in pieces {
            let Piece::Text(span) = *piece else {
                if line_start {
                    line_start = false;
                    least = least.min(current);
                }
                continue;
            };
            for &byte in self.text(span) {
                match byte {
                    b'\n' => (line_start, current) = (true, 0),
                    b' ' if line_start => current += 1,
                    _ if line_start => {
                        line_start = false;
                        least = least.min(current);
                    }
                    _ => {}
                }
            }
        }
        least
    }

    /// At a path.
    pub(super) fn path(&mut self) -> Parsed<()> {
        let head = self.token.span;
        let kind = match (self.token.kind, self.text(head).first()) {
            (TokenKind::HomePath, _) => PathKind::Home,
            (_, Some(b'/')) => PathKind::Absolute,
            _ => PathKind::Relative,
        };
        self.accept();
        let records = self.records.len();
        self.records.push(PartRecord::Source { start: head.start, end: head.end });
        let mut slash = self.text(head).last() == Some(&b'/');
        // Where the last token of the path begins; C++ Nix names that place for an end of the text right after it.
        let mut last = head.start;
        loop {
            if let Some(span) = self.lexer.path_chunk() {
                last = span.start;
                self.sink.token(TokenKind::StringText, span);
                self.last_end = span.end;
                self.records.push(PartRecord::Source { start: span.start, end: span.end });
                slash = self.text(span).last() == Some(&b'/');
            } else if self.lexer.dollar_brace().is_some() {
                self.lexer.at -= 2;
                self.interpolation()?;
                last = self.token.span.start;
                slash = false;
            } else if slash {
                let at = if self.lexer.is_at_end() { last } else { self.lexer.at as u32 };
                return Err(Box::new(SyntaxError { span: Span::new(at, at), kind: SyntaxErrorKind::TrailingSlash }));
            } else {
                break;
            }
            // Only text was read after the head: what must follow is an interpolation.
            if let [_, PartRecord::Source { .. }] = self.records[records..] {
                self.require_interpolation(slash, (head.start, last))?;
            }
        }
        let span = self.since(head.start);
        let ends = self.lexer.is_at_end();
        self.look()?;
        if ends {
            self.token.span = Span::new(last, last);
        }
        if self.records.len() == records + 1 {
            self.sink.path(span, kind, self.text(head));
        } else {
            let scratch = &self.scratch;
            let parts = Parts { records: &self.records[records..], source: self.lexer.text(), scratch };
            self.sink.interpolated_path(span, kind, parts);
        }
        self.records.truncate(records);
        Ok(())
    }

    /// `head` and `last` are where the path and its last text begin.
    fn require_interpolation(&mut self, slash: bool, (head, last): (u32, u32)) -> Parsed<()> {
        if self.lexer.dollar_brace().is_some() {
            self.lexer.at -= 2;
            return Ok(());
        }
        let at = self.lexer.at as u32;
        let token = match self.lexer.path_chunk() {
            Some(span) => Token { kind: TokenKind::StringText, span },
            None if slash => {
                let error = SyntaxError { span: Span::new(at, at), kind: SyntaxErrorKind::TrailingSlash };
                return Err(Box::new(error));
            }
            None => {
                let place = if self.lexer.is_at_end() { head } else { last };
                Token { kind: TokenKind::PathEnd, span: Span::new(place, place) }
            }
        };
        Err(self.unexpected_token(token, &[TokenKind::DollarBrace]))
    }
}

/// Copies text, leaving out up to `indentation` spaces at the beginning of each line.
fn strip(text: &[u8], indentation: usize, line_start: &mut bool, dropped: &mut usize, into: &mut Vec<u8>) {
    let mut at = 0;
    while at < text.len() {
        if !*line_start {
            let rest = &text[at..];
            let length = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1);
            into.extend_from_slice(&rest[..length]);
            *line_start = rest[length - 1] == b'\n';
            at += length;
            continue;
        }
        match text[at] {
            b' ' => {
                if *dropped >= indentation {
                    into.push(b' ');
                }
                *dropped += 1;
            }
            byte => {
                *dropped = 0;
                *line_start = byte == b'\n';
                into.push(byte);
            }
        }
        at += 1;
    }
}
