//! Whether a program that was read from bytes can be run.
//!
//! The interpreter trusts the compiler: numbers point into their arrays, operands were made before what uses them,
//! environments have the links and slots that nodes look into, and every slot is filled before anybody looks. Here that is
//! shown for a program of unknown origin, in one pass from its root downwards: each node hands its environment to its
//! operands, and no node may be met in two.

use rustc_hash::FxHashSet;

use super::{AttrName, AttrsDef, BindingKind, Constant, LambdaDef, Node, NodeId, Program, Range, Symbol};
use crate::program::NOWHERE;

/// Whether the program can be run, over a text of so many bytes and in a base scope of so many names.
pub(super) fn holds(program: &Program, text_length: u32, globals: u32) -> bool {
    check(program, text_length, globals).is_some()
}

fn check(program: &Program, text_length: u32, globals: u32) -> Option<()> {
    let root = program.root?;
    let in_text = |range: &Range| program.text.get(range.start as usize..)?.get(..range.len as usize);
    let mut names = FxHashSet::default();
    // Two numbers of one name would make sets with an attribute twice.
    program.symbols.iter().all(|range| in_text(range).is_some_and(|name| names.insert(name))).then_some(())?;
    let texts = program.constants.iter().all(|constant| match constant {
        Constant::String(range) | Constant::Path { text: range, .. } => in_text(range).is_some(),
        Constant::Int(_) | Constant::Float(_) => true,
    });
    let places = program.offsets.iter().all(|offset| *offset <= text_length || *offset == NOWHERE);
    (texts && places && program.offsets.len() == program.nodes.len()).then_some(())?;
    operand_offsets(program, text_length)?;
    what_linking_touches(program)?;
    let mut pass = Pass {
        program,
        text_length,
        globals,
        place: vec![NOT_MET; program.nodes.len()],
        links: vec![Link { above: 0, slots: 0 }],
        named: vec![u32::MAX; program.symbols.len()],
        form: 0,
    };
    *pass.place.get_mut(root.0 as usize)? = OUTERMOST;
    for node in (0..=root.0).rev() {
        let env = pass.place[node as usize];
        if env != NOT_MET {
            pass.node(node, env)?;
        }
    }
    Some(())
}

/// Linking renumbers names and sorts bindings and formals everywhere, whether they are used or not.
fn what_linking_touches(program: &Program) -> Option<()> {
    let is_symbol = |symbol: &Symbol| (symbol.0 as usize) < program.symbols.len();
    let nodes = program.nodes.iter().all(|node| match node {
        Node::WithVar { name, .. } | Node::Select1 { name, .. } => is_symbol(name),
        _ => true,
    });
    let names = program.names.iter().all(|name| match name {
        AttrName::Static(symbol) => is_symbol(symbol),
        AttrName::Dynamic(_) => true,
    });
    let lambdas = program.lambdas.iter().flat_map(|lambda| [lambda.argument, lambda.name]);
    let bindings = program.bindings.iter().all(|binding| is_symbol(&binding.name));
    let formals = program.formals.iter().all(|formal| is_symbol(&formal.name));
    (nodes && names && bindings && formals).then_some(())?;
    lambdas.into_iter().all(|symbol| symbol == Symbol::NONE || is_symbol(&symbol)).then_some(())?;
    apart(program.attrs.iter().map(|def| def.bindings).collect(), program.bindings.len())?;
    apart(program.lambdas.iter().map(|lambda| lambda.formals).collect(), program.formals.len())
}

/// Whether ranges lie in an array and share nothing.
fn apart(mut ranges: Vec<Range>, length: usize) -> Option<()> {
    ranges.iter().all(|range| range.start as usize <= length).then_some(())?;
    ranges.retain(|range| range.len > 0);
    ranges.sort_unstable_by_key(|range| range.start);
    let mut free = 0;
    for range in ranges {
        let end = range.start as usize + range.len as usize;
        (range.start as usize >= free && end <= length).then_some(())?;
        free = end;
    }
    Some(())
}

/// The places of operands, for messages.
fn operand_offsets(program: &Program, text_length: u32) -> Option<()> {
    let mut last = None;
    for entry in &program.operands {
        (last < Some(entry.node.0)).then_some(())?;
        last = Some(entry.node.0);
        let count = match program.nodes.get(entry.node.0 as usize)? {
            Node::Add(..) => 2,
            Node::Interpolate(range) | Node::InterpolatePath(range) => range.len as usize,
            _ => return None,
        };
        let offsets = program.extra.get(entry.offsets as usize..)?;
        // Texts side by side are one operand with the place of the first.
        offsets.get(..count)?.iter().all(|offset| *offset <= text_length).then_some(())?;
    }
    Some(())
}

/// A node that nobody named yet.
const NOT_MET: u32 = u32::MAX;
/// The environment around a file: none.
const OUTERMOST: u32 = 0;

/// An environment link.
struct Link {
    above: u32,
    slots: u32,
}

struct Pass<'a> {
    program: &'a Program,
    text_length: u32,
    globals: u32,
    /// The environment of each node.
    place: Vec<u32>,
    links: Vec<Link>,
    /// The form that each name was met in last.
    named: Vec<u32>,
    form: u32,
}

impl Pass<'_> {
    /// `operand` belongs to `node` and sees `env`.
    fn give(&mut self, node: u32, operand: u32, env: u32) -> Option<()> {
        (operand < node).then_some(())?;
        let place = &mut self.place[operand as usize];
        (*place == NOT_MET || *place == env).then_some(())?;
        *place = env;
        Some(())
    }

    fn give_all(&mut self, node: u32, operands: &[u32], env: u32) -> Option<()> {
        operands.iter().try_for_each(|operand| self.give(node, *operand, env))
    }

    fn link(&mut self, above: u32, slots: u32) -> u32 {
        self.links.push(Link { above, slots });
        (self.links.len() - 1) as u32
    }

    fn has_slot(&self, env: u32, depth: u32, slot: u32) -> Option<()> {
        let mut env = env;
        for _ in 0..depth {
            (env != OUTERMOST).then_some(())?;
            env = self.links[env as usize].above;
        }
        (slot < self.links[env as usize].slots).then_some(())
    }

    fn in_source(&self, offset: u32) -> Option<()> {
        (offset <= self.text_length).then_some(())
    }

    /// A name that the present form has not had yet.
    fn is_fresh(&mut self, symbol: Symbol) -> Option<()> {
        let form = self.form;
        let met = self.named.get_mut(symbol.0 as usize)?;
        (std::mem::replace(met, form) != form).then_some(())
    }

    fn extra(&self, range: Range) -> Option<&[u32]> {
        self.program.extra.get(range.start as usize..)?.get(..range.len as usize)
    }

    fn counted(&self, at: u32) -> Option<&[u32]> {
        let (count, rest) = self.program.extra.get(at as usize..)?.split_first()?;
        rest.get(..*count as usize)
    }

    fn node(&mut self, id: u32, env: u32) -> Option<()> {
        let program = self.program;
        match program.nodes[id as usize] {
            Node::CurPos => Some(()),
            Node::Const(index) => ((index as usize) < program.constants.len()).then_some(()),
            Node::Global(number) => (number < self.globals).then_some(()),
            Node::Var0 { slot } | Node::InheritFrom { slot } => self.has_slot(env, 0, slot),
            Node::Var1 { slot } => self.has_slot(env, 1, slot),
            Node::Var { depth, slot } => (depth >= 2).then_some(()).and_then(|()| self.has_slot(env, depth, slot)),
            Node::WithVar { depths, .. } => {
                let candidates = self.counted(depths)?;
                candidates.iter().try_for_each(|depth| self.has_slot(env, *depth, 0))?;
                let places = program.extra.get(depths as usize + 1 + candidates.len()..)?;
                places.get(..candidates.len())?.iter().try_for_each(|offset| self.in_source(*offset))
            }
            Node::Select1 { base, .. } => self.give(id, base.0, env),
            Node::Select(index) | Node::Has(index) => self.select(id, index, env),
            Node::Attrs(index) => self.attrs(id, program.attrs.get(index as usize)?, env).map(drop),
            Node::Let { bindings, body } => {
                let def = program.attrs.get(bindings as usize)?;
                (def.recursive && !def.overrides && def.dynamics.len == 0).then_some(())?;
                let inner = self.attrs(id, def, env)?;
                self.give(id, body.0, inner)
            }
            Node::Lambda(index) => self.lambda(id, program.lambdas.get(index as usize)?, env),
            Node::With { scope, body } => {
                self.give(id, scope.0, env)?;
                let inner = self.link(env, 1);
                self.give(id, body.0, inner)
            }
            Node::Call { function, args } => {
                self.give(id, function.0, env)?;
                let arguments = self.counted(args).filter(|arguments| !arguments.is_empty())?.to_vec();
                self.give_all(id, &arguments, env)
            }
            Node::If(at) => {
                let parts = self.extra(Range { start: at, len: 3 })?.to_vec();
                self.give_all(id, &parts, env)
            }
            Node::List(range) | Node::Interpolate(range) | Node::InterpolatePath(range) => {
                let parts = self.extra(range)?.to_vec();
                self.give_all(id, &parts, env)
            }
            Node::Not(a) => self.give(id, a.0, env),
            Node::Assert { condition: a, body: b }
            | Node::And(a, b)
            | Node::Or(a, b)
            | Node::Implies(a, b)
            | Node::Equal(a, b)
            | Node::NotEqual(a, b)
            | Node::Update(a, b)
            | Node::Concat(a, b)
            | Node::Add(a, b)
            | Node::Sub(a, b)
            | Node::Mul(a, b)
            | Node::Div(a, b)
            | Node::Less(a, b) => self.give_all(id, &[a.0, b.0], env),
        }
    }

    fn select(&mut self, id: u32, index: u32, env: u32) -> Option<()> {
        let def = *self.program.selects.get(index as usize)?;
        self.give(id, def.base.0, env)?;
        if let Some(default) = def.default.get() {
            self.give(id, default.0, env)?;
        }
        let path = self.program.names.get(def.path.start as usize..)?.get(..def.path.len as usize)?;
        path.iter().try_for_each(|name| match name {
            AttrName::Static(_) => Some(()),
            AttrName::Dynamic(NodeId(name)) => self.give(id, *name, env),
        })
    }

    /// Gives the environment inside.
    fn attrs(&mut self, id: u32, def: &AttrsDef, env: u32) -> Option<u32> {
        self.form += 1;
        self.in_source(def.offset)?;
        let program = self.program;
        let bindings = program.bindings.get(def.bindings.start as usize..)?.get(..def.bindings.len as usize)?;
        let slots = if def.recursive { def.bindings.len } else { 0 };
        (def.slots == slots && (def.recursive || !def.overrides)).then_some(())?;
        let inner = if def.recursive { self.link(env, slots) } else { env };
        let sources = self.extra(def.inherit_from)?.to_vec();
        self.give_all(id, &sources, inner)?;
        let from = if sources.is_empty() { inner } else { self.link(inner, sources.len() as u32) };
        let mut filled = vec![false; slots as usize];
        for binding in bindings {
            self.is_fresh(binding.name)?;
            self.in_source(binding.offset)?;
            let scope = match binding.kind {
                BindingKind::Plain => inner,
                BindingKind::Inherited => env,
                BindingKind::From => from,
            };
            self.give(id, binding.value.0, scope)?;
            if def.recursive {
                let filled = filled.get_mut(binding.slot as usize)?;
                (!std::mem::replace(filled, true)).then_some(())?;
            }
        }
        let dynamics = program.dynamics.get(def.dynamics.start as usize..)?.get(..def.dynamics.len as usize)?;
        for dynamic in dynamics {
            self.in_source(dynamic.offset)?;
            self.give_all(id, &[dynamic.name.0, dynamic.value.0], inner)?;
        }
        Some(inner)
    }

    fn lambda(&mut self, id: u32, lambda: &LambdaDef, env: u32) -> Option<()> {
        self.form += 1;
        self.in_source(lambda.offset)?;
        let has_argument = lambda.argument != Symbol::NONE;
        if has_argument {
            self.is_fresh(lambda.argument)?;
        }
        let formals = self.program.formals.get(lambda.formals.start as usize..)?;
        let formals = formals.get(..lambda.formals.len as usize)?;
        let fits = lambda.has_formals || (has_argument && formals.is_empty() && !lambda.ellipsis);
        (fits && lambda.slots as usize == formals.len() + usize::from(has_argument)).then_some(())?;
        let inner = self.link(env, lambda.slots);
        let mut filled = vec![false; lambda.slots as usize];
        if has_argument {
            filled[0] = true;
        }
        for formal in formals {
            self.is_fresh(formal.name)?;
            self.in_source(formal.offset)?;
            let filled = filled.get_mut(formal.slot as usize)?;
            (!std::mem::replace(filled, true)).then_some(())?;
            if let Some(default) = formal.default.get() {
                self.give(id, default.0, inner)?;
            }
        }
        self.give(id, lambda.body.0, inner)
    }
}
