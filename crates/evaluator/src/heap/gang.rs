//! The threads of one marking: who has nothing to mark takes from who has much.
//!
//! A thread that stops for a collection says so before it stops ([`Gang::expect`]), and assists until the collection is
//! over. The collecting thread calls for it only if somebody comes.

use super::collect::Marker;
use super::marks::Marks;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Clone)]
struct Job {
    start: usize,
    marks: Arc<Marks>,
}

#[derive(Default)]
struct State {
    /// Collections that are over.
    over: u64,
    job: Option<Job>,
    /// Addresses of marked objects that nobody looked into.
    packets: Vec<Vec<usize>>,
    /// Threads that have something to mark.
    marking: u32,
}

/// Who marks.
#[derive(Default)]
pub(super) struct Gang {
    state: Mutex<State>,
    changed: Condvar,
    expected: AtomicU32,
    hungry: AtomicU32,
}

/// A thread that is going to stop and assist.
pub(super) struct Expected<'a> {
    gang: &'a Gang,
    over: u64,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.gang.expected.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gang {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.hungry.fetch_add(1, Ordering::Relaxed);
        let state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        self.hungry.fetch_sub(1, Ordering::Relaxed);
        state
    }

    /// The calling thread, which still runs, will assist once it has stopped.
    pub(super) fn expect(&self) -> Expected<'_> {
        self.expected.fetch_add(1, Ordering::AcqRel);
        Expected { gang: self, over: self.lock().over }
    }

    /// Whether anybody will assist the collection for which all have stopped.
    pub(super) fn is_expected(&self) -> bool {
        self.expected.load(Ordering::Acquire) > 0
    }

    /// Whether somebody has nothing to mark.
    #[inline(always)]
    pub(super) fn is_hungry(&self) -> bool {
        self.hungry.load(Ordering::Relaxed) > 0
    }

    /// Lets others take this.
    #[cold]
    pub(super) fn give(&self, packet: Vec<usize>) {
        self.lock().packets.push(packet);
        self.changed.notify_one();
    }

    /// The collecting thread begins to mark; others may assist.
    pub(super) fn begin(&self, start: usize, marks: &Arc<Marks>) {
        let mut state = self.lock();
        state.job = Some(Job { start, marks: marks.clone() });
        state.marking = 1;
    }

    /// The collecting thread has nothing left: it gets more, or learns that nobody has.
    pub(super) fn more_or_end(&self, work: &mut Vec<usize>) -> bool {
        let mut state = self.lock();
        state.marking -= 1;
        loop {
            if let Some(packet) = state.packets.pop() {
                state.marking += 1;
                *work = packet;
                return true;
            }
            if state.marking == 0 {
                // There may be another round, from other roots.
                state.marking = 1;
                return false;
            }
            state = self.wait(state);
        }
    }

    /// Nobody marks any more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.job = None;
        state.over += 1;
        self.changed.notify_all();
    }

    /// Marks what others have too much of, until the collection is over.
    pub(super) fn assist(&self, expected: &Expected<'_>) {
        let mut state = self.lock();
        while state.over == expected.over {
            let job = state.job.clone();
            let Some((job, packet)) = job.and_then(|job| Some((job, state.packets.pop()?))) else {
                state = self.wait(state);
                continue;
            };
            state.marking += 1;
            drop(state);
            Marker::<true>::new(job.start, &job.marks, self).assist(packet);
            // Given back before others learn that nothing is left.
            drop(job);
            state = self.lock();
            state.marking -= 1;
            if state.marking == 0 {
                self.changed.notify_all();
            }
        }
    }
}
