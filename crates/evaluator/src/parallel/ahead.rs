//! What helpers do: values are evaluated ahead as whoever offered them will do it.
//!
//! A helper is an [`Eval`] of its own with [`Eval::ahead`] set. Whatever error it meets, it undoes its claims
//! (`Eval::fail_thunk`), so that it need not tell errors apart; nobody sees them.

use super::claims::OwnerId;
use super::crew::Walk;
use super::stops::attention;
use super::sync::Ordering;
use super::waits::{Waited, Waiter};
use crate::builtins::json::{self, JsonOptions};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Coerced, Coercion, Eval, Shared};
use crate::options::EvalOptions;
use crate::value::{List, Pos, Thunk, ThunkState, Value};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What is done with each value of a walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Task {
    /// It is evaluated to its outermost form.
    Force,
    /// A function is called with it: the first of the values.
    Call,
    /// Everything inside is evaluated.
    Deep,
    /// It becomes a string.
    String(Coercion),
    /// It is written as JSON, paths copied to the store or not.
    Json {
        /// Whether they are.
        copy: bool,
    },
}

/// A walk that was perhaps offered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Progress<'a>(Option<&'a Walk>);

impl Progress<'_> {
    /// The owner goes on to this value.
    #[inline]
    pub(crate) fn at(self, index: usize) {
        if let Some(walk) = self.0 {
            walk.at(index);
        }
    }
}

/// Starts the thread of a helper; `None` if the system refuses, and then there is one less.
fn start(shared: &Arc<Shared>, number: u32) -> Option<JoinHandle<()>> {
    let shared = shared.clone();
    crate::os::large_thread(&format!("evaluate {number}"), move || help(shared, OwnerId(number)))
}

/// A helper's life.
fn help(shared: Arc<Shared>, owner: OwnerId) {
    let Some(mut eval) = Eval::helper(shared.clone(), owner) else { return };
    let start = |number| start(&shared, number);
    while let Some((walk, index)) = eval.arena.blocked(|| shared.crew.take(&start)) {
        eval.evaluate_ahead(&walk, index);
        shared.crew.leave(&walk);
    }
    shared.region.stops().block();
}

/// How deep calls may nest for what is evaluated ahead. A value that is found done costs its finder no depth, so near the
/// limit nothing may be: one thread more or less would show in what fails.
pub(crate) fn deepest_ahead(options: &EvalOptions) -> u32 {
    options.max_call_depth / 2
}

impl Eval {
    /// Goes through values of which every one is needed, while helpers may evaluate those at the end: `work` must say
    /// where it is. The values stay on the value stack.
    pub(crate) fn go_through<V: Iterator<Item = Value>, T>(
        &mut self,
        task: Task,
        values: impl Fn() -> V,
        work: impl FnOnce(&mut Eval, Progress<'_>) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let deep = self.depth > deepest_ahead(&self.shared.options);
        if self.shared.crew.cores() == 1 || deep || !self.may_be_helped(values()) {
            return work(self, Progress(None));
        }
        let from = self.stack.height();
        values().for_each(|value| self.stack.push(value));
        let values = self.stack.storage().clone();
        let walk = Arc::new(Walk::new(task, self.depth, values, from, self.stack.height()));
        let shared = self.shared.clone();
        let alone = std::mem::replace(&mut self.alone, false);
        shared.crew.offer(&walk, &|number| start(&shared, number));
        let result = work(self, Progress(Some(&walk)));
        if shared.crew.withdraw(&walk, shared.region.stops()) {
            shared.waits.wake();
            self.arena.blocked(|| {
                let start = |number| start(&shared, number);
                shared.crew.await_helpers(&walk, shared.region.stops(), &start);
            });
        }
        self.alone = alone;
        result
    }

    /// The same for values that a function is called with, one after the other. Gives the height above which the value
    /// stack is `work`'s own.
    pub(crate) fn call_through(
        &mut self,
        function: Value,
        list: List,
        mut work: impl FnMut(&mut Eval, Value) -> Result<(), EvalError>,
    ) -> Result<usize, EvalError> {
        let values = || std::iter::once(function).chain(list.iter());
        self.go_through(Task::Call, values, |eval, progress| {
            let height = eval.stack.height();
            for (index, element) in list.iter().enumerate() {
                progress.at(index + 1);
                work(eval, element)?;
            }
            Ok(height)
        })
    }

    /// Whether at least two of these values are yet to be evaluated, and several threads can do it.
    fn may_be_helped(&self, values: impl Iterator<Item = Value>) -> bool {
        let pending =
            |value: &Value| value.as_thunk().is_some_and(|thunk| matches!(thunk.state(), ThunkState::Suspended));
        // Reads are not told apart by thread.
        self.tracker.as_ref().is_none_or(|tracker| !tracker.is_apart())
            && values.filter(pending).nth(1).is_some()
            && self.arena.can_stop()
    }

    fn evaluate_ahead(&mut self, walk: &Arc<Walk>, index: usize) {
        let Some(value) = walk.value(index) else { return };
        self.begin_ahead(walk);
        let task = walk.task;
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| match task {
            Task::Deep => self.force_deep(value).is_ok(),
            Task::Force => self.force(value).is_ok(),
            Task::Call => walk.value(0).is_some_and(|function| self.call(function, &[value]).is_ok()),
            Task::String(how) => self.coerce(value, how, "").is_ok(),
            Task::Json { copy } => {
                let options = JsonOptions { strict: true, copy };
                json::write_json(self, value, Pos::NONE, options, &mut Coerced::default()).is_ok()
            }
        }));
        if outcome.is_err() {
            // The claims were undone without telling who waits for them.
            self.shared.waits.wake();
        }
        self.end_ahead();
    }

    /// Waits until another thread is done with a thunk.
    #[cold]
    #[inline(never)]
    pub(crate) fn wait_for(&mut self, thunk: Thunk) -> Result<(), EvalError> {
        let shared = self.shared.clone();
        shared.crew.rest(&|number| start(&shared, number));
        let walk = self.ahead.clone();
        let waiter = Waiter { owner: self.owner(), stop: walk.as_deref().map(|walk| &walk.stop) };
        let waited = self.arena.blocked(|| shared.waits.wait(waiter, &thunk));
        shared.crew.go_on();
        match waited {
            Waited::Ended => self.poll(),
            Waited::GiveUp => Err(gave_up()),
        }
    }

    /// What is about to happen can be seen from outside, or is not to be done twice: a helper gives up.
    #[inline]
    pub(crate) fn effect(&self) -> Result<(), EvalError> {
        if self.ahead.is_some() { Err(gave_up()) } else { Ok(()) }
    }

    /// Looks at what asks for attention.
    #[cold]
    #[inline(never)]
    pub(crate) fn attend(&mut self) -> Result<(), EvalError> {
        let wanted = self.arena.attention();
        if wanted & attention::STOP != 0 {
            self.arena.pause();
        }
        match &self.ahead {
            Some(walk) if wanted & attention::EXHAUSTED != 0 || walk.stop.load(Ordering::Acquire) => Err(gave_up()),
            None if wanted & attention::EXHAUSTED != 0 => Err(self.heap_exhausted()),
            _ => Ok(()),
        }
    }
}

/// Like an interruption: nothing catches it, nothing remembers it.
#[cold]
fn gave_up() -> EvalError {
    EvalError::new(ErrorKind::Cancelled, "evaluation ahead was given up")
}
