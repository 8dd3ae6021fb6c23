//! Shapes: the names of a set with the places of their definitions, shared by all sets that have the same.
//!
//! A shape is an object of the heap laid out like a string, whose bytes are the names: it refers to nothing. A set literal
//! has one shape for all sets it makes, and a layer that of the set it was. Other sets have their own: the shapes of `a //
//! b` were remembered by those of both sides once, and found again for no more than a sixth of the names.

use super::{NonNull, Pos, TAG_STRING, Value};
use crate::heap::{Arena, Kind};
use crate::program::Symbol;

/// Words before the names.
const HEAD: usize = 2;

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

    /// Words of a shape with so many names.
    #[inline(always)]
    pub(super) const fn words(count: usize) -> usize {
        HEAD + count
    }

    /// The shape with these names, which are sorted by symbol, each once.
    pub(crate) fn new(arena: &mut Arena, names: impl ExactSizeIterator<Item = Name>) -> Shape {
        if names.len() == 0 {
            return Shape::NONE;
        }
        let object = arena.allocate(Shape::words(names.len()));
        // SAFETY: the words were just allocated, and nobody else knows them.
        unsafe {
            let shape = Shape::begin(object, names.len());
            for (index, name) in names.enumerate() {
                shape.write(index, name);
            }
            shape
        }
    }

    /// A shape whose names are still to be written. Called again, it has another number of names.
    ///
    /// # Safety
    /// `object` must be zeroed memory for a shape of `count` names, or a shape of more, that nobody else knows.
    #[inline(always)]
    pub(super) unsafe fn begin(object: NonNull<u64>, count: usize) -> Shape {
        // SAFETY: as the caller promises.
        unsafe { object.write(Kind::String as u64 | (8 * count as u64) << 8) };
        Shape(object.as_ptr() as usize)
    }

    /// Writes a name.
    ///
    /// # Safety
    /// The shape must have that many names, and nobody else may know it.
    #[inline(always)]
    pub(super) unsafe fn write(self, index: usize, name: Name) {
        // SAFETY: as the caller promises; a name is as large as a word.
        unsafe { (self.0 as *mut Name).add(HEAD + index).write(name) };
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
