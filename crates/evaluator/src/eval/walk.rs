//! The walk over one expression.
//!
//! Tail calls, branches and bodies loop in [`Eval::eval`], so the native stack grows only where the language needs it. What
//! needs no loop is done by [`Eval::node`], which takes less of the stack; variables and literals mostly need neither.

use super::{Eval, Next, Outcome, Place, place_recursion};
use crate::code::Code;
use crate::heap::{Mark, Stretch};
use crate::program::{Node, NodeId};
use crate::value::{Env, Thunk, Value};

impl Eval {
    /// Evaluates a node.
    ///
    /// Environments and delayed arguments that were made on the way are taken back at the end if nothing else was made
    /// behind them. Then nothing refers to them: an older object comes to refer to a younger one only when it is a thunk
    /// that is evaluated, or a place that held one, and gets the value, which followed from what was older than these or
    /// was made behind them. Other threads know no object that was not made before they were offered work.
    pub(crate) fn eval(&mut self, code: &'static Code, node: NodeId, env: Env) -> Outcome {
        let depth = self.depth;
        let entered = self.entered.len();
        let mut own = Stretch::EMPTY;
        let outcome = self.run(code, node, env, &mut own);
        self.depth = depth;
        if let Ok(value) = outcome {
            self.arena.retract(&own, value);
        }
        if self.entered.len() != entered { self.leave_calls(entered, outcome) } else { outcome }
    }

    /// The same for the body of a call, for which alone everything was made since `from`.
    #[inline(always)]
    pub(crate) fn eval_body(&mut self, code: &'static Code, body: NodeId, env: Env, from: Mark) -> Outcome {
        let own = Stretch::new(&self.arena, from);
        let outcome = self.eval(code, body, env);
        if let Ok(value) = outcome {
            self.arena.retract(&own, value);
        }
        outcome
    }

    /// Evaluates a node that is likely a variable or literal, without a call for those.
    #[inline(always)]
    pub(crate) fn operand(&mut self, code: &'static Code, node: NodeId, env: Env) -> Outcome {
        let ready = match *code.node(node) {
            Node::Const(index) => Some(code.constants.get(index as usize)),
            Node::Var0 { slot } => env.slot(slot).get_filled(),
            Node::Var1 { slot } => env.up().slot(slot).get_filled(),
            Node::Var { depth, slot } => link(env, depth).slot(slot).get_filled(),
            Node::Global(number) => Some(self.constants.globals.get(number as usize)),
            _ => None,
        };
        match ready {
            Some(value) if !value.is_thunk() => Ok(value),
            _ => self.node(code, node, env),
        }
    }

    /// Evaluates a node, without the loop of [`Eval::eval`] where that can do nothing.
    #[inline(never)]
    pub(super) fn node(&mut self, code: &'static Code, id: NodeId, env: Env) -> Outcome {
        match code.node(id) {
            Node::Call { .. } | Node::If(_) | Node::Let { .. } | Node::With { .. } | Node::Assert { .. } => {
                self.eval(code, id, env)
            }
            node => self.leaf(code, id, node, env),
        }
    }

    /// Evaluates a node that needs no loop.
    #[inline(always)]
    fn leaf(&mut self, code: &'static Code, id: NodeId, node: &'static Node, env: Env) -> Outcome {
        match *node {
            Node::Const(index) => Ok(code.constants.get(index as usize)),
            Node::Var0 { slot } | Node::InheritFrom { slot } => self.variable(code, id, env, slot),
            Node::Var1 { slot } => self.variable(code, id, env.up(), slot),
            Node::Var { depth, slot } => self.variable(code, id, link(env, depth), slot),
            Node::Select1 { base, name } => self.select_one(code, id, base, name, env),
            Node::Lambda(index) => Ok(self.closure(code, index, env)),
            Node::Global(number) => {
                let value = self.constants.globals.get(number as usize);
                self.force(value)
            }
            Node::Attrs(index) => self.attrs(code, index, env),
            _ => self.eval_operator(code, id, node, env),
        }
    }

    #[inline(always)]
    fn run(&mut self, mut code: &'static Code, mut id: NodeId, mut env: Env, own: &mut Stretch) -> Outcome {
        loop {
            let node = code.node(id);
            match *node {
                Node::Call { function, args } => {
                    let function = self.operand(code, function, env)?;
                    if self.watch.is_some() {
                        return self.traced_call(function, code, id, args, env);
                    }
                    match self.apply_nodes(function, code, id, code.counted(args), env)? {
                        Next::Done(value) => return Ok(value),
                        Next::Enter(next_code, body, next_env, from) => {
                            own.extend(&self.arena, from);
                            (code, id, env) = (next_code, body, next_env);
                        }
                    }
                }
                Node::If(at) => {
                    let condition = NodeId(code.extra[at as usize]);
                    let text = "while evaluating a branch condition";
                    let branch = if self.condition(code, condition, env, id, text)? { at + 1 } else { at + 2 };
                    id = NodeId(code.extra[branch as usize]);
                }
                Node::Let { bindings, body } => {
                    let from = self.arena.mark();
                    env = self.let_env(code, bindings, env);
                    own.extend(&self.arena, from);
                    id = body;
                }
                Node::With { scope, body } => {
                    let from = self.arena.mark();
                    let scope = self.delay(code, scope, env);
                    env = env.extend(&mut self.arena, 1);
                    own.extend(&self.arena, from);
                    env.slot(0).set(scope);
                    id = body;
                }
                Node::Assert { condition, body } => {
                    self.assert(code, id, condition, env)?;
                    id = body;
                }
                _ => return self.leaf(code, id, node, env),
            }
        }
    }

    /// A variable, evaluated; the slot keeps the result.
    #[inline(always)]
    fn variable(&mut self, code: &'static Code, id: NodeId, env: Env, slot: u32) -> Outcome {
        let cell = env.slot(slot);
        let value = cell.get();
        let Some(thunk) = value.as_thunk() else { return Ok(value) };
        let value = match thunk.done() {
            Some(value) => value,
            None => match self.force_thunk_at(thunk, Place::node(code, id)) {
                Ok(value) if thunk.done().is_none() => return Ok(value),
                Ok(value) => value,
                Err(error) => return Err(place_recursion(error, code, id)),
            },
        };
        cell.set(value);
        Ok(value)
    }

    /// The value of a node, later: no thunk is made for what needs no evaluation.
    #[inline(always)]
    pub(crate) fn delay(&mut self, code: &'static Code, id: NodeId, env: Env) -> Value {
        let filled = match *code.node(id) {
            Node::Const(index) => Some(code.constants.get(index as usize)),
            Node::Var0 { slot } | Node::InheritFrom { slot } => env.slot(slot).get_filled(),
            Node::Var1 { slot } => env.up().slot(slot).get_filled(),
            Node::Var { depth, slot } => link(env, depth).slot(slot).get_filled(),
            Node::Lambda(index) => Some(self.closure_unseen(code, index, env)),
            Node::Global(number) => Some(self.constants.globals.get(number as usize)),
            _ => None,
        };
        match filled {
            Some(value) => value,
            None => Thunk::expression(&mut self.arena, code.number, id.0, env).into(),
        }
    }

    #[inline(always)]
    fn closure(&mut self, code: &'static Code, index: u32, env: Env) -> Value {
        crate::value::Lambda::new(&mut self.arena, code.number, index, env).into()
    }

    #[inline(always)]
    fn closure_unseen(&mut self, code: &'static Code, index: u32, env: Env) -> Value {
        crate::value::Lambda::new_unseen(&mut self.arena, code.number, index, env).into()
    }
}

/// The link of a variable that is `depth` (at least 2) links up.
#[inline(always)]
fn link(env: Env, depth: u32) -> Env {
    let mut link = env.up().up();
    for _ in 2..depth {
        link = link.up();
    }
    link
}
