//! A thread that evaluates ahead of the one that decides: how it is made, how it begins and ends a piece of work.
//!
//! Absent on purpose: which work (`parallel/ahead.rs`).

use super::{Constants, Eval, Shared, lock};
use crate::heap::{Arena, ValueStack};
use crate::parallel::{OwnerId, Walk};
use activity::Activity;
use std::sync::Arc;

impl Eval {
    /// A thread that evaluates ahead; it is the calling one. `None` if there is no memory for it.
    pub(crate) fn helper(shared: Arc<Shared>, owner: OwnerId) -> Option<Eval> {
        let stack = ValueStack::new()?;
        shared.region.stops().unblock();
        let mut arena = Arena::new(shared.region.clone());
        let constants = shared.constants.get().copied();
        let constants = constants.unwrap_or_else(|| Constants::new(&mut arena));
        let mut eval = Eval::over(shared, arena, stack, constants, owner);
        eval.enter_thread();
        eval.alone = false;
        eval.max_depth = crate::parallel::deepest_ahead(&eval.shared.options);
        Some(eval)
    }

    /// A helper begins with something.
    pub(crate) fn begin_ahead(&mut self, walk: &Arc<Walk>) {
        {
            let around = lock(&self.shared.surroundings);
            if !Arc::ptr_eq(&self.cancelled, &around.cancelled) {
                self.cancelled = around.cancelled.clone();
                self.activity = Arc::new(Activity::silent().with_token(around.token.clone()));
            }
            self.programs = around.programs.clone();
            self.tracker = around.tracker.as_ref().map(|tracker| Box::new(tracker.beside()));
        }
        self.depth = walk.depth;
        self.ahead = Some(walk.clone());
    }

    /// It is done with it.
    pub(crate) fn end_ahead(&mut self) {
        self.stack.truncate(0);
        self.entered.clear();
        self.ahead = None;
    }
}
