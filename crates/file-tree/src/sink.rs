//! Where trees go: the events of a walk, and the trait that takes them.
//!
//! The order is that of NAR: an object is `Regular Contents* RegularEnd`, or `Symlink`, or `Directory (Entry object
//! EntryEnd)* DirectoryEnd` with entries sorted by their bytes. Sources guarantee the order; sinks may rely on it.

use crate::{ArchiveError, Error};
use std::io::Write;

/// One step of a walk through a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeEvent<'a> {
    /// A folder begins.
    Directory,
    /// An entry of the folder begins; its object follows.
    Entry(&'a [u8]),
    /// The entry's object is complete.
    EntryEnd,
    /// The folder has no more entries.
    DirectoryEnd,
    /// A link with its target.
    Symlink(&'a [u8]),
    /// A file begins; exactly `size` bytes of contents follow.
    Regular {
        /// Whether it is executable.
        executable: bool,
        /// Its bytes.
        size: u64,
    },
    /// The next bytes of the file.
    Contents(&'a [u8]),
    /// The file is complete.
    RegularEnd,
}

/// Takes the events of one tree.
pub trait TreeSink {
    /// Takes the next event; an error ends the walk.
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), Error>;
}

impl<S: TreeSink + ?Sized> TreeSink for &mut S {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), Error> {
        (**self).event(event)
    }
}

/// Gives every event to two sinks.
pub struct Both<A, B>(pub A, pub B);

impl<A: TreeSink, B: TreeSink> TreeSink for Both<A, B> {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), Error> {
        self.0.event(event)?;
        self.1.event(event)
    }
}

/// Writes the bytes of a tree that is one regular file; anything else is an error.
pub struct FlatContents<W: Write>(pub W);

impl<W: Write> TreeSink for FlatContents<W> {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), Error> {
        match event {
            TreeEvent::Regular { .. } | TreeEvent::RegularEnd => Ok(()),
            TreeEvent::Contents(bytes) => Ok(self.0.write_all(bytes)?),
            _ => Err(ArchiveError::NotRegular.into()),
        }
    }
}
