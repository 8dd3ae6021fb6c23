//! Objects again under paths that follow from their contents: the same bytes, with the paths in them replaced.
//!
//! Whoever has such an object can see that it is the right one, so it needs no signature. A path is hashed with its mentions
//! of itself as zeros, after those of what it refers to were replaced by their new paths; so references come first. Each
//! archive is read twice and held in no memory. Absent: deciding which paths (closures are the caller's).

use crate::copy::{Destination, Place};
use crate::{Error, Result, Store};
use activity::{Activity, Verbosity};
use std::collections::BTreeMap;
use std::io::{self, Seek, Write};
use store_model::{
    ContentAddress, ContentAddressMethod, HashAlgorithm, HashModuloWriter, HashRewriter, Hasher, PathInfo, References,
    StorePath,
};

/// Writes paths that stand after what they refer to, all of it among them, under their new paths. Answers which path became
/// which.
///
/// # Errors
/// A path that is not valid; what either store says.
pub fn make_content_addressed(
    activity: &Activity,
    from: &Place<dyn Store>,
    to: &Destination<'_>,
    paths: &[StorePath],
) -> Result<BTreeMap<StorePath, StorePath>> {
    let mut became: BTreeMap<StorePath, StorePath> = BTreeMap::new();
    for (path, info) in paths.iter().zip(from.store.path_infos(activity, paths)?) {
        let info = info.ok_or_else(|| Error::InvalidPath(from.store.store_dir().print(path)))?;
        let new = rewrite(activity, from, to, &info, &became)?;
        became.insert(path.clone(), new);
    }
    Ok(became)
}

fn rewrite(
    activity: &Activity,
    from: &Place<dyn Store>,
    to: &Destination<'_>,
    info: &PathInfo,
    became: &BTreeMap<StorePath, StorePath>,
) -> Result<StorePath> {
    let path = &info.path;
    let moved = |reference: &StorePath| became.get(reference).unwrap_or(reference).clone();
    let others: Vec<StorePath> = info.references.iter().filter(|reference| *reference != path).cloned().collect();
    let references =
        References { others: others.iter().map(moved).collect(), self_reference: info.references.contains(path) };
    let mut rewrites: Vec<(StorePath, StorePath)> = others.iter().map(|old| (old.clone(), moved(old))).collect();
    rewrites.retain(|(old, new)| old != new);
    let modulo = HashModuloWriter::new(HashAlgorithm::Sha256, path);
    let mut out = HashRewriter::new(rewrites.iter().map(|(old, new)| (old, new)), modulo);
    from.store.nar(activity, path, &mut out)?;
    let (hash, _) = out.finish().and_then(HashModuloWriter::finish).map_err(Error::Stream)?;
    let address = ContentAddress { method: ContentAddressMethod::NixArchive, hash };
    let dir = to.place.store.store_dir();
    let new = dir.content_addressed_path(path.name(), &address, &references)?;
    let (old, shown) = (from.store.store_dir().print(path), dir.print(&new));
    activity.message(Verbosity::Info, &format!("rewriting '{old}' to '{shown}'"));
    rewrites.push((path.clone(), new.clone()));
    if let Some(roots) = to.roots {
        roots.add_temp_roots(activity, std::slice::from_ref(&new))?;
    }
    if !to.place.store.valid_paths(activity, std::slice::from_ref(&new))?.is_empty() {
        return Ok(new);
    }
    let hashed = Hashed { file: crate::unnamed_file()?, hasher: Hasher::new(HashAlgorithm::Sha256) };
    let mut out = HashRewriter::new(rewrites.iter().map(|(old, new)| (old, new)), hashed);
    from.store.nar(activity, path, &mut out)?;
    let Hashed { mut file, hasher } = out.finish().map_err(Error::Stream)?;
    let size = hasher.bytes();
    let written = PathInfo::addressed(new.clone(), (hasher.finish(), size), address, references);
    file.rewind().map_err(Error::Stream)?;
    to.place.store.add_nar(activity, &written, &mut file, &to.options)?;
    Ok(new)
}

/// A file, hashed as it is written.
struct Hashed<W> {
    file: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data)?;
        self.hasher.update(&data[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
