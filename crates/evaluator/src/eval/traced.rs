//! Who watches calls: a line at each call and return (`trace-function-calls`), and stacks of calls that are counted now
//! and then (`eval-profiler`), where somebody asked for it.
//!
//! Stacks are kept as numbers of frames, and a frame's text is made once. A frame is C++ Nix's: the place of the call and
//! the name of what is called; a derivation has its name. Absent on purpose: a clock, which the options bring, and files.

use super::{Eval, Next, Outcome};
use crate::builtins::TABLE;
use crate::code::Code;
use crate::options::{Clock, EvalOptions, Sampling};
use crate::program::{NodeId, Symbol};
use crate::value::{Env, Pos, Value, sym};
use activity::Verbosity;
use rustc_hash::FxHashMap;

/// What a watched call calls.
#[derive(Clone, Copy)]
pub(super) enum Callee {
    /// A value, perhaps not evaluated yet, with its first argument.
    Value(Value, Option<Value>),
    /// The builtin behind an operator.
    Builtin(&'static str),
    /// The function of a functor, which C++ Nix mostly does not know yet at this time.
    Unknown,
}

/// Watches calls.
pub(super) struct Watch {
    /// Lines are wanted, with this clock.
    lines: Option<Clock>,
    profile: Option<Profile>,
}

/// Stacks and how often each was met.
struct Profile {
    sampling: Sampling,
    last: u128,
    stack: Vec<u32>,
    stacks: FxHashMap<Vec<u32>, u64>,
    frames: FxHashMap<Frame, u32>,
    texts: Vec<String>,
}

/// What tells frames apart.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Frame {
    pos: Pos,
    what: What,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum What {
    /// By program and function.
    Function(u32, u32),
    Builtin(&'static str),
    Derivation(String),
    Functor,
    /// No function at all.
    Other,
}

impl Watch {
    /// The watch that the options ask for.
    pub(super) fn of(options: &EvalOptions) -> Option<Box<Self>> {
        let profile = options.profile.map(|sampling| Profile {
            sampling,
            last: (sampling.clock)(),
            stack: Vec::new(),
            stacks: FxHashMap::default(),
            frames: FxHashMap::default(),
            texts: Vec::new(),
        });
        let lines = options.trace_calls;
        (lines.is_some() || profile.is_some()).then(|| Box::new(Self { lines, profile }))
    }
}

impl Profile {
    /// A call with this frame begins; the stack is counted when it is time.
    fn enter(&mut self, frame: Frame, text: impl FnOnce() -> String) {
        let number = *self.frames.entry(frame).or_insert_with(|| {
            self.texts.push(text());
            u32::try_from(self.texts.len() - 1).unwrap_or(u32::MAX)
        });
        self.stack.push(number);
        let now = (self.sampling.clock)();
        if self.sampling.period == 0 || now.saturating_sub(self.last) > self.sampling.period {
            self.last = now;
            *self.stacks.entry(self.stack.clone()).or_default() += 1;
        }
    }
}

impl Eval {
    /// Does what counts as one call, and lets it be seen.
    #[cold]
    #[inline(never)]
    pub(super) fn traced(&mut self, pos: Pos, callee: Callee, work: impl FnOnce(&mut Eval) -> Outcome) -> Outcome {
        self.note_call("entered", pos);
        let sampled = self.watch.as_ref().is_some_and(|watch| watch.profile.is_some());
        if sampled {
            self.enter_frame(pos, callee);
        }
        let outcome = work(self);
        if sampled && let Some(profile) = self.watch.as_mut().and_then(|watch| watch.profile.as_mut()) {
            profile.stack.pop();
        }
        self.note_call("exited", pos);
        outcome
    }

    /// A call written in a program. Its body is not entered by whoever evaluates the call, so that its end is seen.
    #[cold]
    #[inline(never)]
    pub(super) fn traced_call(
        &mut self,
        function: Value,
        code: &'static Code,
        id: NodeId,
        arguments: u32,
        env: Env,
    ) -> Outcome {
        let nodes = code.counted(arguments);
        // Only a derivation's name is asked for; whatever else the argument does is done once more later.
        let is_strict = function.as_builtin().is_some_and(|number| TABLE[number as usize].plain_name() == STRICT);
        let argument = nodes.first().filter(|_| is_strict).map(|node| self.delay(code, NodeId(*node), env));
        self.traced(code.pos(id), Callee::Value(function, argument), |eval| {
            match eval.apply_nodes(function, code, id, nodes, env)? {
                Next::Done(value) => Ok(value),
                Next::Enter(code, body, env, from) => eval.eval_body(code, body, env, from),
            }
        })
    }

    fn note_call(&mut self, what: &str, pos: Pos) {
        let Some(clock) = self.watch.as_ref().and_then(|watch| watch.lines) else { return };
        let place = if pos == Pos::NONE { "«none»:0".to_owned() } else { self.describe_pos(pos) };
        self.activity.message(Verbosity::Info, &format!("function-trace {what} {place} at {}", clock()));
    }

    fn enter_frame(&mut self, pos: Pos, callee: Callee) {
        let what = match callee {
            Callee::Builtin(name) => What::Builtin(name),
            Callee::Unknown => What::Other,
            Callee::Value(function, argument) => self.what(function, argument),
        };
        let frame = Frame { pos, what };
        let Some(mut profile) = self.watch.as_mut().and_then(|watch| watch.profile.take()) else { return };
        profile.enter(frame.clone(), || self.frame_text(&frame));
        if let Some(watch) = &mut self.watch {
            watch.profile = Some(profile);
        }
    }

    fn what(&mut self, function: Value, argument: Option<Value>) -> What {
        // What fails here fails again in the call, which tells.
        let Ok(function) = self.force(function) else { return What::Other };
        if let Some(lambda) = function.as_lambda() {
            let (code, index) = lambda.code();
            return What::Function(self.code(code).number, index);
        }
        let builtin = function.as_builtin().or_else(|| Some(function.as_partial()?.builtin()));
        if let Some(number) = builtin {
            let name = TABLE[number as usize].plain_name();
            let derivation = argument.filter(|_| name == STRICT).and_then(|argument| self.derivation_name(argument));
            return derivation.map_or(What::Builtin(name), What::Derivation);
        }
        let functor = function.as_attrs().and_then(|set| set.get(sym::FUNCTOR));
        if functor.is_some() { What::Functor } else { What::Other }
    }

    fn derivation_name(&mut self, attributes: Value) -> Option<String> {
        let attributes = self.force(attributes).ok()?.as_attrs()?;
        let name = self.force(attributes.get(sym::NAME)?.value.get()).ok()?;
        Some(String::from_utf8_lossy(name.as_string()?.bytes()).into_owned())
    }

    fn frame_text(&self, frame: &Frame) -> String {
        let place = |pos: Pos| if pos == Pos::NONE { "«none»:0".to_owned() } else { self.describe_pos(pos) };
        let before = if frame.pos == Pos::NONE { String::new() } else { format!("{}:", place(frame.pos)) };
        match &frame.what {
            What::Function(code, index) => {
                let Some(code) = self.shared.codes.get(*code) else { return place(frame.pos) };
                let lambda = &code.lambdas[*index as usize];
                let pos = if frame.pos == Pos::NONE { code.pos_of(lambda.offset) } else { frame.pos };
                match lambda.name {
                    Symbol::NONE => place(pos),
                    name => format!("{}:{}", place(pos), self.bare_text(name)),
                }
            }
            What::Builtin(name) => format!("{before}primop {name}"),
            What::Derivation(name) => format!("{before}primop {STRICT}:{name}"),
            What::Functor => format!("{}:functor", place(frame.pos)),
            What::Other => place(frame.pos),
        }
    }

    /// The stacks that were counted, as lines `FRAME;FRAME COUNT`, in the order in which frames were first met; empty where
    /// nobody asked.
    pub(crate) fn profile(&self) -> Vec<String> {
        let Some(profile) = self.watch.as_ref().and_then(|watch| watch.profile.as_ref()) else { return Vec::new() };
        let line = |(stack, count): (&Vec<u32>, &u64)| {
            let frames: Vec<&str> = stack.iter().map(|frame| profile.texts[*frame as usize].as_str()).collect();
            format!("{} {count}", frames.join(";"))
        };
        let mut stacks: Vec<_> = profile.stacks.iter().collect();
        stacks.sort_unstable();
        stacks.into_iter().map(line).collect()
    }
}

/// The builtin that makes derivations.
const STRICT: &str = "derivationStrict";
