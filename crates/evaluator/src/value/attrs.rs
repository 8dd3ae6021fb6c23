//! Attribute sets: values beside shared names, in layers.
//!
//! An object is two words (kind, number of layers, own elements, elements in all; address of its [`Shape`]), for a layer
//! above another the set below as a value, and the cells of its own elements, in the order of the shape's names. An
//! element of an upper layer hides those below. `a // b` makes a layer when `b` is small and `a` large, else one flat
//! array; iteration merges the layers.
//!
//! Absent on purpose: the order of names. Symbols are numbered by first sight; whoever shows names sorts them.

use super::shape::{Name, Shape};
use super::{Cell, NonNull, Ordering, Pos, TAG_ATTRS, Value};
use crate::heap::{Arena, Kind};
use crate::program::Symbol;
use smallvec::SmallVec;
use std::sync::atomic::AtomicU16;

/// The largest right side that becomes a layer.
const LAYER_MOST: usize = 16;
/// The smallest left side that gets one.
const LAYER_BASE_LEAST: usize = 32;
/// The most layers of a set.
const LAYERS: usize = 8;
/// Room for all elements of the layers above the lowest.
const UPPER: usize = 128;
const _: () = assert!(LAYER_MOST * (LAYERS - 1) <= UPPER);
/// Own elements up to which a search is a plain walk.
const LINEAR: usize = 8;

/// One attribute.
#[derive(Clone, Copy)]
pub(crate) struct Attr {
    /// Its name.
    pub(crate) name: Symbol,
    /// Where it was defined.
    pub(crate) pos: Pos,
    /// Its value.
    pub(crate) value: &'static Cell,
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

#[inline(always)]
fn head(layers: usize, own: usize, total: usize) -> u64 {
    assert!(total < 1 << 28, "a set has fewer than 2^28 attributes");
    Kind::Attrs as u64 | (layers as u64) << 4 | (own as u64) << 8 | (total as u64) << 36
}

/// The elements of one layer.
#[derive(Clone, Copy)]
pub(crate) struct Own {
    names: &'static [Name],
    cells: &'static [Cell],
}

impl Own {
    const NONE: Own = Own { names: &[], cells: &[] };

    /// Number of elements.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.names.len()
    }

    /// Their names, sorted by symbol.
    #[inline(always)]
    pub(crate) fn names(self) -> &'static [Name] {
        self.names
    }

    /// One of them; the index must be below the number.
    #[inline(always)]
    pub(crate) fn get(self, index: usize) -> Attr {
        let Name { name, pos } = self.names[index];
        Attr { name, pos, value: &self.cells[index] }
    }

    fn skip_first(self) -> Own {
        Own { names: &self.names[1..], cells: &self.cells[1..] }
    }
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
        match arena.empty {
            Some((_, empty)) => empty,
            None => Filling::new(arena, Shape::NONE).finish(),
        }
    }

    #[inline(always)]
    fn head(self) -> u64 {
        // SAFETY: the head of a published set is immutable.
        unsafe { self.0.read() }
    }

    #[inline(always)]
    fn layers(self) -> usize {
        ((self.head() >> 4) & 0xf) as usize
    }

    #[inline(always)]
    fn shape(self) -> Shape {
        // SAFETY: the second word of a set is the address of its shape, and immutable once the set is published.
        unsafe { Shape::from_address(self.0.add(1).read()) }
    }

    /// The layer below.
    #[inline(always)]
    fn base(self) -> Option<AttrSet> {
        if self.layers() == 1 {
            return None;
        }
        // SAFETY: the third word of a set with layers is the set below, as a value, and immutable.
        let below = unsafe { self.0.add(2).read() };
        NonNull::new((below & !TAG_ATTRS) as *mut u64).map(AttrSet)
    }

    /// The elements of the uppermost layer, sorted by symbol.
    #[inline(always)]
    fn own(self) -> Own {
        let head = self.head();
        let count = ((head >> 8) & 0x0fff_ffff) as usize;
        let first = 2 + usize::from((head >> 4) & 0xf != 1);
        // SAFETY: the shape of a set has as many names as the head says, and as many cells follow the first words; they
        // are accessed only as atomics.
        unsafe {
            let cells = std::slice::from_raw_parts(self.0.add(first).as_ptr().cast(), count);
            Own { names: self.shape().names(count), cells }
        }
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
    pub(crate) fn flat(self) -> Option<Own> {
        (self.layers() == 1).then(|| self.own())
    }

    /// An attribute.
    #[inline]
    pub(crate) fn get(self, name: Symbol) -> Option<Attr> {
        let mut layer = self;
        loop {
            let own = layer.own();
            if let Some(index) = find(own.names, name) {
                return Some(own.get(index));
            }
            layer = layer.base()?;
        }
    }

    /// As [`AttrSet::get`], for a place in a program that looks the same name up again and again: `hint` is where it was
    /// found last, in most cases the right place in another set too.
    #[inline(always)]
    pub(crate) fn get_hinted(self, name: Symbol, hint: &Hint) -> Option<Attr> {
        let mut layer = self;
        loop {
            let own = layer.own();
            let index = hint.0.load(Ordering::Relaxed) as usize;
            if own.names.get(index).is_some_and(|found| found.name == name) {
                return Some(own.get(index));
            }
            if let Some(index) = find(own.names, name) {
                if let Ok(index) = u16::try_from(index) {
                    hint.0.store(index, Ordering::Relaxed);
                }
                return Some(own.get(index));
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
        if self.layers() == 1 {
            return AttrIter { flat: self.own(), next: 0, layered: None };
        }
        let mut layers = [Own::NONE; LAYERS];
        let mut count = 0;
        let mut layer = Some(self);
        while let Some(set) = layer {
            layers[count] = set.own();
            count += 1;
            layer = set.base();
        }
        AttrIter { flat: Own::NONE, next: 0, layered: Some(Layers { layers, count, left: self.len() }) }
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
        if let (Some(left), Some(right)) = (self.flat(), other.flat()) {
            return merge(arena, (left, self.shape()), (right, other.shape()));
        }
        let mut merged = AttrSetBuilder::new(arena, left + right);
        let mut right = other.flattened();
        let mut next = right.next();
        for attr in self.flattened() {
            while let Some(other) = next.filter(|other| other.name < attr.name) {
                merged.push(other.name, other.pos, other.value.get());
                next = right.next();
            }
            if next.is_none_or(|other| other.name != attr.name) {
                merged.push(attr.name, attr.pos, attr.value.get());
            }
        }
        for attr in next.into_iter().chain(right) {
            merged.push(attr.name, attr.pos, attr.value.get());
        }
        merged.finish_sorted(arena)
    }

    /// As [`AttrSet::iter`], for all of a large set: the upper layers are merged first.
    fn flattened(self) -> Flattened {
        let mut flattened = Flattened { upper: SmallVec::new(), next: 0, lower: self.own(), at: 0 };
        let mut layer = self;
        while let Some(below) = layer.base() {
            flattened.upper.extend((0..flattened.lower.len()).map(|index| flattened.lower.get(index)));
            flattened.lower = below.own();
            layer = below;
        }
        // Of equal names the one of the uppermost layer stays.
        flattened.upper.sort_by_key(|attr| attr.name);
        flattened.upper.dedup_by_key(|attr| attr.name);
        flattened
    }

    /// `other` is smaller than any set with layers, so it is flat.
    fn with_layer(self, arena: &mut Arena, other: AttrSet) -> AttrSet {
        let own = other.own();
        let hidden = own.names.iter().filter(|name| self.get(name.name).is_some()).count();
        let object = arena.allocate(3 + own.len());
        // SAFETY: the words were just allocated; nobody else knows them.
        unsafe {
            object.write(head(self.layers() + 1, own.len(), self.len() + own.len() - hidden));
            object.add(1).write(other.shape().address());
            object.add(2).write(Value::from(self).word());
            for (index, cell) in own.cells.iter().enumerate() {
                object.add(3 + index).write(cell.get().word());
            }
        }
        AttrSet(object)
    }

    /// A set with the same names, defined nowhere, to be filled with values in their order.
    pub(crate) fn same_names(self, arena: &mut Arena) -> Filling {
        let shape = match self.flat() {
            Some(own) if own.names.iter().all(|name| name.pos == Pos::NONE) => self.shape(),
            _ => {
                let mut names = arena.shapes.begin();
                names.extend(self.iter().map(|attr| Name { name: attr.name, pos: Pos::NONE }));
                let shape = Shape::of(arena, &names);
                arena.shapes.end(names);
                shape
            }
        };
        Filling::new(arena, shape)
    }
}

/// `a // b` of two flat sets.
fn merge(arena: &mut Arena, (left, a): (Own, Shape), (right, b): (Own, Shape)) -> AttrSet {
    if let Some(shape) = arena.shapes.union(a, b) {
        let mut merged = Filling::new(arena, shape);
        each_of_both(left, right, |attr| merged.push(attr.value.get()));
        return merged.finish();
    }
    let mut merged = AttrSetBuilder::new(arena, left.len() + right.len());
    each_of_both(left, right, |attr| merged.push(attr.name, attr.pos, attr.value.get()));
    let merged = merged.finish_sorted(arena);
    arena.shapes.remember_union(a, b, merged.shape());
    merged
}

/// Calls `take` with the attributes of both sides in order; of equal names with the right one.
#[inline(always)]
fn each_of_both(left: Own, right: Own, mut take: impl FnMut(Attr)) {
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        let (a, b) = (left.names[i].name, right.names[j].name);
        take(if a < b { left.get(i) } else { right.get(j) });
        i += usize::from(a <= b);
        j += usize::from(b <= a);
    }
    (i..left.len()).for_each(|index| take(left.get(index)));
    (j..right.len()).for_each(|index| take(right.get(index)));
}

/// Searches sorted names.
#[inline(always)]
fn find(names: &[Name], name: Symbol) -> Option<usize> {
    if names.len() <= LINEAR {
        return names.iter().position(|candidate| candidate.name == name);
    }
    let mut base = 0;
    let mut size = names.len();
    while size > 1 {
        let half = size / 2;
        let middle = base + half;
        base = if names[middle].name <= name { middle } else { base };
        size -= half;
    }
    (names[base].name == name).then_some(base)
}

struct Layers {
    /// What is left of each layer, the uppermost first.
    layers: [Own; LAYERS],
    count: usize,
    left: usize,
}

impl Layers {
    fn next(&mut self) -> Option<Attr> {
        let layers = &mut self.layers[..self.count];
        let mut best: Option<(Symbol, usize)> = None;
        for (index, layer) in layers.iter().enumerate() {
            if let Some(first) = layer.names.first()
                && best.is_none_or(|(best, _)| first.name < best)
            {
                best = Some((first.name, index));
            }
        }
        let (name, index) = best?;
        let attr = layers[index].get(0);
        for layer in &mut layers[index..] {
            if layer.names.first().is_some_and(|first| first.name == name) {
                *layer = layer.skip_first();
            }
        }
        self.left -= 1;
        Some(attr)
    }
}

/// What [`AttrSet::flattened`] gives.
struct Flattened {
    /// All layers but the lowest, never more than fit: the collector must see what is walked.
    upper: SmallVec<[Attr; UPPER]>,
    next: usize,
    lower: Own,
    at: usize,
}

impl Iterator for Flattened {
    type Item = Attr;

    #[inline(always)]
    fn next(&mut self) -> Option<Attr> {
        let upper = self.upper.get(self.next);
        if self.at < self.lower.len() {
            let attr = self.lower.get(self.at);
            match upper {
                Some(upper) if upper.name <= attr.name => self.at += usize::from(upper.name == attr.name),
                _ => {
                    self.at += 1;
                    return Some(attr);
                }
            }
        }
        self.next += 1;
        upper.copied()
    }
}

/// Iterates over a set in the order of symbols.
pub(crate) struct AttrIter {
    flat: Own,
    next: usize,
    /// On the stack, not in a box: the collector must see what is walked.
    layered: Option<Layers>,
}

impl Iterator for AttrIter {
    type Item = Attr;

    #[inline]
    fn next(&mut self) -> Option<Attr> {
        match &mut self.layered {
            None if self.next < self.flat.len() => {
                self.next += 1;
                Some(self.flat.get(self.next - 1))
            }
            None => None,
            Some(layers) => layers.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.layered.as_ref().map_or(self.flat.len() - self.next, |layers| layers.left);
        (left, Some(left))
    }
}

impl ExactSizeIterator for AttrIter {}

/// A set whose names are known, being filled with values in their order.
pub(crate) struct Filling {
    object: NonNull<u64>,
    capacity: usize,
    len: usize,
}

impl Filling {
    /// A set of this shape, all of whose values must be pushed.
    #[inline(always)]
    pub(crate) fn new(arena: &mut Arena, shape: Shape) -> Filling {
        let capacity = shape.len();
        let object = arena.allocate(2 + capacity);
        // SAFETY: the words were just allocated; nobody else knows them.
        unsafe {
            object.write(head(1, capacity, capacity));
            object.add(1).write(shape.address());
        }
        Filling { object, capacity, len: 0 }
    }

    /// The next value.
    #[inline(always)]
    pub(crate) fn push(&mut self, value: Value) {
        assert!(self.len < self.capacity, "a set gets as many values as it has names");
        // SAFETY: the word lies inside the allocation, which nobody else knows yet.
        unsafe { self.object.add(2 + self.len).write(value.word()) };
        self.len += 1;
    }

    /// The set.
    #[inline(always)]
    pub(crate) fn finish(self) -> AttrSet {
        assert!(self.len == self.capacity, "a set gets as many values as it has names");
        AttrSet(self.object)
    }
}

/// A set being filled, in any order; of equal names the one to keep is said at the end.
pub(crate) struct AttrSetBuilder {
    names: Vec<Name>,
    object: NonNull<u64>,
    capacity: usize,
}

impl AttrSetBuilder {
    /// Room for `capacity` attributes.
    pub(crate) fn new(arena: &mut Arena, capacity: usize) -> AttrSetBuilder {
        let mut names = arena.shapes.begin();
        names.reserve(capacity);
        let object = arena.allocate(2 + capacity);
        // SAFETY: the word was just allocated, and nobody else knows it; the others are zero, which reads as no shape and
        // values that are nothing.
        unsafe { object.write(head(1, capacity, capacity)) };
        AttrSetBuilder { names, object, capacity }
    }

    /// Adds an attribute; there must be room for it.
    #[inline(always)]
    pub(crate) fn push(&mut self, name: Symbol, pos: Pos, value: Value) {
        assert!(self.names.len() < self.capacity, "a set gets no more attributes than it was given room for");
        // SAFETY: the word lies inside the allocation, which nobody else knows yet.
        unsafe { self.object.add(2 + self.names.len()).write(value.word()) };
        self.names.push(Name { name, pos });
    }

    /// The attribute of this name among those so far (a walk over all).
    pub(crate) fn find(&self, name: Symbol) -> Option<Attr> {
        self.attrs().find(|attr| attr.name == name)
    }

    /// The attributes so far.
    pub(crate) fn attrs(&self) -> impl ExactSizeIterator<Item = Attr> + '_ {
        // SAFETY: as many cells were written as there are names; they are accessed only as atomics.
        let cells: &'static [Cell] =
            unsafe { std::slice::from_raw_parts(self.object.add(2).as_ptr().cast(), self.names.len()) };
        self.names.iter().zip(cells).map(|(name, value)| Attr { name: name.name, pos: name.pos, value })
    }

    /// The set, if the attributes were pushed in the order of symbols, each once.
    pub(crate) fn finish_sorted(self, arena: &mut Arena) -> AttrSet {
        debug_assert!(self.names.windows(2).all(|pair| pair[0].name < pair[1].name), "sorted and unique");
        let AttrSetBuilder { names, object, capacity } = self;
        let len = names.len();
        if let (0, Some((_, empty))) = (len, arena.empty) {
            // SAFETY: the word lies inside the allocation, which nobody else knows yet.
            unsafe {
                object.write(0);
                arena.give_back(object.add(2 + capacity), 2 + capacity);
            }
            arena.shapes.end(names);
            return empty;
        }
        // SAFETY: all of this lies inside the allocation, which nobody else knows yet. Where the rest cannot be given back
        // it is zero, i.e. filler.
        unsafe {
            if len < capacity {
                arena.give_back(object.add(2 + capacity), capacity - len);
                object.write(head(1, len, len));
            }
            let shape = Shape::of(arena, &names);
            object.add(1).write(shape.address());
        }
        arena.shapes.end(names);
        AttrSet(object)
    }

    /// The set; of equal names the first pushed stays.
    pub(crate) fn finish(mut self, arena: &mut Arena) -> AttrSet {
        if self.names.windows(2).any(|pair| pair[0].name >= pair[1].name) {
            // SAFETY: as many words were written as there are names, and nobody else knows them.
            let words: &mut [u64] =
                unsafe { std::slice::from_raw_parts_mut(self.object.add(2).as_ptr().cast(), self.names.len()) };
            // Nothing is allocated in the heap while the values stand in this vector.
            let mut sorted: SmallVec<[(Name, u64); 16]> =
                self.names.iter().copied().zip(words.iter().copied()).collect();
            sorted.sort_by_key(|(name, _)| name.name);
            sorted.dedup_by_key(|(name, _)| name.name);
            words[sorted.len()..].fill(0);
            self.names.truncate(sorted.len());
            for (index, (name, word)) in sorted.iter().enumerate() {
                (self.names[index], words[index]) = (*name, *word);
            }
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

    #[test]
    fn names_are_shared() {
        let mut arena = Arena::new(Arc::new(Region::default()));
        let (a, b) = (set(&mut arena, [1, 3, 5], 0), set(&mut arena, [2, 3], 1));
        let first = a.update(&mut arena, b);
        assert_eq!(list(first), [(1, 1000), (2, 2001), (3, 3001), (5, 5000)]);
        // What the doubled name took was given back: the shape comes next, and then nothing.
        assert_eq!(arena.allocate(0).as_ptr() as u64, Value::from(first).word() - TAG_ATTRS + 8 * 12);
        let second = a.update(&mut arena, b);
        assert_eq!(list(second), list(first));
        assert!(second.shape() == first.shape());
        assert_eq!(arena.allocate(0).as_ptr() as u64, Value::from(second).word() - TAG_ATTRS + 8 * 6);
        let mut same = first.same_names(&mut arena);
        (0..4).for_each(|n| same.push(Value::small_int(n).unwrap()));
        let same = same.finish();
        assert_eq!(list(same), [(1, 0), (2, 1), (3, 2), (5, 3)]);
        assert!(same.iter().all(|attr| attr.pos == Pos::NONE));
        let mut again = same.same_names(&mut arena);
        same.iter().for_each(|attr| again.push(attr.value.get()));
        assert!(again.finish().shape() == same.shape());
    }
}
