//! Shapes: the names of a set with the places of their definitions, shared by all sets that have the same.
//!
//! A shape is an object of the heap laid out like a string, whose bytes are the names: it refers to nothing. A set literal
//! has one shape for all sets it makes, and a layer that of the set it was. Other sets find theirs by its names among those
//! that the thread made since the last collection: a package set makes fifteen sets for each shape. What shape two sets
//! have together is found by their shapes.

use super::{NonNull, Pos, TAG_STRING, Value};
use crate::heap::{Arena, Kind};
use crate::program::Symbol;
use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::Hasher as _;

/// Words before the names.
const HEAD: usize = 2;
/// Sets of more names rarely meet their like.
const MOST_SHARED: usize = 1024;
/// Unions remembered at a time.
const MOST_UNIONS: usize = 1 << 16;
/// Buffers kept: as many as are filled at the same time, mostly.
const MOST_BUFFERS: usize = 8;

/// A name and where it was defined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct Name {
    /// The name.
    pub(crate) name: Symbol,
    /// Where it was defined.
    pub(crate) pos: Pos,
}

/// The names of a set's own attributes, sorted by symbol: an address, 0 where there are none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape(usize);

impl Shape {
    /// No names.
    pub(crate) const NONE: Shape = Shape(0);

    /// # Safety
    /// `address` must be that of a shape, or 0.
    #[inline(always)]
    pub(super) unsafe fn from_address(address: u64) -> Shape {
        Shape(address as usize)
    }

    /// The bare address.
    #[inline(always)]
    pub(super) fn address(self) -> u64 {
        self.0 as u64
    }

    /// The shape with these names, which are sorted by symbol, each once.
    pub(crate) fn of(arena: &mut Arena, names: &[Name]) -> Shape {
        if names.is_empty() {
            return Shape::NONE;
        }
        if names.len() > MOST_SHARED {
            return Shape::new(arena, names);
        }
        let hash = hash_of(names);
        if let Some(shape) = arena.shapes.find(hash, names) {
            return shape;
        }
        let shape = Shape::new(arena, names);
        // The allocation may have emptied the table, but not moved anything.
        arena.shapes.known.insert_unique(hash, Known { hash, shape }, |known| known.hash);
        shape
    }

    fn new(arena: &mut Arena, names: &[Name]) -> Shape {
        let object = arena.allocate(HEAD + names.len());
        // SAFETY: the words were just allocated, and nobody else knows them; a name is as large as a word.
        unsafe {
            object.write(Kind::String as u64 | (8 * names.len() as u64) << 8);
            std::ptr::copy_nonoverlapping(names.as_ptr(), object.add(HEAD).as_ptr().cast(), names.len());
        }
        Shape(object.as_ptr() as usize)
    }

    /// How many names there are.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        match NonNull::new(self.0 as *mut u64) {
            None => 0,
            // SAFETY: the first word of a shape is immutable.
            Some(object) => (unsafe { object.read() } >> 11) as usize,
        }
    }

    /// The names.
    ///
    /// # Safety
    /// `count` must be their number.
    #[inline(always)]
    pub(super) unsafe fn names(self, count: usize) -> &'static [Name] {
        // SAFETY: that many names follow the first two words, and never change; of none the address does not matter.
        unsafe { std::slice::from_raw_parts((self.0 as *const u64).wrapping_add(HEAD).cast(), count) }
    }
}

fn hash_of(names: &[Name]) -> u64 {
    let mut hasher = FxHasher::default();
    for Name { name, pos } in names {
        hasher.write_u64(u64::from(name.0) | u64::from(pos.0) << 32);
    }
    hasher.finish()
}

/// The shapes that a thread made since the last collection, and buffers for names. It keeps none of them alive: it must be
/// emptied after each collection.
#[derive(Default)]
pub(crate) struct Shapes {
    known: HashTable<Known>,
    /// By the shapes of both sides.
    unions: FxHashMap<(usize, usize), Shape>,
    buffers: Vec<Vec<Name>>,
}

/// A shape with the hash of its names.
struct Known {
    hash: u64,
    shape: Shape,
}

impl Shapes {
    /// Forgets all shapes.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.unions.clear();
    }

    fn find(&self, hash: u64, names: &[Name]) -> Option<Shape> {
        let same = |known: &Known| {
            // SAFETY: the shape has that many names, and is still there, as nothing was collected since it was made.
            known.hash == hash && unsafe { known.shape.names(known.shape.len()) } == names
        };
        self.known.find(hash, same).map(|known| known.shape)
    }

    /// The shape of `a // b` for sets of these shapes, if it was told.
    pub(super) fn union(&self, a: Shape, b: Shape) -> Option<Shape> {
        self.unions.get(&(a.0, b.0)).copied()
    }

    /// Remembers it.
    pub(super) fn remember_union(&mut self, a: Shape, b: Shape, union: Shape) {
        if self.unions.len() >= MOST_UNIONS {
            self.unions.clear();
        }
        self.unions.insert((a.0, b.0), union);
    }

    /// An empty buffer for names.
    pub(super) fn begin(&mut self) -> Vec<Name> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Takes it back.
    pub(super) fn end(&mut self, mut names: Vec<Name>) {
        if self.buffers.len() < MOST_BUFFERS && names.capacity() <= MOST_SHARED {
            names.clear();
            self.buffers.push(names);
        }
    }
}

/// Where a literal keeps its shape.
#[derive(Debug, Default)]
pub(crate) struct ShapePlace(std::sync::atomic::AtomicU64);

impl ShapePlace {
    /// The shape, if it was made.
    #[inline(always)]
    pub(crate) fn get(&self) -> Shape {
        // SAFETY: nothing but addresses of shapes is stored.
        unsafe { Shape::from_address(self.0.load(super::Ordering::Acquire)) }
    }

    /// Keeps a shape. Which of two is kept does not matter.
    pub(crate) fn set(&self, shape: Shape) {
        self.0.store(shape.address(), super::Ordering::Release);
    }

    /// The shape as a collector keeps it.
    pub(crate) fn root(&self) -> Option<Value> {
        NonNull::new(self.get().0 as *mut u64).map(|object| Value::tagged(object, TAG_STRING))
    }
}
