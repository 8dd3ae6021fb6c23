//! String contexts: interned sets of interned elements.
//!
//! A context is a number; 0 is the empty one, equal sets have equal numbers, and that of a single element follows from
//! the element's. Unions are remembered, since the same two are joined again and again. The order of elements inside a
//! set is that of their numbers and must not show: whoever shows a context sorts it by printed form. Beside an element of
//! a derivation stands that derivation's hash, for those that use it.

use hashbrown::HashTable;
use rustc_hash::FxHashMap;
use std::hash::Hash as _;
use std::sync::{Mutex, OnceLock, PoisonError};
use store_model::derivation::HashModulo;
use store_model::{SingleDerivedPath, StorePath};

use super::AppendTable;
use super::symbol::spread;
use crate::numbers::short_hash;

/// The number of a context.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub(crate) struct ContextId(pub(crate) u32);

impl ContextId {
    /// No elements.
    pub(crate) const NONE: ContextId = ContextId(0);
    /// The bit of a context of one element; the rest is the element's number.
    const SINGLE: u32 = 1 << 31;
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
    /// An output of a derivation that is itself an output (experimental feature `dynamic-derivations`).
    Dynamic {
        /// The derivation, an output.
        derivation: SingleDerivedPath,
        /// The output's name.
        output: Box<str>,
    },
    /// A derivation with its closure and all its outputs.
    Whole(StorePath),
}

impl ContextElement {
    fn path(&self) -> &StorePath {
        match self {
            ContextElement::Opaque(path) | ContextElement::Whole(path) => path,
            ContextElement::Output { derivation, .. } => derivation,
            ContextElement::Dynamic { derivation, .. } => derivation.base(),
        }
    }
}

/// An element with what is often asked of it.
#[derive(Debug)]
pub(crate) struct KnownElement {
    /// The element.
    pub(crate) element: ContextElement,
    /// The first digits of its path as a number that orders as they do.
    pub(crate) start: u64,
    number: u32,
    hash: OnceLock<HashModulo>,
}

impl KnownElement {
    /// The hash of the derivation that it names, if that was made or read here.
    pub(crate) fn hash(&self) -> Option<&HashModulo> {
        self.hash.get()
    }
}

/// The first digits of a path as a number that orders as they do.
pub(crate) fn start_of_path(path: &StorePath) -> u64 {
    path.as_str().as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// A number with the hash of what it stands for, so that growing a table reads nothing else.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    number: u32,
}

fn element_hash(element: &ContextElement) -> u32 {
    short_hash(|hasher| element.hash(hasher))
}

#[derive(Debug, Default)]
struct Tables {
    elements: HashTable<Entry>,
    sets: HashTable<Entry>,
    unions: FxHashMap<(u32, u32), u32>,
}

/// All contexts of an evaluator.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    elements: AppendTable<KnownElement>,
    /// Number n + 1 stands at n; sets of several elements only.
    sets: AppendTable<Box<[u32]>>,
    tables: Mutex<Tables>,
}

impl Contexts {
    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_of(&self, tables: &mut Tables, ids: Vec<u32>) -> ContextId {
        match ids[..] {
            [] => return ContextId::NONE,
            [one] => return ContextId(one | ContextId::SINGLE),
            _ => {}
        }
        let hash = short_hash(|hasher| ids.hash(hasher));
        let same = |entry: &Entry| entry.hash == hash && self.ids(ContextId(entry.number)) == ids;
        if let Some(known) = tables.sets.find(spread(hash), same) {
            return ContextId(known.number);
        }
        let number = self.sets.push(ids.into()) + 1;
        tables.sets.insert_unique(spread(hash), Entry { hash, number }, |entry| spread(entry.hash));
        ContextId(number)
    }

    fn find_element(&self, tables: &Tables, hash: u32, element: &ContextElement) -> Option<&KnownElement> {
        let same = |entry: &Entry| entry.hash == hash && self.known(entry.number).element == *element;
        tables.elements.find(spread(hash), same).map(|entry| self.known(entry.number))
    }

    /// An element with its number, the same for equal ones.
    fn know(&self, tables: &mut Tables, element: ContextElement) -> &KnownElement {
        let hash = element_hash(&element);
        if let Some(known) = self.find_element(tables, hash, &element) {
            return known;
        }
        // The lock is held, so nobody else takes the number.
        let number = self.elements.len();
        let start = start_of_path(element.path());
        self.elements.push(KnownElement { element, start, number, hash: OnceLock::new() });
        tables.elements.insert_unique(spread(hash), Entry { hash, number }, |entry| spread(entry.hash));
        self.known(number)
    }

    /// The context of one element.
    pub(crate) fn single(&self, element: ContextElement) -> ContextId {
        ContextId(self.know(&mut self.lock(), element).number | ContextId::SINGLE)
    }

    /// The context of one element of a derivation with this hash.
    pub(crate) fn single_of(&self, element: ContextElement, hash: &HashModulo) -> ContextId {
        let known = self.know(&mut self.lock(), element);
        known.hash.get_or_init(|| hash.clone());
        ContextId(known.number | ContextId::SINGLE)
    }

    /// The hash of a derivation, if that was made or read here.
    pub(crate) fn hash_of(&self, path: &StorePath) -> Option<&HashModulo> {
        let element = ContextElement::Whole(path.clone());
        self.find_element(&self.lock(), element_hash(&element), &element)?.hash()
    }

    /// The context of these elements.
    pub(crate) fn of_elements(&self, elements: impl IntoIterator<Item = ContextElement>) -> ContextId {
        let mut tables = self.lock();
        let mut ids: Vec<u32> = elements.into_iter().map(|element| self.know(&mut tables, element).number).collect();
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
    pub(crate) fn elements_of_all(&self, contexts: &[ContextId]) -> Vec<&KnownElement> {
        self.joined_ids(contexts).into_iter().map(|id| self.known(id)).collect()
    }

    fn known(&self, number: u32) -> &KnownElement {
        self.elements.get(number).expect("the ids of a set are of elements")
    }

    fn ids(&self, context: ContextId) -> &[u32] {
        match context.0 {
            0 => &[],
            single if single & ContextId::SINGLE != 0 => {
                std::slice::from_ref(&self.known(single & !ContextId::SINGLE).number)
            }
            set => self.sets.get(set - 1).map_or(&[], |ids| ids),
        }
    }

    /// The elements of a context, in no order that may show.
    pub(crate) fn elements(&self, context: ContextId) -> impl ExactSizeIterator<Item = &ContextElement> {
        self.ids(context).iter().map(|id| &self.known(*id).element)
    }
}
