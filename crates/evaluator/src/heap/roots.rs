//! Values that outlive a call: the table behind `Rooted`, imported files, constants.
//!
//! A slot is taken and freed by number; a collector enumerates all of them.

use crate::value::Value;

/// Number of a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RootId(u32);

/// The roots of one evaluator.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    #[allow(clippy::disallowed_types, reason = "this is the enumerated table itself")]
    slots: Vec<Option<Value>>,
    free: Vec<u32>,
}

impl Roots {
    /// Keeps `value`.
    pub(crate) fn add(&mut self, value: Value) -> RootId {
        if let Some(at) = self.free.pop() {
            self.slots[at as usize] = Some(value);
            return RootId(at);
        }
        self.slots.push(Some(value));
        RootId((self.slots.len() - 1) as u32)
    }

    /// The value kept under `id`.
    pub(crate) fn get(&self, id: RootId) -> Value {
        self.slots[id.0 as usize].expect("a root is read only while it is held")
    }

    /// Calls `visit` with every value.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(Value)) {
        self.slots.iter().flatten().for_each(|value| visit(*value));
    }

    /// Lets go of it.
    pub(crate) fn remove(&mut self, id: RootId) {
        if self.slots[id.0 as usize].take().is_some() {
            self.free.push(id.0);
        }
    }
}
