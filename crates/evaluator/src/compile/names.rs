//! Names of one file to small numbers, in the order in which they are first met.

use crate::program::{Range, Symbol};
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Interns names into a shared text.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Where each name lies in the text.
    pub(super) ranges: Vec<Range>,
    hashes: Vec<u32>,
    /// Open addressing: number + 1, or 0 for free; a power of two long, at most half full.
    table: Vec<u32>,
}

impl Names {
    /// Forgets all names; makes room for `count`. To be called before the first.
    pub(super) fn begin(&mut self, count: usize) {
        self.ranges.clear();
        self.hashes.clear();
        self.table.clear();
        self.table.resize((2 * count).next_power_of_two().max(64), 0);
    }

    /// The number of a name, whose bytes are appended to `text` if it is new.
    #[inline]
    pub(super) fn intern(&mut self, text: &mut Vec<u8>, name: &[u8]) -> Symbol {
        let hash = hash(name);
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.table[at] {
                0 => return self.insert(text, name, hash, at),
                entry => {
                    let index = entry as usize - 1;
                    if self.hashes[index] == hash && &text[self.ranges[index].indices()] == name {
                        return Symbol(index as u32);
                    }
                }
            }
            at = (at + 1) & mask;
        }
    }

    fn insert(&mut self, text: &mut Vec<u8>, name: &[u8], hash: u32, at: usize) -> Symbol {
        let symbol = Symbol(self.ranges.len() as u32);
        self.ranges.push(Range { start: text.len() as u32, len: name.len() as u32 });
        self.hashes.push(hash);
        text.extend_from_slice(name);
        self.table[at] = symbol.0 + 1;
        if self.ranges.len() * 2 > self.table.len() {
            self.grow();
        }
        symbol
    }

    #[cold]
    fn grow(&mut self) {
        let length = self.table.len() * 2;
        self.table.clear();
        self.table.resize(length, 0);
        for (index, &hash) in self.hashes.iter().enumerate() {
            let mut at = hash as usize & (length - 1);
            while self.table[at] != 0 {
                at = (at + 1) & (length - 1);
            }
            self.table[at] = index as u32 + 1;
        }
    }
}

#[inline]
fn hash(name: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_have_equal_numbers_across_growth() {
        let (mut names, mut text) = (Names::default(), Vec::new());
        names.begin(0);
        let spell = |index: u32| format!("name{index}").into_bytes();
        for index in 0..1000 {
            assert_eq!(names.intern(&mut text, &spell(index)), Symbol(index));
        }
        for index in 0..1000 {
            assert_eq!(names.intern(&mut text, &spell(index)), Symbol(index));
        }
    }
}
