//! A line at each call and return, where somebody asked for it (`trace-function-calls`).
//!
//! Absent on purpose: a clock, which the options bring.

use super::{Eval, Next, Outcome};
use crate::code::Code;
use crate::program::NodeId;
use crate::value::{Env, Pos, Value};
use activity::Verbosity;

impl Eval {
    /// Does what counts as one call, between its lines.
    #[cold]
    #[inline(never)]
    pub(super) fn traced(&mut self, pos: Pos, work: impl FnOnce(&mut Eval) -> Outcome) -> Outcome {
        self.note_call("entered", pos);
        let outcome = work(self);
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
        self.traced(code.pos(id), |eval| match eval.apply_nodes(function, code, id, code.counted(arguments), env)? {
            Next::Done(value) => Ok(value),
            Next::Enter(code, body, env, from) => eval.eval_body(code, body, env, from),
        })
    }

    fn note_call(&mut self, what: &str, pos: Pos) {
        let Some(clock) = self.trace_calls else { return };
        let place = if pos == Pos::NONE { "«none»:0".to_owned() } else { self.describe_pos(pos) };
        self.activity.message(Verbosity::Info, &format!("function-trace {what} {place} at {}", clock()));
    }
}
