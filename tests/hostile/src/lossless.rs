//! A text as a tree that loses nothing: a sink that keeps every token and all trivia, and which of them each form covers.

use syntax::{
    BinaryOperator, LambdaHead, Origin, ParseOptions, Parts, PathKind, PipeDirection, Sink, Source, Span, SyntaxError,
    TokenKind, TriviaKind, UnaryOperator,
};

/// A piece of the tree.
pub(crate) enum Element {
    /// A token or trivia.
    Leaf(Span),
    /// A form with all it covers.
    Form(Span, Vec<Element>),
}

impl Element {
    fn span(&self) -> Span {
        match self {
            Element::Leaf(span) | Element::Form(span, _) => *span,
        }
    }

    /// Writes the text of its leaves.
    pub(crate) fn write(&self, source: &[u8], text: &mut Vec<u8>) {
        // Forms nest as deep as the parser allows, which is too deep for a recursion on a small stack.
        let mut open = vec![self];
        while let Some(element) = open.pop() {
            match element {
                Element::Leaf(span) => text.extend_from_slice(&source[span.range()]),
                Element::Form(_, inner) => open.extend(inner.iter().rev()),
            }
        }
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        let Element::Form(_, inner) = self else { return };
        let mut doomed = std::mem::take(inner);
        while let Some(mut element) = doomed.pop() {
            if let Element::Form(_, inner) = &mut element {
                doomed.append(inner);
            }
        }
    }
}

/// What the parser said of a text.
#[derive(Default)]
pub(crate) struct Read {
    /// The pieces, in the order of the text.
    pub(crate) tree: Vec<Element>,
    /// The place that was refused.
    pub(crate) refused: Option<Span>,
    length: u32,
    covered: u32,
}

/// Parses a text.
///
/// # Panics
/// If tokens and trivia have gaps or overlap, or a form begins or ends inside one.
pub(crate) fn read(text: &[u8]) -> Read {
    let source = Source::new(Origin::String, text).expect("a short text");
    let mut read = Read { length: text.len() as u32, ..Read::default() };
    syntax::parse(&source, ParseOptions { pipe_operators: true, ..ParseOptions::default() }, &mut read);
    read
}

impl Read {
    fn leaf(&mut self, span: Span) {
        assert!(span.start == self.covered && span.start <= span.end && span.end <= self.length, "no gap, no overlap");
        self.covered = span.end;
        self.tree.push(Element::Leaf(span));
    }

    /// A form: it takes what was kept since its start, but for trivia behind its end.
    fn form(&mut self, span: Span) {
        assert!(span.start <= span.end && span.end <= self.covered, "forms are told after their tokens");
        let count = self.tree.iter().rev().take_while(|element| element.span().start >= span.start).count();
        let start = self.tree.len() - count;
        let beyond = self.tree[start..].iter().rev().take_while(|element| element.span().start >= span.end).count();
        let behind = self.tree.split_off(self.tree.len() - beyond);
        let inner = self.tree.split_off(start);
        if let (Some(first), Some(last)) = (inner.first(), inner.last()) {
            assert!(first.span().start == span.start && last.span().end == span.end, "forms hold whole tokens");
        }
        if span.start < span.end {
            self.tree.push(Element::Form(span, inner));
        } else {
            self.tree.extend(inner);
        }
        self.tree.extend(behind);
    }
}

impl Sink for Read {
    fn token(&mut self, _: TokenKind, span: Span) {
        self.leaf(span);
    }
    fn trivia(&mut self, _: TriviaKind, span: Span) {
        self.leaf(span);
    }
    fn error(&mut self, error: SyntaxError) {
        assert!(self.refused.is_none(), "one error at most");
        let _ = error.to_string();
        self.refused = Some(error.span);
    }
    fn unparsed(&mut self, span: Span) {
        assert!(self.refused.is_some() && span.end == self.length, "what is left was refused");
    }
    fn variable(&mut self, span: Span, _: &[u8]) {
        self.form(span);
    }
    fn current_position(&mut self, span: Span) {
        self.form(span);
    }
    fn integer(&mut self, span: Span, _: i64) {
        self.form(span);
    }
    fn float(&mut self, span: Span, _: f64) {
        self.form(span);
    }
    fn string(&mut self, span: Span, _: &[u8]) {
        self.form(span);
    }
    fn interpolated_string(&mut self, span: Span, _: Parts<'_>) {
        self.form(span);
    }
    fn path(&mut self, span: Span, _: PathKind, _: &[u8]) {
        self.form(span);
    }
    fn interpolated_path(&mut self, span: Span, _: PathKind, _: Parts<'_>) {
        self.form(span);
    }
    fn search_path(&mut self, span: Span, _: &[u8]) {
        self.form(span);
    }
    fn list(&mut self, span: Span, _: u32) {
        self.form(span);
    }
    fn parenthesised(&mut self, span: Span) {
        self.form(span);
    }
    fn call(&mut self, span: Span, _: u32) {
        self.form(span);
    }
    fn pipe(&mut self, span: Span, _: Span, _: PipeDirection) {
        self.form(span);
    }
    fn attribute_name(&mut self, span: Span, _: &[u8]) {
        self.form(span);
    }
    fn dynamic_attribute_name(&mut self, span: Span) {
        self.form(span);
    }
    fn select(&mut self, span: Span, _: u32, _: bool) {
        self.form(span);
    }
    fn has_attribute(&mut self, span: Span, _: Span, _: u32) {
        self.form(span);
    }
    fn unary(&mut self, span: Span, _: UnaryOperator) {
        self.form(span);
    }
    fn binary(&mut self, span: Span, _: Span, _: BinaryOperator) {
        self.form(span);
    }
    fn if_then_else(&mut self, span: Span) {
        self.form(span);
    }
    fn assertion(&mut self, span: Span) {
        self.form(span);
    }
    fn with(&mut self, span: Span) {
        self.form(span);
    }
    fn formal(&mut self, span: Span, _: &[u8], _: bool) {
        self.form(span);
    }
    fn lambda(&mut self, span: Span, _: LambdaHead<'_>) {
        self.form(span);
    }
    fn open_bindings(&mut self) {}
    fn bind(&mut self, span: Span, _: u32) {
        self.form(span);
    }
    fn inherit(&mut self, span: Span, _: u32) {
        self.form(span);
    }
    fn inherit_from(&mut self, span: Span, _: u32) {
        self.form(span);
    }
    fn attribute_set(&mut self, span: Span, _: bool) {
        self.form(span);
    }
    fn ancient_let(&mut self, span: Span) {
        self.form(span);
    }
    fn let_in(&mut self, span: Span) {
        self.form(span);
    }
}
