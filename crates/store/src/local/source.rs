//! Reading a tree that is to be added: once for its address, a second time only if it is large and not there yet.
//!
//! The first reading hashes. What is read is kept as long as it is small, so that most trees are read once; of large ones
//! the second reading copies and hashes again, as files may have changed in between. The filter is asked once.

use super::stream::{StreamHasher, Watched};
use crate::{AddTree, Error, Result};
use activity::Activity;
use file_tree::{
    Both, FileType, FlatContents, NarWriter, RestoreOptions, Restorer, TreeEvent, TreePath, TreeSink, nar, read_nar,
    walk,
};
use rustc_hash::FxHashMap;
use std::io::{self, Write};
use std::path::Path;
use store_model::{ContentAddress, ContentAddressMethod, Hash, HashAlgorithm, PathInfo, StoreDir, StorePath};

/// Bytes of a tree that are kept between reading and writing.
const KEPT: usize = 32 << 20;

/// The path that a tree would get; nothing is written.
pub fn address_of_tree(activity: &Activity, dir: &StoreDir, tree: &mut AddTree<'_, '_>) -> Result<StorePath> {
    let (name, method, references) = (tree.name, tree.method, tree.references.clone());
    let address = ContentAddress { method, hash: Source::read(activity, tree)?.hash() };
    Ok(dir.content_addressed_path(name, &address, &references)?)
}

/// What a store would know of a tree that is added; its archive is written on the way.
pub fn describe_tree(
    activity: &Activity,
    dir: &StoreDir,
    tree: &mut AddTree<'_, '_>,
    out: &mut dyn Write,
) -> Result<PathInfo> {
    let (name, method, references) = (tree.name, tree.method, tree.references.clone());
    let source = Source::read(activity, tree)?;
    let address = ContentAddress { method, hash: source.hash() };
    let path = dir.content_addressed_path(name, &address, &references)?;
    let (nar_hash, nar_size) = source.archive(activity, out)?;
    let mut info = PathInfo::new(path, nar_hash, nar_size);
    info.references = references.others;
    if references.self_reference {
        info.references.insert(info.path.clone());
    }
    info.content_address = Some(address);
    Ok(info)
}

/// A tree after its first reading.
pub(super) struct Source<'t, 'a, 'f> {
    tree: &'t mut AddTree<'a, 'f>,
    chosen: FxHashMap<TreePath, bool>,
    hash: Hash,
    /// The archive, or for flat files the contents, unless they are too large.
    kept: Option<Vec<u8>>,
}

impl<'t, 'a, 'f> Source<'t, 'a, 'f> {
    /// Reads the tree.
    pub(super) fn read(activity: &Activity, tree: &'t mut AddTree<'a, 'f>) -> Result<Source<'t, 'a, 'f>> {
        let mut hasher = StreamHasher::new(tree.algorithm);
        let mut kept = Some(Vec::new());
        let mut chosen = FxHashMap::default();
        let filter = &mut tree.filter;
        let mut remember = |path: &TreePath, kind: FileType| {
            let taken = filter(path, kind)?;
            chosen.insert(path.clone(), taken);
            Ok(taken)
        };
        let out = Kept { activity, hasher: &mut hasher, kept: &mut kept };
        match tree.method {
            ContentAddressMethod::NixArchive => {
                let mut writer = NarWriter::new(out)?;
                walk(tree.accessor, tree.path, &mut remember, &mut writer)?;
                writer.finish()?;
            }
            ContentAddressMethod::Flat | ContentAddressMethod::Text => {
                walk(tree.accessor, tree.path, &mut remember, &mut FlatContents(out))?;
            }
            ContentAddressMethod::Git => return Err(Error::GitHashing),
        }
        Ok(Source { tree, chosen, hash: hasher.finish().0, kept })
    }

    /// The hash that the address is made of.
    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// Puts the tree in its place, canonical; tells hash and size of its archive. An error when it has changed.
    pub(super) fn copy(&self, activity: &Activity, place: &Path) -> Result<(Hash, u64)> {
        let mut restorer = Restorer::new(place, RestoreOptions { canonical: true });
        match (&self.kept, self.tree.method) {
            (Some(archive), ContentAddressMethod::NixArchive) => {
                activity.check()?;
                read_nar(&mut archive.as_slice(), &mut restorer)?;
                let known = self.hash.algorithm() == HashAlgorithm::Sha256;
                let hash = if known { self.hash } else { Hash::of(HashAlgorithm::Sha256, archive) };
                Ok((hash, archive.len() as u64))
            }
            (Some(contents), _) => {
                activity.check()?;
                let mut hasher = StreamHasher::new(HashAlgorithm::Sha256);
                nar::dump_bytes(contents, &mut hasher)?;
                restorer.event(TreeEvent::Regular { executable: false, size: contents.len() as u64 })?;
                restorer.event(TreeEvent::Contents(contents))?;
                restorer.event(TreeEvent::RegularEnd)?;
                Ok(hasher.finish())
            }
            (None, method) => self.copy_again(activity, restorer, method),
        }
    }

    /// Writes the tree's archive; tells its hash and size. An error when it has changed.
    fn archive(&self, activity: &Activity, out: &mut dyn Write) -> Result<(Hash, u64)> {
        let mut hasher = StreamHasher::new(HashAlgorithm::Sha256);
        let mut out = Tee { activity, out, hasher: &mut hasher };
        match (&self.kept, self.tree.method) {
            (Some(archive), ContentAddressMethod::NixArchive) => out.write_all(archive).map_err(Error::stream)?,
            (Some(contents), _) => nar::dump_bytes(contents, &mut out)?,
            (None, method) => {
                let mut filter = |path: &TreePath, _: FileType| Ok(self.chosen.get(path).copied().unwrap_or(false));
                let mut writer = NarWriter::new(&mut out)?;
                if method == ContentAddressMethod::NixArchive {
                    walk(self.tree.accessor, self.tree.path, &mut filter, &mut writer)?;
                } else {
                    walk(self.tree.accessor, self.tree.path, &mut filter, &mut NotExecutable(&mut writer))?;
                }
                writer.finish()?;
            }
        }
        let (hash, size) = hasher.finish();
        let told = self.tree.method == ContentAddressMethod::NixArchive && hash.algorithm() == self.hash.algorithm();
        if told && hash != self.hash {
            return Err(file_tree::Error::Changed(self.tree.accessor.show(self.tree.path)).into());
        }
        Ok((hash, size))
    }

    fn copy_again(&self, activity: &Activity, restorer: Restorer, method: ContentAddressMethod) -> Result<(Hash, u64)> {
        let mut archive = StreamHasher::new(HashAlgorithm::Sha256);
        let mut filter = |path: &TreePath, _: FileType| Ok(self.chosen.get(path).copied().unwrap_or(false));
        let writer = NarWriter::new(Watched { activity, inner: &mut archive })?;
        let mut sink = Both(writer, restorer);
        let again = if method == ContentAddressMethod::NixArchive {
            walk(self.tree.accessor, self.tree.path, &mut filter, &mut sink)?;
            None
        } else {
            // Flat and text objects are never executable.
            let mut flat = StreamHasher::new(self.hash.algorithm());
            let mut all = Both(NotExecutable(&mut sink), FlatContents(&mut flat));
            walk(self.tree.accessor, self.tree.path, &mut filter, &mut all)?;
            Some(flat.finish().0)
        };
        sink.0.finish()?;
        let (hash, size) = archive.finish();
        let again = match again {
            None if self.hash.algorithm() == HashAlgorithm::Sha256 => hash,
            // Another hash of the same archive would have to be computed a second time: the sha256 stands for what is there
            // now, and the address was made of what was there before.
            None => self.hash_again(activity)?,
            Some(flat) => flat,
        };
        if again == self.hash {
            Ok((hash, size))
        } else {
            Err(file_tree::Error::Changed(self.tree.accessor.show(self.tree.path)).into())
        }
    }

    fn hash_again(&self, activity: &Activity) -> Result<Hash> {
        let mut hasher = StreamHasher::new(self.hash.algorithm());
        let mut filter = |path: &TreePath, _: FileType| Ok(self.chosen.get(path).copied().unwrap_or(false));
        let mut out = Watched { activity, inner: &mut hasher };
        nar::dump(self.tree.accessor, self.tree.path, &mut filter, &mut out)?;
        Ok(hasher.finish().0)
    }
}

/// Hashes what passes, and keeps it as long as it is small.
struct Kept<'a> {
    activity: &'a Activity,
    hasher: &'a mut StreamHasher,
    kept: &'a mut Option<Vec<u8>>,
}

impl Write for Kept<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.activity.check().map_err(io::Error::other)?;
        self.hasher.update(data);
        match self.kept {
            Some(kept) if kept.len() + data.len() <= KEPT => kept.extend_from_slice(data),
            _ => *self.kept = None,
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes what passes on its way out.
struct Tee<'a> {
    activity: &'a Activity,
    out: &'a mut dyn Write,
    hasher: &'a mut StreamHasher,
}

impl Write for Tee<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.activity.check().map_err(io::Error::other)?;
        self.hasher.update(data);
        self.out.write_all(data)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Takes the executable bit away.
struct NotExecutable<'a>(&'a mut dyn TreeSink);

impl TreeSink for NotExecutable<'_> {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), file_tree::Error> {
        match event {
            TreeEvent::Regular { size, .. } => self.0.event(TreeEvent::Regular { executable: false, size }),
            event => self.0.event(event),
        }
    }
}
