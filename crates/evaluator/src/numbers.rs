//! Numbers of names: the table under the interner of a text and under that of an evaluator.
//!
//! Absent on purpose: the names, which whoever asks compares.

use crate::program::Symbol;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// A hash of half a word, to stand beside what it is of.
pub(crate) fn short_hash(feed: impl FnOnce(&mut FxHasher)) -> u32 {
    let mut hasher = FxHasher::default();
    feed(&mut hasher);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}

/// That of a name.
#[inline]
pub(crate) fn hash(name: &[u8]) -> u32 {
    short_hash(|hasher| hasher.write(name))
}

/// The numbers of names by open addressing: hash above, number + 1 below, or 0 where it is free. One word holds both, so
/// that a look at a place, and filling it, touch one line of the cache, and growing reads no names.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// A power of two long once there is a name, at most two thirds full.
    places: Vec<u64>,
    count: u32,
}

impl Numbers {
    /// Forgets all names; makes room for `names`.
    pub(crate) fn begin(&mut self, names: usize) {
        self.places.clear();
        self.places.resize((2 * names).next_power_of_two().max(64), 0);
        self.count = 0;
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The number of a name with this hash, or the place where it belongs.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(Symbol) -> bool) -> Result<Symbol, usize> {
        let Some(mask) = self.places.len().checked_sub(1) else { return Err(0) };
        let mut at = hash as usize & mask;
        loop {
            let place = self.places[at];
            if place == 0 {
                return Err(at);
            }
            let symbol = Symbol(place as u32 - 1);
            if (place >> 32) as u32 == hash && is_it(symbol) {
                return Ok(symbol);
            }
            at = (at + 1) & mask;
        }
    }

    /// Gives the next number to a name that was not found; `at` is the place where it belongs.
    pub(crate) fn add(&mut self, hash: u32, mut at: usize) -> Symbol {
        // A number is never the largest there is, which means "no name", and one more still fits.
        assert!(self.count < u32::MAX - 1, "fewer than 2^32 names");
        if (self.count as usize + 1) * 3 > self.places.len() * 2 {
            self.grow();
            at = self.free(hash);
        }
        let symbol = Symbol(self.count);
        self.count += 1;
        self.places[at] = u64::from(hash) << 32 | u64::from(self.count);
        symbol
    }

    fn free(&self, hash: u32) -> usize {
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at] != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = vec![0; (self.places.len() * 2).max(1024)];
        crate::os::prefer_huge_pages(&mut larger);
        for place in std::mem::replace(&mut self.places, larger).into_iter().filter(|place| *place != 0) {
            let at = self.free((place >> 32) as u32);
            self.places[at] = place;
        }
    }
}
