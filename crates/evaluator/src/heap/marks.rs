//! One bit per word of the heap: whether it belongs to a live object.
//!
//! All words of an object are marked, not only its first: a pointer into the middle of a marked object needs no search,
//! and the gaps between live objects are the runs of clear bits.

use std::sync::atomic::{AtomicU64, Ordering};

/// The bits. Several threads may mark at the same time: then each says so (`SHARED`), which costs an exchange.
#[derive(Default)]
pub(super) struct Marks {
    bits: Vec<AtomicU64>,
}

impl Marks {
    /// Clears all and makes room for `words` words.
    pub(super) fn reset(&mut self, words: usize) {
        self.bits.clear();
        self.bits.resize_with(words.div_ceil(64), AtomicU64::default);
    }

    #[inline(always)]
    fn get(&self, at: usize) -> u64 {
        self.bits[at].load(Ordering::Relaxed)
    }

    /// Sets bits; gives what was there.
    #[inline(always)]
    fn add<const SHARED: bool>(&self, at: usize, bits: u64) -> u64 {
        let word = &self.bits[at];
        if SHARED {
            return word.fetch_or(bits, Ordering::Relaxed);
        }
        let before = word.load(Ordering::Relaxed);
        word.store(before | bits, Ordering::Relaxed);
        before
    }

    /// Whether the word is marked.
    #[inline(always)]
    pub(super) fn is_set(&self, word: usize) -> bool {
        self.bits.get(word / 64).is_some_and(|bits| bits.load(Ordering::Relaxed) >> (word % 64) & 1 != 0)
    }

    /// Marks a word; tells whether it was clear.
    #[inline(always)]
    pub(super) fn set_one<const SHARED: bool>(&self, word: usize) -> bool {
        let (at, bit) = (word / 64, 1 << (word % 64));
        // Most of what is reached was reached before.
        if SHARED && self.get(at) & bit != 0 {
            return false;
        }
        self.add::<SHARED>(at, bit) & bit == 0
    }

    /// Marks `count` words.
    #[inline(always)]
    pub(super) fn set<const SHARED: bool>(&self, word: usize, count: usize) {
        let (first, shift) = (word / 64, word % 64);
        if shift + count <= 64 {
            self.add::<SHARED>(first, (u64::MAX >> (64 - count)) << shift);
            return;
        }
        self.add::<SHARED>(first, u64::MAX << shift);
        let end = word + count;
        self.bits[first + 1..end / 64].iter().for_each(|bits| bits.store(u64::MAX, Ordering::Relaxed));
        if !end.is_multiple_of(64) {
            self.add::<SHARED>(end / 64, u64::MAX >> (64 - end % 64));
        }
    }

    /// The first word from `from` on that is clear, at most `end`; both in one block.
    pub(super) fn next_clear(&self, from: usize, end: usize) -> usize {
        self.next(from, end, u64::MAX)
    }

    /// The first word from `from` on that is marked, at most `end`.
    pub(super) fn next_set(&self, from: usize, end: usize) -> usize {
        self.next(from, end, 0)
    }

    fn next(&self, from: usize, end: usize, invert: u64) -> usize {
        let mut at = from;
        while at < end {
            let bits = (self.get(at / 64) ^ invert) >> (at % 64);
            if bits != 0 {
                return (at + bits.trailing_zeros() as usize).min(end);
            }
            at = (at / 64 + 1) * 64;
        }
        end
    }

    /// How many words are marked; `from` and `end` are multiples of 64.
    pub(super) fn count(&self, from: usize, end: usize) -> usize {
        self.bits[from / 64..end / 64].iter().map(|bits| bits.load(Ordering::Relaxed).count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs() {
        let mut marks = Marks::default();
        marks.reset(512);
        for (word, count) in [(0, 1), (3, 2), (60, 10), (128, 64), (200, 200)] {
            marks.set::<false>(word, count);
            assert!((word..word + count).all(|word| marks.is_set(word)));
        }
        assert!(!marks.is_set(1) && !marks.is_set(59) && !marks.is_set(70) && !marks.is_set(192) && !marks.is_set(400));
        assert_eq!(marks.next_clear(0, 512), 1);
        assert_eq!(marks.next_set(1, 512), 3);
        assert_eq!(marks.next_clear(60, 512), 70);
        assert_eq!(marks.next_clear(200, 512), 400);
        assert_eq!(marks.next_set(400, 512), 512);
        assert_eq!(marks.next_clear(200, 300), 300);
        assert_eq!(marks.count(128, 192), 64);
        assert_eq!(marks.count(0, 512), 1 + 2 + 10 + 64 + 200);
    }

    #[test]
    fn several_threads_mark_each_word_once() {
        let mut marks = Marks::default();
        marks.reset(4096);
        let first = || (0..4096).filter(|word| marks.set_one::<true>(*word)).count();
        let first: usize = std::thread::scope(|scope| {
            let threads = [0; 4].map(|_| scope.spawn(first));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((first, marks.count(0, 4096)), (4096, 4096));
    }
}
