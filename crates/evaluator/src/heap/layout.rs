//! The form of heap objects: kinds and sizes.
//!
//! The first word of every object holds its kind in the low four bits. What stands above it depends on the kind; for
//! those of variable size it holds the count from which [`object_words`] computes the size, so a collector can walk a
//! block without any other table. A zero word is filler of one word.

/// Bits of the first word that hold the kind.
pub(crate) const KIND_BITS: u32 = 4;
/// Mask of those bits.
pub(crate) const KIND_MASK: u64 = (1 << KIND_BITS) - 1;

/// The kind of a heap object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub(crate) enum Kind {
    /// A suspended expression: code number and node; payload = environment. Two words.
    Suspended = 1,
    /// A suspended call: payload = function, third word = argument. Three words.
    SuspendedCall = 2,
    /// Being evaluated: owner; bit 4 says that it has three words.
    Running = 3,
    /// Evaluated: payload = value; bit 4 as above.
    Done = 4,
    /// Failed: payload = number of the failure; bit 4 as above. With bit 5: evaluated, payload = value, and the upper
    /// half of the word says what was read for it.
    Failed = 5,
    /// Slots; the count in the high 16 bits, the address of the link above between. Since that address is only 8-byte
    /// aligned, bit 3 belongs to it: kind 14 is an environment too.
    Environment = 6,
    /// A set: own elements of two words; base layer in the second word.
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

/// Size in words of the object whose first word is `head`; a zero or unknown head counts as one word of filler. For an
/// environment with the overflow mark the count stands in the word before it, which the walk meets as filler.
#[cfg_attr(not(test), allow(dead_code, reason = "the collector's walk; until it comes, a test holds objects to it"))]
pub(crate) fn object_words(head: u64) -> usize {
    const WIDE: u64 = 1 << KIND_BITS;
    match head & KIND_MASK {
        1 | 10 | 11 | 12 | 13 => 2,
        2 => 3,
        3..=5 => 2 + usize::from(head & WIDE != 0),
        6 | 14 => 1 + (head >> 48) as usize,
        7 => 2 + 2 * ((head >> 8) & 0x0fff_ffff) as usize,
        8 => 1 + (head >> 8) as usize,
        9 => 2 + ((head >> 8) as usize).div_ceil(8),
        15 => 1 + ((head >> 4) & 0xf) as usize,
        _ => 1,
    }
}
