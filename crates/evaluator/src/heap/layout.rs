//! The form of heap objects: kinds, sizes, what they refer to.
//!
//! The first word of every object holds its kind in the low four bits. What stands above it depends on the kind; for
//! those of variable size it holds the count from which [`object_words`] computes the size, so a block can be walked
//! from its start without any other table. What is no object is filler of kind 0, with its own size (a zero word: one).
//!
//! Absent on purpose: what the words mean to evaluation (`value/`); here they are references or not.

/// Bits of the first word that hold the kind.
pub(crate) const KIND_BITS: u32 = 4;
/// Mask of those bits.
pub(crate) const KIND_MASK: u64 = (1 << KIND_BITS) - 1;
/// The count in the head of an environment that says "the true count stands in the word before".
pub(crate) const MANY_SLOTS: u64 = 0xffff;
/// The bits of an environment's head that are the address of the link above.
pub(crate) const UP_MASK: u64 = 0x0000_ffff_ffff_fff8;
/// The bit of a thunk's head that says that it has three words.
const WIDE: u64 = 1 << KIND_BITS;
/// Bit of a `Failed` state word: evaluated all the same, payload = value; the upper half is the
/// [`ReadSet`](crate::record::ReadSet) that whoever looks at the value takes over. It is told apart from `Done` so that the
/// fast path stays one comparison.
pub(crate) const WITNESSED: u64 = 1 << (KIND_BITS + 1);
/// Where the head of a set says how many layers it has, and that there is one.
const LAYERS_MASK: u64 = 0xf0;
const ONE_LAYER: u64 = 1 << KIND_BITS;
/// The bit of filler that says that it is one word long and the rest of it a number.
const NUMBER: u64 = 1 << KIND_BITS;

/// The kind of a heap object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub(crate) enum Kind {
    /// A suspended expression: code number and node; payload = environment. Two words.
    Suspended = 1,
    /// A suspended call: payload = function, third word = argument. Three words; bit 4 is set. With bit 5 it is the call of
    /// what the function gives for a name, whose symbol is the upper half.
    SuspendedCall = 2,
    /// Being evaluated: owner above bit 8, below the upper half; of a call bits 4 and 5 and the upper half stay. The payload
    /// is still that of the suspended form.
    Running = 3,
    /// Evaluated: payload = value; bit 4 as above.
    Done = 4,
    /// Failed: payload = number of the failure; bit 4 as above. With bit 5: evaluated, payload = value, and the upper
    /// half of the word says what was read for it.
    Failed = 5,
    /// Slots; the count in the high 16 bits, the address of the link above between. Since that address is only 8-byte
    /// aligned, bit 3 belongs to it: kind 14 is an environment too.
    Environment = 6,
    /// A set: the address of its names in the second word, the set below if it has more than one layer, its own values.
    Attrs = 7,
    /// Elements of one word; the count above bit 8.
    List = 8,
    /// Bytes; their count above bit 8, context and symbol in the second word.
    String = 9,
    /// A float in the second word.
    Float = 10,
    /// An integer too large for a value word, in the second word.
    BigInt = 11,
    /// Root number in the first word, a string in the second.
    Path = 12,
    /// Code number and lambda; environment in the second word.
    Lambda = 13,
    /// A builtin with some of its arguments.
    Partial = 15,
}

/// The head of filler of `words` words.
pub(crate) fn filler(words: usize) -> u64 {
    (words as u64) << (KIND_BITS + 1)
}

/// A word that reads as filler and holds a number: the count of a huge environment, before its head.
pub(crate) fn number_word(number: usize) -> u64 {
    NUMBER | (number as u64) << (KIND_BITS + 1)
}

/// The number in such a word.
pub(crate) fn number_in(word: u64) -> usize {
    (word >> (KIND_BITS + 1)) as usize
}

/// Size in words of the object or filler whose first word is `head`; `before` is the word before it, which only a huge
/// environment needs.
#[inline(always)]
pub(crate) fn object_words(head: u64, before: impl FnOnce() -> u64) -> usize {
    match head & KIND_MASK {
        0 if head & NUMBER != 0 => 1,
        0 => ((head >> (KIND_BITS + 1)) as usize).max(1),
        1 | 10 | 11 | 12 | 13 => 2,
        2 => 3,
        3..=5 => 2 + usize::from(head & WIDE != 0),
        6 | 14 => match head >> 48 {
            MANY_SLOTS => 1 + number_in(before()),
            slots => 1 + slots as usize,
        },
        7 => 2 + ((head >> 8) & 0x0fff_ffff) as usize + usize::from(head & LAYERS_MASK != ONE_LAYER),
        8 => 1 + (head >> 8) as usize,
        9 => 2 + ((head >> 8) as usize).div_ceil(8),
        _ => 1 + ((head >> KIND_BITS) & 0xf) as usize,
    }
}

/// What an object refers to: at most one address of an environment or set, and a run of words that hold values.
#[derive(Clone, Copy)]
pub(crate) struct References {
    /// Address of another object (not a value), or 0.
    pub(crate) address: u64,
    /// First word that holds a value.
    pub(crate) first: usize,
    /// How many.
    pub(crate) count: usize,
}

/// What the object with this head, second word and size refers to.
#[inline(always)]
pub(crate) fn references(head: u64, second: u64, words: usize) -> References {
    let none = References { address: 0, first: 0, count: 0 };
    match head & KIND_MASK {
        1 => References { address: second, ..none },
        // A bit of a function's second word is no part of the address.
        13 => References { address: second & UP_MASK, ..none },
        2 => References { first: 1, count: 2, ..none },
        3 if head & WIDE != 0 => References { first: 1, count: 2, ..none },
        3 => References { address: second, ..none },
        4 | 12 => References { first: 1, count: 1, ..none },
        5 if head & WITNESSED != 0 => References { first: 1, count: 1, ..none },
        6 | 14 => References { address: head & UP_MASK, first: 1, count: words - 1 },
        7 => References { address: second, first: 2, count: words - 2 },
        8 | 15 => References { first: 1, count: words - 1, ..none },
        _ => none,
    }
}
