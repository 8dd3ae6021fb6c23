//! Waiting for a thunk that another thread evaluates.
//!
//! Who waits stands in one table: which thread, for which thunk. The last to enter follows owner, what that owner waits
//! for, its owner, and so on; when this leads back to itself, the value needs itself across threads. Then one of those
//! that evaluate ahead gives up, and the thread that decides (there is at most one that does not evaluate ahead) finds
//! the recursion on its own stack.

use super::claims::{OwnerId, StateWord, announce_waiting, owner_of};
use super::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, lock, wait};

/// Who waits.
#[derive(Clone, Copy)]
pub(crate) struct Waiter<'a> {
    /// The thread.
    pub(crate) owner: OwnerId,
    /// What tells it to give up, if it evaluates ahead.
    pub(crate) stop: Option<&'a AtomicBool>,
}

/// How waiting ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waited {
    /// The claim has ended: look again.
    Ended,
    /// Only a thread that evaluates ahead: it must undo its claims.
    GiveUp,
}

struct Entry<W> {
    owner: OwnerId,
    thunk: W,
    ahead: bool,
    give_up: bool,
}

/// All who wait.
pub(crate) struct Waits<W> {
    table: Mutex<Vec<Entry<W>>>,
    changed: Condvar,
}

impl<W> Default for Waits<W> {
    fn default() -> Self {
        Waits { table: Mutex::new(Vec::new()), changed: Condvar::new() }
    }
}

impl<W: StateWord + Clone> Waits<W> {
    /// Waits until nobody has a claim on `thunk`, or the waiter must give up. The waiter counts as stopped meanwhile (see
    /// `stops.rs`).
    pub(crate) fn wait(&self, waiter: Waiter<'_>, thunk: &W) -> Waited {
        let mut table = lock(&self.table);
        table.push(Entry { owner: waiter.owner, thunk: thunk.clone(), ahead: waiter.stop.is_some(), give_up: false });
        let waited = loop {
            // Anew each time: the claim that was waited for may have been undone and another made.
            if announce_waiting(thunk).is_none() {
                break Waited::Ended;
            }
            if waiter.stop.is_some_and(|stop| stop.load(Ordering::Acquire)) {
                break Waited::GiveUp;
            }
            let own = table.iter().position(|entry| entry.owner == waiter.owner);
            if own.is_some_and(|own| table[own].give_up) {
                break Waited::GiveUp;
            }
            if let Some(victim) = own.and_then(|own| Self::cycle(&table, own)) {
                if table[victim].owner == waiter.owner {
                    break Waited::GiveUp;
                }
                table[victim].give_up = true;
                self.changed.notify_all();
            }
            table = wait(&self.changed, table);
        };
        table.retain(|entry| entry.owner != waiter.owner);
        waited
    }

    /// Follows what each waits for, from entry `own`. If that leads back, the entry that is to give up: the first that
    /// evaluates ahead. Nobody if one of them gives up already.
    fn cycle(table: &MutexGuard<'_, Vec<Entry<W>>>, own: usize) -> Option<usize> {
        let mut at = own;
        let mut victim = None;
        // More steps than entries lead round a cycle that `own` is not part of, whose last member sees it.
        for _ in 0..table.len() {
            let entry = &table[at];
            if entry.give_up {
                return None;
            }
            if victim.is_none() && entry.ahead {
                victim = Some(at);
            }
            let owner = owner_of(entry.thunk.load())?;
            at = table.iter().position(|entry| entry.owner == owner)?;
            if at == own {
                return victim;
            }
        }
        None
    }

    /// Lets all who wait look again.
    pub(crate) fn wake(&self) {
        // Nobody is between looking and waiting while the lock is held.
        drop(lock(&self.table));
        self.changed.notify_all();
    }
}
