//! Lists: a count and that many cells.

use super::{Cell, NonNull, TAG_LIST, Value};
use crate::heap::{Arena, Kind};

/// A list.
#[derive(Clone, Copy)]
pub(crate) struct List(NonNull<u64>);

// SAFETY: an address in the shared heap; what lies there is immutable or atomic.
unsafe impl Send for List {}
// SAFETY: as above.
unsafe impl Sync for List {}

impl From<List> for Value {
    #[inline(always)]
    fn from(list: List) -> Value {
        Value::tagged(list.0, TAG_LIST)
    }
}

impl List {
    /// # Safety
    /// `object` must be a list object.
    #[inline(always)]
    pub(super) unsafe fn from_object(object: NonNull<u64>) -> List {
        List(object)
    }

    /// A list of these values.
    pub(crate) fn new(arena: &mut Arena, values: &[Value]) -> List {
        if let (true, Some((empty, _))) = (values.is_empty(), arena.empty) {
            return empty;
        }
        let object = arena.allocate(1 + values.len());
        // SAFETY: one word per value and one more were just allocated; nobody else knows them.
        unsafe {
            object.write(Kind::List as u64 | (values.len() as u64) << 8);
            std::ptr::copy_nonoverlapping(values.as_ptr().cast(), object.add(1).as_ptr(), values.len());
        }
        List(object)
    }

    /// A list of `len` times the same value, to be filled in through its cells.
    pub(crate) fn filled(arena: &mut Arena, len: usize, value: Value) -> List {
        let mut list = ListBuilder::new(arena, len);
        (0..len).for_each(|_| list.push(value));
        list.finish()
    }

    /// The concatenation of lists.
    pub(crate) fn concat(arena: &mut Arena, lists: &[Value]) -> List {
        let total = lists.iter().filter_map(|list| list.as_list()).map(List::len).sum();
        let mut joined = ListBuilder::new(arena, total);
        for list in lists.iter().filter_map(|list| list.as_list()) {
            for cell in list.cells() {
                joined.push(cell.get());
            }
        }
        joined.finish()
    }

    /// Number of elements.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        // SAFETY: the first word of a list is immutable.
        (unsafe { self.0.read() } >> 8) as usize
    }

    /// Whether it has none.
    pub(crate) fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The elements.
    #[inline(always)]
    pub(crate) fn cells(self) -> &'static [Cell] {
        // SAFETY: `len` cells follow the head word, accessed only as atomics.
        unsafe { std::slice::from_raw_parts(self.0.add(1).as_ptr().cast(), self.len()) }
    }

    /// One element; the index must be below the length.
    #[inline(always)]
    pub(crate) fn get(self, index: usize) -> Value {
        self.cells()[index].get()
    }

    /// The elements, in order.
    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = Value> + DoubleEndedIterator + use<> {
        self.cells().iter().map(Cell::get)
    }
}

/// A list of known length being filled.
pub(crate) struct ListBuilder {
    object: NonNull<u64>,
    capacity: usize,
    len: usize,
}

impl ListBuilder {
    /// Room for `capacity` elements, all of which must be pushed.
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> ListBuilder {
        if let (0, Some((List(object), _))) = (capacity, arena.empty) {
            return ListBuilder { object, capacity, len: 0 };
        }
        let object = arena.allocate(1 + capacity);
        // SAFETY: the word was just allocated; nobody else knows it.
        unsafe { object.write(Kind::List as u64 | (capacity as u64) << 8) };
        ListBuilder { object, capacity, len: 0 }
    }

    /// The next element.
    #[inline(always)]
    pub(crate) fn push(&mut self, value: Value) {
        assert!(self.len < self.capacity, "a list is filled to its capacity");
        // SAFETY: the word lies inside the allocation, which nobody else knows yet.
        unsafe { self.object.add(1 + self.len).write(value.word()) };
        self.len += 1;
    }

    /// The list.
    pub(crate) fn finish(self) -> List {
        assert!(self.len == self.capacity, "a list is filled to its capacity");
        List(self.object)
    }
}
