//! What the parser says, and to whom.
//!
//! Events come in postfix order: operands first, then the form that takes them. A sink that keeps a stack of
//! expressions, one of attribute names and one of formals can lower each form the moment it is complete. Spans are
//! those of the whole form, so a sink that keeps every token can also see which tokens a form covers: all since its
//! start.
//!
//! The methods for tokens and trivia do nothing unless overridden, and then cost nothing.

use crate::error::SyntaxError;
use crate::span::Span;
use crate::token::{TokenKind, TriviaKind};

/// Operators with two operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOperator {
    /// `->`
    Implies,
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `<=`
    LessEqual,
    /// `>=`
    GreaterEqual,
    /// `//`
    Update,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `++`
    Concat,
}

/// Operators with one operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnaryOperator {
    /// `!`
    Not,
    /// `-`
    Negate,
}

/// Which way a pipe flows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PipeDirection {
    /// `function <| argument`
    From,
    /// `argument |> function`
    Into,
}

/// What a path literal is relative to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PathKind {
    /// `/a`: the root.
    Absolute,
    /// `./a`, `a/b`: the folder of the text.
    Relative,
    /// `~/a`: the home; the literal includes the `~`.
    Home,
}

/// The head of a function.
#[derive(Clone, Copy, Debug)]
pub struct LambdaHead<'a> {
    /// `x` of `x: …`, or the name beside the `@`, with its place.
    pub argument: Option<(Span, &'a [u8])>,
    /// The set pattern, if there is one; its formals were announced before.
    pub formals: Option<FormalsHead>,
}

/// The set pattern of a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormalsHead {
    /// How many [`Sink::formal`] events belong to it.
    pub count: u32,
    /// Whether it ends in `...`.
    pub ellipsis: bool,
}

/// One part of a string or path with interpolations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part<'a> {
    /// Literal text, escapes and indentation already processed; never empty but for the head of a path.
    Text {
        /// Where it begins.
        offset: u32,
        /// The text.
        text: &'a [u8],
    },
    /// The next of the expressions that were announced for this string.
    Expression {
        /// Where its `${` stands.
        offset: u32,
    },
}

/// The parts of a string in order.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    pub(crate) records: &'a [PartRecord],
    pub(crate) source: &'a [u8],
    pub(crate) scratch: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum PartRecord {
    Source { start: u32, end: u32 },
    Scratch { offset: u32, start: u32, end: u32 },
    Expression { offset: u32 },
}

impl<'a> Parts<'a> {
    /// How many parts are expressions.
    pub fn expressions(&self) -> usize {
        self.records.iter().filter(|record| matches!(record, PartRecord::Expression { .. })).count()
    }

    /// How many parts there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no part at all.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The parts in the order written.
    pub fn iter(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let Parts { records, source, scratch } = *self;
        records.iter().map(move |record| match *record {
            PartRecord::Source { start, end } => {
                Part::Text { offset: start, text: &source[start as usize..end as usize] }
            }
            PartRecord::Scratch { offset, start, end } => {
                Part::Text { offset, text: &scratch[start as usize..end as usize] }
            }
            PartRecord::Expression { offset } => Part::Expression { offset },
        })
    }
}

/// Something worth saying about a text that is correct.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyntaxWarning {
    /// `f or` used as an argument, whose meaning will change; the span is that of the expression.
    OrAsIdentifier,
}

/// Who listens to the parser. "Pushes" and "pops" speak of the sink's stack of expressions, if it keeps one.
pub trait Sink {
    /// A token was accepted.
    #[inline(always)]
    fn token(&mut self, _kind: TokenKind, _span: Span) {}

    /// Trivia was passed.
    #[inline(always)]
    fn trivia(&mut self, _kind: TriviaKind, _span: Span) {}

    /// The text is wrong. After this only [`Sink::unparsed`] comes.
    fn error(&mut self, error: SyntaxError);

    /// What was not parsed because of an error: from the offending token to the end.
    #[inline(always)]
    fn unparsed(&mut self, _span: Span) {}

    /// The text is correct, but.
    #[inline(always)]
    fn warning(&mut self, _warning: SyntaxWarning, _span: Span) {}

    /// A variable. Pushes one.
    fn variable(&mut self, span: Span, name: &[u8]);

    /// `__curPos`. Pushes one.
    fn current_position(&mut self, span: Span);

    /// An integer. Pushes one.
    fn integer(&mut self, span: Span, value: i64);

    /// A float. Pushes one.
    fn float(&mut self, span: Span, value: f64);

    /// A string without interpolation. Pushes one.
    fn string(&mut self, span: Span, text: &[u8]);

    /// An unquoted URI, which is a string. Pushes one.
    #[inline]
    fn uri(&mut self, span: Span, text: &[u8]) {
        self.string(span, text);
    }

    /// A string with more than one part or with an expression. Pops its expressions, pushes one.
    fn interpolated_string(&mut self, span: Span, parts: Parts<'_>);

    /// A path without interpolation, as written. Pushes one.
    fn path(&mut self, span: Span, kind: PathKind, literal: &[u8]);

    /// A path with interpolations; its first part is its head as written. Pops its expressions, pushes one.
    fn interpolated_path(&mut self, span: Span, kind: PathKind, parts: Parts<'_>);

    /// `<name>`, without its brackets. Pushes one.
    fn search_path(&mut self, span: Span, name: &[u8]);

    /// A list. Pops `count`, pushes one.
    fn list(&mut self, span: Span, count: u32);

    /// The expression on top stands in parentheses: `span` covers them.
    #[inline(always)]
    fn parenthesised(&mut self, _span: Span) {}

    /// A call. Pops `count` arguments and the function, pushes one.
    fn call(&mut self, span: Span, count: u32);

    /// A pipe, its operands in the order written; `operator` is the place of the operator. Pops two, pushes one.
    fn pipe(&mut self, span: Span, operator: Span, direction: PipeDirection);

    /// A name in an attribute path. Pushes one attribute name.
    fn attribute_name(&mut self, span: Span, name: &[u8]);

    /// `${e}` or a string with interpolations in an attribute path. Pops one, pushes one attribute name.
    fn dynamic_attribute_name(&mut self, span: Span);

    /// A selection. Pops `names` attribute names, the default if there is one, the set; pushes one.
    fn select(&mut self, span: Span, names: u32, has_default: bool);

    /// `set ? path`. Pops `names` attribute names and the set, pushes one.
    fn has_attribute(&mut self, span: Span, operator: Span, names: u32);

    /// An operator with one operand. Pops one, pushes one.
    fn unary(&mut self, span: Span, operator: UnaryOperator);

    /// An operator with two operands; `place` is that of the operator itself. Pops two, pushes one.
    fn binary(&mut self, span: Span, place: Span, operator: BinaryOperator);

    /// `if c then t else e`. Pops three, pushes one.
    fn if_then_else(&mut self, span: Span);

    /// `assert c; e`. Pops two, pushes one.
    fn assertion(&mut self, span: Span);

    /// `with s; e`. Pops two, pushes one.
    fn with(&mut self, span: Span);

    /// One name of a set pattern. Pops its default if it has one, pushes one formal.
    fn formal(&mut self, span: Span, name: &[u8], has_default: bool);

    /// A function. Pops the body and the formals, pushes one.
    fn lambda(&mut self, span: Span, head: LambdaHead<'_>);

    /// Bindings begin; `bind`, `inherit` and `inherit_from` up to the form's own event belong to it.
    fn open_bindings(&mut self);

    /// `path = e;`. `span` is that of the path. Pops `names` attribute names and the value.
    fn bind(&mut self, span: Span, names: u32);

    /// `inherit a b;`. Pops `names` attribute names.
    fn inherit(&mut self, span: Span, names: u32);

    /// `inherit (e) a b;`. Pops `names` attribute names and the source.
    fn inherit_from(&mut self, span: Span, names: u32);

    /// `{ … }` or `rec { … }`: closes bindings, pushes one.
    fn attribute_set(&mut self, span: Span, recursive: bool);

    /// `let { … }`, which stands for `(rec { … }).body`: closes bindings, pushes one.
    fn ancient_let(&mut self, span: Span);

    /// `let … in e`: closes bindings, pops the body, pushes one.
    fn let_in(&mut self, span: Span);
}
