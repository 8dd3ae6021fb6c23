//! The sink that builds the [`Tree`].
//!
//! It keeps three stacks (expressions, attribute names, formals) and one of open sets, as the events are postfix. An
//! expression on the stack carries where it begins, which differs from its error position for operators.

use super::bindings::Index;
use super::tree::{NO_BINDING, Tree, TreeFormal, TreeId, TreeLambda, TreeName, TreeNode, TreeSelect};
use crate::program::{CompileError, CompileWarning, Lint, Lints, NOWHERE, PathBase, Range, Symbol};
use syntax::{
    BinaryOperator, LambdaHead, Part, Parts, PathKind, PipeDirection, Sink, Source, Span, SyntaxError, SyntaxWarning,
    UnaryOperator,
};

/// A step of an attribute path that waits for what it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingName {
    pub(super) name: TreeName,
    pub(super) offset: u32,
}

/// What lowering keeps while it reads a text.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    expressions: Vec<(TreeId, u32)>,
    names: Vec<PendingName>,
    formals: Vec<TreeFormal>,
    open: Vec<u32>,
    index: Index,
}

pub(super) struct Lowering<'a> {
    pub(super) source: &'a Source,
    lints: Lints,
    pub(super) tree: &'a mut Tree,
    stack: &'a mut Vec<(TreeId, u32)>,
    pub(super) names: &'a mut Vec<PendingName>,
    formals: &'a mut Vec<TreeFormal>,
    /// The sets being read, innermost last.
    pub(super) open: &'a mut Vec<u32>,
    pub(super) index: &'a mut Index,
    /// The first error; the rest of the text does not matter then.
    error: Option<CompileError>,
}

impl<'a> Lowering<'a> {
    /// Reads `source` into `tree`, which was emptied.
    pub(super) fn new(source: &'a Source, lints: Lints, tree: &'a mut Tree, stacks: &'a mut Stacks) -> Lowering<'a> {
        let Stacks { expressions: stack, names, formals, open, index } = stacks;
        stack.clear();
        names.clear();
        formals.clear();
        open.clear();
        index.clear();
        Lowering { source, lints, tree, stack, names, formals, open, index, error: None }
    }

    pub(super) fn finish(self) -> Result<(), CompileError> {
        if let Some(mut error) = self.error {
            error.warnings = std::mem::take(&mut self.tree.warnings);
            return Err(error);
        }
        self.tree.root = self.stack.pop().map_or(0, |(root, _)| root);
        Ok(())
    }

    pub(super) fn fail(&mut self, offset: u32, message: String) {
        if self.error.is_none() {
            self.error = Some(CompileError { offset, message, undefined_variable: false, warnings: Vec::new() });
        }
    }

    /// `path:line:column` of an offset.
    pub(super) fn place(&self, offset: u32) -> String {
        let place = self.source.line_column(offset);
        format!("{}:{}:{}", self.source.origin(), place.line, place.column)
    }

    /// A questionable literal.
    #[cold]
    fn lint(&mut self, level: Lint, offset: u32, words: String, setting: &str) {
        let message = format!("{words} ({setting})");
        match level {
            Lint::Ignore => {}
            Lint::Fatal => self.fail(offset, message),
            Lint::Warn => {
                let message = message + &self.excerpt(offset);
                self.tree.warnings.push(CompileWarning { offset, message });
            }
        }
    }

    /// The lines around a place, as they stand below a warning.
    fn excerpt(&self, offset: u32) -> String {
        let place = self.source.line_column(offset);
        let mut text = format!("\n         at {}:", self.place(offset));
        let Some(lines) = self.source.lines_around(place.line) else { return text };
        let mut line = |number: u32, line: &[u8]| {
            let shown = format!("          {number:>5}| {}", String::from_utf8_lossy(line));
            text.push('\n');
            text.push_str(shown.trim_end());
        };
        if let Some(before) = lines.before {
            line(place.line - 1, before);
        }
        line(place.line, lines.at);
        text.push_str(&format!("\n               |{}^", " ".repeat(place.column as usize)));
        if let Some(after) = lines.after {
            let number = place.line + 1;
            let shown = format!("          {number:>5}| {}", String::from_utf8_lossy(after));
            text.push('\n');
            text.push_str(shown.trim_end());
        }
        text
    }

    fn lint_path(&mut self, offset: u32, kind: PathKind, literal: &[u8]) {
        let shown = || String::from_utf8_lossy(literal).into_owned();
        let (level, setting, words) = match kind {
            PathKind::Relative if literal.first() != Some(&b'.') => {
                let level = self.lints.short_path_literals;
                if level == Lint::Ignore {
                    return;
                }
                let shown = shown();
                let words =
                    format!("relative path literal '{shown}' should be prefixed with '.' for clarity: './{shown}'");
                (level, "lint-short-path-literals", words)
            }
            PathKind::Relative => return,
            PathKind::Absolute | PathKind::Home => {
                let level = self.lints.absolute_path_literals;
                if level == Lint::Ignore {
                    return;
                }
                let what = if kind == PathKind::Home { "home" } else { "absolute" };
                let words = format!(
                    "{what} path literals are not portable. Consider replacing path literal '{}' by a string, \
                     relative path, or parameter",
                    shown()
                );
                (level, "lint-absolute-path-literals", words)
            }
        };
        self.lint(level, offset, words, setting);
    }

    /// The place that C++ Nix gives an operator whose place is that of its operand; literals have none.
    fn place_of(&self, operand: TreeId) -> u32 {
        match self.tree.node(operand) {
            TreeNode::Int(_) | TreeNode::Float(_) | TreeNode::String(_) | TreeNode::Path(..) | TreeNode::Let(..) => {
                NOWHERE
            }
            _ => self.tree.offsets[operand as usize],
        }
    }

    /// A node whose error position is where it begins.
    #[inline]
    fn push(&mut self, span: Span, node: TreeNode) {
        self.push_at(span, span.start, node);
    }

    #[inline]
    fn push_at(&mut self, span: Span, offset: u32, node: TreeNode) {
        let id = self.tree.add(node, offset);
        self.stack.push((id, span.start));
    }

    #[inline]
    pub(super) fn pop(&mut self) -> TreeId {
        self.pop_with_start().0
    }

    /// The parser balances its events; a stack that runs dry would be its fault, and gives node 0.
    #[inline]
    fn pop_with_start(&mut self) -> (TreeId, u32) {
        debug_assert!(!self.stack.is_empty(), "the parser's events are balanced");
        self.stack.pop().unwrap_or((0, 0))
    }

    /// Moves the last `count` expressions to `extra`.
    fn take_list(&mut self, count: u32) -> Range {
        let at = self.stack.len().saturating_sub(count as usize);
        let start = self.tree.extra.len() as u32;
        self.tree.extra.extend(self.stack.drain(at..).map(|(id, _)| id));
        Range { start, len: count }
    }

    fn take_path(&mut self, names: u32) -> Range {
        let at = self.names.len().saturating_sub(names as usize);
        let start = self.tree.names.len() as u32;
        self.tree.names.extend(self.names.drain(at..).map(|pending| pending.name));
        Range { start, len: names }
    }

    /// A call of `function`, whose arguments lie at the end of `extra`; joins the call that `function` is, if it is one.
    fn make_call(&mut self, span: Span, offset: u32, (function, start): (TreeId, u32), arguments: &[TreeId]) {
        let tree = &mut self.tree;
        let args = tree.extra.len() as u32;
        match tree.node(function) {
            TreeNode::Call(inner, old) => {
                let old = old as usize;
                let length = tree.extra[old];
                tree.extra.push(length + arguments.len() as u32);
                tree.extra.extend_from_within(old + 1..old + 1 + length as usize);
                tree.extra.extend_from_slice(arguments);
                tree.nodes[function as usize] = TreeNode::Call(inner, args);
                self.stack.push((function, start.min(span.start)));
            }
            _ => {
                let offset = if tree.is_call(function) { tree.offsets[function as usize] } else { offset };
                self.new_call(span, offset, function, arguments);
            }
        }
    }

    fn new_call(&mut self, span: Span, offset: u32, function: TreeId, arguments: &[TreeId]) {
        let args = self.tree.extra.len() as u32;
        self.tree.extra.push(arguments.len() as u32);
        self.tree.extra.extend_from_slice(arguments);
        self.push_at(span, offset, TreeNode::Call(function, args));
    }

    fn interpolation(&mut self, parts: Parts<'_>, head: Option<PathKind>) -> Range {
        let first = self.stack.len().saturating_sub(parts.expressions());
        let length = parts.len() as u32;
        // Text becomes nodes first: `extra` must hold the parts side by side.
        let mut expression = first;
        let mut pieces: smallvec::SmallVec<[(TreeId, u32); 16]> = smallvec::SmallVec::new();
        for (index, part) in parts.iter().enumerate() {
            let piece = match part {
                Part::Expression { offset } => {
                    let id = self.stack.get(expression).map_or(0, |&(id, _)| id);
                    expression += 1;
                    (id, offset)
                }
                Part::Text { offset, text } => {
                    let node = match head {
                        Some(kind) if index == 0 => {
                            self.lint_path(offset, kind, text);
                            self.path_node(kind, text)
                        }
                        _ => TreeNode::String(self.tree.add_text(text)),
                    };
                    (self.tree.add(node, offset), offset)
                }
            };
            pieces.push(piece);
        }
        self.stack.truncate(first);
        let start = self.tree.extra.len() as u32;
        self.tree.extra.extend(pieces.iter().map(|&(id, _)| id));
        self.tree.extra.extend(pieces.iter().map(|&(_, offset)| offset));
        Range { start, len: length }
    }

    fn path_node(&mut self, kind: PathKind, literal: &[u8]) -> TreeNode {
        let (base, literal) = match kind {
            PathKind::Absolute => (PathBase::Absolute, literal),
            PathKind::Relative => (PathBase::File, literal),
            PathKind::Home => (PathBase::Home, literal.strip_prefix(b"~").unwrap_or(literal)),
        };
        TreeNode::Path(base, self.tree.add_text(literal))
    }

    fn close_bindings(&mut self, span: Span, recursive: bool) -> u32 {
        let set = self.open.pop().unwrap_or_default();
        let entry = &mut self.tree.sets[set as usize];
        entry.recursive = recursive;
        entry.offset = span.start;
        set
    }

    /// Refuses a pattern that has a name twice, naming the place of the second, or that has the name beside its `@`.
    fn check_formals(&mut self, formals: Range, argument: Symbol, start: u32) {
        if formals.len < 2 && argument == Symbol::NONE {
            return;
        }
        let formals = &self.tree.formals[formals.indices()];
        let mut sorted: smallvec::SmallVec<[(Symbol, u32); 32]> =
            formals.iter().map(|formal| (formal.name, formal.offset)).collect();
        sorted.sort_unstable();
        let twice = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1]);
        let beside = sorted.binary_search_by_key(&argument, |&(name, _)| name).is_ok().then_some((argument, start));
        if let Some((name, offset)) = twice.or(beside) {
            let name = super::print::identifier_text(self.tree.symbol(name));
            self.fail(offset, format!("duplicate formal function argument '{name}'"));
        }
    }
}

impl Sink for Lowering<'_> {
    fn error(&mut self, error: SyntaxError) {
        self.fail(error.span.start, error.kind.to_string());
    }

    #[cold]
    fn warning(&mut self, warning: SyntaxWarning, span: Span) {
        let SyntaxWarning::OrAsIdentifier = warning;
        let snippet = String::from_utf8_lossy(&self.source.text()[span.range()]).into_owned();
        let message = format!(
            "at {}: This expression uses `or` as an identifier in a way that will change in a future Nix release.\n\
             Wrap this entire expression in parentheses to preserve its current meaning:\n    ({snippet})\n\
             Give feedback at https://github.com/NixOS/nix/pull/11121",
            self.place(span.start)
        );
        self.tree.warnings.push(CompileWarning { offset: span.start, message });
    }

    #[inline]
    fn variable(&mut self, span: Span, name: &[u8]) {
        let symbol = self.tree.intern(name);
        self.push(span, TreeNode::Variable(symbol));
    }

    fn current_position(&mut self, span: Span) {
        self.push(span, TreeNode::CurrentPosition);
    }

    fn integer(&mut self, span: Span, value: i64) {
        let index = self.tree.integers.len() as u32;
        self.tree.integers.push(value);
        self.push(span, TreeNode::Int(index));
    }

    fn float(&mut self, span: Span, value: f64) {
        let index = self.tree.floats.len() as u32;
        self.tree.floats.push(value);
        self.push(span, TreeNode::Float(index));
    }

    #[inline]
    fn string(&mut self, span: Span, text: &[u8]) {
        let range = self.tree.add_text(text);
        self.push(span, TreeNode::String(range));
    }

    fn uri(&mut self, span: Span, text: &[u8]) {
        if self.lints.url_literals != Lint::Ignore {
            let attitude = if self.lints.url_literals == Lint::Fatal { "disallowed" } else { "discouraged" };
            let shown = String::from_utf8_lossy(text);
            let words = format!("URL literals are {attitude}. Consider using a string literal \"{shown}\" instead");
            self.lint(self.lints.url_literals, span.start, words, "lint-url-literals");
        }
        self.string(span, text);
    }

    fn interpolated_string(&mut self, span: Span, parts: Parts<'_>) {
        // `''${"a"}''` is `"a"`, but `"${"a"}"` is not: so it prints in C++ Nix.
        let indented = self.source.text().get(span.start as usize) == Some(&b'\'');
        if indented
            && parts.len() == 1
            && let Some(&(id, _)) = self.stack.last()
            && let TreeNode::String(_) = self.tree.node(id)
        {
            return self.parenthesised(span);
        }
        let range = self.interpolation(parts, None);
        // C++ Nix names the place after the quote, but that of the two quotes.
        let offset = if indented { span.start } else { span.start + 1 };
        self.push_at(span, offset, TreeNode::Interpolate(range));
    }

    fn path(&mut self, span: Span, kind: PathKind, literal: &[u8]) {
        self.lint_path(span.start, kind, literal);
        let node = self.path_node(kind, literal);
        self.push(span, node);
    }

    fn interpolated_path(&mut self, span: Span, kind: PathKind, parts: Parts<'_>) {
        let range = self.interpolation(parts, Some(kind));
        self.push(span, TreeNode::InterpolatePath(range));
    }

    fn search_path(&mut self, span: Span, name: &[u8]) {
        let range = self.tree.add_text(name);
        self.push(span, TreeNode::SearchPath(range));
    }

    fn list(&mut self, span: Span, count: u32) {
        let range = self.take_list(count);
        let offset = match range.len {
            0 => NOWHERE,
            _ => self.place_of(self.tree.extra[range.start as usize]),
        };
        self.push_at(span, offset, TreeNode::List(range));
    }

    fn parenthesised(&mut self, span: Span) {
        if let Some((_, start)) = self.stack.last_mut() {
            *start = span.start;
        }
    }

    fn call(&mut self, span: Span, count: u32) {
        let at = self.stack.len().saturating_sub(count as usize);
        let arguments: smallvec::SmallVec<[TreeId; 8]> = self.stack.drain(at..).map(|(id, _)| id).collect();
        let function = self.pop_with_start();
        // `f or` is a call of its own, told by its argument's place.
        if arguments.first().is_some_and(|argument| self.tree.offsets[*argument as usize] == span.start) {
            return self.new_call(span, span.start, function.0, &arguments);
        }
        self.make_call(span, span.start, function, &arguments);
    }

    fn pipe(&mut self, span: Span, operator: Span, direction: PipeDirection) {
        let second = self.pop_with_start();
        let first = self.pop_with_start();
        let (function, argument) = match direction {
            PipeDirection::From => (first, second),
            PipeDirection::Into => (second, first),
        };
        self.make_call(span, operator.start, function, &[argument.0]);
    }

    #[inline]
    fn attribute_name(&mut self, span: Span, name: &[u8]) {
        let name = TreeName::Static(self.tree.intern(name));
        self.names.push(PendingName { name, offset: span.start });
    }

    fn dynamic_attribute_name(&mut self, span: Span) {
        let id = self.pop();
        let name = match self.tree.node(id) {
            // `${"a"}` is as good as `a`.
            TreeNode::String(range) => {
                let text = self.tree.bytes(range).to_vec();
                TreeName::Static(self.tree.intern(&text))
            }
            _ => TreeName::Dynamic(id),
        };
        self.names.push(PendingName { name, offset: span.start });
    }

    fn select(&mut self, span: Span, names: u32, has_default: bool) {
        let default = has_default.then(|| self.pop());
        let path = self.take_path(names);
        let base = self.pop();
        let index = self.tree.selects.len() as u32;
        self.tree.selects.push(TreeSelect { base, path, default });
        self.push(span, TreeNode::Select(index));
    }

    fn has_attribute(&mut self, span: Span, _operator: Span, names: u32) {
        let path = self.take_path(names);
        let base = self.pop();
        let index = self.tree.selects.len() as u32;
        self.tree.selects.push(TreeSelect { base, path, default: None });
        let offset = self.place_of(base);
        self.push_at(span, offset, TreeNode::Has(index));
    }

    fn unary(&mut self, span: Span, operator: UnaryOperator) {
        let operand = self.pop();
        match operator {
            UnaryOperator::Not => self.push_at(span, self.place_of(operand), TreeNode::Not(operand)),
            UnaryOperator::Negate => self.push(span, TreeNode::Negate(operand)),
        }
    }

    fn binary(&mut self, span: Span, place: Span, operator: BinaryOperator) {
        let (right, right_start) = self.pop_with_start();
        let (left, left_start) = self.pop_with_start();
        let at = self.tree.extra.len() as u32;
        self.tree.extra.extend([left, right, left_start, right_start]);
        self.push_at(span, place.start, TreeNode::Binary(operator, at));
    }

    fn if_then_else(&mut self, span: Span) {
        let range = self.take_list(3);
        self.push(span, TreeNode::If(range.start));
    }

    fn assertion(&mut self, span: Span) {
        let body = self.pop();
        let condition = self.pop();
        self.push(span, TreeNode::Assert(condition, body));
    }

    fn with(&mut self, span: Span) {
        let body = self.pop();
        let scope = self.pop();
        self.push(span, TreeNode::With(scope, body));
    }

    fn formal(&mut self, span: Span, name: &[u8], has_default: bool) {
        let default = has_default.then(|| self.pop());
        let name = self.tree.intern(name);
        self.formals.push(TreeFormal { name, offset: span.start, default });
    }

    fn lambda(&mut self, span: Span, head: LambdaHead<'_>) {
        let body = self.pop();
        let argument = head.argument.map_or(Symbol::NONE, |(_, name)| self.tree.intern(name));
        let mut formals = Range::default();
        if let Some(pattern) = head.formals {
            let at = self.formals.len().saturating_sub(pattern.count as usize);
            formals = Range { start: self.tree.formals.len() as u32, len: pattern.count };
            self.tree.formals.extend(self.formals.drain(at..));
            self.check_formals(formals, argument, span.start);
        }
        let index = self.tree.lambdas.len() as u32;
        self.tree.lambdas.push(TreeLambda {
            argument,
            has_formals: head.formals.is_some(),
            ellipsis: head.formals.is_some_and(|pattern| pattern.ellipsis),
            formals,
            body,
            name: Symbol::NONE,
        });
        self.push(span, TreeNode::Lambda(index));
    }

    fn open_bindings(&mut self) {
        let set = self.tree.add_set(NO_BINDING);
        self.open.push(set);
    }

    fn bind(&mut self, span: Span, names: u32) {
        self.add_binding(span, names);
    }

    fn inherit(&mut self, _span: Span, names: u32) {
        self.add_inherited(names, None);
    }

    fn inherit_from(&mut self, _span: Span, names: u32) {
        let source = self.pop();
        self.add_inherited(names, Some(source));
    }

    fn attribute_set(&mut self, span: Span, recursive: bool) {
        let set = self.close_bindings(span, recursive);
        self.push(span, TreeNode::Set(set));
    }

    fn ancient_let(&mut self, span: Span) {
        let set = self.close_bindings(span, true);
        let base = self.tree.add(TreeNode::Set(set), span.start);
        let body = self.tree.intern(b"body");
        let path = Range { start: self.tree.names.len() as u32, len: 1 };
        self.tree.names.push(TreeName::Static(body));
        let index = self.tree.selects.len() as u32;
        self.tree.selects.push(TreeSelect { base, path, default: None });
        // C++ Nix gives this selection no place.
        self.push_at(span, NOWHERE, TreeNode::Select(index));
    }

    fn let_in(&mut self, span: Span) {
        let body = self.pop();
        let set = self.close_bindings(span, true);
        if !self.tree.sets[set as usize].dynamics.is_empty() {
            self.fail(span.start, "dynamic attributes not allowed in let".to_string());
        }
        self.push(span, TreeNode::Let(set, body));
    }
}
