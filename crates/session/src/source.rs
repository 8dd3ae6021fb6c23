//! Reading a file or tree of the disk for the hash that names it in the store.
//!
//! Small ones are kept while they are read, so that what is written later is what was hashed. Reading ends where the user
//! wants the end; callers ask the activity whether that is why it failed. Absent: writing.

use std::io::{self, Write};
use std::path::Path;

use activity::{Activity, Watched};
use file_tree::{DiskAccessor, Filter, FlatContents, TreePath, nar};
use store_model::{ContentAddressMethod, Hash, HashAlgorithm, Hasher};

/// The SHA-256 of what lies at a path: of a file's bytes if the method is flat, else of the archive of what `filter`
/// takes.
pub(crate) fn source_hash(
    activity: &Activity,
    path: &Path,
    method: ContentAddressMethod,
    filter: &mut Filter<'_>,
) -> Result<Hash, file_tree::Error> {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    read(activity, path, method, (filter, &mut hasher))?;
    Ok(hasher.finish())
}

/// The same, and the archive of the object if what was hashed has at most `most` bytes.
pub(crate) fn read_source(
    activity: &Activity,
    path: &Path,
    method: ContentAddressMethod,
    filter: &mut Filter<'_>,
    most: usize,
) -> Result<(Hash, Option<Vec<u8>>), file_tree::Error> {
    let mut out = Kept { hasher: Hasher::new(HashAlgorithm::Sha256), kept: Some(Vec::new()), most };
    read(activity, path, method, (filter, &mut out))?;
    let archive = match out.kept {
        Some(contents) if method == ContentAddressMethod::Flat => {
            let mut archive = Vec::new();
            nar::dump_bytes(&contents, &mut archive)?;
            Some(archive)
        }
        kept => kept,
    };
    // It may wait for long, beside many others.
    let fitted = archive.map(|mut archive| {
        archive.shrink_to_fit();
        archive
    });
    Ok((out.hasher.finish(), fitted))
}

fn read(
    activity: &Activity,
    path: &Path,
    method: ContentAddressMethod,
    (filter, out): (&mut Filter<'_>, &mut dyn Write),
) -> Result<(), file_tree::Error> {
    let (accessor, root) = (DiskAccessor::new(path), TreePath::root());
    let mut out = Watched::new(activity, out);
    if method == ContentAddressMethod::Flat {
        file_tree::walk(&accessor, &root, &mut |_, _| Ok(true), &mut FlatContents(out))
    } else {
        nar::dump(&accessor, &root, filter, &mut out)
    }
}

/// Hashes what passes, and keeps it as long as it is small.
struct Kept {
    hasher: Hasher,
    kept: Option<Vec<u8>>,
    most: usize,
}

impl Write for Kept {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.hasher.write_all(data)?;
        match &mut self.kept {
            Some(kept) if kept.len() + data.len() <= self.most => kept.extend_from_slice(data),
            kept => *kept = None,
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
