//! A place in one source text.
//!
//! Absent: which text; whoever holds spans of several texts keeps a [`crate::SourceId`] beside them.

/// A half-open range of byte offsets in one source text; eight bytes, `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// No place at all: what was made by no text.
    pub const DETACHED: Span = Span { start: u32::MAX, end: u32::MAX };

    /// The range `start..end`.
    #[inline(always)]
    pub const fn new(start: u32, end: u32) -> Span {
        Span { start, end }
    }

    /// Whether this is [`Span::DETACHED`].
    #[inline(always)]
    pub fn is_detached(self) -> bool {
        self.start == u32::MAX
    }

    /// As a range for slicing the text that it belongs to.
    #[inline(always)]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}
