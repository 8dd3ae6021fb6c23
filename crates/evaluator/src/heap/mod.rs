//! Where values live: reserved regions, a bump arena per evaluating thread, roots.
//!
//! An [`Arena`] takes blocks of a [`Region`]'s chunk and hands out words from them; nothing is freed until the
//! heap goes. The layout is made for a non-moving mark-region collector: every object starts with a word whose low four
//! bits are its [`Kind`], and its size follows from that word, so a block can be walked from its start and any pointer
//! into it (also one into the middle, from a native stack) be resolved to its object. No `Value` lives outside: scratch
//! lists stand on the [`ValueStack`], what must outlive a call in a [`Roots`] table.
//!
//! Absent on purpose: the collector itself; below 256 MB allocated it would never run.
#![allow(unsafe_code, reason = "the heap is one of the two modules that the architecture allows")]

mod layout;
mod roots;
mod stack;

#[cfg(test)]
pub(crate) use layout::object_words;
pub(crate) use layout::{KIND_BITS, KIND_MASK, Kind};
pub(crate) use roots::{RootId, Roots};
pub(crate) use stack::ValueStack;

use crate::os::Reservation;
use std::ptr::NonNull;
use std::sync::Mutex;

/// Address space taken at a time; only touched pages cost memory.
const CHUNK: usize = 64 << 20;
/// The first piece made present ahead of use; doubled each time.
const FIRST_POPULATED: usize = 128 << 10;
/// The largest such piece.
const MOST_POPULATED: usize = 4 << 20;

/// The memory of one evaluator, shared by its threads.
#[derive(Default)]
pub(crate) struct Region {
    chunks: Mutex<Vec<Reservation>>,
    pinned: Mutex<Vec<Box<dyn std::any::Any + Send + Sync>>>,
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Region").finish_non_exhaustive()
    }
}

impl Region {
    /// Keeps `chunk` alive as long as the region, and gives its address range.
    fn keep(&self, chunk: Reservation) {
        self.chunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(chunk);
    }

    /// Keeps `object` as long as the region; like values, the reference must not leave the evaluator.
    pub(crate) fn pin<T: std::any::Any + Send + Sync>(&self, object: T) -> &'static T {
        let object = Box::new(object);
        let address = std::ptr::from_ref(&*object);
        self.pinned.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(object);
        // SAFETY: the box is never moved out of or changed, and dropped only with the region, which outlives all use
        // (the promise of this function).
        unsafe { &*address }
    }
}

/// The bump allocator of one thread.
///
/// Memory handed out is zeroed. The arena must not outlive the region it puts its chunks in, nor the values it made be
/// used after that; the evaluator holds both.
#[derive(Debug)]
pub(crate) struct Arena {
    /// Next free word.
    next: usize,
    /// End of the populated part.
    end: usize,
    /// End of the chunk.
    chunk_end: usize,
    populate: usize,
    finished: usize,
    chunk_start: usize,
    region: std::sync::Arc<Region>,
}

// SAFETY: the arena owns the unused rest of its chunk alone; its pointer field is only an address in that chunk.
unsafe impl Send for Arena {}

impl Arena {
    /// An arena that takes its chunks from the system and leaves them in `region`.
    pub(crate) fn new(region: std::sync::Arc<Region>) -> Arena {
        Arena { next: 0, end: 0, chunk_end: 0, populate: FIRST_POPULATED, finished: 0, chunk_start: 0, region }
    }

    /// `words` zeroed words, 8-byte aligned. The caller fills them with one or more whole objects.
    #[inline(always)]
    pub(crate) fn allocate(&mut self, words: usize) -> NonNull<u64> {
        let start = self.next;
        let next = start + words * 8;
        if next <= self.end {
            self.next = next;
            // SAFETY: `start` lies in a mapped chunk, so it is not null.
            return unsafe { NonNull::new_unchecked(start as *mut u64) };
        }
        self.allocate_slowly(words)
    }

    /// Gives back the last `words` words of the latest allocation, which ended at `end`; they must still be zero.
    #[inline(always)]
    pub(crate) fn give_back(&mut self, end: NonNull<u64>, words: usize) {
        if end.as_ptr() as usize == self.next {
            self.next -= words * 8;
        }
    }

    /// Bytes handed out by this arena so far.
    pub(crate) fn allocated(&self) -> usize {
        self.finished + (self.next - self.chunk_start)
    }

    #[cold]
    #[inline(never)]
    fn allocate_slowly(&mut self, words: usize) -> NonNull<u64> {
        let bytes = words * 8;
        if self.next + bytes > self.chunk_end {
            self.take_chunk(bytes);
        }
        let missing = (self.next + bytes) - self.end;
        let piece = missing.max(self.populate).next_multiple_of(4096).min(self.chunk_end - self.end);
        #[cfg(target_os = "linux")]
        // SAFETY: the range lies inside the chunk taken last; populating only makes its pages present (a hint).
        unsafe {
            libc::madvise(self.end as *mut libc::c_void, piece, libc::MADV_POPULATE_WRITE);
        }
        self.end += piece;
        self.populate = (self.populate * 2).min(MOST_POPULATED);
        let start = self.next;
        self.next += bytes;
        NonNull::new(start as *mut u64).expect("a chunk does not start at address zero")
    }

    fn take_chunk(&mut self, least: usize) {
        let len = least.next_multiple_of(4096).max(CHUNK);
        let chunk = Reservation::new(len).unwrap_or_else(|| panic!("out of memory: cannot reserve {len} bytes"));
        self.finished += self.next - self.chunk_start;
        let start = chunk.start();
        self.chunk_start = start.as_ptr() as usize;
        self.next = self.chunk_start;
        self.end = self.chunk_start;
        self.chunk_end = self.chunk_start + chunk.len();
        self.region.keep(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{AttrSet, ContextId, Env, Lambda, List, Partial, Str, Thunk, Value};
    use std::sync::Arc;

    /// Every kind of object says its own size: a walk from the start of the chunk ends exactly at the last object.
    #[test]
    fn objects_can_be_walked() {
        let mut arena = Arena::new(Arc::new(Region::default()));
        let arena = &mut arena;
        Value::float(arena, 1.0);
        let start = arena.chunk_start;
        let mut sizes = vec![2];
        let mut note = |arena: &mut Arena, words: usize| {
            let _ = arena;
            sizes.push(words);
        };
        Value::int(arena, i64::MAX);
        note(arena, 2);
        for len in [0, 1, 8, 9] {
            Str::new(arena, &vec![b'x'; len], ContextId::NONE);
            note(arena, 2 + len.div_ceil(8));
        }
        List::new(arena, &[Value::NULL, Value::TRUE]);
        note(arena, 3);
        let env = Env::NONE.extend(arena, 3);
        note(arena, 4);
        let inner = env.extend(arena, 1);
        note(arena, 2);
        Lambda::new(arena, 7, 9, inner);
        note(arena, 2);
        Thunk::expression(arena, 1, 2, inner);
        note(arena, 2);
        Thunk::call(arena, Value::builtin(3), Value::NULL);
        note(arena, 3);
        Partial::new(arena, 3, &[], &[Value::NULL, Value::NULL]);
        note(arena, 3);
        AttrSet::empty(arena);
        note(arena, 2);
        let finished = Thunk::call(arena, Value::builtin(3), Value::NULL);
        note(arena, 3);
        let (_, claimed) = finished.claim(crate::value::OwnerId(1)).ok().unwrap();
        finished.finish(Value::NULL, claimed);

        let mut at = start;
        for words in sizes {
            // SAFETY: the walk stays inside the arena's own chunk, at heads of objects.
            let head = unsafe { *(at as *const u64) };
            assert_eq!(object_words(head), words, "head {head:#x}");
            at += words * 8;
        }
        assert_eq!(at, arena.next);
    }
}
