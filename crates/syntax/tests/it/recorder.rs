//! A sink that writes down what it hears and checks that it makes sense: spans lie in the text, the stack of
//! expressions never runs dry, and tokens with trivia give back every byte.

use syntax::{
    BinaryOperator, LambdaHead, Origin, ParseOptions, Part, Parts, PathKind, PipeDirection, Sink, Source, Span,
    SyntaxError, SyntaxErrorKind, SyntaxWarning, TokenKind, TriviaKind, UnaryOperator,
};

#[derive(Default)]
pub struct Recorder {
    length: u32,
    pub stack: Vec<String>,
    names: Vec<String>,
    formals: Vec<String>,
    bindings: Vec<Vec<String>>,
    pub errors: Vec<SyntaxError>,
    pub warnings: u32,
    /// End of the text covered so far by tokens and trivia.
    covered: u32,
    pub tokens: Vec<TokenKind>,
}

/// Parses and records.
pub fn record(text: &[u8], options: ParseOptions) -> Recorder {
    let source = Source::new(Origin::String, text).expect("a short text");
    let mut recorder = Recorder { length: text.len() as u32, ..Recorder::default() };
    syntax::parse(&source, options, &mut recorder);
    assert!(recorder.errors.len() <= 1, "one error at most");
    if recorder.errors.is_empty() {
        assert_eq!(recorder.stack.len(), 1, "one expression");
        assert!(recorder.names.is_empty() && recorder.formals.is_empty() && recorder.bindings.is_empty());
        let rest = &text[recorder.covered as usize..];
        assert!(rest.first().is_none_or(|&byte| byte == 0), "every byte is in a token or trivia");
    }
    recorder
}

/// The one expression, or the message of the one error.
pub fn outcome(text: &str) -> String {
    let options = ParseOptions { pipe_operators: true, ..ParseOptions::default() };
    let mut recorder = record(text.as_bytes(), options);
    match recorder.errors.pop() {
        Some(error) => format!("{}: {error}", error.span.start),
        None => recorder.stack.pop().unwrap_or_default(),
    }
}

impl Recorder {
    fn see(&self, span: Span) {
        assert!(span.start <= span.end && span.end <= self.length, "{span:?} lies in the text");
    }

    fn cover(&mut self, span: Span) {
        self.see(span);
        assert_eq!(span.start, self.covered, "no gap and no overlap");
        self.covered = span.end;
    }

    fn push(&mut self, span: Span, text: String) {
        self.see(span);
        self.stack.push(text);
    }

    fn pop(&mut self) -> String {
        self.stack.pop().expect("an operand was announced")
    }

    fn take(&mut self, count: u32) -> Vec<String> {
        let at = self.stack.len().checked_sub(count as usize).expect("operands were announced");
        self.stack.split_off(at)
    }

    fn path(&mut self, count: u32) -> String {
        let at = self.names.len().checked_sub(count as usize).expect("names were announced");
        self.names.split_off(at).join(".")
    }

    fn parts(&mut self, parts: Parts<'_>) -> String {
        let mut expressions = self.take(parts.expressions() as u32).into_iter();
        let mut shown = Vec::new();
        for part in parts.iter() {
            shown.push(match part {
                Part::Text { offset, text } => {
                    assert!(offset <= self.length);
                    format!("{:?}", String::from_utf8_lossy(text))
                }
                Part::Expression { offset } => {
                    assert!(offset < self.length);
                    format!("${}", expressions.next().expect("as many as announced"))
                }
            });
        }
        shown.join("+")
    }
}

fn show(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

impl Sink for Recorder {
    fn token(&mut self, kind: TokenKind, span: Span) {
        self.cover(span);
        self.tokens.push(kind);
    }
    fn trivia(&mut self, _kind: TriviaKind, span: Span) {
        self.cover(span);
    }
    fn error(&mut self, error: SyntaxError) {
        self.see(error.span);
        if let SyntaxErrorKind::Unexpected { expected, .. } = &error.kind {
            assert!(expected.len() <= 4);
        }
        self.errors.push(error);
    }
    fn unparsed(&mut self, span: Span) {
        self.see(span);
    }
    fn warning(&mut self, _warning: SyntaxWarning, span: Span) {
        self.see(span);
        self.warnings += 1;
    }
    fn variable(&mut self, span: Span, name: &[u8]) {
        self.push(span, show(name));
    }
    fn current_position(&mut self, span: Span) {
        self.push(span, "POS".into());
    }
    fn integer(&mut self, span: Span, value: i64) {
        self.push(span, value.to_string());
    }
    fn float(&mut self, span: Span, value: f64) {
        self.push(span, format!("{value:?}"));
    }
    fn string(&mut self, span: Span, text: &[u8]) {
        self.push(span, format!("{:?}", show(text)));
    }
    fn interpolated_string(&mut self, span: Span, parts: Parts<'_>) {
        let text = self.parts(parts);
        self.push(span, format!("<{text}>"));
    }
    fn path(&mut self, span: Span, kind: PathKind, literal: &[u8]) {
        self.push(span, format!("{kind:?}:{}", show(literal)));
    }
    fn interpolated_path(&mut self, span: Span, kind: PathKind, parts: Parts<'_>) {
        let text = self.parts(parts);
        self.push(span, format!("{kind:?}:<{text}>"));
    }
    fn search_path(&mut self, span: Span, name: &[u8]) {
        self.push(span, format!("Search:{}", show(name)));
    }
    fn list(&mut self, span: Span, count: u32) {
        let items = self.take(count).join(" ");
        self.push(span, format!("[{items}]"));
    }
    fn call(&mut self, span: Span, count: u32) {
        let items = self.take(count + 1).join(" ");
        self.push(span, format!("({items})"));
    }
    fn pipe(&mut self, span: Span, operator: Span, direction: PipeDirection) {
        self.see(operator);
        let items = self.take(2).join(if direction == PipeDirection::From { " <| " } else { " |> " });
        self.push(span, format!("({items})"));
    }
    fn attribute_name(&mut self, span: Span, name: &[u8]) {
        self.see(span);
        self.names.push(show(name));
    }
    fn dynamic_attribute_name(&mut self, span: Span) {
        self.see(span);
        let name = self.pop();
        self.names.push(format!("${{{name}}}"));
    }
    fn select(&mut self, span: Span, names: u32, has_default: bool) {
        let default = if has_default { format!(" or {}", self.pop()) } else { String::new() };
        let path = self.path(names);
        let base = self.pop();
        self.push(span, format!("({base}.{path}{default})"));
    }
    fn has_attribute(&mut self, span: Span, operator: Span, names: u32) {
        self.see(operator);
        let path = self.path(names);
        let base = self.pop();
        self.push(span, format!("({base} ? {path})"));
    }
    fn unary(&mut self, span: Span, operator: UnaryOperator) {
        let operand = self.pop();
        self.push(span, format!("({operator:?} {operand})"));
    }
    fn binary(&mut self, span: Span, place: Span, operator: BinaryOperator) {
        self.see(place);
        let operands = self.take(2);
        self.push(span, format!("({} {operator:?} {})", operands[0], operands[1]));
    }
    fn if_then_else(&mut self, span: Span) {
        let parts = self.take(3);
        self.push(span, format!("(if {} {} {})", parts[0], parts[1], parts[2]));
    }
    fn assertion(&mut self, span: Span) {
        let parts = self.take(2).join(" ");
        self.push(span, format!("(assert {parts})"));
    }
    fn with(&mut self, span: Span) {
        let parts = self.take(2).join(" ");
        self.push(span, format!("(with {parts})"));
    }
    fn formal(&mut self, span: Span, name: &[u8], has_default: bool) {
        self.see(span);
        let default = if has_default { format!("?{}", self.pop()) } else { String::new() };
        self.formals.push(format!("{}{default}", show(name)));
    }
    fn lambda(&mut self, span: Span, head: LambdaHead<'_>) {
        let body = self.pop();
        let mut shown = String::new();
        if let Some((place, name)) = head.argument {
            self.see(place);
            shown.push_str(&show(name));
        }
        if let Some(formals) = head.formals {
            let at = self.formals.len().checked_sub(formals.count as usize).expect("formals were announced");
            let names = self.formals.split_off(at).join(",");
            shown.push_str(&format!("{{{names}{}}}", if formals.ellipsis { "..." } else { "" }));
        }
        self.push(span, format!("({shown}: {body})"));
    }
    fn open_bindings(&mut self) {
        self.bindings.push(Vec::new());
    }
    fn bind(&mut self, span: Span, names: u32) {
        self.see(span);
        let value = self.pop();
        let path = self.path(names);
        self.bindings.last_mut().expect("bindings are open").push(format!("{path}={value}"));
    }
    fn inherit(&mut self, span: Span, names: u32) {
        self.see(span);
        let names = self.path(names);
        self.bindings.last_mut().expect("bindings are open").push(format!("inherit {names}"));
    }
    fn inherit_from(&mut self, span: Span, names: u32) {
        self.see(span);
        let names = self.path(names);
        let source = self.pop();
        self.bindings.last_mut().expect("bindings are open").push(format!("inherit ({source}) {names}"));
    }
    fn attribute_set(&mut self, span: Span, recursive: bool) {
        let bindings = self.bindings.pop().expect("bindings are open").join("; ");
        self.push(span, format!("{}{{{bindings}}}", if recursive { "rec" } else { "" }));
    }
    fn ancient_let(&mut self, span: Span) {
        let bindings = self.bindings.pop().expect("bindings are open").join("; ");
        self.push(span, format!("let{{{bindings}}}"));
    }
    fn let_in(&mut self, span: Span) {
        let body = self.pop();
        let bindings = self.bindings.pop().expect("bindings are open").join("; ");
        self.push(span, format!("(let {bindings} in {body})"));
    }
}
