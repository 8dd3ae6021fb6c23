//! Strings: bytes with a context, one allocation.
//!
//! First word: kind and length; second: context number and the cached symbol of the text (plus one); then the bytes. A
//! length fits 56 bits. The context is a number of the interned set, so joining equal ones is a compare.

use super::{ContextId, NonNull, TAG_STRING, Value};
use crate::heap::{Arena, Kind};
use crate::program::Symbol;
use std::sync::atomic::{AtomicU32, Ordering};

/// A string.
#[derive(Clone, Copy)]
pub(crate) struct Str(NonNull<u64>);

// SAFETY: an address in the shared heap; what lies there is immutable or atomic.
unsafe impl Send for Str {}
// SAFETY: as above.
unsafe impl Sync for Str {}

impl From<Str> for Value {
    #[inline(always)]
    fn from(string: Str) -> Value {
        Value::tagged(string.0, TAG_STRING)
    }
}

impl Str {
    /// # Safety
    /// `object` must be a string object.
    #[inline(always)]
    pub(super) unsafe fn from_object(object: NonNull<u64>) -> Str {
        Str(object)
    }

    /// A string of these bytes.
    pub(crate) fn new(arena: &mut Arena, bytes: &[u8], context: ContextId) -> Str {
        Str::with(arena, bytes.len(), context, |buffer| buffer.copy_from_slice(bytes))
    }

    /// A string of `len` bytes that `fill` writes into a zeroed buffer.
    #[inline(always)]
    pub(crate) fn with(arena: &mut Arena, len: usize, context: ContextId, fill: impl FnOnce(&mut [u8])) -> Str {
        let object = arena.allocate(2 + len.div_ceil(8));
        // SAFETY: the words were just allocated and zeroed, nobody else knows them, and they hold `len` bytes after the
        // first two.
        unsafe {
            object.write(Kind::String as u64 | (len as u64) << 8);
            object.add(1).write(u64::from(context.0));
            fill(std::slice::from_raw_parts_mut(object.add(2).as_ptr().cast(), len));
        }
        Str(object)
    }

    /// Number of bytes.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        // SAFETY: the first word of a string is immutable.
        (unsafe { self.0.read() } >> 8) as usize
    }

    /// The bytes.
    #[inline(always)]
    pub(crate) fn bytes(self) -> &'static [u8] {
        // SAFETY: `len` bytes follow the two head words and never change (see the module head on lifetimes).
        unsafe { std::slice::from_raw_parts(self.0.add(2).as_ptr().cast(), self.len()) }
    }

    /// The context.
    #[inline(always)]
    pub(crate) fn context(self) -> ContextId {
        // SAFETY: the low half of the second word is immutable, the other half is only accessed as its own atomic.
        ContextId(unsafe { self.0.add(1).cast::<u32>().read() })
    }

    #[inline(always)]
    fn symbol_cell(self) -> &'static AtomicU32 {
        // SAFETY: the high half of the second word is accessed only through this atomic.
        unsafe { self.0.add(1).cast::<AtomicU32>().add(1).as_ref() }
    }

    /// The symbol of the text, if somebody looked it up before.
    #[inline(always)]
    pub(crate) fn cached_symbol(self) -> Option<Symbol> {
        self.symbol_cell().load(Ordering::Relaxed).checked_sub(1).map(Symbol)
    }

    /// Remembers the symbol of the text.
    #[inline(always)]
    pub(crate) fn cache_symbol(self, symbol: Symbol) {
        self.symbol_cell().store(symbol.0 + 1, Ordering::Relaxed);
    }
}
