//! Which of the things that evaluation read a value depends on.
//!
//! A world that remembers what it was asked numbers each question and notes the number in a [`ReadLog`] whenever it
//! answers. The evaluator, told of that log, knows then at any moment what the value it is working on has read: its
//! own reads, and those of every value it looked at. A thunk keeps the set with its value, so whoever looks at it later
//! takes the set over, and two parts of one evaluation can be told apart although they share most of their work.
//!
//! Sets are nodes of a graph (a read, or two sets joined), never copied; they are written out once, for a whole part,
//! and heavy ones are packed into bits then.
//! Until parts begin nothing is kept apart: what is read before belongs to all parts.
//!
//! Absent on purpose: what was asked, its answer, and whether that still holds (`World`'s implementations know).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

/// Takes the numbers of questions as a world answers them; shared by that world and the evaluator.
#[derive(Debug, Default)]
pub struct ReadLog {
    fresh: Mutex<Vec<u32>>,
    any: AtomicBool,
    time: AtomicBool,
}

impl ReadLog {
    /// Notes that question number `read` was asked, again or for the first time.
    pub fn note(&self, read: u32) {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).push(read);
        self.any.store(true, Ordering::Release);
    }

    /// Whether evaluation looked at the time of day (`builtins.currentTime`).
    pub fn time_was_asked(&self) -> bool {
        self.time.load(Ordering::Relaxed)
    }

    pub(crate) fn note_time(&self) {
        self.time.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> Vec<u32> {
        self.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut self.fresh.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A set of reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ReadSet(pub(crate) u32);

impl ReadSet {
    /// Nothing was read.
    pub(crate) const NONE: ReadSet = ReadSet(0);
    /// The time of day was looked at, whatever else.
    pub(crate) const TIME: ReadSet = ReadSet(1);
}

#[derive(Clone, Copy)]
enum Node {
    Read(u32),
    Both(ReadSet, ReadSet),
}

/// Sets that take more steps than this to write out are packed.
const HEAVY: u32 = 64;

/// What an interrupted piece of work had read.
pub(crate) struct Before {
    set: ReadSet,
    frame: u32,
}

/// Follows one evaluating thread.
pub(crate) struct Tracker {
    log: std::sync::Arc<ReadLog>,
    /// Whether parts have begun.
    apart: bool,
    nodes: Vec<Node>,
    /// For each node the piece of work that took it over last: most of what is met was met a moment ago.
    taken_by: Vec<u32>,
    reads: FxHashMap<u32, ReadSet>,
    joined: FxHashMap<(u32, u32), ReadSet>,
    /// For each node how many must be walked to write it out.
    weights: Vec<u32>,
    /// Heavy sets as bits.
    packed: FxHashMap<u32, Box<[u64]>>,
    current: ReadSet,
    frame: u32,
    frames: u32,
}

impl Tracker {
    /// Follows the reads of a log.
    pub(crate) fn new(log: std::sync::Arc<ReadLog>) -> Tracker {
        // The first two sets have no node of their own; fillers keep numbers and places equal.
        let (nodes, taken_by) = (vec![Node::Read(u32::MAX); 2], vec![0; 2]);
        Tracker {
            log,
            apart: false,
            nodes,
            taken_by,
            reads: FxHashMap::default(),
            joined: FxHashMap::default(),
            weights: Vec::new(),
            packed: FxHashMap::default(),
            current: ReadSet::NONE,
            frame: 0,
            frames: 0,
        }
    }

    /// For a helper: follows the same log, as long as nothing is kept apart.
    pub(crate) fn beside(&self) -> Tracker {
        Tracker::new(self.log.clone())
    }

    /// Whether reads are kept apart, so that it matters which thread asked.
    pub(crate) fn is_apart(&self) -> bool {
        self.apart
    }

    /// From now on sets are kept. What was read before belongs to all.
    pub(crate) fn begin_parts(&mut self) {
        self.log.take();
        self.apart = true;
    }

    fn add_node(&mut self, node: Node) -> ReadSet {
        self.nodes.push(node);
        self.taken_by.push(0);
        ReadSet((self.nodes.len() - 1) as u32)
    }

    /// Two sets joined: the same pair is the same set, since much work meets the same things.
    fn both(&mut self, a: ReadSet, b: ReadSet) -> ReadSet {
        let pair = (a.0.min(b.0), a.0.max(b.0));
        match self.joined.get(&pair) {
            Some(set) => *set,
            None => {
                let set = self.add_node(Node::Both(a, b));
                self.joined.insert(pair, set);
                set
            }
        }
    }

    /// The present piece of work depends on a set too.
    #[inline]
    pub(crate) fn meet(&mut self, set: ReadSet) {
        if set == ReadSet::TIME {
            self.log.note_time();
        } else if set != ReadSet::NONE && self.apart && self.taken_by[set.0 as usize] != self.frame {
            self.taken_by[set.0 as usize] = self.frame;
            self.current = match self.current {
                ReadSet::NONE => set,
                current if current == set => set,
                current => self.both(current, set),
            };
        }
    }

    #[inline]
    fn drain(&mut self) {
        if self.log.any.load(Ordering::Acquire) {
            self.take_reads();
        }
    }

    #[cold]
    fn take_reads(&mut self) {
        for read in self.log.take() {
            if !self.apart {
                continue;
            }
            let set = match self.reads.get(&read) {
                Some(set) => *set,
                None => {
                    let set = self.add_node(Node::Read(read));
                    self.reads.insert(read, set);
                    set
                }
            };
            self.meet(set);
        }
    }

    /// Begins a piece of work of its own inside the present one.
    #[inline]
    pub(crate) fn begin(&mut self) -> Before {
        self.drain();
        let before = Before { set: self.current, frame: self.frame };
        self.frames = self.frames.wrapping_add(1);
        (self.current, self.frame) = (ReadSet::NONE, self.frames);
        before
    }

    /// Ends it: gives what it depends on, which the work around it depends on now too.
    #[inline]
    pub(crate) fn end(&mut self, before: Before) -> ReadSet {
        self.drain();
        let own = self.current;
        (self.current, self.frame) = (before.set, before.frame);
        self.meet(own);
        own
    }

    /// The reads of a set, each once, rising.
    pub(crate) fn reads(&mut self, set: ReadSet) -> Vec<u32> {
        self.pack();
        let bits = self.gather(set);
        let words = bits.iter().enumerate();
        let set_bits =
            words.flat_map(|(at, word)| (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| (at, bit)));
        set_bits.map(|(at, bit)| (at * 64 + bit) as u32).collect()
    }

    /// Packs sets that have grown heavy since the last time, so that no set is ever walked far: parts share most of what
    /// is below them.
    fn pack(&mut self) {
        for at in self.weights.len()..self.nodes.len() {
            let weight = match self.nodes[at] {
                Node::Read(_) => 1,
                Node::Both(a, b) => 1 + self.weights[a.0 as usize] + self.weights[b.0 as usize],
            };
            self.weights.push(weight);
            if weight > HEAVY {
                let bits = self.gather(ReadSet(at as u32));
                self.packed.insert(at as u32, bits.into());
                self.weights[at] = 1;
            }
        }
    }

    /// The reads of a set as bits.
    fn gather(&self, set: ReadSet) -> Vec<u64> {
        let mut bits: Vec<u64> = Vec::new();
        let mut work = vec![set];
        while let Some(set) = work.pop() {
            if set.0 <= ReadSet::TIME.0 {
                continue;
            }
            if let Some(packed) = self.packed.get(&set.0) {
                bits.resize(bits.len().max(packed.len()), 0);
                bits.iter_mut().zip(packed).for_each(|(word, more)| *word |= more);
                continue;
            }
            match self.nodes[set.0 as usize] {
                Node::Read(read) => {
                    let at = read as usize / 64;
                    bits.resize(bits.len().max(at + 1), 0);
                    bits[at] |= 1 << (read % 64);
                }
                Node::Both(a, b) => work.extend([a, b]),
            }
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn sets_hold_what_was_read_inside_and_what_was_met() {
        let log = Arc::new(ReadLog::default());
        let mut tracker = Tracker::new(Arc::clone(&log));
        log.note(7);
        tracker.begin_parts();
        let outer = tracker.begin();
        log.note(1);
        let inner = tracker.begin();
        log.note(2);
        let inner = tracker.end(inner);
        let again = tracker.begin();
        tracker.meet(inner);
        tracker.meet(inner);
        let again = tracker.end(again);
        log.note(1);
        let outer = tracker.end(outer);
        assert_eq!(tracker.reads(inner), [2]);
        assert_eq!(again, inner);
        assert_eq!(tracker.reads(outer), [1, 2]);
        let none = tracker.begin();
        assert_eq!(tracker.end(none), ReadSet::NONE);
        assert!(!log.time_was_asked());
        tracker.meet(ReadSet::TIME);
        assert!(log.time_was_asked());
    }

    #[test]
    fn heavy_sets_are_the_same_when_packed() {
        let log = Arc::new(ReadLog::default());
        let mut tracker = Tracker::new(Arc::clone(&log));
        tracker.begin_parts();
        let mut sets = Vec::new();
        for number in 0..500u32 {
            let mark = tracker.begin();
            log.note(number);
            if let Some(before) = sets.last() {
                tracker.meet(*before);
            }
            sets.push(tracker.end(mark));
            if number % 50 == 0 {
                let expected: Vec<u32> = (0..=number).collect();
                assert_eq!(tracker.reads(sets[number as usize]), expected);
            }
        }
        for (number, set) in sets.iter().enumerate() {
            assert_eq!(tracker.reads(*set).len(), number + 1);
        }
        assert!(tracker.packed.len() > 2);
    }
}
