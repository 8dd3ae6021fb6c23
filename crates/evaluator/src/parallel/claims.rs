//! The state word of a thunk as threads see it: claimed by one, ended by the same, waited for by others.
//!
//! A claim is a compare-exchange from the suspended form to `Running(owner)`. It ends with another word, which is stored;
//! where others may wait, it is exchanged instead, so that whoever ends the claim sees the bit that a waiter had set.
//!
//! Absent on purpose: payloads and what the suspended forms mean (`value/thunk.rs`), the waiting itself (`waits.rs`).

use crate::heap::{KIND_BITS, KIND_MASK, Kind};

/// Bit of a `Running` word: another thread waits for the end of the claim.
const WAITED: u64 = 1 << (KIND_BITS + 2);

/// Where the owner's number stands, below the upper half, which is left to `more` of [`claim`].
const OWNER_SHIFT: u32 = 8;
const OWNER_MASK: u64 = MOST_OWNERS as u64;
/// The largest number of an owner.
pub(crate) const MOST_OWNERS: u32 = (1 << (32 - OWNER_SHIFT)) - 1;

/// Who evaluates: the number of an evaluating thread, at most [`MOST_OWNERS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OwnerId(pub(crate) u32);

/// A state word. Loads acquire, stores release, exchanges do both.
pub(crate) trait StateWord {
    /// The word.
    fn load(&self) -> u64;
    /// Puts `new` in the place of `old`, if it is there; tells whether.
    fn exchange(&self, old: u64, new: u64) -> bool;
    /// Puts `new` in and gives what was there.
    fn swap(&self, new: u64) -> u64;
    /// Puts `new` in.
    fn store(&self, new: u64);
}

/// The owner, if the word is that of a claim.
#[inline(always)]
pub(crate) fn owner_of(state: u64) -> Option<OwnerId> {
    (state & KIND_MASK == Kind::Running as u64).then_some(OwnerId(((state >> OWNER_SHIFT) & OWNER_MASK) as u32))
}

/// Takes a thunk whose word was `suspended`; `more` are bits that the word has as long as the claim lasts. False if
/// another was faster; `alone` promises that there is none.
#[inline(always)]
pub(crate) fn claim(word: &impl StateWord, suspended: u64, more: u64, owner: OwnerId, alone: bool) -> bool {
    debug_assert!(owner.0 <= MOST_OWNERS, "threads are few");
    let running = Kind::Running as u64 | more | u64::from(owner.0) << OWNER_SHIFT;
    if alone {
        word.store(running);
        return true;
    }
    word.exchange(suspended, running)
}

/// Ends a claim. Tells whether somebody waits, who must be woken then; `alone` promises that nobody does.
#[inline(always)]
pub(crate) fn end(word: &impl StateWord, new: u64, alone: bool) -> bool {
    if alone {
        word.store(new);
        return false;
    }
    word.swap(new) & WAITED != 0
}

/// Makes sure that who ends the claim will see that somebody waits. The owner, or `None` if there is no claim (any more).
pub(crate) fn announce_waiting(word: &impl StateWord) -> Option<OwnerId> {
    loop {
        let state = word.load();
        let owner = owner_of(state)?;
        if state & WAITED != 0 || word.exchange(state, state | WAITED) {
            return Some(owner);
        }
    }
}
