//! Compiled files as bytes, so that they can be kept from one evaluation to the next.
//!
//! Path of data: [`Program`] → [`encode`] → bytes in somebody's keeping ([`ProgramCache`]) → [`decode`] → the same
//! `Program`. Numbers take seven bits a byte; offsets of nodes are kept as steps. A program is found by the digest of its
//! text and of everything else that compiling depends on, and whoever keeps the bytes answers for this being the same
//! binary. All the same nothing read is trusted: every number is held against what it points into, and the environments
//! that nodes look into are followed (`verify`), because the interpreter does not ask again.
//!
//! Absent on purpose: programs with warnings (their text names a file), those of `scopedImport`, failures.

mod bytes;
mod verify;

use crate::program::{
    AttrName, AttrsDef, Binding, BindingKind, Constant, DynamicBinding, Formal, LambdaDef, Node, NodeId,
    OperandOffsets, OptNodeId, PathBase, Program, Range, SelectDef, Symbol,
};
use bytes::{Put, Take};

/// Keeps compiled files.
pub trait ProgramCache: Send + Sync {
    /// The bytes kept under a key.
    fn get(&self, key: &[u8; 32]) -> Option<Vec<u8>>;

    /// Keeps bytes under a key.
    fn put(&self, key: &[u8; 32], program: Vec<u8>);
}

/// The bytes of a program, if it is one that can be kept.
pub(crate) fn encode(program: &Program) -> Option<Vec<u8>> {
    let Program {
        nodes,
        offsets,
        extra,
        selects,
        names,
        attrs,
        bindings,
        dynamics,
        lambdas,
        formals,
        constants,
        symbols,
        text,
        operands,
        warnings,
        root,
    } = program;
    if !warnings.is_empty() {
        return None;
    }
    let mut out = Put::default();
    out.number((*root)?.0);
    out.many(nodes, |out, node| put_node(out, *node));
    let mut last = 0;
    for offset in offsets {
        out.step(&mut last, *offset);
    }
    out.many(extra, |out, word| out.number(*word));
    out.many(selects, |out, select| {
        out.number(select.base.0);
        out.range(select.path);
        out.optional(select.default.get().map(|node| node.0));
    });
    out.many(names, |out, name| match name {
        AttrName::Static(symbol) => out.pair(0, symbol.0),
        AttrName::Dynamic(node) => out.pair(1, node.0),
    });
    out.many(attrs, |out, def| {
        out.number(u32::from(def.recursive) | u32::from(def.overrides) << 1);
        [def.bindings, def.dynamics, def.inherit_from].into_iter().for_each(|range| out.range(range));
        out.pair(def.slots, def.offset);
    });
    out.many(bindings, |out, binding| {
        out.pair(binding.kind as u32, binding.name.0);
        out.pair(binding.offset, binding.value.0);
        out.number(binding.slot);
    });
    out.many(dynamics, |out, dynamic| {
        out.pair(dynamic.name.0, dynamic.value.0);
        out.number(dynamic.offset);
    });
    out.many(lambdas, |out, lambda| {
        out.number(u32::from(lambda.has_formals) | u32::from(lambda.ellipsis) << 1);
        for symbol in [lambda.argument, lambda.name] {
            out.optional((symbol != Symbol::NONE).then_some(symbol.0));
        }
        out.range(lambda.formals);
        out.pair(lambda.slots, lambda.body.0);
        out.number(lambda.offset);
    });
    out.many(formals, |out, formal| {
        out.pair(formal.name.0, formal.offset);
        out.optional(formal.default.get().map(|node| node.0));
        out.number(formal.slot);
    });
    out.many(constants, put_constant);
    out.many(symbols, |out, range| out.range(*range));
    out.many(operands, |out, operand| out.pair(operand.node.0, operand.offsets));
    out.bytes(text);
    Some(out.0)
}

/// Reads a program for a text of `text_length` bytes, in a base scope of `globals` names. `None` if the bytes are not those
/// of one that can be run.
pub(crate) fn decode(bytes: &[u8], text_length: u32, globals: u32) -> Option<Program> {
    let mut take = Take(bytes);
    let root = Some(NodeId(take.number()?));
    let nodes = take.many(take_node)?;
    let mut last = 0;
    let offsets = nodes.iter().map(|_| take.step(&mut last)).collect::<Option<Vec<u32>>>()?;
    let extra = take.many(Take::number)?;
    let selects = take.many(|take| {
        let (base, path) = (take.node()?, take.range()?);
        Some(SelectDef { base, path, default: take.optional_node()? })
    })?;
    let names = take.many(|take| match take.number()? {
        0 => Some(AttrName::Static(Symbol(take.number()?))),
        1 => Some(AttrName::Dynamic(take.node()?)),
        _ => None,
    })?;
    let attrs = take.many(take_attrs)?;
    let bindings = take.many(|take| {
        const KINDS: [BindingKind; 3] = [BindingKind::Plain, BindingKind::Inherited, BindingKind::From];
        let kind = *KINDS.get(take.number()? as usize)?;
        let (name, offset) = (Symbol(take.number()?), take.number()?);
        Some(Binding { name, offset, value: take.node()?, kind, slot: take.number()? })
    })?;
    let dynamics =
        take.many(|take| Some(DynamicBinding { name: take.node()?, value: take.node()?, offset: take.number()? }))?;
    let lambdas = take.many(take_lambda)?;
    let formals = take.many(|take| {
        let (name, offset) = (Symbol(take.number()?), take.number()?);
        Some(Formal { name, offset, default: take.optional_node()?, slot: take.number()? })
    })?;
    let constants = take.many(take_constant)?;
    let symbols = take.many(Take::range)?;
    let operands = take.many(|take| Some(OperandOffsets { node: take.node()?, offsets: take.number()? }))?;
    let text = take.bytes()?.to_vec();
    let program = Program {
        nodes,
        offsets,
        extra,
        selects,
        names,
        attrs,
        bindings,
        dynamics,
        lambdas,
        formals,
        constants,
        symbols,
        text,
        operands,
        warnings: Vec::new(),
        root,
    };
    (take.0.is_empty() && verify::holds(&program, text_length, globals)).then_some(program)
}

fn put_node(out: &mut Put, node: Node) {
    let (tag, words): (u8, [u32; 2]) = match node {
        Node::CurPos => (0, [0, 0]),
        Node::Const(index) => (1, [index, 0]),
        Node::Var0 { slot } => (2, [slot, 0]),
        Node::Var1 { slot } => (3, [slot, 0]),
        Node::Global(number) => (4, [number, 0]),
        Node::Select(index) => (5, [index, 0]),
        Node::Has(index) => (6, [index, 0]),
        Node::Attrs(index) => (7, [index, 0]),
        Node::Lambda(index) => (8, [index, 0]),
        Node::If(at) => (9, [at, 0]),
        Node::Not(a) => (10, [a.0, 0]),
        Node::InheritFrom { slot } => (11, [slot, 0]),
        Node::Var { depth, slot } => (12, [depth, slot]),
        Node::WithVar { name, depths } => (13, [name.0, depths]),
        Node::Select1 { base, name } => (14, [base.0, name.0]),
        Node::List(range) => (15, [range.start, range.len]),
        Node::Call { function, args } => (16, [function.0, args]),
        Node::Let { bindings, body } => (17, [bindings, body.0]),
        Node::With { scope, body } => (18, [scope.0, body.0]),
        Node::Assert { condition, body } => (19, [condition.0, body.0]),
        Node::And(a, b) => (20, [a.0, b.0]),
        Node::Or(a, b) => (21, [a.0, b.0]),
        Node::Implies(a, b) => (22, [a.0, b.0]),
        Node::Equal(a, b) => (23, [a.0, b.0]),
        Node::NotEqual(a, b) => (24, [a.0, b.0]),
        Node::Update(a, b) => (25, [a.0, b.0]),
        Node::Concat(a, b) => (26, [a.0, b.0]),
        Node::Add(a, b) => (27, [a.0, b.0]),
        Node::Sub(a, b) => (28, [a.0, b.0]),
        Node::Mul(a, b) => (29, [a.0, b.0]),
        Node::Div(a, b) => (30, [a.0, b.0]),
        Node::Less(a, b) => (31, [a.0, b.0]),
        Node::Interpolate(range) => (32, [range.start, range.len]),
        Node::InterpolatePath(range) => (33, [range.start, range.len]),
    };
    out.0.push(tag);
    if tag >= ONE_WORD {
        out.number(words[0]);
    }
    if tag >= TWO_WORDS {
        out.number(words[1]);
    }
}

/// Nodes from this tag on have one word.
const ONE_WORD: u8 = 1;
/// From this one on they have two.
const TWO_WORDS: u8 = 12;

fn take_node(take: &mut Take<'_>) -> Option<Node> {
    let tag = take.byte()?;
    let a = if tag >= ONE_WORD { take.number()? } else { 0 };
    let b = if tag >= TWO_WORDS { take.number()? } else { 0 };
    let (first, second, range) = (NodeId(a), NodeId(b), Range { start: a, len: b });
    Some(match tag {
        0 => Node::CurPos,
        1 => Node::Const(a),
        2 => Node::Var0 { slot: a },
        3 => Node::Var1 { slot: a },
        4 => Node::Global(a),
        5 => Node::Select(a),
        6 => Node::Has(a),
        7 => Node::Attrs(a),
        8 => Node::Lambda(a),
        9 => Node::If(a),
        10 => Node::Not(first),
        11 => Node::InheritFrom { slot: a },
        12 => Node::Var { depth: a, slot: b },
        13 => Node::WithVar { name: Symbol(a), depths: b },
        14 => Node::Select1 { base: first, name: Symbol(b) },
        15 => Node::List(range),
        16 => Node::Call { function: first, args: b },
        17 => Node::Let { bindings: a, body: second },
        18 => Node::With { scope: first, body: second },
        19 => Node::Assert { condition: first, body: second },
        20 => Node::And(first, second),
        21 => Node::Or(first, second),
        22 => Node::Implies(first, second),
        23 => Node::Equal(first, second),
        24 => Node::NotEqual(first, second),
        25 => Node::Update(first, second),
        26 => Node::Concat(first, second),
        27 => Node::Add(first, second),
        28 => Node::Sub(first, second),
        29 => Node::Mul(first, second),
        30 => Node::Div(first, second),
        31 => Node::Less(first, second),
        32 => Node::Interpolate(range),
        33 => Node::InterpolatePath(range),
        _ => return None,
    })
}

fn take_attrs(take: &mut Take<'_>) -> Option<AttrsDef> {
    let flags = take.number().filter(|flags| *flags < 4)?;
    let (bindings, dynamics, inherit_from) = (take.range()?, take.range()?, take.range()?);
    let (slots, offset) = (take.number()?, take.number()?);
    let (recursive, overrides) = (flags & 1 != 0, flags & 2 != 0);
    Some(AttrsDef { recursive, overrides, bindings, dynamics, inherit_from, slots, offset })
}

fn take_lambda(take: &mut Take<'_>) -> Option<LambdaDef> {
    let flags = take.number().filter(|flags| *flags < 4)?;
    let mut symbol = || Some(take.optional()?.map_or(Symbol::NONE, Symbol));
    let (argument, name) = (symbol()?, symbol()?);
    let formals = take.range()?;
    let (slots, body, offset) = (take.number()?, take.node()?, take.number()?);
    let (has_formals, ellipsis) = (flags & 1 != 0, flags & 2 != 0);
    Some(LambdaDef { argument, has_formals, ellipsis, formals, slots, body, name, offset })
}

fn put_constant(out: &mut Put, constant: &Constant) {
    let mut wide = |tag: u8, bits: u64| {
        out.0.push(tag);
        out.0.extend_from_slice(&bits.to_le_bytes());
    };
    match constant {
        Constant::Int(int) => wide(0, *int as u64),
        Constant::Float(float) => wide(1, float.to_bits()),
        Constant::String(range) => {
            out.0.push(2);
            out.range(*range);
        }
        Constant::Path { base, text } => {
            out.0.push(3 + *base as u8);
            out.range(*text);
        }
    }
}

fn take_constant(take: &mut Take<'_>) -> Option<Constant> {
    const BASES: [PathBase; 3] = [PathBase::Absolute, PathBase::File, PathBase::Home];
    Some(match take.byte()? {
        0 => Constant::Int(take.wide()? as i64),
        1 => Constant::Float(f64::from_bits(take.wide()?)),
        2 => Constant::String(take.range()?),
        tag => Constant::Path { base: *BASES.get(usize::from(tag) - 3)?, text: take.range()? },
    })
}

#[cfg(test)]
mod tests;
