//! Bindings into sets: attribute paths, sets written in several places, names defined twice.
//!
//! `a.b = 1; a = { c = 2; };` makes one set `a`. Whether the set at a place is recursive is decided by the literal that
//! stood there first, also for what later ones add to it; C++ Nix has it so (NixOS/nix#9020).
//!
//! Cost: a set of up to [`SMALL`] names is searched along its chain, a larger one has its names in one hash table that
//! all sets of the file share.

use super::lower::{Lowering, PendingName};
use super::print::identifier_text;
use super::tree::{NO_BINDING, TreeBinding, TreeDynamic, TreeId, TreeName, TreeNode, TreeValue};
use crate::program::Symbol;
use rustc_hash::FxHashMap;
use syntax::Span;

/// Up to this many names a set is searched one by one.
const SMALL: u32 = 8;

/// A binding on its way into a set.
#[derive(Clone, Copy)]
struct NewBinding {
    name: Symbol,
    offset: u32,
    value: TreeValue,
}

/// The names of large sets: (set, name) to the binding.
#[derive(Debug, Default)]
pub(super) struct Index {
    large: FxHashMap<(u32, Symbol), u32>,
}

impl Index {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        // One large text must not make the emptying of every later one slow.
        const MOST: usize = 4096;
        if self.large.capacity() > MOST { self.large = FxHashMap::default() } else { self.large.clear() }
    }
}

impl Lowering<'_> {
    fn find(&self, set: u32, name: Symbol) -> Option<u32> {
        let entry = &self.tree.sets[set as usize];
        if entry.count > SMALL {
            return self.index.large.get(&(set, name)).copied();
        }
        let mut at = entry.first;
        while let Some(binding) = self.tree.bindings.get(at as usize) {
            if binding.name == name {
                return Some(at);
            }
            at = binding.next;
        }
        None
    }

    fn append(&mut self, set: u32, name: Symbol, offset: u32, value: TreeValue) {
        let index = self.tree.bindings.len() as u32;
        self.tree.bindings.push(TreeBinding { name, offset, value, next: NO_BINDING });
        let entry = &mut self.tree.sets[set as usize];
        entry.inherits |= matches!(value, TreeValue::Inherited);
        let last = std::mem::replace(&mut entry.last, index);
        entry.count += 1;
        let count = entry.count;
        match self.tree.bindings.get_mut(last as usize) {
            Some(binding) => binding.next = index,
            None => self.tree.sets[set as usize].first = index,
        }
        if count == SMALL + 1 {
            let mut at = self.tree.sets[set as usize].first;
            while let Some(binding) = self.tree.bindings.get(at as usize) {
                self.index.large.insert((set, binding.name), at);
                at = binding.next;
            }
        } else if count > SMALL {
            self.index.large.insert((set, name), index);
        }
    }

    /// The set that a binding's value is, if it is one.
    fn set_of(&self, binding: u32) -> Option<u32> {
        match self.tree.bindings[binding as usize].value {
            TreeValue::Plain(value) => self.set_of_node(value),
            _ => None,
        }
    }

    fn set_of_node(&self, node: TreeId) -> Option<u32> {
        match self.tree.node(node) {
            TreeNode::Set(set) => Some(set),
            _ => None,
        }
    }

    /// `path = value;` in the innermost open set.
    pub(super) fn add_binding(&mut self, span: Span, names: u32) {
        let value = self.pop();
        let at = self.names.len().saturating_sub(names as usize);
        let mut set = self.open.last().copied().unwrap_or_default();
        let offset = span.start;
        let last = self.names.len() - 1;
        for step in at..last {
            set = match self.names[step].name {
                TreeName::Static(name) => match self.find(set, name) {
                    Some(binding) => match self.set_of(binding) {
                        Some(nested) => nested,
                        None => {
                            self.refuse(at..step + 1, &[], offset, binding);
                            self.names.truncate(at);
                            return;
                        }
                    },
                    None => {
                        let (nested, node) = self.implied_set(offset);
                        self.append(set, name, offset, TreeValue::Plain(node));
                        nested
                    }
                },
                TreeName::Dynamic(name) => {
                    let (nested, node) = self.implied_set(offset);
                    self.tree.sets[set as usize].dynamics.push(TreeDynamic { name, value: node, offset });
                    nested
                }
            };
        }
        match self.names[last].name {
            TreeName::Static(name) => {
                let binding = NewBinding { name, offset, value: TreeValue::Plain(value) };
                self.merge(set, at..last + 1, &mut Vec::new(), binding);
            }
            TreeName::Dynamic(name) => {
                self.tree.sets[set as usize].dynamics.push(TreeDynamic { name, value, offset });
            }
        }
        self.names.truncate(at);
    }

    fn implied_set(&mut self, offset: u32) -> (u32, TreeId) {
        let set = self.tree.add_set(offset);
        (set, self.tree.add(TreeNode::Set(set), offset))
    }

    /// Adds a binding, joining two sets where both the old and the new value are one.
    fn merge(
        &mut self,
        set: u32,
        path: std::ops::Range<usize>,
        below: &mut Vec<Symbol>,
        NewBinding { name, offset, value }: NewBinding,
    ) {
        let Some(old) = self.find(set, name) else {
            if let TreeValue::Plain(value) = value {
                self.name_functions(value, name);
            }
            self.append(set, name, offset, value);
            return;
        };
        let added = match value {
            TreeValue::Plain(value) => self.set_of_node(value),
            _ => None,
        };
        let (Some(into), Some(from)) = (self.set_of(old), added) else {
            self.refuse(path, below, offset, old);
            return;
        };
        let shift = self.tree.sets[into as usize].sources.len() as u32;
        let emptied = &mut self.tree.sets[from as usize];
        let mut at = std::mem::replace(&mut emptied.first, NO_BINDING);
        (emptied.last, emptied.count) = (NO_BINDING, 0);
        let dynamics = std::mem::take(&mut emptied.dynamics);
        let sources = std::mem::take(&mut emptied.sources);
        while let Some(&binding) = self.tree.bindings.get(at as usize) {
            at = binding.next;
            let value = match binding.value {
                TreeValue::From(source) => TreeValue::From(source + shift),
                value => value,
            };
            below.push(binding.name);
            let moved = NewBinding { name: binding.name, offset: binding.offset, value };
            self.merge(into, path.clone(), below, moved);
            below.pop();
        }
        self.tree.sets[into as usize].dynamics.extend(dynamics);
        self.tree.sets[into as usize].sources.extend(sources);
    }

    /// Tells functions what they are the value of, through curried heads.
    fn name_functions(&mut self, mut value: TreeId, name: Symbol) {
        while let TreeNode::Lambda(index) = self.tree.node(value) {
            let lambda = &mut self.tree.lambdas[index as usize];
            lambda.name = name;
            value = lambda.body;
        }
    }

    #[cold]
    fn refuse(&mut self, path: std::ops::Range<usize>, below: &[Symbol], offset: u32, old: u32) {
        let mut shown = Vec::new();
        for PendingName { name, .. } in &self.names[path] {
            shown.push(match *name {
                TreeName::Static(name) => identifier_text(self.tree.symbol(name)),
                TreeName::Dynamic(_) => "\"${...}\"".to_string(),
            });
        }
        shown.extend(below.iter().map(|&name| identifier_text(self.tree.symbol(name))));
        let before = self.place(self.tree.bindings[old as usize].offset);
        self.fail(offset, format!("attribute '{}' already defined at {before}", shown.join(".")));
    }

    /// `inherit names;`, or from a source.
    pub(super) fn add_inherited(&mut self, names: u32, source: Option<TreeId>) {
        let set = self.open.last().copied().unwrap_or_default();
        let at = self.names.len().saturating_sub(names as usize);
        let value = match source {
            None => TreeValue::Inherited,
            Some(source) => {
                let sources = &mut self.tree.sets[set as usize].sources;
                sources.push(source);
                TreeValue::From(sources.len() as u32 - 1)
            }
        };
        // A name that cannot be inherited is noticed when it is read, one defined twice at the end.
        for step in at..self.names.len() {
            if let PendingName { name: TreeName::Dynamic(_), offset } = self.names[step] {
                self.fail(offset, "dynamic attributes not allowed in inherit".to_string());
            }
        }
        for step in at..self.names.len() {
            let PendingName { name: TreeName::Static(name), offset } = self.names[step] else { continue };
            match self.find(set, name) {
                Some(old) => self.refuse(step..step + 1, &[], offset, old),
                None => self.append(set, name, offset, value),
            }
        }
        self.names.truncate(at);
    }
}
