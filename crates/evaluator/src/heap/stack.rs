//! The value stack: scratch lists of values during one builtin.
//!
//! A builtin notes the height, pushes, and makes a list or set of what stands above; whoever called the builtin lowers
//! the stack again, also after an error. A collector scans it from the bottom to the height.

use crate::value::Value;

/// A growing stack of values.
#[derive(Debug, Default)]
pub(crate) struct ValueStack {
    #[allow(clippy::disallowed_types, reason = "this is the enumerated stack itself")]
    values: Vec<Value>,
}

impl ValueStack {
    /// The current height.
    #[inline(always)]
    pub(crate) fn height(&self) -> usize {
        self.values.len()
    }

    /// Puts a value on top.
    #[inline(always)]
    pub(crate) fn push(&mut self, value: Value) {
        self.values.push(value);
    }

    /// Drops everything above `height`.
    #[inline(always)]
    pub(crate) fn truncate(&mut self, height: usize) {
        self.values.truncate(height);
    }

    /// What stands above `height`.
    #[inline(always)]
    pub(crate) fn above(&self, height: usize) -> &[Value] {
        &self.values[height..]
    }

    /// The same, to be changed in place.
    #[inline(always)]
    pub(crate) fn above_mut(&mut self, height: usize) -> &mut [Value] {
        &mut self.values[height..]
    }

    /// The value at `index` from the bottom.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Value {
        self.values[index]
    }

    /// Replaces the value at `index` from the bottom.
    #[inline(always)]
    pub(crate) fn set(&mut self, index: usize, value: Value) {
        self.values[index] = value;
    }
}
