//! The tree to the program: names become slots, operators their nodes.
//!
//! Constants are not folded: what C++ Nix evaluates later is shown as not evaluated yet.
//!
//! One recursive walk; chains of operators that lean to the left, which the parser reads without nesting, are walked
//! without recursion. Depth and stack are limited like the parser's.

use super::print::identifier_text;
use super::scope::{Found, Scopes, Tables};
use super::tree::{Tree, TreeId, TreeName, TreeNode, TreeSelect, TreeValue, empty};
use crate::program::{
    AttrName, AttrsDef, Binding, BindingKind, CompileError, CompileOptions, Constant, DynamicBinding, Formal,
    LambdaDef, Node, NodeId, OperandOffsets, OptNodeId, Program, Range, SelectDef, Symbol,
};
use smallvec::SmallVec;
use syntax::BinaryOperator;

type Resolved = Result<NodeId, Box<CompileError>>;

/// The names that operators and `<…>` stand for.
#[derive(Clone, Copy)]
struct OperatorNames {
    sub: Symbol,
    mul: Symbol,
    div: Symbol,
    less_than: Symbol,
    find_file: Symbol,
    nix_path: Symbol,
}

/// Resolves a whole file into `program`, whatever that held. The text and the names of `tree` go there.
pub(super) fn resolve(
    tree: &mut Tree,
    tables: &mut Tables,
    pending: &mut Vec<Binding>,
    program: &mut Program,
    options: &CompileOptions<'_>,
) -> Result<(), CompileError> {
    let names = OperatorNames {
        sub: tree.intern(b"__sub"),
        mul: tree.intern(b"__mul"),
        div: tree.intern(b"__div"),
        less_than: tree.intern(b"__lessThan"),
        find_file: tree.intern(b"__findFile"),
        nix_path: tree.intern(b"__nixPath"),
    };
    let outer: Option<Vec<Symbol>> = options.scope.map(|scope| scope.iter().map(|name| tree.intern(name)).collect());
    let mut scopes = Scopes::new(tables, options, tree.symbols.ranges.len());
    if let Some(outer) = outer {
        let _outermost = scopes.enter();
        for (slot, &name) in outer.iter().enumerate() {
            scopes.bind(name, slot as u32);
        }
    }
    begin(program, tree);
    let mut resolver = Resolver {
        tree,
        program,
        scopes,
        names,
        depth: 0,
        max_depth: options.max_depth,
        stack_floor: options.stack_floor,
        pending,
    };
    let root = resolver.node(tree.root).map_err(|error| *error)?;
    program.root = Some(root);
    Ok(())
}

/// Empties a program and makes room for what `tree` is likely to become.
fn begin(program: &mut Program, tree: &mut Tree) {
    let count = tree.nodes.len();
    empty(&mut program.nodes, count + count / 8);
    empty(&mut program.offsets, count + count / 8);
    empty(&mut program.extra, tree.extra.len() + tree.extra.len() / 4);
    empty(&mut program.selects, tree.selects.len());
    empty(&mut program.names, tree.names.len());
    empty(&mut program.attrs, tree.sets.len());
    empty(&mut program.bindings, tree.bindings.len());
    program.dynamics.clear();
    empty(&mut program.lambdas, tree.lambdas.len());
    empty(&mut program.formals, tree.formals.len());
    empty(&mut program.constants, count / 4);
    program.operands.clear();
    program.warnings.clear();
    program.root = None;
    std::mem::swap(&mut program.text, &mut tree.text);
    std::mem::swap(&mut program.symbols, &mut tree.symbols.ranges);
}

struct Resolver<'t> {
    tree: &'t Tree,
    program: &'t mut Program,
    scopes: Scopes<'t>,
    names: OperatorNames,
    depth: u32,
    max_depth: u32,
    stack_floor: usize,
    /// Bindings of the sets being resolved, innermost on top.
    pending: &'t mut Vec<Binding>,
}

type Nodes = SmallVec<[u32; 8]>;

impl<'t> Resolver<'t> {
    #[inline]
    fn add(&mut self, node: Node, offset: u32) -> NodeId {
        let id = NodeId(self.program.nodes.len() as u32);
        self.program.nodes.push(node);
        self.program.offsets.push(offset);
        id
    }

    fn add_extra(&mut self, nodes: &[u32]) -> Range {
        let start = self.program.extra.len() as u32;
        self.program.extra.extend_from_slice(nodes);
        Range { start, len: nodes.len() as u32 }
    }

    fn constant(&mut self, constant: Constant, offset: u32) -> NodeId {
        let index = self.program.constants.len() as u32;
        self.program.constants.push(constant);
        self.add(Node::Const(index), offset)
    }

    fn node(&mut self, id: TreeId) -> Resolved {
        self.depth += 1;
        let marker = 0u8;
        let stack = std::ptr::from_ref(&marker).addr();
        let offset = self.tree.offsets[id as usize];
        if self.depth > self.max_depth || stack < self.stack_floor {
            let message = "expression is nested too deeply".to_string();
            return Err(Box::new(CompileError { offset, message, undefined_variable: false, warnings: Vec::new() }));
        }
        let node = self.any_node(id, offset)?;
        self.depth -= 1;
        Ok(node)
    }

    #[inline]
    fn any_node(&mut self, id: TreeId, offset: u32) -> Resolved {
        let node = match self.tree.node(id) {
            TreeNode::Variable(name) => return self.variable(name, offset),
            TreeNode::String(range) => return Ok(self.constant(Constant::String(range), offset)),
            TreeNode::Int(index) => {
                return Ok(self.constant(Constant::Int(self.tree.integers[index as usize]), offset));
            }
            TreeNode::Float(index) => {
                return Ok(self.constant(Constant::Float(self.tree.floats[index as usize]), offset));
            }
            TreeNode::Path(base, text) => return Ok(self.constant(Constant::Path { base, text }, offset)),
            TreeNode::CurrentPosition => Node::CurPos,
            TreeNode::Select(index) => self.select(self.tree.selects[index as usize])?,
            TreeNode::Has(index) => {
                let index = self.select_definition(self.tree.selects[index as usize])?;
                Node::Has(index)
            }
            TreeNode::Set(set) => Node::Attrs(self.set(set)?),
            TreeNode::List(range) => {
                let nodes = self.nodes(&self.tree.extra[range.indices()])?;
                Node::List(self.add_extra(&nodes))
            }
            TreeNode::Lambda(index) => self.lambda(index, offset)?,
            TreeNode::Call(function, args) => self.call(function, args)?,
            TreeNode::SearchPath(range) => self.search_path(range, offset)?,
            TreeNode::Let(set, body) => self.let_in(set, body)?,
            TreeNode::With(scope, body) => {
                let scope = self.node(scope)?;
                self.scopes.enter_with(offset);
                let body = self.node(body)?;
                self.scopes.leave_with();
                Node::With { scope, body }
            }
            TreeNode::Assert(condition, body) => {
                Node::Assert { condition: self.node(condition)?, body: self.node(body)? }
            }
            TreeNode::If(at) => {
                let at = at as usize;
                let nodes = self.nodes(&self.tree.extra[at..at + 3])?;
                Node::If(self.add_extra(&nodes).start)
            }
            TreeNode::Not(operand) => Node::Not(self.node(operand)?),
            TreeNode::Negate(operand) => return self.negate(operand, offset),
            TreeNode::Binary(..) => return self.operators(id),
            TreeNode::Interpolate(range) => return self.interpolate(range, offset, false),
            TreeNode::InterpolatePath(range) => return self.interpolate(range, offset, true),
        };
        Ok(self.add(node, offset))
    }

    fn nodes(&mut self, ids: &'t [TreeId]) -> Result<Nodes, Box<CompileError>> {
        let mut nodes = Nodes::with_capacity(ids.len());
        for &id in ids {
            nodes.push(self.node(id)?.0);
        }
        Ok(nodes)
    }

    fn spelling(&self, name: Symbol) -> &[u8] {
        &self.program.text[self.program.symbols[name.0 as usize].indices()]
    }

    #[inline]
    fn variable(&mut self, name: Symbol, offset: u32) -> Resolved {
        let range = self.program.symbols[name.0 as usize];
        let node = match self.scopes.find(name, &self.program.text[range.indices()]) {
            Found::Slot { depth: 0, slot } => Node::Var0 { slot },
            Found::Slot { depth: 1, slot } => Node::Var1 { slot },
            Found::Slot { depth, slot } => Node::Var { depth, slot },
            Found::Global(number) => Node::Global(number),
            Found::With => {
                let depths = self.program.extra.len() as u32;
                let candidates = self.scopes.with_depths();
                self.program.extra.push(candidates.len() as u32);
                self.program.extra.extend(candidates);
                self.program.extra.extend(self.scopes.with_offsets());
                Node::WithVar { name, depths }
            }
            Found::Undefined => return Err(self.undefined(name, offset)),
        };
        Ok(self.add(node, offset))
    }

    #[cold]
    fn undefined(&self, name: Symbol, offset: u32) -> Box<CompileError> {
        let message = format!("undefined variable '{}'", identifier_text(self.spelling(name)));
        Box::new(CompileError { offset, message, undefined_variable: true, warnings: Vec::new() })
    }

    fn select(&mut self, select: TreeSelect) -> Result<Node, Box<CompileError>> {
        if select.default.is_none()
            && let [TreeName::Static(name)] = self.tree.names[select.path.indices()]
        {
            return Ok(Node::Select1 { base: self.node(select.base)?, name });
        }
        Ok(Node::Select(self.select_definition(select)?))
    }

    fn select_definition(&mut self, select: TreeSelect) -> Result<u32, Box<CompileError>> {
        let base = self.node(select.base)?;
        let default = match select.default {
            Some(default) => OptNodeId::from(Some(self.node(default)?)),
            None => OptNodeId::NONE,
        };
        let mut path: SmallVec<[AttrName; 8]> = SmallVec::new();
        for name in &self.tree.names[select.path.indices()] {
            path.push(match *name {
                TreeName::Static(name) => AttrName::Static(name),
                TreeName::Dynamic(name) => AttrName::Dynamic(self.node(name)?),
            });
        }
        let start = self.program.names.len() as u32;
        self.program.names.extend_from_slice(&path);
        let path = Range { start, len: path.len() as u32 };
        self.program.selects.push(SelectDef { base, path, default });
        Ok(self.program.selects.len() as u32 - 1)
    }

    fn call(&mut self, function: TreeId, args: u32) -> Result<Node, Box<CompileError>> {
        let function = self.node(function)?;
        let nodes = self.nodes(self.tree.arguments(args))?;
        Ok(self.call_node(function, &nodes))
    }

    fn call_node(&mut self, function: NodeId, arguments: &[u32]) -> Node {
        let args = self.program.extra.len() as u32;
        self.program.extra.push(arguments.len() as u32);
        self.program.extra.extend_from_slice(arguments);
        Node::Call { function, args }
    }

    fn search_path(&mut self, name: Range, offset: u32) -> Result<Node, Box<CompileError>> {
        let function = self.variable(self.names.find_file, offset)?;
        let path = self.variable(self.names.nix_path, offset)?;
        let name = self.constant(Constant::String(name), offset);
        Ok(self.call_node(function, &[path.0, name.0]))
    }

    fn let_in(&mut self, set: u32, body: TreeId) -> Result<Node, Box<CompileError>> {
        let inherited = self.inherited(set)?;
        let entered = self.scopes.enter();
        let bindings = self.bindings(set, &inherited)?;
        let body = self.node(body)?;
        self.scopes.leave(entered);
        Ok(Node::Let { bindings, body })
    }

    /// A set literal; gives its index.
    fn set(&mut self, set: u32) -> Result<u32, Box<CompileError>> {
        let inherited = self.inherited(set)?;
        if !self.tree.sets[set as usize].recursive {
            return self.bindings(set, &inherited);
        }
        let entered = self.scopes.enter();
        let attrs = self.bindings(set, &inherited)?;
        self.scopes.leave(entered);
        Ok(attrs)
    }

    /// The variables of `inherit name`, which are looked up outside the set.
    fn inherited(&mut self, set: u32) -> Result<Nodes, Box<CompileError>> {
        let mut nodes = Nodes::new();
        let tree = self.tree;
        if !tree.sets[set as usize].inherits {
            return Ok(nodes);
        }
        for binding in tree.bindings_of(set) {
            if let TreeValue::Inherited = binding.value {
                nodes.push(self.variable(binding.name, binding.offset)?.0);
            }
        }
        Ok(nodes)
    }

    /// The bindings of a set whose scope, if it is recursive, was entered.
    fn bindings(&mut self, set: u32, inherited: &[u32]) -> Result<u32, Box<CompileError>> {
        let tree = self.tree;
        let definition = &tree.sets[set as usize];
        let recursive = definition.recursive;
        let mut overrides = false;
        if recursive {
            for (slot, binding) in tree.bindings_of(set).enumerate() {
                self.scopes.bind(binding.name, slot as u32);
                overrides |= self.spelling(binding.name) == b"__overrides";
            }
        }
        let sources = self.nodes(&definition.sources)?;
        let inherit_from = self.add_extra(&sources);
        let start = self.pending.len();
        let mut inherited = inherited.iter();
        for (slot, binding) in tree.bindings_of(set).enumerate() {
            let (name, offset) = (binding.name, binding.offset);
            let (value, kind) = match binding.value {
                TreeValue::Plain(value) => (self.node(value)?, BindingKind::Plain),
                TreeValue::Inherited => (NodeId(inherited.next().copied().unwrap_or_default()), BindingKind::Inherited),
                TreeValue::From(slot) => {
                    let source = definition.sources[slot as usize];
                    let base = self.add(Node::InheritFrom { slot }, tree.offsets[source as usize]);
                    (self.add(Node::Select1 { base, name }, offset), BindingKind::From)
                }
            };
            self.pending.push(Binding { name, offset, value, kind, slot: slot as u32 });
        }
        let mut dynamics: SmallVec<[DynamicBinding; 4]> = SmallVec::new();
        for dynamic in &definition.dynamics {
            let name = self.node(dynamic.name)?;
            let value = self.node(dynamic.value)?;
            dynamics.push(DynamicBinding { name, value, offset: dynamic.offset });
        }
        let program = &mut self.program;
        let bindings = Range { start: program.bindings.len() as u32, len: definition.count };
        program.bindings.extend(self.pending.drain(start..));
        let dynamics_range = Range { start: program.dynamics.len() as u32, len: dynamics.len() as u32 };
        program.dynamics.extend_from_slice(&dynamics);
        program.attrs.push(AttrsDef {
            recursive,
            overrides,
            bindings,
            dynamics: dynamics_range,
            inherit_from,
            slots: if recursive { definition.count } else { 0 },
            offset: definition.offset,
        });
        Ok(program.attrs.len() as u32 - 1)
    }

    fn lambda(&mut self, index: u32, offset: u32) -> Result<Node, Box<CompileError>> {
        let lambda = self.tree.lambdas[index as usize];
        let formals = &self.tree.formals[lambda.formals.indices()];
        let entered = self.scopes.enter();
        let mut slots = 0;
        if lambda.argument != Symbol::NONE {
            self.scopes.bind(lambda.argument, 0);
            slots = 1;
        }
        for formal in formals {
            self.scopes.bind(formal.name, slots);
            slots += 1;
        }
        let first = slots - formals.len() as u32;
        let mut resolved: SmallVec<[Formal; 16]> = SmallVec::with_capacity(formals.len());
        for (formal, slot) in formals.iter().zip(first..) {
            let default = match formal.default {
                Some(default) => OptNodeId::from(Some(self.node(default)?)),
                None => OptNodeId::NONE,
            };
            resolved.push(Formal { name: formal.name, offset: formal.offset, default, slot });
        }
        let body = self.node(lambda.body)?;
        self.scopes.leave(entered);
        let program = &mut self.program;
        let formals = Range { start: program.formals.len() as u32, len: resolved.len() as u32 };
        program.formals.extend_from_slice(&resolved);
        program.lambdas.push(LambdaDef {
            argument: lambda.argument,
            has_formals: lambda.has_formals,
            ellipsis: lambda.ellipsis,
            formals,
            slots,
            body,
            name: lambda.name,
            offset,
        });
        Ok(Node::Lambda(program.lambdas.len() as u32 - 1))
    }

    fn negate(&mut self, operand: TreeId, offset: u32) -> Resolved {
        let zero = self.constant(Constant::Int(0), offset);
        let operand = self.node(operand)?;
        self.named_operator(self.names.sub, Node::Sub, zero, operand, offset)
    }

    /// Operators, walking down left operands without recursion.
    fn operators(&mut self, id: TreeId) -> Resolved {
        let mut spine: SmallVec<[TreeId; 8]> = SmallVec::new();
        let mut leftmost = id;
        while let TreeNode::Binary(_, at) = self.tree.node(leftmost) {
            spine.push(leftmost);
            leftmost = self.tree.extra[at as usize];
        }
        let mut left = self.node(leftmost)?;
        while let Some(id) = spine.pop() {
            if let TreeNode::Binary(operator, at) = self.tree.node(id) {
                let right = self.node(self.tree.extra[at as usize + 1])?;
                left = self.operator(operator, left, right, id)?;
            }
        }
        Ok(left)
    }

    fn operator(&mut self, operator: BinaryOperator, left: NodeId, right: NodeId, id: TreeId) -> Resolved {
        let offset = self.tree.offsets[id as usize];
        let names = self.names;
        let node = match operator {
            BinaryOperator::Implies => Node::Implies(left, right),
            BinaryOperator::Or => Node::Or(left, right),
            BinaryOperator::And => Node::And(left, right),
            BinaryOperator::Equal => Node::Equal(left, right),
            BinaryOperator::NotEqual => Node::NotEqual(left, right),
            BinaryOperator::Update => Node::Update(left, right),
            BinaryOperator::Concat => Node::Concat(left, right),
            BinaryOperator::Add => return Ok(self.addition(left, right, id)),
            BinaryOperator::Subtract => return self.named_operator(names.sub, Node::Sub, left, right, offset),
            BinaryOperator::Multiply => return self.named_operator(names.mul, Node::Mul, left, right, offset),
            BinaryOperator::Divide => return self.named_operator(names.div, Node::Div, left, right, offset),
            BinaryOperator::Less => return self.named_operator(names.less_than, Node::Less, left, right, offset),
            BinaryOperator::Greater => return self.named_operator(names.less_than, Node::Less, right, left, offset),
            BinaryOperator::LessEqual => {
                Node::Not(self.named_operator(names.less_than, Node::Less, right, left, offset)?)
            }
            BinaryOperator::GreaterEqual => {
                Node::Not(self.named_operator(names.less_than, Node::Less, left, right, offset)?)
            }
        };
        Ok(self.add(node, offset))
    }

    fn addition(&mut self, left: NodeId, right: NodeId, id: TreeId) -> NodeId {
        let node = self.add(Node::Add(left, right), self.tree.offsets[id as usize]);
        if let TreeNode::Binary(_, at) = self.tree.node(id) {
            let at = at as usize;
            let offsets = [self.tree.extra[at + 2], self.tree.extra[at + 3]];
            let known = [left, right].map(|operand| self.program.offsets[operand.0 as usize]);
            if offsets != known {
                self.add_operand_offsets(node, &offsets);
            }
        }
        node
    }

    fn add_operand_offsets(&mut self, node: NodeId, offsets: &[u32]) {
        let offsets = self.add_extra(offsets).start;
        self.program.operands.push(OperandOffsets { node, offsets });
    }

    /// An operator that is a call of a named function: a node of its own, unless the name means something else here.
    fn named_operator(
        &mut self,
        name: Symbol,
        node: impl FnOnce(NodeId, NodeId) -> Node,
        left: NodeId,
        right: NodeId,
        offset: u32,
    ) -> Resolved {
        if !self.scopes.is_bound(name) {
            return Ok(self.add(node(left, right), offset));
        }
        let function = self.variable(name, offset)?;
        let call = self.call_node(function, &[left.0, right.0]);
        Ok(self.add(call, offset))
    }

    /// Parts of a string or path; texts side by side are joined. Even if nothing else is left it is no constant: C++
    /// Nix makes a thunk of it, which shows.
    fn interpolate(&mut self, range: Range, offset: u32, path: bool) -> Resolved {
        let tree = self.tree;
        let count = range.len as usize;
        let (ids, offsets) = tree.extra[range.start as usize..][..count * 2].split_at(count);
        let mut nodes = Nodes::new();
        let mut begins: SmallVec<[u32; 8]> = SmallVec::new();
        let mut at = 0;
        while at < count {
            begins.push(offsets[at]);
            // An expression that is a literal string stays one: its place is not that of its `${`.
            let is_text = |at: usize| {
                matches!(tree.node(ids[at]), TreeNode::String(_)) && tree.offsets[ids[at] as usize] == offsets[at]
            };
            let texts = (at..count).take_while(|&at| is_text(at)).count();
            if texts > 1 {
                let start = self.program.text.len() as u32;
                for &id in &ids[at..at + texts] {
                    if let TreeNode::String(text) = tree.node(id) {
                        self.program.text.extend_from_within(text.indices());
                    }
                }
                let len = self.program.text.len() as u32 - start;
                nodes.push(self.constant(Constant::String(Range { start, len }), offsets[at]).0);
                at += texts;
            } else {
                nodes.push(self.node(ids[at])?.0);
                at += 1;
            }
        }
        let range = self.add_extra(&nodes);
        let node = if path { Node::InterpolatePath(range) } else { Node::Interpolate(range) };
        let node = self.add(node, offset);
        self.add_operand_offsets(node, &begins);
        Ok(node)
    }
}
