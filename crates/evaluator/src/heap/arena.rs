//! Handing out words: the bump allocator of one evaluating thread, and when to collect.
//!
//! A collection stops all threads of the evaluator (`parallel/stops.rs`). Each has said before where its native stack
//! lies, registers included, and drops the gaps that it had when it goes on.
//!
//! The thread fills one gap at a time. Objects too large for most gaps come from blocks of their own, larger ones get
//! blocks for themselves. A collection is due when as much was handed out since the last as is allowed; how much that is
//! follows from what survived: a heap that dies is collected while it is small and in the caches, one that lives is left
//! to grow. While the heap is not large, a collection that finds a good part of what was made since the last alive is given
//! up at once: marking it all would cost more than fresh memory.

use super::collect::{Marker, RootSource};
use super::gang::Gang;
use super::region::{Absent, BLOCK, Gap, Space, clear};
use super::stack::{StackStorage, ValueStack};
use crate::os::StackRange;
use crate::parallel::{Stops, attention};
use crate::value::{AttrSet, List, Shapes, Value};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Objects of more words get blocks for themselves.
const LARGE: usize = BLOCK / 16;
/// Objects of at least so many words, if they do not fit the gap in use, leave it and go to a block of their own kind.
const MEDIUM: usize = 64;

/// What may be handed out between collections, in bytes for each that is alive.
const GROWTH: usize = 5;
/// The same where a quarter to a half survived. So it is with package sets and configurations, at every collection: what
/// lives goes on living. Where nearly all survives, something large is being built, most of which dies later.
const STEADY_GROWTH: usize = 16;
/// Above this much, what may be handed out between collections grows only with what is alive.
const MOST_GROWTH: usize = 256 << 20;

/// Below this much, a collection may be given up.
const UNCOLLECTED: usize = 352 << 20;
/// It is when more than this part of what was made since the last lives.
const GIVEN_UP_FROM: usize = 8;
/// Then as much again, so many times, may be handed out before the next.
const AFTER_GIVING_UP: usize = 4;

/// Bytes of the largest object where no limit is set: an eighth of the address space wanted.
const MOST_AT_ONCE: usize = 1 << 35;

/// When to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeapOptions {
    /// Bytes handed out before the first collection, and the least between two.
    pub first_collection: usize,
    /// Live bytes above which evaluation fails; `None` for no limit (`max-heap`).
    pub limit: Option<usize>,
    /// Bytes handed out in all above which evaluation fails, also if most of them died: an end, the same on every machine,
    /// for expressions from strangers. A step of a long search counts as a byte.
    pub budget: Option<usize>,
    /// For tests: collect each time this many bytes (at most a block) are used up, and overwrite what is free.
    pub stress: Option<usize>,
}

/// What a heap did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapStatistics {
    /// Bytes handed out, those collected since included.
    pub allocated: usize,
    /// Bytes taken from the system.
    pub reserved: usize,
    /// Collections.
    pub collections: u32,
}

impl Default for HeapOptions {
    fn default() -> Self {
        HeapOptions { first_collection: 32 << 20, limit: None, budget: None, stress: None }
    }
}

/// The memory of one evaluator, shared by its threads.
pub(crate) struct Region {
    space: Mutex<Space>,
    options: HeapOptions,
    roots: Mutex<Option<Weak<dyn RootSource>>>,
    /// The evaluating threads.
    threads: Mutex<Vec<Arc<ThreadRoots>>>,
    stops: Stops,
    gang: Gang,
    collections: AtomicU32,
    /// Work that handed nothing out, as bytes; counted where there is a budget.
    spent: AtomicUsize,
    pinned: Mutex<Vec<Box<dyn std::any::Any + Send + Sync>>>,
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Region").finish_non_exhaustive()
    }
}

impl Default for Region {
    fn default() -> Self {
        Region::new(HeapOptions::default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Region {
    /// An empty heap.
    pub(crate) fn new(options: HeapOptions) -> Region {
        let mut space = Space::new();
        space.poison = options.stress.is_some();
        space.allowance = options.first_collection;
        Region {
            space: Mutex::new(space),
            options,
            roots: Mutex::default(),
            threads: Mutex::default(),
            stops: Stops::default(),
            gang: Gang::default(),
            collections: AtomicU32::new(0),
            spent: AtomicUsize::new(0),
            pinned: Mutex::default(),
        }
    }

    /// Who runs, and what threads should look at.
    #[inline(always)]
    pub(crate) fn stops(&self) -> &Stops {
        &self.stops
    }

    /// Ends evaluation when more was handed out or spent than the budget.
    fn check_budget(&self, handed_out: usize) {
        let spent = self.spent.load(Ordering::Relaxed);
        if self.options.budget.is_some_and(|budget| handed_out.saturating_add(spent) > budget) {
            self.stops.raise(attention::EXHAUSTED);
        }
    }

    /// Says what collections start from. Until then there are none.
    pub(crate) fn set_roots(&self, roots: Weak<dyn RootSource>) {
        *lock(&self.roots) = Some(roots);
    }

    /// Keeps `object` as long as the region; like values, the reference must not leave the evaluator.
    pub(crate) fn pin<T: std::any::Any + Send + Sync>(&self, object: T) -> &'static T {
        let object = Box::new(object);
        let address = std::ptr::from_ref(&*object);
        lock(&self.pinned).push(object);
        // SAFETY: the box is never moved out of or changed, and dropped only with the region, which outlives all use
        // (the promise of this function).
        unsafe { &*address }
    }
}

/// What a stopped thread may hold: the part of its native stack that counts, its value stack.
struct ThreadRoots {
    low: AtomicUsize,
    high: AtomicUsize,
    values: Arc<StackStorage>,
}

impl ThreadRoots {
    fn publish(&self, stack: StackRange) {
        self.low.store(stack.low, Ordering::Release);
        self.high.store(stack.high, Ordering::Release);
    }

    fn stack(&self) -> StackRange {
        StackRange { low: self.low.load(Ordering::Acquire), high: self.high.load(Ordering::Acquire) }
    }
}

/// A place between objects.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    next: usize,
    turns: u32,
}

/// Small objects that were made one after the other for one piece of work, so that nothing but that work and what it makes
/// later can refer to them.
pub(crate) struct Stretch {
    start: usize,
    limit: usize,
    turns: u32,
}

impl Stretch {
    /// Nothing yet.
    pub(crate) const EMPTY: Stretch = Stretch { start: 0, limit: 0, turns: 0 };

    /// What was made since `from` alone.
    #[inline(always)]
    pub(crate) fn new(arena: &Arena, from: Mark) -> Stretch {
        let start = if from.turns == arena.turns { from.next } else { arena.next };
        Stretch { start, limit: arena.next, turns: arena.turns }
    }

    /// Adds what was made since `from`; forgets what was before if something else was made in between.
    #[inline(always)]
    pub(crate) fn extend(&mut self, arena: &Arena, from: Mark) {
        if from.next == self.limit && from.turns == self.turns && from.turns == arena.turns {
            self.limit = arena.next;
        } else {
            *self = Stretch::new(arena, from);
        }
    }
}

/// The bump allocator of one thread.
///
/// Memory handed out is zeroed. The arena must not outlive the region, nor the values it made be used after that; the
/// evaluator holds both.
pub(crate) struct Arena {
    /// Next free word.
    next: usize,
    /// End of the gap.
    end: usize,
    /// The same of the block for medium objects.
    medium: (usize, usize),
    /// Gaps to be used next, the last first. Each begins with filler and is zeroed when its turn comes.
    gaps: Vec<Gap>,
    /// The collections that this thread has taken note of.
    collections: u32,
    /// Counts whatever makes what is handed out next lie elsewhere than behind the last.
    turns: u32,
    /// Bytes that were taken back since this was last told: they count against a budget.
    retracted: usize,
    /// Where this thread's native stack begins (its highest address), 0 if unknown.
    stack_top: usize,
    roots: Option<Arc<ThreadRoots>>,
    /// The shapes of sets made since the last collection.
    pub(crate) shapes: Shapes,
    /// The one list and the one set without elements, once there are such: they are made all the time.
    pub(crate) empty: Option<(List, AttrSet)>,
    region: Arc<Region>,
}

impl Drop for Arena {
    fn drop(&mut self) {
        if let Some(own) = &self.roots {
            lock(&self.region.threads).retain(|roots| !Arc::ptr_eq(roots, own));
        }
    }
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arena").finish_non_exhaustive()
    }
}

impl Arena {
    /// An arena over a region's memory.
    pub(crate) fn new(region: Arc<Region>) -> Arena {
        let collections = region.collections.load(Ordering::Acquire);
        Arena {
            next: 0,
            end: 0,
            medium: (0, 0),
            gaps: Vec::new(),
            collections,
            stack_top: 0,
            roots: None,
            shapes: Shapes::default(),
            empty: None,
            turns: 1,
            retracted: 0,
            region,
        }
    }

    /// Makes collections possible, which see this value stack and the native stack of the thread. The thread counts as
    /// stopped until it says otherwise.
    pub(crate) fn watch(&mut self, values: &ValueStack) {
        let (low, high) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let roots = Arc::new(ThreadRoots { low, high, values: values.storage().clone() });
        lock(&self.region.threads).push(roots.clone());
        self.roots = Some(roots);
    }

    /// The memory.
    #[inline(always)]
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// Whether other threads can see what this one holds, so that it can be one of several.
    pub(crate) fn can_stop(&self) -> bool {
        self.roots.is_some() && crate::os::with_stack(self.stack_top, |_| ()).is_some()
    }

    /// Does something that touches no value and may take long or wait for another evaluating thread: collections may
    /// happen meanwhile.
    pub(crate) fn blocked<T>(&mut self, work: impl FnOnce() -> T) -> T {
        struct Unblock<'a>(&'a Stops);
        impl Drop for Unblock<'_> {
            fn drop(&mut self) {
                self.0.unblock();
            }
        }
        let result = self.stopped(|stops| {
            stops.block();
            let _unblock = Unblock(stops);
            work()
        });
        self.take_note();
        result
    }

    /// Stops if a collection wants that.
    #[cold]
    pub(crate) fn pause(&mut self) {
        let region = &*self.region;
        let expected = region.gang.expect();
        self.stopped(|stops| stops.pause(|| region.gang.assist(&expected)));
        drop(expected);
        self.take_note();
    }

    /// Runs `work` with the native stack from here on published.
    fn stopped<T>(&self, work: impl FnOnce(&Stops) -> T) -> T {
        let region = &*self.region;
        let Some(roots) = &self.roots else { return work(&region.stops) };
        let mut work = Some(work);
        let result = crate::os::with_stack(self.stack_top, |stack| {
            roots.publish(stack);
            work.take().map(|work| work(&region.stops))
        });
        match (result.flatten(), work) {
            (Some(result), _) => result,
            // Such a machine has only one thread here (`can_stop`), and never collects.
            (None, Some(work)) => work(&region.stops),
            (None, None) => unreachable!("the work is taken by whoever gives its result"),
        }
    }

    /// Drops what belongs to a heap as it was before a collection by another thread.
    #[inline]
    fn take_note(&mut self) {
        let collections = self.region.collections.load(Ordering::Acquire);
        if collections != self.collections {
            self.collections = collections;
            self.forget_gaps();
            self.shapes.clear();
        }
    }

    /// The unused rests stay zero and become gaps like any other.
    fn forget_gaps(&mut self) {
        self.turns = self.turns.wrapping_add(1);
        (self.next, self.end, self.medium) = (0, 0, (0, 0));
        self.gaps.clear();
    }

    /// Takes note of the thread it runs on: collections scan its native stack up to `stack_top`.
    pub(crate) fn enter_thread(&mut self, stack_top: usize) {
        self.stack_top = stack_top;
    }

    /// Collections so far: while their number stays, an address means the same object.
    #[inline(always)]
    pub(crate) fn collections(&self) -> u32 {
        self.collections
    }

    /// What this thread should look at (`attention`); zero mostly.
    #[inline(always)]
    pub(crate) fn attention(&self) -> u32 {
        self.region.stops.attention()
    }

    /// Counts work that hands nothing out, as so many bytes.
    pub(crate) fn spend(&self, bytes: usize) {
        if self.region.options.budget.is_some() {
            self.region.spent.fetch_add(bytes, Ordering::Relaxed);
            self.region.check_budget(lock(&self.region.space).handed_out);
        }
    }

    /// Whether there can be an object of so many words at all: for builtins that make one of a size that a number says.
    pub(crate) fn admits(&self, words: usize) -> bool {
        let HeapOptions { limit, budget, .. } = &self.region.options;
        let limit = limit.unwrap_or(MOST_AT_ONCE).min(budget.unwrap_or(MOST_AT_ONCE));
        words.checked_mul(8).is_some_and(|bytes| bytes <= limit)
    }

    /// `words` zeroed words, 8-byte aligned. The caller fills them with one or more whole objects before it allocates again.
    #[inline(always)]
    pub(crate) fn allocate(&mut self, words: usize) -> NonNull<u64> {
        let start = self.next;
        let next = start + words * 8;
        if next <= self.end {
            self.next = next;
            // SAFETY: `start` lies in the reserved range, so it is not null.
            return unsafe { NonNull::new_unchecked(start as *mut u64) };
        }
        self.allocate_slowly(words)
    }

    /// Gives back the last `words` words of the latest allocation, which ended at `end`; they must still be zero.
    #[inline(always)]
    pub(crate) fn give_back(&mut self, end: NonNull<u64>, words: usize) {
        if self.is_last(end) {
            self.next -= words * 8;
        }
    }

    /// Where the next small object goes.
    #[inline(always)]
    pub(crate) fn mark(&self) -> Mark {
        Mark { next: self.next, turns: self.turns }
    }

    /// Takes back what a stretch covers if nothing was made behind it and `result` does not lie in it.
    #[inline(always)]
    pub(crate) fn retract(&mut self, stretch: &Stretch, result: Value) {
        let Stretch { start, limit, turns } = *stretch;
        let result = (result.word() & !7) as usize;
        if limit == self.next && turns == self.turns && start < limit && !(start..limit).contains(&result) {
            // SAFETY: the words were handed out by this arena, one after the other, and nobody needs them any more (the
            // promise of whoever covered them).
            unsafe { zero(start, limit) };
            self.next = start;
            self.retracted += limit - start;
            if self.retracted >= BLOCK {
                let bytes = std::mem::take(&mut self.retracted);
                self.spend(bytes);
            }
        }
    }

    /// Whether the latest allocation ended at `end`.
    #[inline(always)]
    pub(crate) fn is_last(&self, end: NonNull<u64>) -> bool {
        end.as_ptr() as usize == self.next
    }

    /// What the region did so far.
    pub(crate) fn statistics(&self) -> HeapStatistics {
        let space = lock(&self.region.space);
        HeapStatistics {
            allocated: space.handed_out - (self.end - self.next),
            reserved: space.blocks.len() * BLOCK,
            collections: self.collections,
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_slowly(&mut self, words: usize) -> NonNull<u64> {
        let bytes = words * 8;
        self.turns = self.turns.wrapping_add(1);
        if self.region.options.stress.is_some() {
            self.gaps.clear();
        }
        if words < MEDIUM {
            while let Some(gap) = self.gaps.pop() {
                if gap.1 - gap.0 >= bytes {
                    clear(gap);
                    return self.begin(gap, bytes);
                }
            }
        } else if words <= LARGE && self.medium.0 + bytes <= self.medium.1 {
            let start = self.medium.0;
            self.medium.0 += bytes;
            return address(start);
        }
        if self.attention() & attention::STOP != 0 {
            self.pause();
        }
        if lock(&self.region.space).is_due() {
            self.collect();
        }
        // SAFETY: the region lives as long as `self.region`, which nothing here replaces.
        let region = unsafe { &*Arc::as_ptr(&self.region) };
        let mut space = lock(&region.space);
        region.check_budget(space.handed_out);
        let object = self.take(&mut space, words);
        let absent = space.absent.take();
        drop(space);
        absent.into_iter().for_each(Absent::populate);
        object
    }

    /// Words that no gap of this thread has.
    fn take(&mut self, space: &mut Space, words: usize) -> NonNull<u64> {
        let bytes = words * 8;
        if words > LARGE {
            return address(space.take_large(bytes));
        }
        if words >= MEDIUM {
            // The rest of an earlier block stays zero, which reads as filler.
            let (start, end) = space.take_block();
            self.medium = (start + bytes, end);
            return address(start);
        }
        loop {
            let zeroed = space.take(&mut self.gaps);
            while let Some(gap) = self.gaps.pop() {
                if gap.1 - gap.0 >= bytes {
                    if !zeroed {
                        clear(gap);
                    }
                    return self.begin(gap, bytes);
                }
            }
        }
    }

    /// Goes on in another gap, which is zeroed. The rest of the last stays zero, which reads as filler.
    #[inline(always)]
    fn begin(&mut self, gap: Gap, bytes: usize) -> NonNull<u64> {
        self.next = gap.0 + bytes;
        self.end = match self.region.options.stress {
            Some(piece) => gap.1.min(gap.0 + bytes.max(piece & !7)),
            None => gap.1,
        };
        address(gap.0)
    }

    #[cold]
    fn collect(&mut self) {
        let roots = lock(&self.region.roots).as_ref().and_then(Weak::upgrade);
        if let (Some(roots), Some(own)) = (roots, &self.roots) {
            let region = &*self.region;
            let expected = region.gang.expect();
            self.stopped(|stops| {
                if stops.stop(|| region.gang.assist(&expected)) {
                    // Not one of those who assist.
                    drop(expected);
                    region.collect(&*roots, own);
                    region.gang.end();
                    stops.resume();
                }
            });
            self.take_note();
        }
    }
}

impl Region {
    /// Marks what can be reached; false if it gave up because that is more than `most` bytes.
    fn mark<const SHARED: bool>(
        &self,
        space: &mut Space,
        roots: &dyn RootSource,
        threads: &[Arc<ThreadRoots>],
        most: usize,
    ) -> bool {
        // What an earlier sweep did not reach must not look alive to a walk.
        space.finish_sweep();
        space.reset_marks(space.blocks.len() * BLOCK / 8);
        let marks = space.marks.clone();
        if SHARED {
            self.gang.begin(space.start(), &marks);
        }
        let mut marker = Marker::<SHARED>::new(space.start(), &marks, &self.gang).within(most / 8);
        roots.each_root(&mut |value| marker.value(value));
        threads.iter().for_each(|thread| thread.values.values().iter().for_each(|value| marker.value(*value)));
        // What is reached so far needs no search for its beginning.
        marker.finish();
        if !marker.gave_up() {
            marker.native_stacks(space, threads.iter().map(|thread| thread.stack()));
            marker.finish();
        }
        !marker.gave_up()
    }

    /// Collects, if nobody else did in the meantime. All threads are stopped, and their stacks published.
    fn collect(&self, roots: &dyn RootSource, own: &ThreadRoots) {
        let mut space = lock(&self.space);
        if !space.is_due() {
            return;
        }
        let threads = lock(&self.threads);
        if !own.stack().is_known() {
            // A machine whose registers we cannot see: never again.
            space.allowance = usize::MAX;
            return;
        }
        let options = &self.options;
        // All that was alive at the last collection or made since.
        let before = space.live + space.since_collection;
        let exact = options.limit.is_some() || options.stress.is_some() || before >= UNCOLLECTED;
        let most = if exact { usize::MAX } else { space.live + space.since_collection / GIVEN_UP_FROM };
        // Who may give up marks alone.
        let done = if exact && self.gang.is_expected() {
            self.mark::<true>(&mut space, roots, &threads, most)
        } else {
            self.mark::<false>(&mut space, roots, &threads, most)
        };
        if !done {
            space.allowance = (space.since_collection * AFTER_GIVING_UP).min(UNCOLLECTED - space.live);
            return;
        }
        let live = space.begin_sweep();
        self.collections.fetch_add(1, Ordering::Release);
        if options.limit.is_some_and(|limit| live > limit) {
            self.stops.raise(attention::EXHAUSTED);
        } else {
            self.stops.lower(attention::EXHAUSTED);
        }
        let least = options.first_collection;
        // What lives is left to grow: marking it again and again would cost more than its memory.
        let steady = (before / 4..before / 2).contains(&live);
        let growth = if steady { STEADY_GROWTH } else { GROWTH };
        space.allowance = least.max((live * growth).min(MOST_GROWTH)).max(live + live / 2);
        if let Some(limit) = options.limit {
            space.allowance = space.allowance.min(limit.saturating_sub(live).max(least / 8));
        }
    }
}

/// Zeroes the words from `start` to `limit`, mostly two or four: a call of the C library would take longer than that, and
/// the compiler makes one of every plain loop.
///
/// # Safety
/// Nobody uses these words.
#[inline(always)]
unsafe fn zero(start: usize, limit: usize) {
    const FEW: usize = 16;
    // SAFETY: the promise of the caller.
    unsafe {
        if limit - start > FEW * 8 {
            return std::ptr::write_bytes(start as *mut u8, 0, limit - start);
        }
        (start..limit).step_by(8).for_each(|word| std::ptr::write_volatile(word as *mut u64, 0));
    }
}

fn address(start: usize) -> NonNull<u64> {
    NonNull::new(start as *mut u64).expect("a block does not start at address zero")
}
