//! The address space of one evaluator: blocks, what each is used for, what may be used again.
//!
//! A block is [`BLOCK`] bytes. Small objects lie one after the other in a block, none across its end; an object larger
//! than half a block has a run of blocks for itself. After a collection, a block without a live object is free, and in
//! one with live objects the gaps between them are: [`Space::take`] walks the mark bits, which stand until the next
//! collection. Fresh blocks come last. What is handed out is zeroed, and each gap that is not begins with filler, so that
//! every block can be walked.
//!
//! Absent on purpose: marking (`collect.rs`), handing out words (`arena.rs`).

use super::layout::filler;
use super::marks::Marks;
use crate::os::Reservation;
use std::sync::Arc;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 32 << 10;
/// Words of a block.
pub(super) const BLOCK_WORDS: usize = BLOCK / 8;
/// Address space wanted for one evaluator, halved until the system grants it.
const WANTED: usize = 1 << 38;
/// The least that is worth starting with.
const LEAST: usize = 64 << 20;
/// Address space made accessible at a time.
const COMMITTED_AT_ONCE: usize = 64 << 20;
/// The first piece made present ahead of use; doubled each time.
const FIRST_POPULATED: usize = 128 << 10;
/// The largest such piece: what the system zeroed still lies in the second cache when it is handed out.
const MOST_POPULATED: usize = 512 << 10;
/// Gaps of fewer words are not worth a refill.
const LEAST_GAP: usize = 8;

/// What a block is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Block {
    /// Nothing.
    Free,
    /// Small objects, all made after the last collection: its marks say nothing about them.
    New,
    /// Small objects.
    Small,
    /// The start of one large object.
    Large,
    /// More of it.
    Rest,
}

/// Words that may be used: from, to (addresses).
pub(super) type Gap = (usize, usize);

/// Bytes that were handed out and should be made present before they are used, without the lock on their space.
pub(super) struct Absent {
    reservation: Arc<Reservation>,
    from: usize,
    len: usize,
}

impl Absent {
    /// Makes them present. Who is faster and uses some of them does that for these.
    pub(super) fn populate(self) {
        self.reservation.populate(self.from, self.len);
    }
}

/// The blocks.
pub(crate) struct Space {
    reservation: Arc<Reservation>,
    /// Uses of the blocks that were ever handed out.
    pub(super) blocks: Vec<Block>,
    /// Bytes from the start that are accessible.
    committed: usize,
    /// Bytes from the start that were made present, or are about to be.
    populated: usize,
    populate: usize,
    /// What of that is to be made present by whoever took it.
    pub(super) absent: Option<Absent>,
    /// Blocks that the last collection found free, the last to be used first; some may have become part of a large object
    /// since.
    free: Vec<u32>,
    /// Where the next run of free blocks is looked for, and the shortest length that was not found after it.
    run_at: usize,
    run_missing: usize,
    /// The marks of the last collection.
    pub(super) marks: Arc<Marks>,
    /// Where the next gap is looked for (a word from the start), and where the marks end.
    sweep_at: usize,
    sweep_end: usize,
    /// Bytes to hand out before the next collection.
    pub(super) allowance: usize,
    /// Bytes handed out since the last collection.
    pub(super) since_collection: usize,
    /// Bytes alive at the last collection.
    pub(super) live: usize,
    /// Bytes handed out in all.
    pub(super) handed_out: usize,
    /// Free memory is filled with a pattern, to find its users.
    pub(super) poison: bool,
}

impl Space {
    /// A space without blocks.
    pub(super) fn new() -> Space {
        let mut size = WANTED;
        let reservation = loop {
            match Reservation::inaccessible(size) {
                Some(reservation) => break reservation,
                None if size > LEAST => size /= 2,
                None => panic!("out of memory: cannot reserve {size} bytes"),
            }
        };
        Space {
            reservation: Arc::new(reservation),
            blocks: Vec::new(),
            committed: 0,
            populated: 0,
            populate: FIRST_POPULATED,
            absent: None,
            free: Vec::new(),
            run_at: 0,
            run_missing: usize::MAX,
            marks: Arc::default(),
            sweep_at: 0,
            sweep_end: 0,
            allowance: 0,
            since_collection: 0,
            live: 0,
            handed_out: 0,
            poison: false,
        }
    }

    /// Whether there should be a collection before more is handed out.
    pub(super) fn is_due(&self) -> bool {
        // Overwriting what is free goes with collecting whenever that is possible.
        self.since_collection >= self.allowance || self.poison && self.allowance != usize::MAX
    }

    /// The first byte.
    #[inline(always)]
    pub(super) fn start(&self) -> usize {
        self.reservation.start().as_ptr() as usize
    }

    /// The address of a block.
    pub(super) fn address(&self, block: usize) -> usize {
        self.start() + block * BLOCK
    }

    /// The block that an address lies in, if it was ever handed out.
    #[inline(always)]
    pub(super) fn block_of(&self, address: usize) -> Option<usize> {
        let block = address.wrapping_sub(self.start()) / BLOCK;
        (block < self.blocks.len()).then_some(block)
    }

    /// Puts gaps for small objects into `gaps`, the first to be used last: a free block, else gaps between objects (as
    /// many as make up a block, at most), else a fresh block.
    ///
    /// Tells whether they are zeroed already.
    pub(super) fn take(&mut self, gaps: &mut Vec<Gap>) -> bool {
        let mut bytes = 0;
        if let Some(block) = self.take_free() {
            gaps.push(block);
            bytes = BLOCK;
        }
        while bytes < BLOCK
            && let Some((from, to)) = self.next_gap()
        {
            if to - from >= LEAST_GAP * 8 {
                gaps.push((from, to));
                bytes += to - from;
            }
        }
        gaps.reverse();
        let fresh = gaps.is_empty();
        if fresh {
            gaps.push(self.take_fresh(1, Block::New));
            bytes = BLOCK;
        }
        self.count(bytes);
        fresh
    }

    /// A whole block for small objects, zeroed.
    pub(super) fn take_block(&mut self) -> Gap {
        let block = self.take_free().unwrap_or_else(|| self.take_fresh(1, Block::New));
        clear(block);
        self.count(BLOCK);
        block
    }

    fn take_free(&mut self) -> Option<Gap> {
        let block = loop {
            let block = self.free.pop()? as usize;
            if self.blocks[block] == Block::Free {
                break block;
            }
        };
        self.blocks[block] = Block::New;
        let gap = (self.address(block), self.address(block + 1));
        self.make_filler(gap);
        Some(gap)
    }

    /// A run of blocks for one object of `bytes` bytes, zeroed.
    pub(super) fn take_large(&mut self, bytes: usize) -> usize {
        let count = bytes.div_ceil(BLOCK);
        self.count(count * BLOCK);
        let Some(first) = self.find_run(count) else { return self.take_fresh(count, Block::Large).0 };
        self.blocks[first] = Block::Large;
        self.blocks[first + 1..first + count].fill(Block::Rest);
        let start = self.address(first);
        clear((start, start + count * BLOCK));
        start
    }

    /// The next run of free blocks. Each block is passed once between collections for a run that is found, and once for
    /// each shorter length that is not.
    fn find_run(&mut self, count: usize) -> Option<usize> {
        if count >= self.run_missing {
            return None;
        }
        let mut length = 0;
        for at in self.run_at..self.blocks.len() {
            length = if self.blocks[at] == Block::Free { length + 1 } else { 0 };
            if length == count {
                self.run_at = at + 1;
                return Some(at + 1 - count);
            }
        }
        self.run_missing = count;
        None
    }

    fn count(&mut self, bytes: usize) {
        self.since_collection += bytes;
        self.handed_out += bytes;
    }

    fn take_fresh(&mut self, count: usize, first: Block) -> Gap {
        let start = self.blocks.len() * BLOCK;
        let end = start + count * BLOCK;
        if end > self.committed {
            let wanted = end.next_multiple_of(COMMITTED_AT_ONCE).min(self.reservation.len());
            if end > wanted || !self.reservation.make_accessible(self.committed, wanted) {
                panic!("out of memory: cannot use {end} bytes");
            }
            self.committed = wanted;
        }
        if end > self.populated {
            let piece = (end - self.populated).max(self.populate).min(self.committed - self.populated);
            self.absent = Some(Absent { reservation: self.reservation.clone(), from: self.populated, len: piece });
            self.populated += piece;
            self.populate = (self.populate * 2).min(MOST_POPULATED);
        }
        self.blocks.push(first);
        self.blocks.resize(self.blocks.len() + count - 1, Block::Rest);
        (self.start() + start, self.start() + end)
    }

    /// The next run of words between live small objects, made filler.
    fn next_gap(&mut self) -> Option<Gap> {
        while self.sweep_at < self.sweep_end {
            let block = self.sweep_at / BLOCK_WORDS;
            let block_end = (block + 1) * BLOCK_WORDS;
            if self.blocks[block] != Block::Small {
                self.sweep_at = block_end;
                continue;
            }
            let from = self.marks.next_clear(self.sweep_at, block_end);
            let to = self.marks.next_set(from, block_end);
            self.sweep_at = to;
            if from < to {
                let gap = (self.start() + from * 8, self.start() + to * 8);
                self.make_filler(gap);
                return Some(gap);
            }
        }
        None
    }

    fn make_filler(&self, (from, to): Gap) {
        // SAFETY: the range lies in blocks of this space and holds no live object.
        unsafe {
            if self.poison {
                std::ptr::write_bytes(from as *mut u8, 0xa5, to - from);
            }
            *(from as *mut u64) = filler((to - from) / 8);
        }
    }

    /// Makes filler of every gap that was not looked at: what died before must not look alive to the next walk.
    pub(super) fn finish_sweep(&mut self) {
        while self.next_gap().is_some() {}
    }

    /// Clears all marks.
    pub(super) fn reset_marks(&mut self, words: usize) {
        match Arc::get_mut(&mut self.marks) {
            Some(marks) => marks.reset(words),
            None => {
                let mut marks = Marks::default();
                marks.reset(words);
                self.marks = Arc::new(marks);
            }
        }
    }

    /// After marking: finds the blocks without a live object, and begins a new sweep. Gives the live bytes.
    pub(super) fn begin_sweep(&mut self) -> usize {
        self.free.clear();
        let mut live = 0;
        let mut block = 0;
        while block < self.blocks.len() {
            let first = block * BLOCK_WORDS;
            match self.blocks[block] {
                Block::New | Block::Small => {
                    let words = self.marks.count(first, first + BLOCK_WORDS);
                    live += words * 8;
                    self.blocks[block] = if words == 0 { Block::Free } else { Block::Small };
                }
                Block::Large => {
                    let rest = self.blocks[block + 1..].iter().take_while(|block| **block == Block::Rest).count();
                    if self.marks.is_set(first) {
                        live += (rest + 1) * BLOCK;
                    } else {
                        self.blocks[block..=block + rest].fill(Block::Free);
                    }
                    block += rest;
                }
                Block::Free | Block::Rest => {}
            }
            block += 1;
        }
        for block in (0..self.blocks.len()).rev().filter(|block| self.blocks[*block] == Block::Free) {
            self.free.push(block as u32);
            if self.poison {
                let start = self.address(block);
                self.make_filler((start, start + BLOCK));
            }
        }
        (self.run_at, self.run_missing) = (0, usize::MAX);
        self.sweep_at = 0;
        self.sweep_end = self.blocks.len() * BLOCK_WORDS;
        self.since_collection = 0;
        self.live = live;
        live
    }
}

/// Zeroes a gap.
pub(super) fn clear((from, to): Gap) {
    // SAFETY: the range was taken from the space just now: nobody else knows it, and it is accessible.
    unsafe { std::ptr::write_bytes(from as *mut u8, 0, to - from) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_free_blocks_are_used_again() {
        let mut space = Space::new();
        let blocks: Vec<usize> = [1, 2, 3, 1].iter().map(|count| space.take_large(count * BLOCK)).collect();
        space.reset_marks(7 * BLOCK_WORDS);
        // The first and the last stay.
        space.marks.set::<false>(0, BLOCK_WORDS);
        space.marks.set::<false>(6 * BLOCK_WORDS, BLOCK_WORDS);
        assert_eq!(space.begin_sweep(), 2 * BLOCK);
        let fresh = space.address(7);
        assert_eq!(space.take_large(6 * BLOCK), fresh);
        assert_eq!(space.take_large(3 * BLOCK), blocks[1]);
        // What is left of the run is too short, and one block of it is taken for small objects.
        assert_eq!(space.take_large(4 * BLOCK), space.address(13));
        assert_eq!(space.take_block().0, space.address(4));
        assert_eq!(space.take_large(BLOCK), space.address(5));
        assert_eq!(space.take_block().0, space.address(17));
    }
}
