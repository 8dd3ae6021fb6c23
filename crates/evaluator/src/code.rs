//! A linked program: what the interpreter loop walks.
//!
//! [`link`] takes a fresh [`Program`], renumbers its symbols to the shared interner, sorts bindings and formals by them,
//! makes its constants into values and gives it a range in the concatenation of all texts, so that a place is one
//! 32-bit number. [`Sources`] turns such numbers back into files, lines and columns, counting lines only when asked.
//!
//! Absent on purpose: parsing (`compile`), caching of programs on disk.

use crate::error::Position;
use crate::eval::Eval;
use crate::program::{
    AttrName, AttrsDef, Binding, Constant, DynamicBinding, Formal, LambdaDef, NOWHERE, Node, NodeId, OperandOffsets,
    PathBase, Program, Range, SelectDef, Symbol,
};
use crate::value::{ContextId, Hint, List, ListBuilder, Pos, ShapePlace, Str, Value};
use std::sync::Arc;
use syntax::{LineColumn, Origin, Source};

/// A linked program.
pub(crate) struct Code {
    /// Its own number.
    pub(crate) number: u32,
    /// Expressions.
    pub(crate) nodes: Box<[Node]>,
    offsets: Box<[u32]>,
    operands: Box<[OperandOffsets]>,
    /// Operands.
    pub(crate) extra: Box<[u32]>,
    /// Selections.
    pub(crate) selects: Box<[SelectDef]>,
    /// Their paths.
    pub(crate) names: Box<[AttrName]>,
    /// Sets and `let`s.
    pub(crate) attrs: Box<[AttrsDef]>,
    /// The shapes of the sets that they make, where one was made.
    pub(crate) shapes: Box<[ShapePlace]>,
    /// Their bindings.
    pub(crate) bindings: Box<[Binding]>,
    /// Their dynamic bindings.
    pub(crate) dynamics: Box<[DynamicBinding]>,
    /// Functions.
    pub(crate) lambdas: Box<[LambdaDef]>,
    /// Their formals.
    pub(crate) formals: Box<[Formal]>,
    /// Literals; a list so that a collector sees them.
    pub(crate) constants: List,
    /// Where names were found last, by node, then by index in `names`.
    hints: Box<[Hint]>,
    /// Number of the first byte of the text.
    base: u32,
    /// The whole.
    pub(crate) root: NodeId,
    /// Where it came from.
    pub(crate) source: Arc<SourceText>,
    /// The folder that relative paths in it start from.
    pub(crate) directory: Box<[u8]>,
}

impl Code {
    /// The expression with this number.
    #[inline(always)]
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Calls `visit` with all that it holds of the heap.
    pub(crate) fn each_root(&self, visit: &mut dyn FnMut(Value)) {
        visit(self.constants.into());
        self.shapes.iter().filter_map(ShapePlace::root).for_each(visit);
    }

    /// Where the name that a node looks up was found last.
    #[inline(always)]
    pub(crate) fn hint(&self, id: NodeId) -> &Hint {
        &self.hints[id.0 as usize]
    }

    /// The same for an element of `names`.
    #[inline(always)]
    pub(crate) fn name_hint(&self, name: usize) -> &Hint {
        &self.hints[self.nodes.len() + name]
    }

    /// The place of a node. Literals and `let` have none, as in C++ Nix.
    pub(crate) fn pos(&self, id: NodeId) -> Pos {
        match (*self.node(id), self.offset(id)) {
            (Node::Const(_) | Node::Let { .. }, _) | (_, NOWHERE) => Pos::NONE,
            (_, offset) => self.pos_of(offset),
        }
    }

    /// The offset of a node.
    pub(crate) fn offset(&self, id: NodeId) -> u32 {
        self.offsets[id.0 as usize]
    }

    /// The place of an offset.
    #[inline(always)]
    pub(crate) fn pos_of(&self, offset: u32) -> Pos {
        Pos(self.base + offset)
    }

    /// The place of operand `index` of an `Add` or interpolation.
    pub(crate) fn operand_pos(&self, node: NodeId, index: usize, operand: NodeId) -> Pos {
        match self.operands.binary_search_by_key(&node.0, |entry| entry.node.0) {
            Ok(at) => self.pos_of(self.extra[self.operands[at].offsets as usize + index]),
            Err(_) if self.offset(operand) == NOWHERE => Pos::NONE,
            Err(_) => self.pos_of(self.offset(operand)),
        }
    }

    /// A run of operands.
    #[inline(always)]
    pub(crate) fn operands(&self, range: Range) -> &[u32] {
        &self.extra[range.indices()]
    }

    /// A counted list of operands.
    #[inline(always)]
    pub(crate) fn counted(&self, at: u32) -> &[u32] {
        let at = at as usize;
        let count = self.extra[at] as usize;
        &self.extra[at + 1..at + 1 + count]
    }

    /// The list of the same length that follows a counted list.
    pub(crate) fn after_counted(&self, at: u32) -> &[u32] {
        let at = at as usize;
        let count = self.extra[at] as usize;
        &self.extra[at + 1 + count..at + 1 + 2 * count]
    }

    /// The formals of a function, sorted by symbol.
    #[inline(always)]
    pub(crate) fn formals(&self, lambda: &LambdaDef) -> &[Formal] {
        &self.formals[lambda.formals.indices()]
    }
}

/// A text with the range it got.
#[derive(Debug)]
pub(crate) struct SourceText {
    /// The text.
    pub(crate) source: Source,
    base: u32,
}

impl SourceText {
    /// Line and column, both from 1.
    pub(crate) fn line_column(&self, pos: Pos) -> LineColumn {
        self.source.line_column(self.offset_of(pos))
    }

    /// The offset of a place in this text.
    pub(crate) fn offset_of(&self, pos: Pos) -> u32 {
        pos.0 - self.base
    }

    /// The place of an offset in this text.
    pub(crate) fn pos_of(&self, offset: u32) -> Pos {
        Pos(self.base + offset)
    }

    /// Whether it is a part of the evaluator.
    pub(crate) fn is_internal(&self) -> bool {
        matches!(self.source.origin(), Origin::File(path) if path.starts_with(INTERNAL))
    }
}

/// How the names of files built into the evaluator begin.
pub(crate) const INTERNAL: &str = "«nix-internal»/";

/// All texts of an evaluator.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    texts: Vec<Arc<SourceText>>,
    next: u32,
}

impl Sources {
    /// Gives a text its range; `None` when 4 GB of text are exceeded.
    pub(crate) fn add(&mut self, source: Source) -> Option<Arc<SourceText>> {
        let base = self.next.max(1);
        self.next = base.checked_add(u32::try_from(source.text().len()).ok()?)?.checked_add(1)?;
        let text = Arc::new(SourceText { source, base });
        self.texts.push(text.clone());
        Some(text)
    }

    /// The text that a place lies in.
    pub(crate) fn text(&self, pos: Pos) -> Option<&Arc<SourceText>> {
        let after = self.texts.partition_point(|text| text.base <= pos.0);
        self.texts.get(after.checked_sub(1)?)
    }

    /// A place made readable.
    pub(crate) fn position(&self, pos: Pos) -> Option<Position> {
        let text = self.text(pos)?;
        let LineColumn { line, column } = text.line_column(pos);
        let shown = |bytes: &[u8]| crate::text::bytes_as_text(bytes).into_owned();
        let around = text.source.lines_around(line);
        let source = around.map_or([None, None, None], |around| {
            [around.before.map(shown), Some(shown(around.at)), around.after.map(shown)]
        });
        Some(Position { origin: text.source.origin().clone(), line, column, source })
    }
}

/// An array of a program that stays. It leaves its memory to the next program, unless copying took longer than that is
/// worth.
fn keep<T: Clone>(memory: &mut Vec<T>) -> Box<[T]> {
    const LARGE: usize = 64 << 10;
    if size_of_val(memory.as_slice()) > LARGE { std::mem::take(memory).into() } else { memory.as_slice().into() }
}

/// Makes a fresh program runnable; its symbols are renumbered in place, and its arrays taken away or copied. `directory` is
/// the folder that relative path literals start from.
pub(crate) fn link(eval: &mut Eval, program: &mut Program, source: Arc<SourceText>, directory: &[u8]) -> &'static Code {
    let symbols: Vec<Symbol> =
        program.symbols.iter().map(|range| eval.intern(&program.text[range.indices()])).collect();
    let renumber = |symbol: &mut Symbol| {
        if *symbol != Symbol::NONE {
            *symbol = symbols[symbol.0 as usize];
        }
    };
    // Behind the constants of the text stands the one that all empty lists share.
    let empty_list = program.constants.len();
    for node in &mut program.nodes {
        match node {
            Node::WithVar { name, .. } | Node::Select1 { name, .. } => renumber(name),
            Node::List(elements) if elements.len == 0 => *node = Node::Const(empty_list as u32),
            _ => {}
        }
    }
    for name in &mut program.names {
        if let AttrName::Static(symbol) = name {
            renumber(symbol);
        }
    }
    program.bindings.iter_mut().for_each(|binding| renumber(&mut binding.name));
    program.formals.iter_mut().for_each(|formal| renumber(&mut formal.name));
    for lambda in &mut program.lambdas {
        renumber(&mut lambda.argument);
        renumber(&mut lambda.name);
        program.formals[lambda.formals.indices()].sort_unstable_by_key(|formal| formal.name);
    }
    for attrs in &program.attrs {
        program.bindings[attrs.bindings.indices()].sort_unstable_by_key(|binding| binding.name);
    }
    let mut constants = ListBuilder::new(&mut eval.arena, program.constants.len() + 1);
    for constant in &program.constants {
        constants.push(constant_value(eval, constant, &program.text, directory));
    }
    constants.push(eval.constants.empty_list.into());
    let base = source.pos_of(0).0;
    eval.add_code(|number| Code {
        number,
        hints: (0..program.nodes.len() + program.names.len()).map(|_| Hint::default()).collect(),
        nodes: keep(&mut program.nodes),
        offsets: keep(&mut program.offsets),
        operands: keep(&mut program.operands),
        extra: keep(&mut program.extra),
        selects: keep(&mut program.selects),
        names: keep(&mut program.names),
        shapes: program.attrs.iter().map(|_| ShapePlace::default()).collect(),
        attrs: keep(&mut program.attrs),
        bindings: keep(&mut program.bindings),
        dynamics: keep(&mut program.dynamics),
        lambdas: keep(&mut program.lambdas),
        formals: keep(&mut program.formals),
        constants: constants.finish(),
        base,
        root: program.root.expect("a program that compiled has a root"),
        source,
        directory: directory.into(),
    })
}

fn constant_value(eval: &mut Eval, constant: &Constant, text: &[u8], directory: &[u8]) -> Value {
    match constant {
        Constant::Int(int) => Value::int(&mut eval.arena, *int),
        Constant::Float(float) => Value::float(&mut eval.arena, *float),
        Constant::String(range) => Str::new(&mut eval.arena, &text[range.indices()], ContextId::NONE).into(),
        Constant::Path { base, text: range } => {
            let literal = &text[range.indices()];
            let mut path = match base {
                PathBase::Absolute => Vec::new(),
                PathBase::File => directory.to_vec(),
                PathBase::Home => eval.shared.world.env_var(b"HOME").unwrap_or_default(),
            };
            path.push(b'/');
            path.extend_from_slice(literal);
            let mut normal = canonical(&path);
            // A slash directly before an interpolation belongs to the path; a lone literal never ends in one.
            if literal.ends_with(b"/") && normal != b"/" {
                normal.push(b'/');
            }
            Value::path(&mut eval.arena, &normal)
        }
    }
}

/// An absolute path without `.`, `..`, doubled or trailing slashes; `..` above the root stays there.
pub(crate) fn canonical(path: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => normal.truncate(normal.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
            part => {
                normal.push(b'/');
                normal.extend_from_slice(part);
            }
        }
    }
    if normal.is_empty() {
        normal.push(b'/');
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_paths() {
        for (path, normal) in
            [("/a//b/./c/", "/a/b/c"), ("/../..", "/"), ("/a/../b", "/b"), ("", "/"), ("/a/b/../../../c", "/c")]
        {
            assert_eq!(canonical(path.as_bytes()), normal.as_bytes());
        }
    }

    #[test]
    fn places() {
        let mut sources = Sources::default();
        let a = sources.add(Source::new(Origin::String, b"one\ntwo\nthree".to_vec()).unwrap()).unwrap();
        let b = sources.add(Source::new(Origin::Stdin, b"x\ny".to_vec()).unwrap()).unwrap();
        let position = sources.position(a.pos_of(5)).unwrap();
        assert_eq!((position.line, position.column), (2, 2));
        assert_eq!(position.source, [Some("one".into()), Some("two".into()), Some("three".into())]);
        let position = sources.position(b.pos_of(0)).unwrap();
        assert_eq!((position.origin, position.line, position.column), (Origin::Stdin, 1, 1));
        assert_eq!(sources.position(Pos::NONE), None);
    }
}
