//! Which store paths do these bytes mention, and replacing one mention by another.
//!
//! Only hash parts are looked for: 32 digits of Nix's base 32. The scanner looks at the last byte of a window first; a
//! byte that is no digit lets it skip past that byte, so in most data it reads one byte in 32. Bytes known to be digits
//! are not read again, so long runs of digits cost one step per byte. Data come in pieces of any size: [`RefScanner`] and
//! [`HashRewriter`] keep the 31 bytes that may begin a mention across a border.
//!
//! Absent: references inside compressed or otherwise encoded data, which nobody can see.

use crate::hash::encoding::is_nix32;
use crate::hash::{Hash, HashAlgorithm, Hasher};
use crate::store_path::{HASH_PART_LENGTH, StorePath};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::io::{self, Write};

type Window = [u8; HASH_PART_LENGTH];

/// Calls `found` for every window of 32 digits in `data`, with its offset.
fn for_each_window(data: &[u8], mut found: impl FnMut(usize, &Window)) {
    let mut start = 0;
    // Bytes from `start` up to here are known to be digits.
    let mut digits_until = 0;
    while let Some(window) = data.get(start..start + HASH_PART_LENGTH) {
        let known = digits_until.max(start) - start;
        match window[known..].iter().rposition(|b| !is_nix32(*b)) {
            Some(at) => {
                start += known + at + 1;
                digits_until = start;
                // What follows the bad byte was seen to be digits, except when nothing was read behind it.
                digits_until += HASH_PART_LENGTH - (known + at + 1);
            }
            None => {
                if let Ok(window) = window.try_into() {
                    found(start, window);
                }
                digits_until = start + HASH_PART_LENGTH;
                start += 1;
            }
        }
    }
}

fn window_of(path: &StorePath) -> Window {
    let mut window = [0; HASH_PART_LENGTH];
    window.copy_from_slice(path.hash_part().as_bytes());
    window
}

/// Finds which of some candidate paths a stream of bytes mentions.
pub struct RefScanner {
    candidates: FxHashMap<Window, StorePath>,
    found: BTreeSet<StorePath>,
    tail: Vec<u8>,
}

impl RefScanner {
    /// Begins with nothing read. Of two candidates with the same hash part, one is taken.
    pub fn new<I: IntoIterator<Item = StorePath>>(candidates: I) -> RefScanner {
        RefScanner {
            candidates: candidates.into_iter().map(|path| (window_of(&path), path)).collect(),
            found: BTreeSet::new(),
            tail: Vec::with_capacity(2 * HASH_PART_LENGTH),
        }
    }

    /// Reads the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        const KEEP: usize = HASH_PART_LENGTH - 1;
        let head = data.len().min(KEEP);
        self.tail.extend_from_slice(&data[..head]);
        Self::search(&mut self.candidates, &mut self.found, &self.tail);
        if data.len() >= KEEP {
            Self::search(&mut self.candidates, &mut self.found, data);
            self.tail.clear();
            self.tail.extend_from_slice(&data[data.len() - KEEP..]);
        } else if self.tail.len() > KEEP {
            self.tail.drain(..self.tail.len() - KEEP);
        }
    }

    fn search(candidates: &mut FxHashMap<Window, StorePath>, found: &mut BTreeSet<StorePath>, data: &[u8]) {
        if candidates.is_empty() {
            return;
        }
        for_each_window(data, |_, window| {
            if let Some(path) = candidates.remove(window) {
                found.insert(path);
            }
        });
    }

    /// The candidates mentioned so far.
    pub fn found(&self) -> &BTreeSet<StorePath> {
        &self.found
    }

    /// The candidates mentioned.
    pub fn finish(self) -> BTreeSet<StorePath> {
        self.found
    }
}

impl Write for RefScanner {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes a stream on with some hash parts replaced by others; call [`HashRewriter::finish`] at the end.
pub struct HashRewriter<W: Write> {
    rewrites: FxHashMap<Window, Window>,
    pending: Vec<u8>,
    inner: W,
}

impl<W: Write> HashRewriter<W> {
    /// Replaces the hash part of the first of each pair by that of the second.
    pub fn new<'a, I: IntoIterator<Item = (&'a StorePath, &'a StorePath)>>(rewrites: I, inner: W) -> HashRewriter<W> {
        Self::with_windows(rewrites.into_iter().map(|(from, to)| (window_of(from), window_of(to))).collect(), inner)
    }

    fn with_windows(rewrites: FxHashMap<Window, Window>, inner: W) -> HashRewriter<W> {
        HashRewriter { rewrites, pending: Vec::new(), inner }
    }

    /// Passes on what was held back, and gives the writer beneath.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&self.pending)?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for HashRewriter<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(data);
        rewrite_windows(&mut self.pending, &self.rewrites);
        let done = self.pending.len().saturating_sub(HASH_PART_LENGTH - 1);
        self.inner.write_all(&self.pending[..done])?;
        self.pending.drain(..done);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Replaces in place; a replacement is not looked at again within the same bytes.
fn rewrite_windows(data: &mut [u8], rewrites: &FxHashMap<Window, Window>) {
    let mut hits = Vec::new();
    let mut free_from = 0;
    for_each_window(data, |at, window| {
        if at >= free_from
            && let Some(to) = rewrites.get(window)
        {
            hits.push((at, *to));
            free_from = at + HASH_PART_LENGTH;
        }
    });
    for (at, to) in hits {
        data[at..at + HASH_PART_LENGTH].copy_from_slice(&to);
    }
}

/// Hashes a stream as if one path's hash part were zeros: the hash of a content-addressed object that refers to itself.
///
/// Since 2.35 C++ Nix adds the positions of the self-references behind the data; 2.17 to 2.34 lost them, and we are
/// compatible with those.
pub struct HashModuloWriter(HashRewriter<Hasher>);

impl HashModuloWriter {
    /// Hashes modulo the hash part of `path`.
    pub fn new(algorithm: HashAlgorithm, path: &StorePath) -> HashModuloWriter {
        let rewrites = FxHashMap::from_iter([(window_of(path), [0; HASH_PART_LENGTH])]);
        HashModuloWriter(HashRewriter::with_windows(rewrites, Hasher::new(algorithm)))
    }

    /// The hash, and the number of bytes.
    pub fn finish(self) -> io::Result<(Hash, u64)> {
        let hasher = self.0.finish()?;
        let bytes = hasher.bytes();
        Ok((hasher.finish(), bytes))
    }
}

impl Write for HashModuloWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(data: &[u8]) -> Vec<usize> {
        let mut at = Vec::new();
        for_each_window(data, |offset, _| at.push(offset));
        at
    }

    #[test]
    fn every_window_and_no_other() {
        let naive = |data: &[u8]| -> Vec<usize> {
            (0..(data.len() + 1).saturating_sub(HASH_PART_LENGTH))
                .filter(|i| data[*i..i + HASH_PART_LENGTH].iter().all(|b| is_nix32(*b)))
                .collect()
        };
        // Digits with a bad byte at varying places, a cheap generator of cases.
        let mut state = 1u32;
        for length in 0..400usize {
            let data: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                    if state >> 24 < 5 { b'e' } else { b'a' }
                })
                .collect();
            assert_eq!(windows(&data), naive(&data), "{length}");
        }
    }
}
