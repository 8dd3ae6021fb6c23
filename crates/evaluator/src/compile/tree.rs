//! The expression of one file before names are resolved: compact nodes in arrays, indices of 32 bits.
//!
//! This is close to what was written: sets are merged already (`bindings`), operators are still operators, so that it
//! can be printed as C++ Nix prints its tree, and names are names.

use super::names::Names;
use crate::program::{CompileWarning, PathBase, Range, Symbol};
use syntax::BinaryOperator;

/// Index of a node in [`Tree::nodes`].
pub(super) type TreeId = u32;

/// One expression. The position stands beside it in [`Tree::offsets`].
#[derive(Clone, Copy, Debug)]
pub(super) enum TreeNode {
    /// Index into [`Tree::integers`].
    Int(u32),
    /// Index into [`Tree::floats`].
    Float(u32),
    /// Bytes in [`Tree::text`].
    String(Range),
    /// The name between the brackets of `<…>`.
    SearchPath(Range),
    /// A path literal as written; without the `~`.
    Path(PathBase, Range),
    Variable(Symbol),
    CurrentPosition,
    /// Index into [`Tree::selects`].
    Select(u32),
    /// Index into [`Tree::selects`].
    Has(u32),
    /// Index into [`Tree::sets`].
    Set(u32),
    /// Nodes in [`Tree::extra`].
    List(Range),
    /// Index into [`Tree::lambdas`].
    Lambda(u32),
    /// Function, and its arguments in `extra[args + 1 ..][.. extra[args]]`.
    Call(TreeId, u32),
    /// Index into [`Tree::sets`], body.
    Let(u32, TreeId),
    With(TreeId, TreeId),
    Assert(TreeId, TreeId),
    /// Condition and branches in `extra[at..at + 3]`.
    If(u32),
    Not(TreeId),
    Negate(TreeId),
    /// A pair of operands and their offsets in `extra[at..at + 4]`, and the operator.
    Binary(BinaryOperator, u32),
    /// Nodes of the parts in `extra`, then as many offsets.
    Interpolate(Range),
    /// The same; the first part is a path.
    InterpolatePath(Range),
}

/// One step of an attribute path.
#[derive(Clone, Copy, Debug)]
pub(super) enum TreeName {
    Static(Symbol),
    Dynamic(TreeId),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TreeSelect {
    pub(super) base: TreeId,
    /// In [`Tree::names`].
    pub(super) path: Range,
    pub(super) default: Option<TreeId>,
}

/// What the value of a binding is.
#[derive(Clone, Copy, Debug)]
pub(super) enum TreeValue {
    Plain(TreeId),
    /// `inherit name`.
    Inherited,
    /// `inherit (e) name`: which of the set's sources.
    From(u32),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TreeBinding {
    pub(super) name: Symbol,
    pub(super) offset: u32,
    pub(super) value: TreeValue,
    /// The binding of the same set after this one, or [`NO_BINDING`].
    pub(super) next: u32,
}

/// The end of a chain of bindings.
pub(super) const NO_BINDING: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
pub(super) struct TreeDynamic {
    pub(super) name: TreeId,
    pub(super) value: TreeId,
    pub(super) offset: u32,
}

/// A set literal, a set that an attribute path implies, or the bindings of a `let`.
#[derive(Clone, Debug)]
pub(super) struct TreeSet {
    pub(super) recursive: bool,
    /// One of the bindings is `inherit name`, perhaps.
    pub(super) inherits: bool,
    pub(super) offset: u32,
    /// The chain of its bindings in [`Tree::bindings`].
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) count: u32,
    pub(super) dynamics: Vec<TreeDynamic>,
    /// Sources of `inherit (e)`.
    pub(super) sources: Vec<TreeId>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TreeFormal {
    pub(super) name: Symbol,
    pub(super) offset: u32,
    pub(super) default: Option<TreeId>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TreeLambda {
    pub(super) argument: Symbol,
    pub(super) has_formals: bool,
    pub(super) ellipsis: bool,
    /// In [`Tree::formals`].
    pub(super) formals: Range,
    pub(super) body: TreeId,
    /// What it is the value of.
    pub(super) name: Symbol,
}

/// Empties a vector and makes sure of room for `room` elements, without moving what it held.
pub(super) fn empty<T>(memory: &mut Vec<T>, room: usize) {
    memory.clear();
    if memory.capacity() < room {
        *memory = Vec::with_capacity(room);
    }
}

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<TreeNode>,
    pub(super) offsets: Vec<u32>,
    pub(super) extra: Vec<u32>,
    pub(super) integers: Vec<i64>,
    pub(super) floats: Vec<f64>,
    pub(super) selects: Vec<TreeSelect>,
    pub(super) names: Vec<TreeName>,
    pub(super) sets: Vec<TreeSet>,
    pub(super) bindings: Vec<TreeBinding>,
    pub(super) lambdas: Vec<TreeLambda>,
    pub(super) formals: Vec<TreeFormal>,
    /// Bytes of names and strings.
    pub(super) text: Vec<u8>,
    pub(super) symbols: Names,
    pub(super) warnings: Vec<CompileWarning>,
    pub(super) root: TreeId,
}

impl Tree {
    /// Forgets what it held; makes room for about what a text of `length` bytes takes.
    pub(super) fn begin(&mut self, length: usize) {
        empty(&mut self.nodes, length / 16);
        empty(&mut self.offsets, length / 16);
        empty(&mut self.extra, length / 32);
        self.integers.clear();
        self.floats.clear();
        empty(&mut self.selects, length / 64);
        empty(&mut self.names, length / 64);
        empty(&mut self.sets, length / 128);
        empty(&mut self.bindings, length / 32);
        empty(&mut self.lambdas, length / 256);
        empty(&mut self.formals, length / 128);
        empty(&mut self.text, length / 2);
        self.symbols.begin(length / 64);
        self.warnings.clear();
        self.root = 0;
    }

    #[inline]
    pub(super) fn add(&mut self, node: TreeNode, offset: u32) -> TreeId {
        let id = self.nodes.len() as u32;
        self.nodes.push(node);
        self.offsets.push(offset);
        id
    }

    #[inline]
    pub(super) fn node(&self, id: TreeId) -> TreeNode {
        self.nodes[id as usize]
    }

    /// Appends text.
    pub(super) fn add_text(&mut self, text: &[u8]) -> Range {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text);
        Range { start, len: text.len() as u32 }
    }

    pub(super) fn bytes(&self, range: Range) -> &[u8] {
        &self.text[range.indices()]
    }

    pub(super) fn symbol(&self, symbol: Symbol) -> &[u8] {
        self.bytes(self.symbols.ranges[symbol.0 as usize])
    }

    #[inline]
    pub(super) fn intern(&mut self, name: &[u8]) -> Symbol {
        self.symbols.intern(&mut self.text, name)
    }

    pub(super) fn add_set(&mut self, offset: u32) -> u32 {
        self.sets.push(TreeSet {
            recursive: false,
            inherits: false,
            offset,
            first: NO_BINDING,
            last: NO_BINDING,
            count: 0,
            dynamics: Vec::new(),
            sources: Vec::new(),
        });
        self.sets.len() as u32 - 1
    }

    /// The bindings of a set in the order in which they were made.
    pub(super) fn bindings_of(&self, set: u32) -> impl Iterator<Item = TreeBinding> + '_ {
        let mut at = self.sets[set as usize].first;
        std::iter::from_fn(move || {
            let binding = *self.bindings.get(at as usize)?;
            at = binding.next;
            Some(binding)
        })
    }

    /// The arguments of a call.
    pub(super) fn arguments(&self, args: u32) -> &[u32] {
        let start = args as usize + 1;
        &self.extra[start..start + self.extra[args as usize] as usize]
    }

    /// Whether C++ Nix has a call for this node, which further arguments join.
    pub(super) fn is_call(&self, id: TreeId) -> bool {
        use BinaryOperator::{Divide, Greater, Less, Multiply, Subtract};
        matches!(
            self.node(id),
            TreeNode::Call(..)
                | TreeNode::Negate(_)
                | TreeNode::SearchPath(_)
                | TreeNode::Binary(Less | Greater | Subtract | Multiply | Divide, _)
        )
    }
}
