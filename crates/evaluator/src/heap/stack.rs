//! The value stack: scratch lists of values during one builtin.
//!
//! A builtin notes the height, pushes, and makes a list or set of what stands above; whoever called the builtin lowers
//! the stack again, also after an error. The collector scans it from the bottom to the height, so its storage is one
//! reserved range that never moves.

use crate::os::Reservation;
use crate::value::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Address space for one stack; only touched pages cost memory. Halved until the system grants it.
const WANTED: usize = 8 << 30;
/// The least that is worth starting with.
const LEAST: usize = 1 << 20;

/// The storage, shared with the collector.
#[derive(Debug)]
pub(crate) struct StackStorage {
    cells: Reservation,
    height: AtomicUsize,
}

impl StackStorage {
    /// The values from the bottom to the height; only while the owner of the stack waits for the collector.
    pub(super) fn values(&self) -> &[Value] {
        // SAFETY: the values below the height were written before the height was raised, by the thread that called the
        // collector or that is parked.
        unsafe { std::slice::from_raw_parts(self.cells.start().cast().as_ptr(), self.height.load(Ordering::Acquire)) }
    }

    /// The value at `index` from the bottom, for another thread than the owner; `None` above the height. Who hands out the
    /// index keeps the value where it is meanwhile.
    pub(crate) fn get(&self, index: usize) -> Option<Value> {
        if index >= self.height.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the values below the height were written before it was raised.
        Some(unsafe { self.cells.start().cast::<Value>().add(index).read() })
    }
}

/// A stack of values.
#[derive(Debug)]
pub(crate) struct ValueStack {
    storage: Arc<StackStorage>,
    height: usize,
    capacity: usize,
}

impl Default for ValueStack {
    fn default() -> Self {
        ValueStack::new().unwrap_or_else(|| panic!("out of memory: cannot reserve {LEAST} bytes"))
    }
}

impl ValueStack {
    /// An empty one; `None` if the system refuses even a small one.
    pub(crate) fn new() -> Option<ValueStack> {
        let mut size = WANTED;
        let cells = loop {
            match Reservation::new(size) {
                Some(cells) => break cells,
                None if size > LEAST => size /= 2,
                None => return None,
            }
        };
        let capacity = cells.len() / size_of::<Value>();
        let storage = Arc::new(StackStorage { cells, height: AtomicUsize::new(0) });
        Some(ValueStack { storage, height: 0, capacity })
    }

    /// Its storage, for the collector and for threads that work ahead.
    pub(crate) fn storage(&self) -> &Arc<StackStorage> {
        &self.storage
    }

    fn base(&self) -> *mut Value {
        self.storage.cells.start().cast().as_ptr()
    }

    fn set_height(&mut self, height: usize) {
        self.height = height;
        self.storage.height.store(height, Ordering::Release);
    }

    /// The current height.
    #[inline(always)]
    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// Puts a value on top.
    #[inline(always)]
    pub(crate) fn push(&mut self, value: Value) {
        assert!(self.height < self.capacity, "out of memory: the value stack is full");
        // SAFETY: the place lies inside the reservation, and only this stack writes to it.
        unsafe { self.base().add(self.height).write(value) };
        self.set_height(self.height + 1);
    }

    /// Drops everything above `height`.
    #[inline(always)]
    pub(crate) fn truncate(&mut self, height: usize) {
        if height < self.height {
            self.set_height(height);
        }
    }

    /// What stands above `height`.
    #[inline(always)]
    pub(crate) fn above(&self, height: usize) -> &[Value] {
        &self.all()[height..]
    }

    fn all(&self) -> &[Value] {
        // SAFETY: everything below the height was written, and nobody writes while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.base(), self.height) }
    }

    /// The same, to be changed in place.
    #[inline(always)]
    pub(crate) fn above_mut(&mut self, height: usize) -> &mut [Value] {
        // SAFETY: as in `all`, and `self` is borrowed alone; the collector only reads, and never during this borrow,
        // because what it holds up is an allocation.
        let all = unsafe { std::slice::from_raw_parts_mut(self.base(), self.height) };
        &mut all[height..]
    }

    /// The value at `index` from the bottom.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Value {
        self.all()[index]
    }

    /// Replaces the value at `index` from the bottom.
    #[inline(always)]
    pub(crate) fn set(&mut self, index: usize, value: Value) {
        self.above_mut(0)[index] = value;
    }
}
