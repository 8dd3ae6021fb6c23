//! One bit per word of the heap: whether it belongs to a live object.
//!
//! All words of an object are marked, not only its first: a pointer into the middle of a marked object needs no search,
//! and the gaps between live objects are the runs of clear bits.

/// The bits.
#[derive(Default)]
pub(super) struct Marks {
    bits: Vec<u64>,
}

impl Marks {
    /// Clears all and makes room for `words` words.
    pub(super) fn reset(&mut self, words: usize) {
        self.bits.clear();
        self.bits.resize(words.div_ceil(64), 0);
    }

    /// Whether the word is marked.
    #[inline(always)]
    pub(super) fn is_set(&self, word: usize) -> bool {
        self.bits.get(word / 64).is_some_and(|bits| bits >> (word % 64) & 1 != 0)
    }

    /// Marks a word; tells whether it was clear.
    #[inline(always)]
    pub(super) fn set_one(&mut self, word: usize) -> bool {
        let (bits, bit) = (&mut self.bits[word / 64], 1 << (word % 64));
        let clear = *bits & bit == 0;
        *bits |= bit;
        clear
    }

    /// Marks `count` words.
    #[inline(always)]
    pub(super) fn set(&mut self, word: usize, count: usize) {
        let (first, shift) = (word / 64, word % 64);
        if shift + count <= 64 {
            self.bits[first] |= (u64::MAX >> (64 - count)) << shift;
            return;
        }
        self.bits[first] |= u64::MAX << shift;
        let end = word + count;
        self.bits[first + 1..end / 64].fill(u64::MAX);
        if !end.is_multiple_of(64) {
            self.bits[end / 64] |= u64::MAX >> (64 - end % 64);
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
            let bits = (self.bits[at / 64] ^ invert) >> (at % 64);
            if bits != 0 {
                return (at + bits.trailing_zeros() as usize).min(end);
            }
            at = (at / 64 + 1) * 64;
        }
        end
    }

    /// How many words are marked; `from` and `end` are multiples of 64.
    pub(super) fn count(&self, from: usize, end: usize) -> usize {
        self.bits[from / 64..end / 64].iter().map(|bits| bits.count_ones() as usize).sum()
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
            marks.set(word, count);
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
}
