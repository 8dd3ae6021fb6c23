//! The compiled form of one source file: what `compile` produces and `eval` walks.
//!
//! Path of data: text → `syntax` events → **`Program`** (file-local symbols, file-local offsets, nothing that knows an
//! address or an evaluator, so it could lie on disk) → `link` in `code.rs` (symbols renumbered to the shared interner,
//! constants made into values) → the interpreter loop.
//!
//! All references are 32-bit indices into the arrays of the same `Program`. Variables are resolved: no name is looked
//! up at run time except under `with`. Every error position of a node is the byte offset in `offsets`, at the same
//! index as the node.
//!
//! Environments at run time form a chain; each link has flat slots. These forms add one link, and nothing else does:
//!
//! | form | slots |
//! |---|---|
//! | lambda `x: …` | 0 = `x` |
//! | lambda with formals | `LambdaDef::slots`; the `@`-name, where there is one, is slot 0; a formal lies at `Formal::slot` |
//! | `let`, `rec { }` | `AttrsDef::slots`; a binding lies at `Binding::slot` |
//! | `with e; …` | 0 = `e` |
//! | `inherit (e) …` in any of the three binding forms | one link *above* the form's own environment with one slot per `e`, seen only by the nodes of [`BindingKind::From`] |
//! | the outermost scope of a file | none; `scopedImport` puts one link there, with the names of `CompileOptions::scope` at slots 0.. |
//!
//! Absent on purpose: trivia, comments, parentheses, desugared operators (`a > b` is `Less(b, a)`, `a <= b` is
//! `Not(Less(b, a))`, `-a` is `Sub(Const 0, a)`; when the program shadows `__sub`, `__mul`, `__div` or `__lessThan`
//! the compiler emits a `Call` instead), and `<a/b>` (a `Call` of `__findFile` with `__nixPath` and a string).

/// Index of a node in [`Program::nodes`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(transparent)]
pub struct NodeId(pub u32);

/// The offset of what has no place of its own: C++ Nix names none for it.
pub const NOWHERE: u32 = u32::MAX;

/// An optional [`NodeId`] in four bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct OptNodeId(u32);

impl OptNodeId {
    /// No node.
    pub const NONE: OptNodeId = OptNodeId(u32::MAX);

    /// The node, where there is one.
    #[inline(always)]
    pub fn get(self) -> Option<NodeId> {
        if self.0 == u32::MAX { None } else { Some(NodeId(self.0)) }
    }
}

impl From<Option<NodeId>> for OptNodeId {
    fn from(node: Option<NodeId>) -> Self {
        node.map_or(OptNodeId::NONE, |node| OptNodeId(node.0))
    }
}

/// The number of a name. In a fresh [`Program`] it is an index into [`Program::symbols`]; linking renumbers it to the
/// evaluator's shared interner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[repr(transparent)]
pub struct Symbol(pub u32);

impl Symbol {
    /// No name (a lambda without an `@`-name, an anonymous lambda).
    pub const NONE: Symbol = Symbol(u32::MAX);
}

/// A run of elements in one of the arrays of a [`Program`]; which one is said where it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// First element.
    pub start: u32,
    /// Number of elements.
    pub len: u32,
}

impl Range {
    /// As a range of `usize` for slicing.
    #[inline(always)]
    pub fn indices(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// One expression. 12 bytes; the position stands beside it in [`Program::offsets`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Node {
    /// A literal: index into [`Program::constants`].
    Const(u32),
    /// A variable of the innermost environment.
    Var0 {
        /// Slot in it.
        slot: u32,
    },
    /// A variable one environment up.
    Var1 {
        /// Slot in it.
        slot: u32,
    },
    /// A variable `depth` environments up (depth ≥ 2).
    Var {
        /// Links to go up.
        depth: u32,
        /// Slot there.
        slot: u32,
    },
    /// A name found in no lexical scope but below one or more `with`: the depths of the candidate `with` environments,
    /// innermost first, in [`Program::extra`].
    WithVar {
        /// The name.
        name: Symbol,
        /// Start of a counted list in `extra`: `extra[at]` is the count, the depths follow, then as many offsets.
        depths: u32,
    },
    /// A name of the base scope (`builtins`, `map`, `true`, `__sub`, …): the number that `CompileOptions::base` gave.
    Global(u32),
    /// `base.name` with a static name, no default.
    Select1 {
        /// The set.
        base: NodeId,
        /// The attribute.
        name: Symbol,
    },
    /// Any other selection: index into [`Program::selects`].
    Select(u32),
    /// `base ? path`: index into [`Program::selects`] (its default is unused).
    Has(u32),
    /// `{ … }` or `rec { … }`: index into [`Program::attrs`].
    Attrs(u32),
    /// A list: node numbers in [`Program::extra`].
    List(Range),
    /// A function: index into [`Program::lambdas`].
    Lambda(u32),
    /// A call with all the arguments it is written with, `f a b c`: `extra[args]` is their count, node numbers follow.
    Call {
        /// The function.
        function: NodeId,
        /// Start of a counted list of nodes in [`Program::extra`].
        args: u32,
    },
    /// `let … in body`: index into [`Program::attrs`] (its `recursive` is true; it has no dynamic attributes).
    Let {
        /// The bindings.
        bindings: u32,
        /// The body, evaluated in the new environment.
        body: NodeId,
    },
    /// `with scope; body`.
    With {
        /// The set, evaluated lazily in the environment outside.
        scope: NodeId,
        /// The body, evaluated in a new environment whose slot 0 is the set.
        body: NodeId,
    },
    /// `if`: `extra[at]` is the condition, then the two branches.
    If(u32),
    /// `assert condition; body`.
    Assert {
        /// The condition.
        condition: NodeId,
        /// What follows.
        body: NodeId,
    },
    /// `!a`.
    Not(NodeId),
    /// `a && b`.
    And(NodeId, NodeId),
    /// `a || b`.
    Or(NodeId, NodeId),
    /// `a -> b`.
    Implies(NodeId, NodeId),
    /// `a == b`.
    Equal(NodeId, NodeId),
    /// `a != b`.
    NotEqual(NodeId, NodeId),
    /// `a // b`.
    Update(NodeId, NodeId),
    /// `a ++ b`.
    Concat(NodeId, NodeId),
    /// `a + b`.
    Add(NodeId, NodeId),
    /// `a - b`.
    Sub(NodeId, NodeId),
    /// `a * b`.
    Mul(NodeId, NodeId),
    /// `a / b`.
    Div(NodeId, NodeId),
    /// `__lessThan a b`: `a` is evaluated first.
    Less(NodeId, NodeId),
    /// A string with interpolations: parts in [`Program::extra`], literal text as `Const`.
    Interpolate(Range),
    /// A path with interpolations: the first part is a path constant, which keeps a trailing `/` that stood directly
    /// before the interpolation; literal text as `Const`.
    InterpolatePath(Range),
    /// `__curPos`.
    CurPos,
    /// The source of one `inherit (e) …;`, seen from a [`BindingKind::From`] node: slot in the link above (see the
    /// table in the head). Same as `Var0`, kept apart so that messages can name it.
    InheritFrom {
        /// Which of the form's `inherit_from`.
        slot: u32,
    },
}

/// One step of an attribute path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttrName {
    /// A name known at compile time.
    Static(Symbol),
    /// `${e}` or `"…${e}…"`.
    Dynamic(NodeId),
}

/// `base.a.b.${c} or default`, or `base ? a.b.c`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SelectDef {
    /// The set.
    pub base: NodeId,
    /// In [`Program::names`].
    pub path: Range,
    /// After `or`.
    pub default: OptNodeId,
}

/// A set literal or the bindings of a `let`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AttrsDef {
    /// `rec { }` or `let`: the bindings see each other.
    pub recursive: bool,
    /// `rec` with an attribute `__overrides`.
    pub overrides: bool,
    /// In [`Program::bindings`], each name once, in any order (linking sorts them by shared symbol).
    pub bindings: Range,
    /// In [`Program::dynamics`].
    pub dynamics: Range,
    /// Node numbers in [`Program::extra`]: the sources of `inherit (e)`, evaluated in the new environment if
    /// `recursive`, else in the one outside.
    pub inherit_from: Range,
    /// Slots of the new environment (0 unless `recursive`); slot i belongs to one binding.
    pub slots: u32,
    /// Offset of the opening of the form.
    pub offset: u32,
}

/// Where the node of a binding is evaluated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindingKind {
    /// `name = e`: in the new environment if recursive, else outside.
    Plain,
    /// `inherit name`: always in the environment outside.
    Inherited,
    /// `inherit (e) name`: the node is `Select1 { base: InheritFrom { slot }, name }`, evaluated in the extra link.
    From,
}

/// One static attribute.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Binding {
    /// Its name.
    pub name: Symbol,
    /// Offset of its name (for `unsafeGetAttrPos` and messages).
    pub offset: u32,
    /// Its value.
    pub value: NodeId,
    /// Where that is evaluated.
    pub kind: BindingKind,
    /// Slot in the new environment, if recursive.
    pub slot: u32,
}

/// One `${e} = value`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DynamicBinding {
    /// Gives a string, or null to leave it out.
    pub name: NodeId,
    /// Its value; both are evaluated in the new environment if the set is recursive.
    pub value: NodeId,
    /// Offset of the name.
    pub offset: u32,
}

/// A function.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LambdaDef {
    /// `x` of `x: …`, the `@`-name of a set pattern, or [`Symbol::NONE`].
    pub argument: Symbol,
    /// A set pattern.
    pub has_formals: bool,
    /// `...` in it.
    pub ellipsis: bool,
    /// In [`Program::formals`], in the order written (linking sorts them by shared symbol).
    pub formals: Range,
    /// Number of slots of its environment.
    pub slots: u32,
    /// The body.
    pub body: NodeId,
    /// The name of the attribute or variable it is the value of, for traces, or [`Symbol::NONE`].
    pub name: Symbol,
    /// Offset of its head.
    pub offset: u32,
}

/// One name of a set pattern.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Formal {
    /// The name.
    pub name: Symbol,
    /// Its offset.
    pub offset: u32,
    /// After `?`; evaluated in the lambda's environment.
    pub default: OptNodeId,
    /// Its slot.
    pub slot: u32,
}

/// A literal.
#[derive(Clone, PartialEq, Debug)]
pub enum Constant {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string without context: bytes in [`Program::text`].
    String(Range),
    /// A path literal as written (after `~`, for `Home`), not yet normalised: bytes in [`Program::text`].
    Path {
        /// What it is relative to.
        base: PathBase,
        /// The literal; for `Home` without the `~`.
        text: Range,
    },
}

/// What a path literal is relative to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathBase {
    /// `/a`: the root of the host.
    Absolute,
    /// `./a`, `a/b`: the folder of the file.
    File,
    /// `~/a`: the user's home.
    Home,
}

/// Something the compiler wants said without failing.
#[derive(Clone, PartialEq, Debug)]
pub struct CompileWarning {
    /// Where.
    pub offset: u32,
    /// C++ Nix's words, with the place and its lines where C++ Nix shows them.
    pub message: String,
}

/// A file that cannot be compiled: a syntax error or an undefined variable.
#[derive(Clone, PartialEq, Debug)]
pub struct CompileError {
    /// Where, in bytes from the start of the file.
    pub offset: u32,
    /// C++ Nix's words, without the position.
    pub message: String,
    /// An undefined variable (C++ Nix's `UndefinedVarError`) rather than a syntax error.
    pub undefined_variable: bool,
    /// What should be said before.
    pub warnings: Vec<CompileWarning>,
}

/// What is done about a questionable literal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Lint {
    /// Nothing.
    #[default]
    Ignore,
    /// A warning.
    Warn,
    /// An error.
    Fatal,
}

impl Lint {
    /// The value of a `lint-…` setting; what is not known is ignored.
    pub fn of(setting: &str) -> Lint {
        match setting {
            "warn" => Lint::Warn,
            "fatal" => Lint::Fatal,
            _ => Lint::Ignore,
        }
    }
}

/// Which literals are questionable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lints {
    /// Unquoted URIs (`lint-url-literals`).
    pub url_literals: Lint,
    /// `/a` and `~/a` (`lint-absolute-path-literals`).
    pub absolute_path_literals: Lint,
    /// `a/b` without a dot before it (`lint-short-path-literals`).
    pub short_path_literals: Lint,
}

/// What compiling depends on besides the text.
#[derive(Clone, Copy)]
pub struct CompileOptions<'a> {
    /// The number of a name of the base scope.
    pub base: &'a dyn Fn(&[u8]) -> Option<u32>,
    /// The names at slots 0.. of an environment around the file (`scopedImport`); `None` if there is no such link.
    pub scope: Option<&'a [&'a [u8]]>,
    /// `|>` and `<|` are allowed.
    pub pipe_operators: bool,
    /// Questionable literals.
    pub lints: Lints,
    /// How deep expressions may nest (`syntax::DEFAULT_MAX_DEPTH` fits a plain thread).
    pub max_depth: u32,
    /// The address that the stack must not grow below while compiling; 0 for none.
    pub stack_floor: usize,
}

/// One compiled file.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Program {
    /// The expressions.
    pub nodes: Vec<Node>,
    /// The error position of each node, same index; a list has that of its first element, `!` and `?` that of their
    /// operand, which may be [`NOWHERE`].
    pub offsets: Vec<u32>,
    /// Operands of variable number.
    pub extra: Vec<u32>,
    /// See [`Node::Select`], [`Node::Has`].
    pub selects: Vec<SelectDef>,
    /// Attribute paths of `selects`.
    pub names: Vec<AttrName>,
    /// See [`Node::Attrs`], [`Node::Let`].
    pub attrs: Vec<AttrsDef>,
    /// Static attributes of `attrs`.
    pub bindings: Vec<Binding>,
    /// Dynamic attributes of `attrs`.
    pub dynamics: Vec<DynamicBinding>,
    /// See [`Node::Lambda`].
    pub lambdas: Vec<LambdaDef>,
    /// Formals of `lambdas`.
    pub formals: Vec<Formal>,
    /// See [`Node::Const`].
    pub constants: Vec<Constant>,
    /// Names: runs of `text`.
    pub symbols: Vec<Range>,
    /// The bytes of names and string literals.
    pub text: Vec<u8>,
    /// Where the operands of `Add`, `Interpolate` and `InterpolatePath` begin, by rising node; see
    /// [`Program::operand_offset`].
    pub operands: Vec<OperandOffsets>,
    /// What should be said.
    pub warnings: Vec<CompileWarning>,
    /// The whole file.
    pub root: Option<NodeId>,
}

/// Where the operands of one node begin, for messages: a parenthesis or `${` before them counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OperandOffsets {
    /// The node.
    pub node: NodeId,
    /// Start of its offsets in [`Program::extra`], one for each operand.
    pub offsets: u32,
}

impl Program {
    /// Where operand `index` of an `Add`, `Interpolate` or `InterpolatePath` begins (C++ Nix's position of that part).
    /// `operand` is its node, whose own offset holds where no other is recorded. Binary search: for messages only.
    pub fn operand_offset(&self, node: NodeId, index: usize, operand: NodeId) -> u32 {
        match self.operands.binary_search_by_key(&node.0, |entry| entry.node.0) {
            Ok(at) => self.extra[self.operands[at].offsets as usize + index],
            Err(_) => self.offsets[operand.0 as usize],
        }
    }
}
