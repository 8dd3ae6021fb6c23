//! NAR, the archive that store objects travel and are hashed in.
//!
//! `nix-archive-1`, then nested parentheses of length-prefixed strings padded to eight bytes; entries sorted. The same
//! tree has one archive only. `write.rs` makes it from events, `read.rs` makes events from it, `listing.rs` tells where
//! in it each file's bytes lie, `accessor.rs` reads them there. Rule: the Nix manual, "protocols/nix-archive".

mod accessor;
mod listing;
mod read;
mod write;

pub use accessor::NarAccessor;
pub use listing::{NarListing, listing_of};
pub use read::read_nar;
pub use write::NarWriter;

use crate::{DiskAccessor, Error, Filter, SourceAccessor, TreePath, walk};
use std::io::Write;
use std::path::Path;

/// The first string of every archive.
pub const MAGIC: &[u8] = b"nix-archive-1";

/// Writes the archive of a path of the host, everything included.
pub fn dump_path(path: &Path, out: &mut dyn Write) -> Result<(), Error> {
    dump(&DiskAccessor::new(path), &TreePath::root(), &mut |_, _| Ok(true), out)
}

/// Writes the archive of an object of an accessor, without the entries that the filter refuses.
pub fn dump(
    accessor: &dyn SourceAccessor,
    path: &TreePath,
    filter: &mut Filter<'_>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut writer = NarWriter::new(out)?;
    walk(accessor, path, filter, &mut writer)?;
    writer.finish()?;
    Ok(())
}

/// Writes the archive of one plain file with these bytes.
pub fn dump_bytes(contents: &[u8], out: &mut dyn Write) -> Result<(), Error> {
    use crate::{TreeEvent, TreeSink};
    let mut writer = NarWriter::new(out)?;
    writer.event(TreeEvent::Regular { executable: false, size: contents.len() as u64 })?;
    writer.event(TreeEvent::Contents(contents))?;
    writer.event(TreeEvent::RegularEnd)?;
    writer.finish()?;
    Ok(())
}
