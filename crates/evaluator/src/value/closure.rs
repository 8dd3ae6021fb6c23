//! Environments, functions, partial applications.
//!
//! An environment is one head word (count of slots above bit 48, address of the link above, kind) and its slots, zero
//! until filled. A function is a code number with the index of its lambda, and an environment: two words. C++ Nix
//! evaluates a function literal when somebody looks at it, which shows when values are printed; here it is made at once and
//! a bit tells whether somebody did.

use super::{AtomicU64, Cell, NonNull, Ordering, TAG_BOXED, TAG_LAMBDA, Value};
use crate::heap::{Arena, KIND_BITS, Kind, MANY_SLOTS, UP_MASK, number_in, number_word};

/// Bit of a function's second word: nobody has looked at it.
const UNSEEN: u64 = 1 << 63;

/// A chain of slots; the outermost is no object at all.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Env(usize);

impl Env {
    /// The empty chain.
    pub(crate) const NONE: Env = Env(0);

    /// A link of `slots` empty slots above `self`.
    #[inline(always)]
    pub(crate) fn extend(self, arena: &mut Arena, slots: usize) -> Env {
        if slots >= MANY_SLOTS as usize {
            return self.extend_hugely(arena, slots);
        }
        let object = arena.allocate(1 + slots);
        // SAFETY: the words were just allocated and zeroed; nobody else knows them.
        unsafe { object.write(Kind::Environment as u64 | self.0 as u64 | (slots as u64) << 48) };
        Env(object.as_ptr() as usize)
    }

    #[cold]
    fn extend_hugely(self, arena: &mut Arena, slots: usize) -> Env {
        let object = arena.allocate(2 + slots);
        // SAFETY: as in `extend`; the count in the first word reads as filler.
        unsafe {
            object.write(number_word(slots));
            object.add(1).write(Kind::Environment as u64 | self.0 as u64 | MANY_SLOTS << 48);
            Env(object.add(1).as_ptr() as usize)
        }
    }

    /// The bare address, 0 for the empty chain.
    #[inline(always)]
    pub(super) fn address(self) -> u64 {
        self.0 as u64
    }

    /// # Safety
    /// `address` must be that of an environment, or 0.
    #[inline(always)]
    pub(super) unsafe fn from_address(address: u64) -> Env {
        Env(address as usize)
    }

    /// The link above.
    #[inline(always)]
    pub(crate) fn up(self) -> Env {
        debug_assert!(self.0 != 0, "compiled depths never pass the outermost link");
        // SAFETY: compiled code asks only for links that exist, and the head word is immutable.
        Env((unsafe { *(self.0 as *const u64) } & UP_MASK) as usize)
    }

    /// A slot.
    #[inline(always)]
    pub(crate) fn slot(self, index: u32) -> &'static Cell {
        debug_assert!(self.0 != 0 && (index as usize) < self.slots(), "compiled slots exist");
        // SAFETY: compiled code asks only for slots that exist; they are accessed only as atomics.
        unsafe { &*((self.0 as *const u64).add(1 + index as usize).cast()) }
    }

    /// Number of slots of this link.
    pub(crate) fn slots(self) -> usize {
        // SAFETY: the head word is immutable; with the mark in it, so is the word before.
        unsafe {
            let head = self.0 as *const u64;
            match *head >> 48 {
                MANY_SLOTS => number_in(*head.sub(1)),
                count => count as usize,
            }
        }
    }
}

/// A function written in the language.
#[derive(Clone, Copy)]
pub(crate) struct Lambda(NonNull<u64>);

// SAFETY: an address in the shared heap; what lies there is immutable or atomic.
unsafe impl Send for Lambda {}
// SAFETY: as above.
unsafe impl Sync for Lambda {}

impl From<Lambda> for Value {
    #[inline(always)]
    fn from(lambda: Lambda) -> Value {
        Value::tagged(lambda.0, TAG_LAMBDA)
    }
}

impl Lambda {
    /// # Safety
    /// `object` must be a lambda object.
    #[inline(always)]
    pub(super) unsafe fn from_object(object: NonNull<u64>) -> Lambda {
        Lambda(object)
    }

    /// The closure of lambda number `index` of code number `code` over `env`.
    #[inline(always)]
    pub(crate) fn new(arena: &mut Arena, code: u32, index: u32, env: Env) -> Lambda {
        let object = arena.allocate(2);
        // SAFETY: two words were just allocated; nobody else knows them.
        unsafe {
            object.write(Kind::Lambda as u64 | u64::from(code) << KIND_BITS | u64::from(index) << 32);
            object.add(1).write(env.address());
        }
        Lambda(object)
    }

    /// The same, before anybody looked at it.
    #[inline(always)]
    pub(crate) fn new_unseen(arena: &mut Arena, code: u32, index: u32, env: Env) -> Lambda {
        let object = arena.allocate(2);
        // SAFETY: two words were just allocated; nobody else knows them.
        unsafe {
            object.write(Kind::Lambda as u64 | u64::from(code) << KIND_BITS | u64::from(index) << 32);
            object.add(1).write(env.address() | UNSEEN);
        }
        Lambda(object)
    }

    /// Code number and index of the lambda in it.
    #[inline(always)]
    pub(crate) fn code(self) -> (u32, u32) {
        // SAFETY: the first word is immutable.
        let head = unsafe { self.0.read() };
        ((head as u32) >> KIND_BITS, (head >> 32) as u32)
    }

    /// The environment it closes over.
    #[inline(always)]
    pub(crate) fn env(self) -> Env {
        // SAFETY: the second word is an environment's address, but for a bit.
        unsafe { Env::from_address(self.second().load(Ordering::Relaxed) & !UNSEEN) }
    }

    #[inline(always)]
    fn second(self) -> &'static AtomicU64 {
        // SAFETY: the second word of a function is accessed only through this atomic.
        unsafe { self.0.add(1).cast().as_ref() }
    }

    /// Whether nobody has looked at it.
    #[inline(always)]
    pub(crate) fn is_unseen(self) -> bool {
        self.second().load(Ordering::Relaxed) & UNSEEN != 0
    }

    /// Notes that somebody looks at it.
    #[inline(always)]
    pub(crate) fn see(self) {
        if self.is_unseen() {
            self.second().fetch_and(!UNSEEN, Ordering::Relaxed);
        }
    }
}

/// A builtin function with some of its arguments.
#[derive(Clone, Copy)]
pub(crate) struct Partial(NonNull<u64>);

// SAFETY: an address in the shared heap; what lies there is immutable or atomic.
unsafe impl Send for Partial {}
// SAFETY: as above.
unsafe impl Sync for Partial {}

impl From<Partial> for Value {
    fn from(partial: Partial) -> Value {
        Value::tagged(partial.0, TAG_BOXED)
    }
}

impl Partial {
    /// # Safety
    /// `object` must be a partial application object.
    pub(super) unsafe fn from_object(object: NonNull<u64>) -> Partial {
        Partial(object)
    }

    /// `builtin` applied to the arguments of `before` (if any) and `more`; at most 15 in all.
    pub(crate) fn new(arena: &mut Arena, builtin: u16, before: &[Cell], more: &[Value]) -> Partial {
        let count = before.len() + more.len();
        assert!(count < 16, "no builtin takes that many arguments");
        let object = arena.allocate(1 + count);
        // SAFETY: `count` words and one more were just allocated; nobody else knows them.
        unsafe {
            object.write(Kind::Partial as u64 | (count as u64) << KIND_BITS | u64::from(builtin) << 8);
            let arguments = before.iter().map(Cell::get).chain(more.iter().copied());
            for (index, argument) in arguments.enumerate() {
                object.add(1 + index).write(argument.word());
            }
        }
        Partial(object)
    }

    /// The number of the builtin.
    pub(crate) fn builtin(self) -> u16 {
        // SAFETY: the first word is immutable.
        ((unsafe { self.0.read() }) >> 8) as u16
    }

    /// The arguments so far.
    pub(crate) fn arguments(self) -> &'static [Cell] {
        // SAFETY: the count in the first word says how many cells follow.
        unsafe {
            let count = (self.0.read() >> KIND_BITS) & 0xf;
            std::slice::from_raw_parts(self.0.add(1).as_ptr().cast(), count as usize)
        }
    }
}
