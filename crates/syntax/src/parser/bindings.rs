//! Bindings of sets and `let`, attribute paths, and the formals of patterns.

use super::{Parsed, Parser};
use crate::sink::{FormalsHead, Sink};
use crate::span::Span;
use crate::token::TokenKind;

const NAME_STARTS: &[TokenKind] =
    &[TokenKind::Identifier, TokenKind::OrKeyword, TokenKind::DollarBrace, TokenKind::Quote];
const AFTER_NAME: &[TokenKind] = &[TokenKind::Dot, TokenKind::Assign];
const AFTER_FORMAL: &[TokenKind] = &[TokenKind::BraceClose, TokenKind::Comma];
const FORMAL_STARTS: &[TokenKind] = &[TokenKind::Identifier, TokenKind::Ellipsis, TokenKind::BraceClose];

impl<S: Sink> Parser<'_, '_, S> {
    /// Bindings up to `closing`, which stays the current token; `expected` is what else an error names.
    pub(super) fn bindings(&mut self, expected: &'static [TokenKind], closing: TokenKind) -> Parsed<()> {
        loop {
            match self.token.kind {
                TokenKind::Identifier | TokenKind::OrKeyword | TokenKind::Quote | TokenKind::DollarBrace => {
                    let start = self.token.span.start;
                    let names = self.attribute_path()?;
                    self.binding(start, names)?;
                }
                TokenKind::Inherit => self.inherit()?,
                kind if kind == closing => return Ok(()),
                _ => return Err(self.unexpected(expected)),
            }
        }
    }

    /// The same, where the first name was read already.
    pub(super) fn bindings_after(
        &mut self,
        name: Span,
        expected: &'static [TokenKind],
        closing: TokenKind,
    ) -> Parsed<()> {
        self.sink.attribute_name(name, self.text(name));
        let names = self.attribute_path_after()?;
        self.binding(name.start, names)?;
        self.bindings(expected, closing)
    }

    /// `= value;` after an attribute path.
    fn binding(&mut self, start: u32, names: u32) -> Parsed<()> {
        let span = self.since(start);
        self.expect(TokenKind::Assign, AFTER_NAME)?;
        self.expression()?;
        self.expect(TokenKind::Semicolon, &[TokenKind::Semicolon])?;
        self.sink.bind(span, names);
        Ok(())
    }

    fn inherit(&mut self) -> Parsed<()> {
        let start = self.token.span.start;
        self.advance()?;
        let from = self.token.kind == TokenKind::ParenOpen;
        if from {
            let paren = self.token.span.start;
            self.advance()?;
            self.expression()?;
            self.expect(TokenKind::ParenClose, &[TokenKind::ParenClose])?;
            self.sink.parenthesised(self.since(paren));
        }
        let mut names = 0;
        while self.attribute()? {
            names += 1;
        }
        self.expect(TokenKind::Semicolon, &[])?;
        if from {
            self.sink.inherit_from(self.since(start), names);
        } else {
            self.sink.inherit(self.since(start), names);
        }
        Ok(())
    }

    /// One or more names with dots between; gives their number.
    pub(super) fn attribute_path(&mut self) -> Parsed<u32> {
        if !self.attribute()? {
            return Err(self.unexpected(NAME_STARTS));
        }
        self.attribute_path_after()
    }

    fn attribute_path_after(&mut self) -> Parsed<u32> {
        let mut names = 1;
        while self.token.kind == TokenKind::Dot {
            self.advance()?;
            if !self.attribute()? {
                return Err(self.unexpected(NAME_STARTS));
            }
            names += 1;
        }
        Ok(names)
    }

    /// One name of an attribute path, if the current token begins one.
    fn attribute(&mut self) -> Parsed<bool> {
        let span = self.token.span;
        match self.token.kind {
            TokenKind::Identifier | TokenKind::OrKeyword => {
                self.advance()?;
                self.sink.attribute_name(span, self.text(span));
            }
            TokenKind::Quote => self.string_attribute()?,
            TokenKind::DollarBrace => {
                self.advance()?;
                self.expression()?;
                self.expect(TokenKind::BraceClose, &[TokenKind::BraceClose])?;
                self.sink.dynamic_attribute_name(self.since(span.start));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The formals of a pattern, after its `{` and up to and including its `}`.
    pub(super) fn formals(&mut self) -> Parsed<FormalsHead> {
        self.more_formals(0)
    }

    /// The same, where the first name was read already.
    pub(super) fn formals_after(&mut self, name: Span) -> Parsed<FormalsHead> {
        match self.formal(name)? {
            true => self.more_formals(1),
            false => Ok(FormalsHead { count: 1, ellipsis: false }),
        }
    }

    fn more_formals(&mut self, mut count: u32) -> Parsed<FormalsHead> {
        loop {
            match self.token.kind {
                TokenKind::BraceClose => {
                    self.advance()?;
                    return Ok(FormalsHead { count, ellipsis: false });
                }
                TokenKind::Ellipsis => {
                    self.advance()?;
                    self.expect(TokenKind::BraceClose, &[TokenKind::BraceClose])?;
                    return Ok(FormalsHead { count, ellipsis: true });
                }
                TokenKind::Identifier => {
                    let name = self.token.span;
                    self.advance()?;
                    count += 1;
                    if !self.formal(name)? {
                        return Ok(FormalsHead { count, ellipsis: false });
                    }
                }
                _ => return Err(self.unexpected(FORMAL_STARTS)),
            }
        }
    }

    /// What follows the name of a formal, up to and including the comma (true) or the `}` (false).
    fn formal(&mut self, name: Span) -> Parsed<bool> {
        let has_default = self.token.kind == TokenKind::Question;
        if has_default {
            self.advance()?;
            self.expression()?;
        }
        self.sink.formal(name, self.text(name), has_default);
        match self.token.kind {
            TokenKind::Comma => {
                self.advance()?;
                Ok(true)
            }
            _ => {
                self.expect(TokenKind::BraceClose, AFTER_FORMAL)?;
                Ok(false)
            }
        }
    }
}
