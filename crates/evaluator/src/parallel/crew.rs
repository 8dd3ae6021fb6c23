//! Walks on offer, and the threads that help with them.
//!
//! A helper takes the last value that nobody took, of the walk that was offered where the fewest calls were nested: its
//! values are likely to be the most work. The walk's owner comes from the front. As many
//! threads work as there may be: a thread that waits for another does not count, and a helper more begins meanwhile, which
//! is why there are more threads than that. They are started when there is something to take for them.
//!
//! Absent on purpose: what is done with a value (`ahead.rs`).

use super::ahead::Task;
use super::stops::{Stops, attention};
use super::sync::AtomicBool;
use crate::heap::StackStorage;
use crate::value::Value;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Most threads wait at times when much depends on one value; then others must be there to divide that.
const SPARES: u32 = 4;
/// Whose numbers fit beside that of the one who decides.
const MOST_HELPERS: u32 = super::claims::MOST_OWNERS - 1;

/// Values of which the one who offers them will need every one.
pub(crate) struct Walk {
    /// What is done with each.
    pub(crate) task: Task,
    /// Calls nested where it was offered.
    pub(crate) depth: u32,
    /// Tells helpers to give up.
    pub(crate) stop: AtomicBool,
    /// Where the values stand: on the value stack of the owner, who keeps them there.
    values: Arc<StackStorage>,
    from: usize,
    /// The one that the owner is at.
    front: AtomicUsize,
    /// Those from here on were taken. Changed only under the crew's lock, as is the next.
    back: AtomicUsize,
    helpers: AtomicU32,
}

impl Walk {
    /// A walk over the values from `from` to `to` of a value stack.
    pub(crate) fn new(task: Task, depth: u32, values: Arc<StackStorage>, from: usize, to: usize) -> Walk {
        Walk {
            task,
            depth,
            stop: AtomicBool::new(false),
            values,
            from,
            front: AtomicUsize::new(0),
            back: AtomicUsize::new(to - from),
            helpers: AtomicU32::new(0),
        }
    }

    /// The owner is at this value now.
    pub(crate) fn at(&self, index: usize) {
        self.front.store(index, Ordering::Relaxed);
    }

    /// A value.
    pub(crate) fn value(&self, index: usize) -> Option<Value> {
        self.values.get(self.from + index)
    }

    fn has_work(&self) -> bool {
        self.back.load(Ordering::Relaxed) > self.front.load(Ordering::Relaxed) + 1
    }
}

#[derive(Default)]
struct State {
    /// On offer.
    walks: Vec<Arc<Walk>>,
    /// Threads that work now, the deciding one included.
    working: u32,
    /// Helpers that wait for something to take.
    idle: u32,
    /// Walks whose helpers are told to give up.
    given_up: u32,
    closing: bool,
    threads: Vec<JoinHandle<()>>,
}

/// The helpers of an evaluator.
pub(crate) struct Crew {
    /// Threads that may work at the same time.
    cores: u32,
    state: Mutex<State>,
    /// There is something to take.
    offered: Condvar,
    /// A helper has left a walk.
    left: Condvar,
}

impl Crew {
    /// Nobody yet but the one who decides.
    pub(crate) fn new(cores: u32) -> Crew {
        let state = State { working: 1, ..State::default() };
        Crew { cores, state: Mutex::new(state), offered: Condvar::new(), left: Condvar::new() }
    }

    /// Threads that may work at the same time.
    #[inline(always)]
    pub(crate) fn cores(&self) -> u32 {
        self.cores
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a helper if there is something to take and room for one; `start` starts another thread.
    fn call(&self, state: &mut State, start: &dyn Fn(u32) -> Option<JoinHandle<()>>) {
        if state.working >= self.cores || state.closing || !state.walks.iter().any(|walk| walk.has_work()) {
            return;
        }
        if state.idle > 0 {
            self.offered.notify_one();
        } else if (state.threads.len() as u32) < self.cores.saturating_add(1).saturating_mul(SPARES).min(MOST_HELPERS) {
            // Owner 1 is the one who decides.
            state.threads.extend(start(state.threads.len() as u32 + 2));
        }
    }

    /// Puts a walk on offer.
    pub(crate) fn offer(&self, walk: &Arc<Walk>, start: &dyn Fn(u32) -> Option<JoinHandle<()>>) {
        let mut state = self.lock();
        state.walks.push(walk.clone());
        self.call(&mut state, start);
    }

    /// Takes a walk back. If helpers are still at it they are told to give up, and the answer is that one must wait.
    pub(crate) fn withdraw(&self, walk: &Arc<Walk>, stops: &Stops) -> bool {
        let mut state = self.lock();
        state.walks.retain(|other| !Arc::ptr_eq(other, walk));
        if walk.helpers.load(Ordering::Relaxed) == 0 {
            return false;
        }
        walk.stop.store(true, Ordering::Release);
        state.given_up += 1;
        stops.raise(attention::GIVE_UP);
        true
    }

    /// Waits until the helpers of a withdrawn walk have left it.
    pub(crate) fn await_helpers(&self, walk: &Walk, stops: &Stops, start: &dyn Fn(u32) -> Option<JoinHandle<()>>) {
        let mut state = self.lock();
        state.working -= 1;
        self.call(&mut state, start);
        while walk.helpers.load(Ordering::Relaxed) > 0 {
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.working += 1;
        state.given_up -= 1;
        if state.given_up == 0 {
            stops.lower(attention::GIVE_UP);
        }
    }

    /// For a helper: the next value to evaluate ahead, when there is one and room to do it; `None` at the end of the crew.
    pub(crate) fn take(&self, start: &dyn Fn(u32) -> Option<JoinHandle<()>>) -> Option<(Arc<Walk>, usize)> {
        let mut state = self.lock();
        loop {
            if state.closing {
                return None;
            }
            if state.working < self.cores
                && let Some(walk) = state.walks.iter().filter(|walk| walk.has_work()).min_by_key(|walk| walk.depth)
            {
                let walk = walk.clone();
                let index = walk.back.fetch_sub(1, Ordering::Relaxed) - 1;
                walk.helpers.fetch_add(1, Ordering::Relaxed);
                state.working += 1;
                self.call(&mut state, start);
                return Some((walk, index));
            }
            state.idle += 1;
            state = self.offered.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// For a helper: it is done with what it took.
    pub(crate) fn leave(&self, walk: &Walk) {
        let mut state = self.lock();
        state.working -= 1;
        if walk.helpers.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.left.notify_all();
        }
    }

    /// The calling thread is about to wait for another.
    pub(crate) fn rest(&self, start: &dyn Fn(u32) -> Option<JoinHandle<()>>) {
        let mut state = self.lock();
        state.working -= 1;
        self.call(&mut state, start);
    }

    /// It goes on.
    pub(crate) fn go_on(&self) {
        self.lock().working += 1;
    }

    /// Ends all helpers. They must not be kept from it: nobody else may run.
    fn close(&self, stops: &Stops, wake: impl FnOnce()) {
        let threads = {
            let mut state = self.lock();
            state.closing = true;
            state.walks.iter().for_each(|walk| walk.stop.store(true, Ordering::Release));
            std::mem::take(&mut state.threads)
        };
        if threads.is_empty() {
            return;
        }
        stops.raise(attention::GIVE_UP);
        self.offered.notify_all();
        wake();
        for thread in threads {
            // A helper that panicked has said so, and what it had begun is evaluated by others.
            let _ = thread.join();
        }
    }
}

/// Held by the deciding thread: its end is the end of the helpers.
pub(crate) struct Foreman(pub(crate) Arc<crate::eval::Shared>);

impl Drop for Foreman {
    fn drop(&mut self) {
        let stops = self.0.region.stops();
        // In the middle of a panic helpers may be at work, and wait for a collection.
        stops.block();
        self.0.crew.close(stops, || self.0.waits.wake());
        stops.unblock();
    }
}
