//! Attribute sets: sorted arrays in layers.
//!
//! An object is two words (kind, number of layers, own elements, elements in all; address of the layer below) and its own
//! elements, each a symbol, a position and a cell, sorted by symbol. An element of an upper layer hides those below. `a //
//! b` makes a layer when `b` is small and `a` large, else one flat array; iteration merges the layers.
//!
//! Absent on purpose: the order of names. Symbols are numbered by first sight; whoever shows names sorts them.

use super::{Cell, NonNull, Ordering, Pos, TAG_ATTRS, Value};
use crate::heap::{Arena, Kind};
use crate::program::Symbol;
use std::sync::atomic::AtomicU16;

/// The largest right side that becomes a layer.
const LAYER_MOST: usize = 16;
/// The smallest left side that gets one.
const LAYER_BASE_LEAST: usize = 32;
/// The most layers of a set.
const LAYERS: usize = 8;
/// Own elements up to which a search is a plain walk.
const LINEAR: usize = 8;

/// One attribute.
#[repr(C)]
pub(crate) struct Attr {
    /// Its name.
    pub(crate) name: Symbol,
    /// Where it was defined.
    pub(crate) pos: Pos,
    /// Its value.
    pub(crate) value: Cell,
}

/// Where a name was found last, counted from the start of its layer. Any number is as safe as another.
#[derive(Debug, Default)]
pub(crate) struct Hint(AtomicU16);

/// A set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttrSet(NonNull<u64>);

// SAFETY: an address in the shared heap; what lies there is immutable or atomic.
unsafe impl Send for AttrSet {}
// SAFETY: as above.
unsafe impl Sync for AttrSet {}

impl From<AttrSet> for Value {
    #[inline(always)]
    fn from(set: AttrSet) -> Value {
        Value::tagged(set.0, TAG_ATTRS)
    }
}

fn head(layers: usize, own: usize, total: usize) -> u64 {
    assert!(total < 1 << 28, "a set has fewer than 2^28 attributes");
    Kind::Attrs as u64 | (layers as u64) << 4 | (own as u64) << 8 | (total as u64) << 36
}

impl AttrSet {
    /// # Safety
    /// `object` must be a set object.
    #[inline(always)]
    pub(super) unsafe fn from_object(object: NonNull<u64>) -> AttrSet {
        AttrSet(object)
    }

    /// The set without attributes.
    pub(crate) fn empty(arena: &mut Arena) -> AttrSet {
        AttrSetBuilder::new(arena, 0).finish(arena)
    }

    #[inline(always)]
    fn head(self) -> u64 {
        // SAFETY: the head of a published set is immutable.
        unsafe { self.0.read() }
    }

    fn layers(self) -> usize {
        ((self.head() >> 4) & 0xf) as usize
    }

    /// The layer below.
    #[inline(always)]
    fn base(self) -> Option<AttrSet> {
        // SAFETY: the second word of a set is null or the address of another set, and immutable.
        NonNull::new(unsafe { self.0.add(1).read() } as *mut u64).map(AttrSet)
    }

    /// The elements of the uppermost layer, sorted by symbol.
    #[inline(always)]
    fn own(self) -> &'static [Attr] {
        let count = ((self.head() >> 8) & 0x0fff_ffff) as usize;
        // SAFETY: that many elements of two words follow the head; their cells are accessed only as atomics.
        unsafe { std::slice::from_raw_parts(self.0.add(2).as_ptr().cast(), count) }
    }

    /// Number of attributes.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        (self.head() >> 36) as usize
    }

    /// Whether it has none.
    pub(crate) fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The elements sorted by symbol, if they lie in one array.
    #[inline(always)]
    pub(crate) fn flat(self) -> Option<&'static [Attr]> {
        self.base().is_none().then(|| self.own())
    }

    /// An attribute.
    #[inline]
    pub(crate) fn get(self, name: Symbol) -> Option<&'static Attr> {
        let mut layer = self;
        loop {
            if let Some(attr) = find(layer.own(), name) {
                return Some(attr);
            }
            layer = layer.base()?;
        }
    }

    /// As [`AttrSet::get`], for a place in a program that looks the same name up again and again: `hint` is where it was
    /// found last, in most cases the right place in another set too.
    #[inline(always)]
    pub(crate) fn get_hinted(self, name: Symbol, hint: &Hint) -> Option<&'static Attr> {
        let mut layer = self;
        loop {
            let own = layer.own();
            if let Some(attr) = own.get(hint.0.load(Ordering::Relaxed) as usize)
                && attr.name == name
            {
                return Some(attr);
            }
            if let Some(attr) = find(own, name) {
                let index = (std::ptr::from_ref(attr) as usize - own.as_ptr() as usize) / size_of::<Attr>();
                if let Ok(index) = u16::try_from(index) {
                    hint.0.store(index, Ordering::Relaxed);
                }
                return Some(attr);
            }
            layer = layer.base()?;
        }
    }

    /// The value of an attribute.
    #[inline]
    pub(crate) fn value(self, name: Symbol) -> Option<Value> {
        self.get(name).map(|attr| attr.value.get())
    }

    /// All attributes, sorted by symbol.
    pub(crate) fn iter(self) -> AttrIter {
        let top = self.own().iter();
        if self.base().is_none() {
            return AttrIter { flat: top, layered: None };
        }
        let mut layers = [&[][..]; LAYERS];
        let mut count = 0;
        let mut layer = Some(self);
        while let Some(set) = layer {
            layers[count] = set.own();
            count += 1;
            layer = set.base();
        }
        AttrIter { flat: [].iter(), layered: Some(Layers { layers, count, left: self.len() }) }
    }

    /// `self // other`.
    pub(crate) fn update(self, arena: &mut Arena, other: AttrSet) -> AttrSet {
        let (left, right) = (self.len(), other.len());
        if left == 0 {
            return other;
        }
        if right == 0 {
            return self;
        }
        if right <= LAYER_MOST && left >= LAYER_BASE_LEAST && self.layers() < LAYERS {
            return self.with_layer(arena, other);
        }
        let mut merged = AttrSetBuilder::new(arena, left + right);
        if let (Some(left), Some(right)) = (self.flat(), other.flat()) {
            merged.merge(left, right);
        } else {
            let mut left = self.iter().peekable();
            let mut right = other.iter().peekable();
            loop {
                let from_left = match (left.peek(), right.peek()) {
                    (Some(a), Some(b)) if a.name == b.name => {
                        left.next();
                        false
                    }
                    (Some(a), Some(b)) => a.name < b.name,
                    (Some(_), None) => true,
                    (None, _) => false,
                };
                let Some(attr) = (if from_left { left.next() } else { right.next() }) else { break };
                merged.push(attr.name, attr.pos, attr.value.get());
            }
        }
        merged.finish_sorted(arena)
    }

    fn with_layer(self, arena: &mut Arena, other: AttrSet) -> AttrSet {
        let mut layer = AttrSetBuilder::new(arena, other.len());
        let mut hidden = 0;
        for attr in other.iter() {
            hidden += usize::from(self.get(attr.name).is_some());
            layer.push(attr.name, attr.pos, attr.value.get());
        }
        let own = layer.len;
        let set = layer.finish_sorted(arena);
        // SAFETY: the set was made just now and nobody else knows it yet.
        unsafe {
            set.0.write(head(self.layers() + 1, own, self.len() + own - hidden));
            set.0.add(1).write(self.0.as_ptr() as u64);
        }
        set
    }
}

/// Searches a sorted array.
#[inline(always)]
fn find(attrs: &'static [Attr], name: Symbol) -> Option<&'static Attr> {
    if attrs.len() <= LINEAR {
        return attrs.iter().find(|attr| attr.name == name);
    }
    let mut base = 0;
    let mut size = attrs.len();
    while size > 1 {
        let half = size / 2;
        let middle = base + half;
        base = if attrs[middle].name <= name { middle } else { base };
        size -= half;
    }
    (attrs[base].name == name).then(|| &attrs[base])
}

struct Layers {
    /// What is left of each layer, the uppermost first.
    layers: [&'static [Attr]; LAYERS],
    count: usize,
    left: usize,
}

impl Layers {
    fn next(&mut self) -> Option<&'static Attr> {
        let layers = &mut self.layers[..self.count];
        let mut best: Option<&'static Attr> = None;
        for layer in layers.iter() {
            if let Some(attr) = layer.first()
                && best.is_none_or(|best| attr.name < best.name)
            {
                best = Some(attr);
            }
        }
        let best = best?;
        for layer in layers.iter_mut() {
            if let Some((attr, rest)) = layer.split_first()
                && attr.name == best.name
            {
                *layer = rest;
            }
        }
        self.left -= 1;
        Some(best)
    }
}

/// Iterates over a set in the order of symbols.
pub(crate) struct AttrIter {
    flat: std::slice::Iter<'static, Attr>,
    /// On the stack, not in a box: the collector must see what is walked.
    layered: Option<Layers>,
}

impl Iterator for AttrIter {
    type Item = &'static Attr;

    #[inline]
    fn next(&mut self) -> Option<&'static Attr> {
        match &mut self.layered {
            None => self.flat.next(),
            Some(layers) => layers.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.layered.as_ref().map_or(self.flat.len(), |layers| layers.left);
        (left, Some(left))
    }
}

impl ExactSizeIterator for AttrIter {}

/// A set being filled, in any order; of equal names the one to keep is said at the end.
pub(crate) struct AttrSetBuilder {
    object: NonNull<u64>,
    capacity: usize,
    len: usize,
}

impl AttrSetBuilder {
    /// Room for `capacity` attributes; it grows when there are more.
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> AttrSetBuilder {
        let object = arena.allocate(2 + 2 * capacity);
        // SAFETY: the words were just allocated; nobody else knows them.
        unsafe { object.write(head(1, capacity, capacity)) };
        AttrSetBuilder { object, capacity, len: 0 }
    }

    /// Adds an attribute; there must be room for it.
    #[inline(always)]
    pub(crate) fn push(&mut self, name: Symbol, pos: Pos, value: Value) {
        assert!(self.len < self.capacity, "a set gets no more attributes than it was given room for");
        // SAFETY: the two words lie inside the allocation, which nobody else knows yet.
        unsafe {
            let place = self.object.add(2 + 2 * self.len);
            place.write(u64::from(name.0) | u64::from(pos.0) << 32);
            place.add(1).write(value.word());
        }
        self.len += 1;
    }

    /// Whether one of the attributes so far has this name (a walk over all).
    pub(crate) fn contains(&self, name: Symbol) -> bool {
        self.attrs().iter().any(|attr| attr.name == name)
    }

    /// The attributes so far.
    pub(crate) fn attrs(&self) -> &[Attr] {
        // SAFETY: `len` elements were written.
        unsafe { std::slice::from_raw_parts(self.object.add(2).as_ptr().cast(), self.len) }
    }

    fn merge(&mut self, left: &[Attr], right: &[Attr]) {
        assert!(left.len() + right.len() <= self.capacity - self.len, "both sides fit");
        let (mut i, mut j) = (0, 0);
        while i < left.len() && j < right.len() {
            let (a, b) = (&left[i], &right[j]);
            let attr = if a.name < b.name { a } else { b };
            i += usize::from(a.name <= b.name);
            j += usize::from(b.name <= a.name);
            self.push(attr.name, attr.pos, attr.value.get());
        }
        for attr in left[i..].iter().chain(&right[j..]) {
            self.push(attr.name, attr.pos, attr.value.get());
        }
    }

    /// The set, if the attributes were pushed in the order of symbols, each once.
    #[inline(always)]
    pub(crate) fn finish_sorted(self, arena: &mut Arena) -> AttrSet {
        debug_assert!(self.attrs().windows(2).all(|pair| pair[0].name < pair[1].name), "sorted and unique");
        let unused = 2 * (self.capacity - self.len);
        if unused > 0 {
            // SAFETY: one past the end of the allocation.
            arena.give_back(unsafe { self.object.add(2 + 2 * self.capacity) }, unused);
        }
        // SAFETY: nobody else knows the object yet; if the arena could not take the rest back, it is zero, i.e. filler.
        unsafe { self.object.write(head(1, self.len, self.len)) };
        AttrSet(self.object)
    }

    /// The set; of equal names the first pushed stays.
    pub(crate) fn finish(mut self, arena: &mut Arena) -> AttrSet {
        // SAFETY: `len` elements of two plain words were written, and nobody else knows them.
        let words: &mut [[u64; 2]] =
            unsafe { std::slice::from_raw_parts_mut(self.object.add(2).as_ptr().cast(), self.len) };
        let name = |element: &[u64; 2]| element[0] as u32;
        if words.windows(2).any(|pair| name(&pair[0]) >= name(&pair[1])) {
            words.sort_by_key(name);
            let mut kept = 0;
            for index in 0..words.len() {
                if kept == 0 || name(&words[kept - 1]) != name(&words[index]) {
                    words[kept] = words[index];
                    kept += 1;
                }
            }
            words[kept..].fill([0, 0]);
            self.len = kept;
        }
        self.finish_sorted(arena)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Region;
    use std::sync::Arc;

    fn set(arena: &mut Arena, names: impl IntoIterator<Item = u32>, salt: i64) -> AttrSet {
        let names: Vec<u32> = names.into_iter().collect();
        let mut builder = AttrSetBuilder::new(arena, names.len());
        for name in names {
            builder.push(Symbol(name), Pos(1), Value::small_int(i64::from(name) * 1000 + salt).unwrap());
        }
        builder.finish(arena)
    }

    fn list(set: AttrSet) -> Vec<(u32, i64)> {
        set.iter().map(|attr| (attr.name.0, attr.value.get().as_int().unwrap())).collect()
    }

    #[test]
    fn unsorted_input_is_sorted_and_the_first_of_equals_stays() {
        let mut arena = Arena::new(Arc::new(Region::default()));
        let mut builder = AttrSetBuilder::new(&mut arena, 5);
        for (name, value) in [(5, 1), (2, 2), (5, 3), (1, 4), (2, 5)] {
            builder.push(Symbol(name), Pos::NONE, Value::small_int(value).unwrap());
        }
        assert_eq!(list(builder.finish(&mut arena)), [(1, 4), (2, 2), (5, 1)]);
    }

    #[test]
    fn layers_behave_like_flat_sets() {
        let mut arena = Arena::new(Arc::new(Region::default()));
        let mut layered = set(&mut arena, 0..100, 0);
        let mut model: std::collections::BTreeMap<u32, i64> = list(layered).into_iter().collect();
        for step in 1..20 {
            let other = set(&mut arena, (0..6).map(|n| (n * 37 * step) % 150), i64::from(step));
            model.extend(list(other));
            layered = layered.update(&mut arena, other);
            assert_eq!(list(layered), model.clone().into_iter().collect::<Vec<_>>());
            assert_eq!(layered.len(), model.len());
            for name in 0..160 {
                let found = layered.value(Symbol(name)).and_then(Value::as_int);
                assert_eq!(found, model.get(&name).copied());
            }
        }
    }
}
