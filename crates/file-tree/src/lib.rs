//! File system objects and their archive: what Nix keeps of a file, a folder, a link, and the NAR format.
//!
//! A tree comes out of a [`SourceAccessor`] (disk, memory) or out of a NAR as a run of [`TreeEvent`]s, and goes into a [`TreeSink`]:
//! a NAR writer, a restorer onto disk, a listing, a memory tree, or several at once. So copying, hashing, restoring and
//! listing are the same walk with another end, and nothing holds a whole tree.
//!
//! ```text
//! accessor ──walk──┐                ┌── NarWriter<W>
//!                  ├── TreeEvents ──┼── Restorer ── disk
//! NAR bytes ─read──┘                ├── Listing
//!                                   └── MemoryTree
//! ```
//!
//! [`archive`] reads what others pack: tar and zip.
//!
//! Absent: stores, hashes, cancellation (a sink or filter of the caller's may end any walk), overlays and git trees.

mod accessor;
pub mod archive;
pub mod case_hack;
mod crew;
mod disk;
mod error;
mod memory;
pub mod nar;
mod object;
mod path;
mod replace;
mod restore;
mod sink;

pub use accessor::{Contents, Filter, SourceAccessor, walk};
pub use case_hack::{CaseHackAccessor, CaseHackSink};
pub use disk::DiskAccessor;
pub use error::{ArchiveError, Error};
pub use memory::{MemoryNode, MemoryTree};
pub use nar::{NarAccessor, NarListing, NarWriter, read_nar};
pub use object::{FileType, Metadata};
pub use path::TreePath;
pub use replace::{exchange_trees, move_tree, replace_file};
pub use restore::{RestoreOptions, Restorer, make_canonical};
pub use sink::{Both, FlatContents, TreeEvent, TreeSink};

/// The deepest nesting of folders that archives may have, as in C++ Nix since 2.34; it bounds every recursion here.
pub const MAX_DEPTH: usize = 64;
