//! The hash that names a file or tree of the disk in the store.

use std::path::Path;

use file_tree::{DiskAccessor, Filter, FlatContents, TreePath};
use store_model::{ContentAddressMethod, Hash, HashAlgorithm, Hasher};

/// The SHA-256 of what lies at a path: of a file's bytes if the method is flat, else of the archive of what `filter`
/// takes.
pub(crate) fn source_hash(
    path: &Path,
    method: ContentAddressMethod,
    filter: &mut Filter<'_>,
) -> Result<Hash, file_tree::Error> {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let (accessor, root) = (DiskAccessor::new(path), TreePath::root());
    if method == ContentAddressMethod::Flat {
        file_tree::walk(&accessor, &root, &mut |_, _| Ok(true), &mut FlatContents(&mut hasher))?;
    } else {
        file_tree::nar::dump(&accessor, &root, filter, &mut hasher)?;
    }
    Ok(hasher.finish())
}
