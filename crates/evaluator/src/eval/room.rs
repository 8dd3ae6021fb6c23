//! Whether there is room: for what is large, for what goes on, and what is said when there is none.

use super::Eval;
use crate::error::{ErrorKind, EvalError};
use crate::parallel::attention;

/// Bytes from which on [`Eval::make_room`] looks.
const LONG: usize = 1 << 16;

impl Eval {
    /// Said once; what fails because of it is not remembered as failed.
    #[cold]
    pub(crate) fn heap_exhausted(&mut self) -> EvalError {
        self.arena.region().stops().lower(attention::EXHAUSTED);
        let heap = &self.shared.options.heap;
        let message = match (heap.limit, heap.budget) {
            (None, Some(budget)) => format!("more than {} MB of values were made", budget >> 20),
            (limit, _) => {
                let limit = limit.unwrap_or_default() >> 20;
                format!("out of memory: more than {limit} MB of values are in use (see the setting 'max-heap')")
            }
        };
        EvalError::new(ErrorKind::OutOfMemory, message)
    }

    /// Fails where there is no room for something of so many bytes. To be asked before what is made of other values, so
    /// that nothing doubles on the way out of calls, where nobody polls.
    #[inline(always)]
    pub(crate) fn make_room(&mut self, bytes: usize) -> Result<(), EvalError> {
        if bytes < LONG { Ok(()) } else { self.make_much_room(bytes) }
    }

    #[cold]
    fn make_much_room(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.poll()?;
        if self.arena.admits(bytes / 8) { Ok(()) } else { Err(self.heap_exhausted()) }
    }

    /// As [`Eval::poll`] after `steps` steps of a loop whose length no size of a value bounds: they count against the budget.
    pub(crate) fn poll_after(&mut self, steps: u64) -> Result<(), EvalError> {
        self.arena.spend(steps as usize);
        self.poll()
    }
}
