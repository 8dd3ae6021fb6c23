//! A store in memory: the reference for what stores do, and the store of tests.
//!
//! Paths, metadata and trees in maps behind one lock. Absent: durability, processes; what is written stays rooted as
//! long as the store is there.

use crate::closure::topological_order;
use crate::{
    AddTree, BuildLogs, Error, GarbageCollector, GcAction, GcOptions, GcResults, LogWriter, Result, Roots, Store,
    TemporaryRoots, TreeObject, WritableStore, WriteOptions,
};
use activity::Activity;
use file_tree::{FlatContents, MemoryTree, NarWriter, TreePath, TreeSink, nar, read_nar, walk};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use store_model::derivation::{TextObject, aterm};
use store_model::{
    ContentAddress, ContentAddressMethod, Hash, HashAlgorithm, Hasher, OutputMap, PathInfo, Signature, StoreDir,
    StorePath,
};

/// A store in memory.
pub struct MemoryStore {
    store_dir: StoreDir,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    valid: BTreeMap<StorePath, PathInfo>,
    trees: BTreeMap<StorePath, Vec<u8>>,
    roots: BTreeSet<StorePath>,
    logs: BTreeMap<StorePath, Vec<u8>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(store_dir: StoreDir) -> MemoryStore {
        MemoryStore { store_dir, inner: Arc::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Puts the archive of an object in place, for [`WritableStore::register`] to make it valid.
    pub fn put_nar(&self, path: StorePath, nar: Vec<u8>) {
        self.inner().trees.insert(path, nar);
    }

    fn insert(&self, info: PathInfo, nar: Vec<u8>) -> Result<()> {
        self.insert_infos(&[info], Some(nar))
    }

    /// Makes paths valid, the first perhaps with its archive; nothing changes unless all of it is in order.
    fn insert_infos(&self, infos: &[PathInfo], nar: Option<Vec<u8>>) -> Result<()> {
        let mut inner = self.inner();
        let new: FxHashMap<&StorePath, &PathInfo> = infos.iter().map(|info| (&info.path, info)).collect();
        for info in infos {
            if info.content_address.is_some() && !info.is_content_addressed(&self.store_dir) {
                return Err(Error::NotContentAddressed(self.store_dir.print(&info.path)));
            }
            let unknown = |path: &&StorePath| !new.contains_key(*path) && !inner.valid.contains_key(*path);
            if let Some(reference) = info.references.iter().find(unknown) {
                return Err(Error::InvalidPath(self.store_dir.print(reference)));
            }
        }
        topological_order(&self.store_dir, new.keys().map(|path| (*path).clone()), |path| {
            new.get(path).map(|info| info.references.iter().cloned().collect()).unwrap_or_default()
        })?;
        if let (Some(nar), Some(info)) = (nar, infos.first()) {
            inner.trees.insert(info.path.clone(), nar);
        }
        for info in infos {
            inner.valid.insert(info.path.clone(), info.clone());
            inner.roots.insert(info.path.clone());
        }
        Ok(())
    }

    fn insert_text(&self, object: &TextObject) -> Result<()> {
        let mut archive = Vec::new();
        nar::dump_bytes(&object.contents, &mut archive)?;
        let hash = Hash::of(HashAlgorithm::Sha256, &archive);
        let mut info = PathInfo::new(object.path.clone(), hash, archive.len() as u64);
        info.references.clone_from(&object.references);
        info.content_address = Some(ContentAddress { method: ContentAddressMethod::Text, hash: object.hash });
        self.insert(info, archive)
    }
}

impl Store for MemoryStore {
    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    fn valid_paths(&self, activity: &Activity, paths: &[StorePath]) -> Result<BTreeSet<StorePath>> {
        activity.check()?;
        let inner = self.inner();
        Ok(paths.iter().filter(|path| inner.valid.contains_key(*path)).cloned().collect())
    }

    fn path_infos(&self, activity: &Activity, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>> {
        activity.check()?;
        let inner = self.inner();
        Ok(paths.iter().map(|path| inner.valid.get(path).cloned()).collect())
    }

    fn referrers(&self, activity: &Activity, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        activity.check()?;
        let inner = self.inner();
        Ok(inner.valid.values().filter(|i| i.references.contains(path)).map(|i| i.path.clone()).collect())
    }

    fn valid_derivers(&self, activity: &Activity, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        let mut derivers = BTreeSet::new();
        for drv in self.all_valid_paths(activity)?.into_iter().filter(StorePath::is_derivation) {
            if self.derivation_outputs(activity, &drv)?.values().flatten().any(|output| output == path) {
                derivers.insert(drv);
            }
        }
        Ok(derivers)
    }

    fn derivation_outputs(&self, activity: &Activity, drv: &StorePath) -> Result<OutputMap<Option<StorePath>>> {
        Ok(self.read_derivation(activity, drv)?.output_paths(&self.store_dir)?)
    }

    fn all_valid_paths(&self, activity: &Activity) -> Result<BTreeSet<StorePath>> {
        activity.check()?;
        Ok(self.inner().valid.keys().cloned().collect())
    }

    fn path_from_hash_part(&self, activity: &Activity, hash_part: &str) -> Result<Option<StorePath>> {
        activity.check()?;
        Ok(self.inner().valid.keys().find(|path| path.hash_part() == hash_part).cloned())
    }

    fn nar(&self, activity: &Activity, path: &StorePath, out: &mut dyn Write) -> Result<()> {
        activity.check()?;
        let inner = self.inner();
        let archive = inner.trees.get(path).ok_or_else(|| Error::InvalidPath(self.store_dir.print(path)))?;
        out.write_all(archive).map_err(Error::Stream)
    }
}

impl WritableStore for MemoryStore {
    fn add_text(&self, activity: &Activity, object: &TextObject, _options: &WriteOptions) -> Result<()> {
        activity.check()?;
        if object.path.is_derivation() {
            aterm::parse(&self.store_dir, &object.contents, object.path.derivation_name()?)?;
        }
        self.insert_text(object)
    }

    fn write_batch(&self, activity: &Activity, trees: &[TreeObject], texts: &[TextObject]) -> Result<()> {
        activity.check()?;
        for tree in trees {
            let hash = Hash::of(HashAlgorithm::Sha256, &tree.archive);
            let mut info = PathInfo::new(tree.path.clone(), hash, tree.archive.len() as u64);
            info.content_address = Some(tree.address);
            self.insert(info, tree.archive.clone())?;
        }
        let by_path: FxHashMap<&StorePath, &TextObject> = texts.iter().map(|o| (&o.path, o)).collect();
        let order = topological_order(&self.store_dir, by_path.keys().map(|path| (*path).clone()), |path| {
            by_path.get(path).map(|object| object.references.iter().cloned().collect()).unwrap_or_default()
        })?;
        order.iter().try_for_each(|path| self.add_text(activity, by_path[path], &WriteOptions::default()))
    }

    fn add_tree(&self, activity: &Activity, tree: &mut AddTree<'_, '_>, _options: &WriteOptions) -> Result<PathInfo> {
        activity.check()?;
        let mut copy = MemoryTree::default();
        walk(tree.accessor, tree.path, tree.filter, &mut copy)?;
        let mut hasher = Hasher::new(tree.algorithm);
        let all = &mut |_: &TreePath, _| Ok(true);
        match tree.method {
            ContentAddressMethod::NixArchive => nar::dump(&copy, &TreePath::root(), all, &mut hasher)?,
            ContentAddressMethod::Flat | ContentAddressMethod::Text => {
                walk(&copy, &TreePath::root(), all, &mut FlatContents(&mut hasher))?;
            }
            ContentAddressMethod::Git => return Err(Error::GitHashing),
        }
        let address = ContentAddress { method: tree.method, hash: hasher.finish() };
        let path = self.store_dir.content_addressed_path(tree.name, &address, &tree.references)?;
        let mut archive = Vec::new();
        if tree.method == ContentAddressMethod::NixArchive {
            nar::dump(&copy, &TreePath::root(), all, &mut archive)?;
        } else {
            nar::dump_bytes(&file_tree::SourceAccessor::read_file(&copy, &TreePath::root())?, &mut archive)?;
        }
        let nar = (Hash::of(HashAlgorithm::Sha256, &archive), archive.len() as u64);
        let info = PathInfo::addressed(path, nar, address, tree.references.clone());
        if let Some(known) = self.inner().valid.get(&info.path) {
            return Ok(known.clone());
        }
        self.insert(info.clone(), archive)?;
        Ok(info)
    }

    fn add_nar(&self, activity: &Activity, info: &PathInfo, nar: &mut dyn Read, options: &WriteOptions) -> Result<()> {
        activity.check()?;
        let printed = || self.store_dir.print(&info.path);
        if let Some(keys) = &options.trusted_keys
            && info.good_signatures(&self.store_dir, keys) == 0
        {
            return Err(Error::Untrusted(printed()));
        }
        // Written anew from the events: the bytes are those of the one archive of the tree.
        let mut archive = Vec::new();
        let mut writer = NarWriter::new(&mut archive)?;
        read_nar(nar, &mut writer as &mut dyn TreeSink)?;
        writer.finish()?;
        let got = Hash::of(HashAlgorithm::Sha256, &archive);
        if got != info.nar_hash {
            return Err(Error::HashMismatch { path: printed(), specified: info.nar_hash.into(), got: got.into() });
        }
        if archive.len() as u64 != info.nar_size {
            let got = archive.len() as u64;
            return Err(Error::SizeMismatch { path: printed(), specified: info.nar_size, got });
        }
        if !options.repair && self.inner().valid.contains_key(&info.path) {
            return Ok(());
        }
        self.insert(info.clone(), archive)
    }

    fn register(&self, activity: &Activity, infos: &[PathInfo]) -> Result<()> {
        activity.check()?;
        if let Some(info) = infos.iter().find(|info| !self.inner().trees.contains_key(&info.path)) {
            return Err(Error::MissingObject(self.store_dir.print(&info.path)));
        }
        self.insert_infos(infos, None)
    }

    fn add_signatures(&self, activity: &Activity, more: &[(StorePath, BTreeSet<Signature>)]) -> Result<usize> {
        activity.check()?;
        let mut inner = self.inner();
        let mut added = 0;
        for (path, signatures) in more {
            let info = inner.valid.get_mut(path).ok_or_else(|| Error::InvalidPath(self.store_dir.print(path)))?;
            let before = info.signatures.len();
            info.signatures.extend(signatures.iter().cloned());
            added += info.signatures.len() - before;
        }
        Ok(added)
    }
}

impl TemporaryRoots for MemoryStore {
    fn add_temp_roots(&self, activity: &Activity, paths: &[StorePath]) -> Result<()> {
        activity.check()?;
        self.inner().roots.extend(paths.iter().cloned());
        Ok(())
    }
}

impl GarbageCollector for MemoryStore {
    fn find_roots(&self, activity: &Activity, censor: bool) -> Result<Roots> {
        activity.check()?;
        let place = PathBuf::from(if censor { "{censored}" } else { "{temp:0}" });
        Ok(self.inner().roots.iter().map(|path| (path.clone(), BTreeSet::from([place.clone()]))).collect())
    }

    fn collect_garbage(&self, activity: &Activity, options: &GcOptions, results: &mut GcResults) -> Result<()> {
        activity.check()?;
        let mut inner = self.inner();
        let mut alive = BTreeSet::new();
        let mut stack: Vec<StorePath> = inner.roots.iter().cloned().collect();
        while let Some(path) = stack.pop() {
            if let Some(info) = inner.valid.get(&path)
                && alive.insert(path)
            {
                stack.extend(info.references.iter().cloned());
            }
        }
        let dead: BTreeSet<StorePath> = inner.valid.keys().filter(|path| !alive.contains(*path)).cloned().collect();
        let (found, deletes) = match &options.action {
            GcAction::ReturnLive => (alive, false),
            GcAction::ReturnDead => (dead, false),
            GcAction::DeleteDead => (dead, options.max_freed > 0),
            GcAction::DeleteSpecific(paths) => {
                let needed = |path: &&StorePath| {
                    let others = inner.valid.values().filter(|info| !paths.contains(&info.path));
                    alive.contains(*path) || others.into_iter().any(|info| info.references.contains(*path))
                };
                if let Some(path) = paths.iter().find(needed) {
                    return Err(Error::StillAlive(self.store_dir.print(path)));
                }
                (paths.clone(), true)
            }
        };
        for path in &found {
            if deletes {
                inner.valid.remove(path);
                let freed = inner.trees.remove(path).map_or(0, |archive| archive.len() as u64);
                results.bytes_freed += freed;
            }
            results.paths.push(PathBuf::from(self.store_dir.print(path)));
        }
        Ok(())
    }
}

impl BuildLogs for MemoryStore {
    fn build_log(&self, activity: &Activity, drv: &StorePath) -> Result<Option<Vec<u8>>> {
        activity.check()?;
        Ok(self.inner().logs.get(drv).cloned())
    }

    fn create_log(&self, drv: &StorePath) -> Result<Box<dyn LogWriter>> {
        Ok(Box::new(MemoryLog { inner: Arc::clone(&self.inner), drv: drv.clone(), text: Vec::new() }))
    }
}

struct MemoryLog {
    inner: Arc<Mutex<Inner>>,
    drv: StorePath,
    text: Vec<u8>,
}

impl Write for MemoryLog {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogWriter for MemoryLog {
    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        let mut inner = self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        inner.logs.insert(self.drv.clone(), std::mem::take(&mut self.text));
    }
}
