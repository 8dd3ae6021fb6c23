//! The collector: marks what is reachable, moves nothing.
//!
//! Roots are exact (the tables behind [`RootSource`], the value stacks) and conservative (the native stacks and registers
//! of all threads, which are stopped): a word there that points anywhere into an object keeps that object. Such words are sorted,
//! so that each block is walked at most once to find where objects begin. In the heap every reference is known. A cell
//! that holds an evaluated thunk gets the thunk's value instead.
//!
//! Threads that were stopped in their work help to mark (`gang.rs`): an object belongs to whoever marked its first word.
//!
//! Absent on purpose: when to collect (`arena.rs`), what becomes of the rest (`region.rs`).

use super::gang::Gang;
use super::layout::{KIND_MASK, Kind, MANY_SLOTS, object_words, references};
use super::marks::Marks;
use super::region::{Block, Space};
use crate::os::StackRange;
use crate::value::Value;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a collection starts from, besides stacks.
pub(crate) trait RootSource: Send + Sync {
    /// Calls `visit` with every root. It may be called while any lock of the source but those that no allocation happens
    /// under is held.
    fn each_root(&self, visit: &mut dyn FnMut(Value));
}

/// Tags of values that hold no address.
const TAG_MASK: u64 = 7;
const TAG_THUNK: u64 = 0;
const TAG_INT: u64 = 1;
const TAG_IMMEDIATE: u64 = 7;
/// Objects whose first words are on their way from memory.
const IN_FLIGHT: usize = 16;
/// Whoever has less to mark keeps it.
const WORTH_SHARING: usize = 64;

/// One thread of a marking; with `SHARED`, one of several.
pub(super) struct Marker<'a, const SHARED: bool> {
    /// The address of the first word that has a mark.
    start: usize,
    marks: &'a Marks,
    gang: &'a Gang,
    work: Vec<usize>,
    /// Addresses asked for, a ring.
    flight: [usize; IN_FLIGHT],
    next: usize,
    /// Words that may yet be found alive before it is given up.
    patience: usize,
}

impl<'a, const SHARED: bool> Marker<'a, SHARED> {
    /// Nothing is found yet.
    pub(super) fn new(start: usize, marks: &'a Marks, gang: &'a Gang) -> Self {
        let patience = usize::MAX;
        Marker { start, marks, gang, work: Vec::new(), flight: [0; IN_FLIGHT], next: 0, patience }
    }

    /// The same for one that gives up when it finds more than `words` words alive.
    pub(super) fn within(self, words: usize) -> Self {
        Marker { patience: words, ..self }
    }

    /// Whether it gave up: then not all that lives is marked.
    pub(super) fn gave_up(&self) -> bool {
        self.patience == 0
    }

    #[inline(always)]
    fn word_of(&self, address: usize) -> usize {
        (address - self.start) / 8
    }

    /// Marks what a value refers to.
    pub(super) fn value(&mut self, value: Value) {
        self.word(value.word());
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        if word != 0 && !matches!(word & TAG_MASK, TAG_INT | TAG_IMMEDIATE) {
            self.reach((word & !TAG_MASK) as usize);
        }
    }

    /// Notes an object's address, once: its first word is marked now, the others when it is looked at.
    #[inline(always)]
    fn reach(&mut self, address: usize) {
        if address != 0 && self.marks.set_one::<SHARED>(self.word_of(address)) {
            self.work.push(address);
        }
    }

    /// Marks everything reachable from native stacks.
    pub(super) fn native_stacks(&mut self, space: &Space, stacks: impl Iterator<Item = StackRange>) {
        let mut found: Vec<usize> = stacks.flat_map(StackRange::words).map(|word| word & !7).collect();
        found.retain(|address| space.block_of(*address).is_some());
        found.sort_unstable();
        found.dedup();
        let (mut block, mut at) = (usize::MAX, 0);
        for address in found {
            if self.marks.is_set(self.word_of(address)) {
                continue;
            }
            let Some(mut own) = space.block_of(address) else { continue };
            while space.blocks[own] == Block::Rest {
                own -= 1;
            }
            if space.blocks[own] == Block::Free {
                continue;
            }
            if own != block {
                (block, at) = (own, space.address(own));
            }
            if let Some(object) = Self::object_around(&mut at, address) {
                self.reach(object);
            }
        }
    }

    /// Walks from `at` to the object that `address` lies in; `None` if that is filler.
    fn object_around(at: &mut usize, address: usize) -> Option<usize> {
        loop {
            // SAFETY: the walk starts at the start of a block or of an object in it, steps by whole objects and filler,
            // and ends before it passes `address`, which lies in a block that was handed out.
            let (head, words) = unsafe {
                let head = *(*at as *const u64);
                (head, object_words(head, || *((*at - 8) as *const u64)))
            };
            let end = *at + words * 8;
            if address < end {
                return (head & KIND_MASK != 0).then_some(*at);
            }
            *at = end;
        }
    }

    /// Marks until nothing is left to mark, in the hands of others neither, or it gives up.
    pub(super) fn finish(&mut self) {
        loop {
            self.drain();
            if !SHARED || !self.gang.more_or_end(&mut self.work) {
                return;
            }
        }
    }

    /// Marks what another thread had too much of.
    pub(super) fn assist(&mut self, packet: Vec<usize>) {
        self.work = packet;
        self.drain();
    }

    /// Marks until this thread has nothing left to mark, or gives up.
    fn drain(&mut self) {
        loop {
            if SHARED && self.work.len() > WORTH_SHARING && self.gang.is_hungry() {
                let half = self.work.len() / 2;
                self.gang.give(self.work.drain(..half).collect());
            }
            // What is taken from the work list is fetched now and looked at a little later.
            let address = match self.work.pop() {
                Some(address) => {
                    crate::os::prefetch(address);
                    std::mem::replace(&mut self.flight[self.next], address)
                }
                None => std::mem::take(&mut self.flight[self.next]),
            };
            self.next = (self.next + 1) % IN_FLIGHT;
            if address != 0 {
                self.patience = self.patience.saturating_sub(self.object(address));
                if self.gave_up() {
                    return;
                }
            } else if self.work.is_empty() && self.flight == [0; IN_FLIGHT] {
                return;
            }
        }
    }

    /// Looks into an object; gives its size in words.
    #[inline(always)]
    fn object(&mut self, address: usize) -> usize {
        let word = self.word_of(address);
        // SAFETY: the address is that of an object: it came out of a value, an environment or a walk. No thread evaluates,
        // and only this one looks into the object, so plain reads of its head are fine; a cell is overwritten with the
        // value of the thunk that it held. Cells are aligned words of the heap, which are accessed as atomics.
        unsafe {
            let object = address as *mut u64;
            let head = *object;
            let words = object_words(head, || *object.sub(1));
            if matches!(head & KIND_MASK, 6 | 14) && head >> 48 == MANY_SLOTS {
                self.marks.set::<SHARED>(word - 1, words + 1);
            } else {
                self.marks.set::<SHARED>(word, words);
            }
            let second = if words > 1 { *object.add(1) } else { 0 };
            let references = references(head, second, words);
            self.reach(references.address as usize);
            for index in 0..references.count {
                let cell = AtomicU64::from_ptr(object.add(references.first + index));
                let before = cell.load(Ordering::Relaxed);
                let mut held = before;
                while held != 0 && held & TAG_MASK == TAG_THUNK {
                    let thunk = held as *const u64;
                    if *thunk & KIND_MASK != Kind::Done as u64 {
                        break;
                    }
                    held = AtomicU64::from_ptr(thunk.add(1).cast_mut()).load(Ordering::Relaxed);
                }
                if held != before {
                    cell.store(held, Ordering::Relaxed);
                }
                self.word(held);
            }
            words
        }
    }
}
