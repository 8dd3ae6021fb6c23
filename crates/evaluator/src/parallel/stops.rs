//! Stopping all evaluating threads for a collection.
//!
//! A thread *runs* while it may touch values. It stops of its own accord: at the next call or refill of its arena when one
//! is wanted ([`Stops::pause`]), or because it waits for something ([`Stops::block`] … [`Stops::unblock`]); whatever it
//! needs of its registers and stack is published before. The collecting thread waits until it is the only one that runs.
//! Nobody who runs may wait for what another may hold while it stops.

use super::sync::{AtomicU32, Condvar, Mutex, Ordering, lock, wait};

/// What a thread should look at, besides its work.
pub(crate) mod attention {
    /// A collection waits for everybody.
    pub(crate) const STOP: u32 = 1;
    /// More is alive than may be.
    pub(crate) const EXHAUSTED: u32 = 2;
    /// Some work done ahead is of no more use.
    pub(crate) const GIVE_UP: u32 = 4;
}

#[derive(Debug, Default)]
struct State {
    running: u32,
    stopping: bool,
}

/// Who runs, and whether all should stop.
#[derive(Debug)]
pub(crate) struct Stops {
    state: Mutex<State>,
    changed: Condvar,
    attention: AtomicU32,
}

impl Default for Stops {
    fn default() -> Self {
        Stops { state: Mutex::new(State::default()), changed: Condvar::new(), attention: AtomicU32::new(0) }
    }
}

impl Stops {
    /// What to look at; zero mostly.
    #[inline(always)]
    pub(crate) fn attention(&self) -> u32 {
        self.attention.load(Ordering::Relaxed)
    }

    /// Raises bits of [`attention`].
    pub(crate) fn raise(&self, bits: u32) {
        self.attention.fetch_or(bits, Ordering::Release);
    }

    /// Lowers them.
    pub(crate) fn lower(&self, bits: u32) {
        self.attention.fetch_and(!bits, Ordering::Release);
    }

    /// The calling thread runs from now on.
    pub(crate) fn unblock(&self) {
        let mut state = lock(&self.state);
        while state.stopping {
            state = wait(&self.changed, state);
        }
        state.running += 1;
    }

    /// The calling thread, which ran, does so no more.
    pub(crate) fn block(&self) {
        let mut state = lock(&self.state);
        state.running -= 1;
        if state.stopping {
            self.changed.notify_all();
        }
    }

    /// Stops the calling thread, which runs, as long as a collection needs; meanwhile it may do `work` for it.
    pub(crate) fn pause(&self, work: impl FnOnce()) {
        let mut state = lock(&self.state);
        if !state.stopping {
            return;
        }
        state.running -= 1;
        self.changed.notify_all();
        drop(state);
        work();
        let mut state = lock(&self.state);
        while state.stopping {
            state = wait(&self.changed, state);
        }
        state.running += 1;
    }

    /// Waits until the calling thread, which runs, is the only one; then it must call [`Stops::resume`]. False if another
    /// was faster: its collection is over then, for which this thread did `work`.
    pub(crate) fn stop(&self, work: impl FnOnce()) -> bool {
        let mut state = lock(&self.state);
        if state.stopping {
            drop(state);
            self.pause(work);
            return false;
        }
        state.stopping = true;
        if state.running > 1 {
            self.raise(attention::STOP);
            while state.running > 1 {
                state = wait(&self.changed, state);
            }
        }
        true
    }

    /// Lets all others go on.
    pub(crate) fn resume(&self) {
        let mut state = lock(&self.state);
        state.stopping = false;
        self.lower(attention::STOP);
        self.changed.notify_all();
    }
}
