//! String contexts: interned sets of interned elements.
//!
//! A context is a number; 0 is the empty one, equal sets have equal numbers. Unions are remembered, since the same two
//! are joined again and again. The order of elements inside a set is that of their numbers and must not show: whoever
//! shows a context sorts it by printed form.

use rustc_hash::FxHashMap;
use std::sync::{Mutex, PoisonError};
use store_model::StorePath;

use super::AppendTable;

/// The number of a context.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub(crate) struct ContextId(pub(crate) u32);

impl ContextId {
    /// No elements.
    pub(crate) const NONE: ContextId = ContextId(0);
}

/// What a string depends on.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) enum ContextElement {
    /// A store path as it is.
    Opaque(StorePath),
    /// An output of a derivation.
    Output {
        /// The derivation.
        derivation: StorePath,
        /// The output's name.
        output: Box<str>,
    },
    /// A derivation with its closure and all its outputs.
    Whole(StorePath),
}

#[derive(Debug, Default)]
struct Tables {
    element_numbers: FxHashMap<ContextElement, u32>,
    set_numbers: FxHashMap<Box<[u32]>, u32>,
    unions: FxHashMap<(u32, u32), u32>,
}

/// All contexts of an evaluator.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    elements: AppendTable<ContextElement>,
    /// Number n + 1 stands at n.
    sets: AppendTable<Box<[u32]>>,
    tables: Mutex<Tables>,
}

impl Contexts {
    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_of(&self, tables: &mut Tables, ids: Vec<u32>) -> ContextId {
        if ids.is_empty() {
            return ContextId::NONE;
        }
        if let Some(number) = tables.set_numbers.get(&ids[..]) {
            return ContextId(*number);
        }
        let ids: Box<[u32]> = ids.into();
        let number = self.sets.push(ids.clone()) + 1;
        tables.set_numbers.insert(ids, number);
        ContextId(number)
    }

    /// The number of an element, the same for equal ones.
    fn element_number(&self, tables: &mut Tables, element: ContextElement) -> u32 {
        if let Some(number) = tables.element_numbers.get(&element) {
            return *number;
        }
        let number = self.elements.push(element.clone());
        tables.element_numbers.insert(element, number);
        number
    }

    /// The context of one element.
    pub(crate) fn single(&self, element: ContextElement) -> ContextId {
        let mut tables = self.lock();
        let number = self.element_number(&mut tables, element);
        self.set_of(&mut tables, vec![number])
    }

    /// The context of these elements.
    pub(crate) fn of_elements(&self, elements: impl IntoIterator<Item = ContextElement>) -> ContextId {
        let mut tables = self.lock();
        let mut ids: Vec<u32> = elements.into_iter().map(|element| self.element_number(&mut tables, element)).collect();
        ids.sort_unstable();
        ids.dedup();
        self.set_of(&mut tables, ids)
    }

    /// The union of two contexts.
    #[inline(always)]
    pub(crate) fn union(&self, a: ContextId, b: ContextId) -> ContextId {
        if a == b || b == ContextId::NONE {
            return a;
        }
        if a == ContextId::NONE {
            return b;
        }
        self.union_slowly(a, b)
    }

    #[inline(never)]
    fn union_slowly(&self, a: ContextId, b: ContextId) -> ContextId {
        let key = (a.0.min(b.0), a.0.max(b.0));
        let mut tables = self.lock();
        if let Some(number) = tables.unions.get(&key) {
            return ContextId(*number);
        }
        let (left, right) = (self.ids(a), self.ids(b));
        let mut ids = Vec::with_capacity(left.len() + right.len());
        ids.extend_from_slice(left);
        ids.extend_from_slice(right);
        ids.sort_unstable();
        ids.dedup();
        let union = if ids.len() == left.len() {
            a
        } else if ids.len() == right.len() {
            b
        } else {
            self.set_of(&mut tables, ids)
        };
        tables.unions.insert(key, union.0);
        union
    }

    /// The ids of several contexts, sorted, each once.
    fn joined_ids(&self, contexts: &[ContextId]) -> Vec<u32> {
        let mut numbers: Vec<u32> = contexts.iter().map(|context| context.0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut ids: Vec<u32> =
            numbers.iter().flat_map(|number| self.ids(ContextId(*number)).iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The union of any number of contexts; those on the way are not kept.
    pub(crate) fn union_all(&self, contexts: &[ContextId]) -> ContextId {
        match contexts {
            [] => ContextId::NONE,
            [one] => *one,
            [one, other] => self.union(*one, *other),
            many => {
                let ids = self.joined_ids(many);
                self.set_of(&mut self.lock(), ids)
            }
        }
    }

    /// The elements of any number of contexts, each once, in no order that may show.
    pub(crate) fn elements_of_all(&self, contexts: &[ContextId]) -> impl Iterator<Item = &ContextElement> {
        self.joined_ids(contexts).into_iter().map(|id| self.element(id))
    }

    fn element(&self, id: u32) -> &ContextElement {
        self.elements.get(id).expect("the ids of a set are of elements")
    }

    fn ids(&self, context: ContextId) -> &[u32] {
        match context.0.checked_sub(1) {
            None => &[],
            Some(at) => self.sets.get(at).map_or(&[], |ids| ids),
        }
    }

    /// The elements of a context, in no order that may show.
    pub(crate) fn elements(&self, context: ContextId) -> impl ExactSizeIterator<Item = &ContextElement> {
        self.ids(context).iter().map(|id| self.element(*id))
    }
}
