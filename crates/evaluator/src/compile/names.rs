//! Names of one file to small numbers, in the order in which they are first met.

use crate::numbers::{Numbers, hash};
use crate::program::{Range, Symbol};

/// Interns names into a shared text.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Where each name lies in the text.
    pub(super) ranges: Vec<Range>,
    numbers: Numbers,
}

impl Names {
    /// Forgets all names; makes room for `count`.
    pub(super) fn begin(&mut self, count: usize) {
        self.ranges.clear();
        self.numbers.begin(count);
    }

    /// The number of a name, whose bytes are appended to `text` if it is new.
    #[inline]
    pub(super) fn intern(&mut self, text: &mut Vec<u8>, name: &[u8]) -> Symbol {
        let hash = hash(name);
        let is_it = |symbol: Symbol| &text[self.ranges[symbol.0 as usize].indices()] == name;
        match self.numbers.find(hash, is_it) {
            Ok(symbol) => symbol,
            Err(at) => {
                self.ranges.push(Range { start: text.len() as u32, len: name.len() as u32 });
                text.extend_from_slice(name);
                self.numbers.add(hash, at)
            }
        }
    }
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
