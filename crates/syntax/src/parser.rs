//! The grammar: recursive descent for forms, precedence climbing for operators.
//!
//! Path of data: tokens in, events out, in postfix order ([`Sink`]). One token of look-ahead; where the grammar needs
//! two (`{ a` may begin a set or a pattern) the first is consumed and handed on as what it turned out to be.
//!
//! The first error ends parsing: it is announced, then the rest of the text as unparsed. What an error says to have
//! expected is what C++ Nix's generated tables say at that place, which is nothing where it would be more than four.
//!
//! Nesting is limited by a count and, if given, by the address the stack must not grow below; hostile text gets an
//! error, never an overflow.
//!
//! Absent: meaning of names, merging of sets, duplicate checks (sinks); recovery after errors (comes with the tree).

mod bindings;
mod operators;
mod strings;

use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::lexer::{Lexer, Token};
use crate::sink::{FormalsHead, LambdaHead, PartRecord, PipeDirection, Sink};
use crate::source::Source;
use crate::span::Span;
use crate::token::TokenKind;

/// How deep expressions may nest unless [`ParseOptions`] says otherwise; fits the two megabytes of a plain thread.
pub const DEFAULT_MAX_DEPTH: u32 = 3000;

/// What parsing depends on besides the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseOptions {
    /// `|>` and `<|` are allowed.
    pub pipe_operators: bool,
    /// How deep expressions may nest.
    pub max_depth: u32,
    /// The address that the stack must not grow below; 0 for none. For stacks that grow downwards.
    pub stack_floor: usize,
}

impl Default for ParseOptions {
    fn default() -> Self {
        ParseOptions { pipe_operators: false, max_depth: DEFAULT_MAX_DEPTH, stack_floor: 0 }
    }
}

/// Parses a text and tells the sink. On success the sink has been told of exactly one expression; else of one error.
pub fn parse<S: Sink>(source: &Source, options: ParseOptions, sink: &mut S) {
    let text = source.text();
    let mut parser = Parser {
        lexer: Lexer::new(text, options.pipe_operators),
        token: Token { kind: TokenKind::EndOfFile, span: Span::new(0, 0) },
        last_end: 0,
        depth: 0,
        options,
        records: Vec::new(),
        scratch: Vec::new(),
        sink,
    };
    if let Err(error) = parser.file() {
        let rest = Span::new(error.span.start.min(text.len() as u32), text.len() as u32);
        parser.sink.error(*error);
        parser.sink.unparsed(rest);
    }
}

type Parsed<T> = Result<T, Box<SyntaxError>>;

/// A form that was begun, and perhaps wholly read, before it was known what it belongs to.
#[derive(Clone, Copy)]
enum Lead {
    /// Nothing was read.
    None,
    /// A complete simple expression that begins at this offset.
    Simple(u32),
}

struct Parser<'a, 's, S> {
    lexer: Lexer<'a>,
    /// The token looked at; not yet accepted.
    token: Token,
    /// End of the last token accepted.
    last_end: u32,
    depth: u32,
    options: ParseOptions,
    /// Parts of the strings being read, innermost on top.
    records: Vec<PartRecord>,
    /// Their processed text.
    scratch: Vec<u8>,
    sink: &'s mut S,
}

impl<'a, S: Sink> Parser<'a, '_, S> {
    /// Looks at the next token of ordinary code.
    #[inline]
    fn look(&mut self) -> Parsed<()> {
        self.token = self.lexer.next(self.sink)?;
        Ok(())
    }

    /// Accepts the current token without looking further; for tokens after which text of another kind comes.
    #[inline]
    fn accept(&mut self) {
        self.sink.token(self.token.kind, self.token.span);
        self.last_end = self.token.span.end;
    }

    /// Accepts the current token and looks at the next.
    #[inline]
    fn advance(&mut self) -> Parsed<()> {
        self.accept();
        self.look()
    }

    #[inline]
    fn expect(&mut self, kind: TokenKind, expected: &'static [TokenKind]) -> Parsed<()> {
        if self.token.kind == kind { self.advance() } else { Err(self.unexpected(expected)) }
    }

    #[cold]
    fn unexpected(&self, expected: &'static [TokenKind]) -> Box<SyntaxError> {
        self.unexpected_token(self.token, expected)
    }

    #[cold]
    fn unexpected_token(&self, token: Token, expected: &'static [TokenKind]) -> Box<SyntaxError> {
        let mut span = token.span;
        if token.kind == TokenKind::EndOfFile {
            span.start = span.end;
        }
        Box::new(SyntaxError { span, kind: SyntaxErrorKind::Unexpected { found: token.kind, expected } })
    }

    #[inline]
    fn text(&self, span: Span) -> &'a [u8] {
        &self.lexer.text()[span.range()]
    }

    #[inline]
    fn since(&self, start: u32) -> Span {
        Span::new(start, self.last_end)
    }

    /// Goes one level deeper; the caller takes it back by `self.depth -= 1`, which errors need not, as they end all.
    #[inline]
    fn descend(&mut self) -> Parsed<()> {
        self.depth += 1;
        let marker = 0u8;
        let stack = std::ptr::from_ref(&marker).addr();
        if self.depth > self.options.max_depth || stack < self.options.stack_floor {
            return Err(self.too_deep());
        }
        Ok(())
    }

    #[cold]
    fn too_deep(&self) -> Box<SyntaxError> {
        Box::new(SyntaxError { span: self.token.span, kind: SyntaxErrorKind::NestingTooDeep })
    }

    fn file(&mut self) -> Parsed<()> {
        self.look()?;
        self.expression()?;
        if self.token.kind != TokenKind::EndOfFile {
            return Err(self.unexpected(&[TokenKind::EndOfFile]));
        }
        Ok(())
    }

    /// Any expression: functions, `let`, `if`, pipes, operators.
    fn expression(&mut self) -> Parsed<()> {
        self.descend()?;
        let start = self.token.span.start;
        match self.token.kind {
            TokenKind::Identifier => self.name_or_function()?,
            TokenKind::BraceOpen => self.set_or_function()?,
            TokenKind::Let => self.let_in()?,
            TokenKind::If => self.if_then_else()?,
            TokenKind::Assert => {
                self.advance()?;
                self.expression()?;
                self.expect(TokenKind::Semicolon, &[TokenKind::Semicolon])?;
                self.expression()?;
                self.sink.assertion(self.since(start));
            }
            TokenKind::With => {
                self.advance()?;
                self.expression()?;
                self.expect(TokenKind::Semicolon, &[TokenKind::Semicolon])?;
                self.expression()?;
                self.sink.with(self.since(start));
            }
            _ => self.pipes(Lead::None)?,
        }
        self.depth -= 1;
        Ok(())
    }

    fn name_or_function(&mut self) -> Parsed<()> {
        let name = self.token.span;
        self.advance()?;
        match self.token.kind {
            TokenKind::Colon => {
                self.advance()?;
                self.expression()?;
                let argument = Some((name, self.text(name)));
                self.sink.lambda(self.since(name.start), LambdaHead { argument, formals: None });
                Ok(())
            }
            TokenKind::At => {
                self.advance()?;
                self.expect(TokenKind::BraceOpen, &[TokenKind::BraceOpen])?;
                let formals = self.formals()?;
                self.expect(TokenKind::Colon, &[TokenKind::Colon])?;
                self.expression()?;
                let argument = Some((name, self.text(name)));
                self.sink.lambda(self.since(name.start), LambdaHead { argument, formals: Some(formals) });
                Ok(())
            }
            _ => {
                self.name(name);
                self.pipes(Lead::Simple(name.start))
            }
        }
    }

    #[inline]
    fn name(&mut self, span: Span) {
        match self.text(span) {
            b"__curPos" => self.sink.current_position(span),
            name => self.sink.variable(span, name),
        }
    }

    /// At `{` where a function may stand.
    fn set_or_function(&mut self) -> Parsed<()> {
        let start = self.token.span.start;
        self.advance()?;
        match self.token.kind {
            TokenKind::BraceClose => {
                self.advance()?;
                if matches!(self.token.kind, TokenKind::Colon | TokenKind::At) {
                    return self.pattern_function(start, FormalsHead { count: 0, ellipsis: false });
                }
                self.sink.open_bindings();
                self.sink.attribute_set(self.since(start), false);
                return self.pipes(Lead::Simple(start));
            }
            TokenKind::Ellipsis => {
                let formals = self.formals()?;
                return self.pattern_function(start, formals);
            }
            TokenKind::Identifier => {
                let name = self.token.span;
                self.advance()?;
                if matches!(self.token.kind, TokenKind::Comma | TokenKind::Question | TokenKind::BraceClose) {
                    let formals = self.formals_after(name)?;
                    return self.pattern_function(start, formals);
                }
                self.sink.open_bindings();
                self.bindings_after(name, &[TokenKind::Inherit], TokenKind::BraceClose)?;
            }
            _ => {
                self.sink.open_bindings();
                self.bindings(&[TokenKind::Inherit], TokenKind::BraceClose)?;
            }
        }
        self.advance()?;
        self.sink.attribute_set(self.since(start), false);
        self.pipes(Lead::Simple(start))
    }

    /// After the `}` of a pattern.
    fn pattern_function(&mut self, start: u32, formals: FormalsHead) -> Parsed<()> {
        let mut argument = None;
        if self.token.kind == TokenKind::At {
            self.advance()?;
            let name = self.token.span;
            self.expect(TokenKind::Identifier, &[TokenKind::Identifier])?;
            argument = Some((name, self.text(name)));
            self.expect(TokenKind::Colon, &[TokenKind::Colon])?;
        } else {
            self.expect(TokenKind::Colon, &[TokenKind::Colon, TokenKind::At])?;
        }
        self.expression()?;
        self.sink.lambda(self.since(start), LambdaHead { argument, formals: Some(formals) });
        Ok(())
    }

    fn let_in(&mut self) -> Parsed<()> {
        let start = self.token.span.start;
        self.advance()?;
        if self.token.kind == TokenKind::BraceOpen {
            self.ancient_let(start)?;
            return self.pipes(Lead::Simple(start));
        }
        self.sink.open_bindings();
        self.bindings(&[TokenKind::In, TokenKind::Inherit], TokenKind::In)?;
        self.advance()?;
        self.expression()?;
        self.sink.let_in(self.since(start));
        Ok(())
    }

    /// At the `{` of `let { … }`.
    fn ancient_let(&mut self, start: u32) -> Parsed<()> {
        self.advance()?;
        self.sink.open_bindings();
        self.bindings(&[TokenKind::Inherit, TokenKind::BraceClose], TokenKind::BraceClose)?;
        self.advance()?;
        self.sink.ancient_let(self.since(start));
        Ok(())
    }

    fn if_then_else(&mut self) -> Parsed<()> {
        let start = self.token.span.start;
        self.advance()?;
        self.expression()?;
        self.expect(TokenKind::Then, &[TokenKind::Then])?;
        self.expression()?;
        self.expect(TokenKind::Else, &[TokenKind::Else])?;
        self.expression()?;
        self.sink.if_then_else(self.since(start));
        Ok(())
    }

    /// Operators, and pipes between them. `a |> f` leans to the left, `f <| a` to the right, and they do not mix.
    fn pipes(&mut self, lead: Lead) -> Parsed<()> {
        let start = match lead {
            Lead::None => self.token.span.start,
            Lead::Simple(start) => start,
        };
        self.operators(0, lead)?;
        match self.token.kind {
            TokenKind::PipeFrom => self.pipe_from(start),
            TokenKind::PipeInto => {
                while self.token.kind == TokenKind::PipeInto {
                    let operator = self.token.span;
                    self.advance()?;
                    self.operators(0, Lead::None)?;
                    self.sink.pipe(self.since(start), operator, PipeDirection::Into);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// At `<|`, its left operand read.
    fn pipe_from(&mut self, start: u32) -> Parsed<()> {
        self.descend()?;
        let operator = self.token.span;
        self.advance()?;
        let next = self.token.span.start;
        self.operators(0, Lead::None)?;
        if self.token.kind == TokenKind::PipeFrom {
            self.pipe_from(next)?;
        }
        self.sink.pipe(self.since(start), operator, PipeDirection::From);
        self.depth -= 1;
        Ok(())
    }
}
