//! Numbers of a stored program: seven bits a byte, low ones first.

use super::{NodeId, OptNodeId, Range};

/// Grows.
#[derive(Default)]
pub(super) struct Put(
    /// What was put so far.
    pub(super) Vec<u8>,
);

impl Put {
    /// A number.
    #[inline]
    pub(super) fn number(&mut self, mut number: u32) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Two of them.
    pub(super) fn pair(&mut self, a: u32, b: u32) {
        self.number(a);
        self.number(b);
    }

    /// A range.
    pub(super) fn range(&mut self, range: Range) {
        self.pair(range.start, range.len);
    }

    /// A number that may be missing, below `u32::MAX`.
    pub(super) fn optional(&mut self, number: Option<u32>) {
        self.number(number.map_or(0, |number| number + 1));
    }

    /// A number as its distance from the last one.
    #[inline]
    pub(super) fn step(&mut self, last: &mut u32, number: u32) {
        let step = number.wrapping_sub(*last) as i32;
        self.number((step << 1 ^ step >> 31) as u32);
        *last = number;
    }

    /// Things behind their number.
    pub(super) fn many<T>(&mut self, things: &[T], mut put: impl FnMut(&mut Put, &T)) {
        self.number(things.len() as u32);
        things.iter().for_each(|thing| put(self, thing));
    }

    /// Bytes behind their length.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }
}

/// Reads. `None`: these are not the bytes that were put.
pub(super) struct Take<'a>(
    /// What is left.
    pub(super) &'a [u8],
);

impl<'a> Take<'a> {
    /// A byte.
    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number.
    #[inline]
    pub(super) fn number(&mut self) -> Option<u32> {
        let first = self.byte()?;
        if first < 0x80 {
            return Some(u32::from(first));
        }
        let mut number = u32::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let byte = self.byte()?;
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// Eight bytes.
    pub(super) fn wide(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    /// The number of a node.
    pub(super) fn node(&mut self) -> Option<NodeId> {
        Some(NodeId(self.number()?))
    }

    /// A range.
    pub(super) fn range(&mut self) -> Option<Range> {
        Some(Range { start: self.number()?, len: self.number()? })
    }

    /// A number that may be missing.
    pub(super) fn optional(&mut self) -> Option<Option<u32>> {
        Some(self.number()?.checked_sub(1))
    }

    /// A node that may be missing.
    pub(super) fn optional_node(&mut self) -> Option<OptNodeId> {
        Some(OptNodeId::from(self.optional()?.map(NodeId)))
    }

    /// A number as its distance from the last one.
    #[inline]
    pub(super) fn step(&mut self, last: &mut u32) -> Option<u32> {
        let step = self.number()?;
        *last = last.wrapping_add((step >> 1) ^ (step & 1).wrapping_neg());
        Some(*last)
    }

    /// Things behind their number, each of at least one byte.
    pub(super) fn many<T>(&mut self, mut take: impl FnMut(&mut Take<'a>) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()? as usize;
        if count > self.0.len() {
            return None;
        }
        let mut things = Vec::with_capacity(count);
        for _ in 0..count {
            things.push(take(self)?);
        }
        Some(things)
    }

    /// Bytes behind their length.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}
