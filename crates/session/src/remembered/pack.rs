//! Compiled files of one tree, kept together by the digests of their texts.
//!
//! A pack is read once when an evaluation begins and written anew when that met files which were not in it. Programs that
//! were not asked for stay in it until it grows too large: another attribute may ask for them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evaluator::ProgramCache;

use super::bytes::{Digest, Put as _, Take};
use super::folder::{Folder, Kept};

/// Bytes of a pack beyond which only what was asked for stays.
const LARGE: usize = 8 << 20;

/// The compiled files of one tree.
pub(super) struct Pack {
    folder: Arc<Folder>,
    place: Digest,
    bytes: Vec<u8>,
    known: HashMap<Digest, Range<usize>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    used: HashSet<Digest>,
    fresh: HashMap<Digest, Vec<u8>>,
}

impl Pack {
    /// Reads the pack of a place; an empty one where there is none.
    pub(super) fn open(folder: &Arc<Folder>, place: Digest) -> Self {
        let bytes = folder.read(Kept::Programs, &place).unwrap_or_default();
        let known = index(&bytes).unwrap_or_default();
        Self { folder: Arc::clone(folder), place, bytes, known, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the pack if there is something new in it.
    pub(super) fn save(&self) {
        let State { used, fresh } = std::mem::take(&mut *self.state());
        if fresh.is_empty() {
            return;
        }
        let total = self.bytes.len() + fresh.values().map(Vec::len).sum::<usize>();
        let mut body = Vec::with_capacity(total);
        for (key, range) in &self.known {
            if total <= LARGE || used.contains(key) {
                body.extend_from_slice(key);
                body.string(&self.bytes[range.clone()]);
            }
        }
        for (key, program) in &fresh {
            body.extend_from_slice(key);
            body.string(program);
        }
        self.folder.write(Kept::Programs, &self.place, &body);
    }
}

/// Where each program lies; `None` if these are not the bytes of a pack.
fn index(bytes: &[u8]) -> Option<HashMap<Digest, Range<usize>>> {
    let mut known = HashMap::new();
    let mut take = Take(bytes);
    while !take.0.is_empty() {
        let key = take.digest()?;
        let length = take.string()?.len();
        let end = bytes.len() - take.0.len();
        known.insert(key, end - length..end);
    }
    Some(known)
}

impl ProgramCache for Pack {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        let range = self.known.get(key)?.clone();
        self.state().used.insert(*key);
        Some(self.bytes[range].to_vec())
    }

    fn put(&self, key: &Digest, program: Vec<u8>) {
        self.state().fresh.insert(*key, program);
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::Limits;
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn programs_come_back_and_broken_packs_are_empty() {
        let cache = tempfile::tempdir().unwrap();
        let user = std::fs::metadata(cache.path()).unwrap().uid();
        let folder = Arc::new(Folder::open(cache.path(), user, Limits::default()).unwrap());
        let open = || Pack::open(&folder, [9; 32]);
        let pack = open();
        assert_eq!(pack.get(&[1; 32]), None);
        pack.put(&[1; 32], b"one".to_vec());
        pack.save();
        let pack = open();
        pack.put(&[2; 32], b"two".to_vec());
        pack.save();
        let pack = open();
        assert_eq!([pack.get(&[1; 32]), pack.get(&[2; 32])], [Some(b"one".to_vec()), Some(b"two".to_vec())]);
        folder.write(Kept::Programs, &[9; 32], b"no pack");
        assert_eq!(open().get(&[1; 32]), None);
    }

    #[test]
    fn a_large_pack_keeps_what_was_asked_for() {
        let cache = tempfile::tempdir().unwrap();
        let user = std::fs::metadata(cache.path()).unwrap().uid();
        let folder = Arc::new(Folder::open(cache.path(), user, Limits::default()).unwrap());
        let open = || Pack::open(&folder, [9; 32]);
        let pack = open();
        pack.put(&[1; 32], vec![1; LARGE / 2]);
        pack.put(&[2; 32], vec![2; LARGE / 3]);
        pack.save();
        let pack = open();
        assert!(pack.get(&[1; 32]).is_some());
        pack.put(&[3; 32], vec![3; LARGE / 2]);
        pack.save();
        let pack = open();
        assert_eq!([1, 2, 3].map(|number| pack.get(&[number; 32]).is_some()), [true, false, true]);
    }
}
