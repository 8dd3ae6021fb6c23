//! Values: one 64-bit word each, three bits of it a tag.
//!
//! | tag | what | rest of the word |
//! |---|---|---|
//! | 0 | thunk | address |
//! | 1 | integer of at most 61 bits | the integer |
//! | 2 | attribute set | address |
//! | 3 | list | address |
//! | 4 | string | address |
//! | 5 | function written in the language | address |
//! | 6 | float, large integer, path, partial application | address of an object whose first word tells |
//! | 7 | null, Booleans, builtin functions | a number |
//!
//! The handles ([`AttrSet`], [`List`], [`Str`], …) are addresses too, `Copy`, with safe accessors. They promise: a handle is
//! only made from a value of its tag or by the function that allocated it; what it points to stays as long as the
//! evaluator, which never hands one out (the public API copies, or roots by number). Cells that may be overwritten by the
//! forced form of what they hold are atomic; everything else is immutable once published.
//!
//! Absent on purpose: evaluation, errors, text forms (`print.rs` apart).
#![allow(unsafe_code, reason = "the value module is one of the two that the architecture allows")]

mod attrs;
mod closure;
mod context;
mod list;
pub(crate) mod print;
mod shape;
mod string;
mod symbol;
mod thunk;

pub(crate) use attrs::{Attr, AttrSet, AttrSetBuilder, Filling, Hint};
pub(crate) use closure::{Env, Lambda, Partial};
pub(crate) use context::{ContextElement, ContextId, Contexts, KnownElement, start_of_path};
pub(crate) use list::{List, ListBuilder};
pub(crate) use shape::{Name, Shape, ShapePlace, Shapes};
pub(crate) use string::Str;
pub(crate) use symbol::{AppendTable, Start, Symbols, sym};
pub(crate) use thunk::{Call, Claim, FailureId, Thunk, ThunkState};

use crate::heap::{Arena, KIND_MASK, Kind};
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// A place in the concatenation of all source texts; 0 is nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub(crate) struct Pos(pub(crate) u32);

impl Pos {
    /// Nowhere.
    pub(crate) const NONE: Pos = Pos(0);
}

const TAG_MASK: u64 = 7;
const TAG_THUNK: u64 = 0;
const TAG_INT: u64 = 1;
const TAG_ATTRS: u64 = 2;
const TAG_LIST: u64 = 3;
const TAG_STRING: u64 = 4;
const TAG_LAMBDA: u64 = 5;
const TAG_BOXED: u64 = 6;
const TAG_IMMEDIATE: u64 = 7;
/// Immediates from here on are builtin functions.
const FIRST_BUILTIN: u64 = 16;

/// A value, evaluated or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(crate) struct Value(NonZeroU64);

/// What a value is, for code that must tell all forms apart.
#[derive(Clone, Copy)]
pub(crate) enum View {
    Thunk(Thunk),
    Int(i64),
    Float(f64),
    Bool(bool),
    Null,
    String(Str),
    Path(PathRef),
    Attrs(AttrSet),
    List(List),
    Lambda(Lambda),
    Builtin(u16),
    Partial(Partial),
}

/// A path value: a root (0 is the host) and a normalised absolute path inside it.
#[derive(Clone, Copy)]
pub(crate) struct PathRef {
    text: Str,
}

impl PathRef {
    /// The path.
    pub(crate) fn bytes(self) -> &'static [u8] {
        self.text.bytes()
    }
}

const fn immediate(number: u64) -> Value {
    match NonZeroU64::new((number << 3) | TAG_IMMEDIATE) {
        Some(word) => Value(word),
        None => panic!("the tag is not zero"),
    }
}

impl Value {
    /// `null`.
    pub(crate) const NULL: Value = immediate(0);
    /// `false`.
    pub(crate) const FALSE: Value = immediate(1);
    /// `true`.
    pub(crate) const TRUE: Value = immediate(2);

    /// A Boolean.
    #[inline(always)]
    pub(crate) fn bool(truth: bool) -> Value {
        if truth { Value::TRUE } else { Value::FALSE }
    }

    /// The builtin function with this number in the table.
    #[inline(always)]
    pub(crate) const fn builtin(number: u16) -> Value {
        immediate(FIRST_BUILTIN + number as u64)
    }

    /// An integer.
    #[inline(always)]
    pub(crate) fn int(arena: &mut Arena, int: i64) -> Value {
        match Value::small_int(int) {
            Some(value) => value,
            None => Value::boxed(arena, Kind::BigInt, int as u64),
        }
    }

    /// An integer that fits the word.
    #[inline(always)]
    pub(crate) fn small_int(int: i64) -> Option<Value> {
        let word = (int as u64) << 3;
        if (word as i64) >> 3 != int {
            return None;
        }
        NonZeroU64::new(word | TAG_INT).map(Value)
    }

    /// A float.
    pub(crate) fn float(arena: &mut Arena, float: f64) -> Value {
        Value::boxed(arena, Kind::Float, float.to_bits())
    }

    /// A path below root 0; `bytes` must be absolute and normalised.
    pub(crate) fn path(arena: &mut Arena, bytes: &[u8]) -> Value {
        let text = Str::new(arena, bytes, ContextId::NONE);
        Value::boxed(arena, Kind::Path, Value::from(text).word())
    }

    #[inline(always)]
    fn boxed(arena: &mut Arena, kind: Kind, payload: u64) -> Value {
        let object = arena.allocate(2);
        // SAFETY: two words were just allocated and nobody else knows them.
        unsafe {
            object.write(kind as u64);
            object.add(1).write(payload);
        }
        Value::tagged(object, TAG_BOXED)
    }

    #[inline(always)]
    fn tagged(object: NonNull<u64>, tag: u64) -> Value {
        // SAFETY: an address that is not null stays so with bits set.
        Value(unsafe { NonZeroU64::new_unchecked(object.as_ptr() as u64 | tag) })
    }

    /// The bare word.
    #[inline(always)]
    pub(crate) fn word(self) -> u64 {
        self.0.get()
    }

    #[inline(always)]
    fn tag(self) -> u64 {
        self.word() & TAG_MASK
    }

    #[inline(always)]
    fn object(self) -> NonNull<u64> {
        debug_assert!(!matches!(self.tag(), TAG_INT | TAG_IMMEDIATE));
        // SAFETY: the word is an object's address with a tag, and no object lies in the first eight bytes.
        unsafe { NonNull::new_unchecked((self.word() & !TAG_MASK) as *mut u64) }
    }

    /// Whether this is a thunk, evaluated or not.
    #[inline(always)]
    pub(crate) fn is_thunk(self) -> bool {
        self.tag() == TAG_THUNK
    }

    /// The thunk.
    #[inline(always)]
    pub(crate) fn as_thunk(self) -> Option<Thunk> {
        // SAFETY: the tag says what the address points to.
        (self.tag() == TAG_THUNK).then(|| unsafe { Thunk::from_object(self.object()) })
    }

    /// The integer if it is an inline one (both words inline: plain arithmetic).
    #[inline(always)]
    pub(crate) fn as_small_int(self) -> Option<i64> {
        (self.tag() == TAG_INT).then_some((self.word() as i64) >> 3)
    }

    /// The integer.
    #[inline(always)]
    pub(crate) fn as_int(self) -> Option<i64> {
        if self.tag() == TAG_INT {
            return Some((self.word() as i64) >> 3);
        }
        self.boxed_payload(Kind::BigInt).map(|word| word as i64)
    }

    /// The float (not an integer).
    pub(crate) fn as_float(self) -> Option<f64> {
        self.boxed_payload(Kind::Float).map(f64::from_bits)
    }

    /// A number as a float.
    pub(crate) fn as_number(self) -> Option<f64> {
        self.as_int().map(|int| int as f64).or_else(|| self.as_float())
    }

    #[inline(always)]
    fn boxed_kind(self) -> Option<u64> {
        // SAFETY: a boxed value points to an object, whose first word is immutable.
        (self.tag() == TAG_BOXED).then(|| unsafe { self.object().read() } & KIND_MASK)
    }

    #[inline(always)]
    fn boxed_payload(self, kind: Kind) -> Option<u64> {
        // SAFETY: objects of the kinds asked for (float, large integer, path) have two immutable words.
        (self.boxed_kind()? == kind as u64).then(|| unsafe { self.object().add(1).read() })
    }

    /// The Boolean.
    #[inline(always)]
    pub(crate) fn as_bool(self) -> Option<bool> {
        match self {
            Value::TRUE => Some(true),
            Value::FALSE => Some(false),
            _ => None,
        }
    }

    /// Whether this is a set.
    #[inline(always)]
    pub(crate) fn is_attrs(self) -> bool {
        self.tag() == TAG_ATTRS
    }

    /// The set.
    #[inline(always)]
    pub(crate) fn as_attrs(self) -> Option<AttrSet> {
        // SAFETY: the tag says what the address points to.
        (self.tag() == TAG_ATTRS).then(|| unsafe { AttrSet::from_object(self.object()) })
    }

    /// Whether this is a list.
    #[inline(always)]
    pub(crate) fn is_list(self) -> bool {
        self.tag() == TAG_LIST
    }

    /// The list.
    #[inline(always)]
    pub(crate) fn as_list(self) -> Option<List> {
        // SAFETY: the tag says what the address points to.
        (self.tag() == TAG_LIST).then(|| unsafe { List::from_object(self.object()) })
    }

    /// Whether this is a string.
    #[inline(always)]
    pub(crate) fn is_string(self) -> bool {
        self.tag() == TAG_STRING
    }

    /// The string.
    #[inline(always)]
    pub(crate) fn as_string(self) -> Option<Str> {
        // SAFETY: the tag says what the address points to.
        (self.tag() == TAG_STRING).then(|| unsafe { Str::from_object(self.object()) })
    }

    /// The path.
    pub(crate) fn as_path(self) -> Option<PathRef> {
        let word = self.boxed_payload(Kind::Path)?;
        let text = NonZeroU64::new(word).map(Value)?.as_string()?;
        Some(PathRef { text })
    }

    /// The function written in the language.
    #[inline(always)]
    pub(crate) fn as_lambda(self) -> Option<Lambda> {
        // SAFETY: the tag says what the address points to.
        (self.tag() == TAG_LAMBDA).then(|| unsafe { Lambda::from_object(self.object()) })
    }

    /// The number of the builtin function.
    #[inline(always)]
    pub(crate) fn as_builtin(self) -> Option<u16> {
        let number = self.word() >> 3;
        (self.tag() == TAG_IMMEDIATE && number >= FIRST_BUILTIN).then(|| (number - FIRST_BUILTIN) as u16)
    }

    /// The builtin with some of its arguments.
    pub(crate) fn as_partial(self) -> Option<Partial> {
        // SAFETY: the kind says what the address points to.
        (self.boxed_kind()? == Kind::Partial as u64).then(|| unsafe { Partial::from_object(self.object()) })
    }

    /// Whether it can be called without being a set with `__functor`.
    pub(crate) fn is_function(self) -> bool {
        self.tag() == TAG_LAMBDA || self.as_builtin().is_some() || self.as_partial().is_some()
    }

    /// What it is.
    pub(crate) fn view(self) -> View {
        match self.tag() {
            // SAFETY: in each arm the tag (or the object's kind) says what the address points to.
            TAG_THUNK => View::Thunk(unsafe { Thunk::from_object(self.object()) }),
            TAG_INT => View::Int((self.word() as i64) >> 3),
            // SAFETY: as above.
            TAG_ATTRS => View::Attrs(unsafe { AttrSet::from_object(self.object()) }),
            // SAFETY: as above.
            TAG_LIST => View::List(unsafe { List::from_object(self.object()) }),
            // SAFETY: as above.
            TAG_STRING => View::String(unsafe { Str::from_object(self.object()) }),
            // SAFETY: as above.
            TAG_LAMBDA => View::Lambda(unsafe { Lambda::from_object(self.object()) }),
            TAG_BOXED => {
                if let Some(float) = self.as_float() {
                    View::Float(float)
                } else if let Some(int) = self.as_int() {
                    View::Int(int)
                } else if let Some(path) = self.as_path() {
                    View::Path(path)
                } else {
                    // SAFETY: the only kind left under this tag.
                    View::Partial(unsafe { Partial::from_object(self.object()) })
                }
            }
            _ => match self {
                Value::NULL => View::Null,
                Value::TRUE => View::Bool(true),
                Value::FALSE => View::Bool(false),
                _ => View::Builtin(((self.word() >> 3) - FIRST_BUILTIN) as u16),
            },
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.view() {
            View::Int(int) => write!(f, "Int({int})"),
            View::String(text) => write!(f, "String({:?})", String::from_utf8_lossy(text.bytes())),
            _ => write!(f, "Value({:#x})", self.word()),
        }
    }
}

/// A place for a value that may be overwritten by an equivalent one (the result of the thunk it holds).
#[repr(transparent)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    /// The value.
    #[inline(always)]
    pub(crate) fn get(&self) -> Value {
        let word = self.0.load(Ordering::Acquire);
        debug_assert!(word != 0, "a published cell is filled");
        // SAFETY: cells are filled with values before they are published; environments, whose slots may be read before
        // they are filled, use `get_filled`.
        Value(unsafe { NonZeroU64::new_unchecked(word) })
    }

    /// The value, unless the cell is still empty.
    #[inline(always)]
    pub(crate) fn get_filled(&self) -> Option<Value> {
        NonZeroU64::new(self.0.load(Ordering::Acquire)).map(Value)
    }

    /// Puts a value in.
    #[inline(always)]
    pub(crate) fn set(&self, value: Value) {
        self.0.store(value.word(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Region;
    use std::sync::Arc;

    #[test]
    fn integers_of_all_sizes() {
        let mut arena = Arena::new(Arc::new(Region::default()));
        for int in [0, 1, -1, i64::MAX, i64::MIN, (1 << 60) - 1, 1 << 60, -(1 << 60), -(1 << 60) - 1] {
            assert_eq!(Value::int(&mut arena, int).as_int(), Some(int));
        }
    }

    #[test]
    fn views_tell_forms_apart() {
        let mut arena = Arena::new(Arc::new(Region::default()));
        assert!(matches!(Value::NULL.view(), View::Null));
        assert!(matches!(Value::builtin(0).view(), View::Builtin(0)));
        assert!(matches!(Value::builtin(500).view(), View::Builtin(500)));
        let path = Value::path(&mut arena, b"/a");
        assert!(matches!(path.view(), View::Path(path) if path.bytes() == b"/a"));
        assert!(matches!(Value::float(&mut arena, 1.5).view(), View::Float(float) if float == 1.5));
        assert_eq!(Value::TRUE.as_builtin(), None);
    }

    #[test]
    fn a_value_and_its_absence_are_one_word() {
        assert_eq!(size_of::<Option<Value>>(), 8);
    }

    fn _is_send(value: Value) -> impl Send + Sync {
        value
    }
}
