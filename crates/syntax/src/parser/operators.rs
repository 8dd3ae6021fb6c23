//! Operators, calls, selections and the simple expressions they are made of.

use super::{Lead, Parsed, Parser};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::sink::{BinaryOperator, Sink, SyntaxWarning, UnaryOperator};
use crate::token::TokenKind;

/// How tightly `!` binds its operand: looser than arithmetic, tighter than `//` and comparisons.
const NOT: u8 = 7;
/// How tightly unary minus binds: tighter than all operators between operands.
const NEGATE: u8 = 12;
/// `?`.
const HAS_ATTRIBUTE: u8 = 11;

/// What an operator token asks of its operands.
#[derive(Clone, Copy)]
struct Binding {
    operator: BinaryOperator,
    /// It is taken if this is not below the minimum in force.
    left: u8,
    /// The minimum for its right operand.
    right: u8,
    /// Two of this level do not stand side by side.
    lonely: bool,
}

/// The operator that this token is, if it is one with two operands.
#[inline]
fn binding(kind: TokenKind) -> Option<Binding> {
    use BinaryOperator as Op;
    use TokenKind::*;
    let (operator, left, right, lonely) = match kind {
        Implies => (Op::Implies, 1, 1, false),
        Or => (Op::Or, 2, 3, false),
        And => (Op::And, 3, 4, false),
        Equal => (Op::Equal, 4, 5, true),
        NotEqual => (Op::NotEqual, 4, 5, true),
        Less => (Op::Less, 5, 6, true),
        Greater => (Op::Greater, 5, 6, true),
        LessEqual => (Op::LessEqual, 5, 6, true),
        GreaterEqual => (Op::GreaterEqual, 5, 6, true),
        Update => (Op::Update, 6, 6, false),
        Plus => (Op::Add, 8, 9, false),
        Minus => (Op::Subtract, 8, 9, false),
        Star => (Op::Multiply, 9, 10, false),
        Slash => (Op::Divide, 9, 10, false),
        Concat => (Op::Concat, 10, 10, false),
        _ => return None,
    };
    Some(Binding { operator, left, right, lonely })
}

impl<S: Sink> Parser<'_, '_, S> {
    /// Operators that bind at least as tightly as `minimum`, and their operands.
    pub(super) fn operators(&mut self, minimum: u8, lead: Lead) -> Parsed<()> {
        self.descend()?;
        let start = match lead {
            Lead::None => self.token.span.start,
            Lead::Simple(start) => start,
        };
        match (lead, self.token.kind) {
            (Lead::None, TokenKind::Not) => {
                self.advance()?;
                self.operators(NOT, Lead::None)?;
                self.sink.unary(self.since(start), UnaryOperator::Not);
            }
            (Lead::None, TokenKind::Minus) => {
                self.advance()?;
                self.operators(NEGATE, Lead::None)?;
                self.sink.unary(self.since(start), UnaryOperator::Negate);
            }
            _ => self.application(start, lead)?,
        }
        // The level of the lonely operator just read, if it was one.
        let mut lonely = 0;
        loop {
            if self.token.kind == TokenKind::Question {
                if HAS_ATTRIBUTE < minimum {
                    break;
                }
                let operator = self.token.span;
                self.advance()?;
                let names = self.attribute_path()?;
                self.sink.has_attribute(self.since(start), operator, names);
                continue;
            }
            let Some(binding) = binding(self.token.kind) else { break };
            if binding.left < minimum {
                break;
            }
            if binding.lonely && binding.left == lonely {
                return Err(self.unexpected(&[]));
            }
            lonely = if binding.lonely { binding.left } else { 0 };
            let place = self.token.span;
            self.advance()?;
            self.operators(binding.right, Lead::None)?;
            self.sink.binary(self.since(start), place, binding.operator);
        }
        self.depth -= 1;
        Ok(())
    }

    /// A function with its arguments, or a lone selection.
    fn application(&mut self, start: u32, lead: Lead) -> Parsed<()> {
        self.selection(start, lead)?;
        let mut count = 0;
        while self.at_simple() {
            self.argument()?;
            count += 1;
        }
        if count > 0 {
            self.sink.call(self.since(start), count);
        }
        Ok(())
    }

    /// A selection in a place where `f or` will change its meaning.
    pub(super) fn argument(&mut self) -> Parsed<()> {
        let start = self.token.span.start;
        if self.selection(start, Lead::None)? {
            self.sink.warning(SyntaxWarning::OrAsIdentifier, self.since(start));
        }
        Ok(())
    }

    /// Whether the current token begins a simple expression.
    #[inline]
    pub(super) fn at_simple(&self) -> bool {
        use TokenKind::*;
        matches!(
            self.token.kind,
            Identifier
                | Integer
                | Float
                | Quote
                | IndentedOpen
                | Path
                | HomePath
                | SearchPath
                | Uri
                | ParenOpen
                | Let
                | Rec
                | BraceOpen
                | BracketOpen
        )
    }

    /// `simple.path or default`, or `simple or`; says whether it was the latter.
    fn selection(&mut self, start: u32, lead: Lead) -> Parsed<bool> {
        if let Lead::None = lead {
            self.simple()?;
        }
        match self.token.kind {
            TokenKind::Dot => {
                self.advance()?;
                let names = self.attribute_path()?;
                let has_default = self.token.kind == TokenKind::OrKeyword;
                if has_default {
                    self.advance()?;
                    self.descend()?;
                    self.argument()?;
                    self.depth -= 1;
                }
                self.sink.select(self.since(start), names, has_default);
                Ok(false)
            }
            TokenKind::OrKeyword => {
                let or = self.token.span;
                self.advance()?;
                self.sink.variable(crate::Span::new(start, or.end), b"or");
                self.sink.call(self.since(start), 1);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn simple(&mut self) -> Parsed<()> {
        let span = self.token.span;
        match self.token.kind {
            TokenKind::Identifier => {
                self.advance()?;
                self.name(span);
            }
            TokenKind::Integer => {
                let value = self.lexer.integer;
                self.advance()?;
                self.sink.integer(span, value);
            }
            TokenKind::Float => {
                let value = self.float_value()?;
                self.advance()?;
                self.sink.float(span, value);
            }
            TokenKind::Quote => self.string()?,
            TokenKind::IndentedOpen => self.indented_string()?,
            TokenKind::Path | TokenKind::HomePath => self.path()?,
            TokenKind::SearchPath => {
                self.advance()?;
                let text = self.text(span);
                self.sink.search_path(span, &text[1..text.len() - 1]);
            }
            TokenKind::Uri => {
                self.advance()?;
                self.sink.uri(span, self.text(span));
            }
            TokenKind::ParenOpen => {
                self.advance()?;
                self.expression()?;
                self.expect(TokenKind::ParenClose, &[TokenKind::ParenClose])?;
                self.sink.parenthesised(self.since(span.start));
            }
            TokenKind::BracketOpen => self.list()?,
            TokenKind::BraceOpen => {
                self.advance()?;
                self.sink.open_bindings();
                self.bindings(&[TokenKind::Inherit], TokenKind::BraceClose)?;
                self.advance()?;
                self.sink.attribute_set(self.since(span.start), false);
            }
            TokenKind::Rec => {
                self.advance()?;
                self.expect(TokenKind::BraceOpen, &[TokenKind::BraceOpen])?;
                self.sink.open_bindings();
                self.bindings(&[TokenKind::Inherit, TokenKind::BraceClose], TokenKind::BraceClose)?;
                self.advance()?;
                self.sink.attribute_set(self.since(span.start), true);
            }
            TokenKind::Let => {
                self.advance()?;
                if self.token.kind != TokenKind::BraceOpen {
                    return Err(self.unexpected(&[TokenKind::BraceOpen]));
                }
                self.ancient_let(span.start)?;
            }
            _ => return Err(self.unexpected(&[])),
        }
        Ok(())
    }

    fn list(&mut self) -> Parsed<()> {
        let start = self.token.span.start;
        self.advance()?;
        self.descend()?;
        let mut count = 0;
        while self.at_simple() {
            self.argument()?;
            count += 1;
        }
        self.expect(TokenKind::BracketClose, &[])?;
        self.depth -= 1;
        self.sink.list(self.since(start), count);
        Ok(())
    }

    /// The value of a float token. As with C's `strtod`, too large and too small are errors.
    fn float_value(&self) -> Parsed<f64> {
        let text = self.text(self.token.span);
        let invalid = || {
            let text = String::from_utf8_lossy(text).into_owned();
            Box::new(SyntaxError { span: self.token.span, kind: SyntaxErrorKind::InvalidFloat(text) })
        };
        let value: f64 = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(invalid)?;
        let mantissa = text.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
        let zero = mantissa.iter().all(|byte| matches!(byte, b'0' | b'.'));
        if value.is_infinite() || (!zero && !value.is_normal()) {
            return Err(invalid());
        }
        Ok(value)
    }
}
