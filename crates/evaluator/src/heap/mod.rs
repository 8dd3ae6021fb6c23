//! Where values live: blocks, a bump arena per evaluating thread, roots, the collector.
//!
//! An [`Arena`] hands out words of a [`Region`]; a mark-region collector that moves nothing finds what can be handed out
//! again. Every object starts with a word whose low four bits are its [`Kind`], and its size follows from that word, so a
//! block can be walked from its start and any pointer into it (also one into the middle, from a native stack) be
//! resolved to its object. No `Value` lives outside: scratch lists stand on the [`ValueStack`], what must outlive a call in
//! a [`Roots`] table.
//!
//! | file | |
//! |---|---|
//! | `layout.rs` | kinds, sizes, references |
//! | `arena.rs` | allocation, when to collect |
//! | `region.rs` | blocks and gaps |
//! | `marks.rs` | a bit per word |
//! | `collect.rs` | roots and marking |
//! | `gang.rs` | marking with several threads |
//! | `stack.rs`, `roots.rs` | values that no object refers to |
#![allow(unsafe_code, reason = "the heap is one of the two modules that the architecture allows")]

mod arena;
mod collect;
mod gang;
mod layout;
mod marks;
mod region;
mod roots;
mod stack;

pub(crate) use arena::{Arena, Mark, Region, Stretch};
pub use arena::{HeapOptions, HeapStatistics};
pub(crate) use collect::RootSource;
pub(crate) use layout::{KIND_BITS, KIND_MASK, Kind, MANY_SLOTS, UP_MASK, WITNESSED, number_in, number_word};
pub(crate) use roots::{RootId, Roots};
pub(crate) use stack::{StackStorage, ValueStack};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Symbol;
    use crate::value::{AttrSet, AttrSetBuilder, ContextId, Env, Lambda, List, Partial, Pos, Str, Thunk, Value};
    use std::sync::Arc;

    /// Every kind of object says its own size: a walk from the start of the chunk ends exactly at the last object.
    #[test]
    fn objects_can_be_walked() {
        let mut arena = Arena::new(Arc::new(Region::default()));
        let arena = &mut arena;
        Value::float(arena, 1.0);
        let start = arena.allocate(0).as_ptr() as usize - 16;
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
        let mut set = AttrSetBuilder::new(arena, 3);
        set.push(Symbol(1), Pos::NONE, Value::NULL);
        set.push(Symbol(2), Pos::NONE, Value::NULL);
        let mut set = set.finish(arena);
        note(arena, 4);
        note(arena, 4);
        for name in 3..39 {
            let mut other = AttrSetBuilder::new(arena, 1);
            other.push(Symbol(name), Pos::NONE, Value::NULL);
            let other = other.finish(arena);
            note(arena, 3);
            note(arena, 3);
            let layered = set.len() >= 32;
            set = set.update(arena, other);
            if layered {
                note(arena, 4);
            } else {
                note(arena, 2 + set.len());
                note(arena, 2 + set.len());
            }
        }
        let finished = Thunk::call(arena, Value::builtin(3), Value::NULL);
        note(arena, 3);
        let (_, claimed) = finished.claim(crate::parallel::OwnerId(1), true).ok().unwrap();
        finished.finish(Value::NULL, claimed, true);

        let mut at = start;
        for words in sizes {
            // SAFETY: the walk stays inside the arena's own chunk, at heads of objects.
            let (head, size) = unsafe {
                let head = *(at as *const u64);
                (head, layout::object_words(head, || *((at - 8) as *const u64)))
            };
            assert_eq!(size, words, "head {head:#x}");
            at += words * 8;
        }
        assert_eq!(at, arena.allocate(0).as_ptr() as usize);
    }
}
