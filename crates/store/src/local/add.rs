//! Bringing objects into the store.
//!
//! Always: root the path; ask whether it is valid; lock it; ask again; remove what a killed process may have left; write the
//! object at its place, canonical from the start; make it durable; register it; give the lock back. A tree is read before, to
//! learn its path.
//!
//! Absent: `git` hashing.

use super::LocalStore;
use super::batch::Object;
use super::rows::Registration;
use super::source::{self, Source};
use super::stream::HashedReader;
use super::sync::{sync_path, sync_trees};
use crate::{AddTree, Error, Result, Store, TemporaryRoots, TreeObject, WritableStore, WriteOptions};
use activity::{Activity, Watched};
use file_tree::{FlatContents, RestoreOptions, Restorer, TreePath, walk};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use store_model::derivation::{TextObject, aterm};
use store_model::{
    ContentAddress, ContentAddressMethod, Hash, HashModuloWriter, OutputMap, PathInfo, Realisation, Signature,
    StorePath,
};

impl WritableStore for LocalStore {
    fn add_text(&self, activity: &Activity, object: &TextObject, options: &WriteOptions) -> Result<()> {
        let outputs = match object.path.is_derivation() {
            true => {
                let drv = aterm::parse(&self.options.store_dir, &object.contents, object.path.derivation_name()?)?;
                self.checked_outputs(activity, &object.path, &drv)?
            }
            false => OutputMap::new(),
        };
        let path = std::slice::from_ref(&object.path);
        self.add_temp_roots(activity, path)?;
        if !options.repair && !self.valid_paths(activity, path)?.is_empty() {
            return Ok(());
        }
        self.write_objects(activity, &[Object::Text(object, outputs)], options.repair)
    }

    fn write_batch(&self, activity: &Activity, trees: &[TreeObject], texts: &[TextObject]) -> Result<()> {
        self.write_together(activity, trees, texts)
    }

    fn add_tree(&self, activity: &Activity, tree: &mut AddTree<'_, '_>, options: &WriteOptions) -> Result<PathInfo> {
        self.collect_if_short(activity);
        // What is kept until it is known to be missing takes no space.
        let size = tree.accessor.stat(tree.path)?.map_or(0, |found| found.size);
        if size > source::KEPT as u64 && !self.options.read_only {
            self.refuse_without_room(size, || format!("'{}'", tree.accessor.show(tree.path)))?;
        }
        let (source, info) = Source::read(activity, self, tree, size)?;
        self.add_temp_roots(activity, std::slice::from_ref(&info.path))?;
        if !options.repair
            && let Some(info) = self.info(activity, &info.path)?
        {
            return Ok(info);
        }
        self.refuse_if_read_only()?;
        let _lock = self.lock_paths(activity, std::slice::from_ref(&info.path))?;
        if !options.repair
            && let Some(info) = self.info(activity, &info.path)?
        {
            return Ok(info);
        }
        self.refuse_without_room(source.to_write(), || format!("'{}'", self.options.store_dir.print(&info.path)))?;
        let added = self.put(
            activity,
            &info.path,
            options.repair,
            |place| source.place(activity, place),
            || self.finish(activity, &info),
        );
        if added.is_err() {
            self.discard(std::slice::from_ref(&info.path));
        }
        added.map(|()| info)
    }

    fn add_nar(&self, activity: &Activity, info: &PathInfo, nar: &mut dyn Read, options: &WriteOptions) -> Result<()> {
        let printed = || self.options.store_dir.print(&info.path);
        if let Some(keys) = &options.trusted_keys
            && info.good_signatures(&self.options.store_dir, keys) == 0
        {
            return Err(Error::Untrusted(printed()));
        }
        self.collect_if_short(activity);
        self.add_temp_roots(activity, std::slice::from_ref(&info.path))?;
        if !options.repair && self.info(activity, &info.path)?.is_some() {
            return skip_nar(activity, &mut nar.take(info.nar_size));
        }
        self.refuse_if_read_only()?;
        let _lock = self.lock_paths(activity, std::slice::from_ref(&info.path))?;
        if !options.repair && self.info(activity, &info.path)?.is_some() {
            return skip_nar(activity, &mut nar.take(info.nar_size));
        }
        self.refuse_without_room(info.nar_size, || format!("'{}'", printed()))?;
        let restored = self.put(
            activity,
            &info.path,
            options.repair,
            |place| self.restore(activity, info, nar, place),
            || self.finish(activity, info),
        );
        if restored.is_err() {
            self.discard(std::slice::from_ref(&info.path));
        }
        restored
    }

    fn register(&self, activity: &Activity, infos: &[PathInfo]) -> Result<()> {
        self.register_with(activity, infos, &[])
    }

    fn add_signatures(&self, activity: &Activity, more: &[(StorePath, BTreeSet<Signature>)]) -> Result<usize> {
        self.add_signature_rows(activity, more)
    }
}

impl LocalStore {
    fn register_with(&self, activity: &Activity, infos: &[PathInfo], realisations: &[Realisation]) -> Result<()> {
        let mut registrations = Vec::with_capacity(infos.len());
        for info in infos {
            let outputs = if info.path.is_derivation() {
                self.checked_outputs(activity, &info.path, &self.load_derivation(&info.path)?)?
            } else {
                OutputMap::new()
            };
            registrations.push(Registration { info: Cow::Borrowed(info), outputs });
        }
        self.register_rows(activity, &registrations, realisations)
    }

    /// Makes objects durable that are in place and canonical, and registers them: all or none. For the outputs of a
    /// build, whose locks the caller holds, with what this makes known of outputs.
    pub fn register_outputs(
        &self,
        activity: &Activity,
        infos: &[PathInfo],
        realisations: &[Realisation],
    ) -> Result<()> {
        let paths: Vec<PathBuf> = infos.iter().map(|info| self.real_path(&info.path)).collect();
        self.make_durable(activity, &paths)?;
        self.register_with(activity, infos, realisations)
    }

    /// Lets an object be written at its place. What is in the way there was left by a killed process; but in a `repair` it may
    /// be valid, and stays until all of the new one is written and was found right; it comes back if that is not registered.
    pub(super) fn put(
        &self,
        activity: &Activity,
        path: &StorePath,
        repair: bool,
        write: impl FnOnce(&Path) -> Result<()>,
        register: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let real = self.real_path(path);
        if !repair || fs::symlink_metadata(&real).is_err() {
            self.files.remove_tree(&real)?;
            self.files.faults.pass("object-begin")?;
            write(&real)?;
            return register();
        }
        let scratch = self.create_scratch(activity)?;
        let made = scratch.path().join("x");
        self.files.faults.pass("object-begin")?;
        write(&made)?;
        self.replace_tree(&made, &real)?;
        let registered = register();
        if registered.is_err() {
            self.replace_tree(&made, &real)?;
        }
        registered
    }

    /// Removes objects whose registration failed: they are in nobody's way, but take space. Asks first, as a commit that
    /// reports an error may have reached the disk; also after the user asked for the end.
    pub(super) fn discard(&self, paths: &[StorePath]) {
        if let Ok(valid) = self.valid_paths(&Activity::silent(), paths) {
            for path in paths.iter().filter(|path| !valid.contains(*path)) {
                let _ = self.files.remove_tree(&self.real_path(path));
            }
        }
    }

    fn info(&self, activity: &Activity, path: &StorePath) -> Result<Option<PathInfo>> {
        Ok(self.path_infos(activity, std::slice::from_ref(path))?.pop().flatten())
    }

    fn finish(&self, activity: &Activity, info: &PathInfo) -> Result<()> {
        self.register_outputs(activity, std::slice::from_ref(info), &[])
    }

    pub(super) fn make_durable(&self, activity: &Activity, paths: &[PathBuf]) -> Result<()> {
        self.files.faults.pass("object-written")?;
        if self.options.fsync_store_paths {
            sync_trees(&self.options.real_dir, paths)?;
        }
        // What others will link to has its bytes already; where links were made, their folders are to be synced again.
        if self.optimise_new(activity, paths)? && self.options.fsync_store_paths {
            sync_trees(&self.options.real_dir, paths)?;
        }
        self.files.faults.pass("object-synced")
    }

    /// Restores an archive and compares it with its metadata.
    fn restore(&self, activity: &Activity, info: &PathInfo, nar: &mut dyn Read, real: &Path) -> Result<()> {
        let printed = || self.options.store_dir.print(&info.path);
        // The stream may go on behind the archive, so no more is buffered than the archive should have.
        let mut nar = nar.take(info.nar_size);
        let mut reader = HashedReader::new(activity, &mut nar);
        let mut restorer = Restorer::new(real, RestoreOptions { canonical: true });
        file_tree::read_nar(&mut BufReader::with_capacity(128 << 10, &mut reader), &mut restorer)?;
        let (got, got_size) = reader.finish();
        if got != info.nar_hash {
            return Err(Error::HashMismatch { path: printed(), specified: info.nar_hash.into(), got: got.into() });
        }
        if got_size != info.nar_size {
            return Err(Error::SizeMismatch { path: printed(), specified: info.nar_size, got: got_size });
        }
        if let Some(address) = &info.content_address {
            let got = address_of(activity, &info.path, address, real)?;
            if got != address.hash {
                return Err(Error::AddressMismatch {
                    path: printed(),
                    specified: address.hash.into(),
                    got: got.into(),
                });
            }
        }
        Ok(())
    }

    /// Puts a tree in the place of an object, at once and with its bytes on the disk; the object is left where the tree was.
    ///
    /// # Errors
    /// If the disk does not take it; then the object is where it was.
    pub fn replace_tree(&self, new: &Path, object: &Path) -> Result<()> {
        let sync = self.options.fsync_store_paths;
        if sync {
            sync_trees(&self.options.real_dir, &[new.to_owned()])?;
        }
        file_tree::exchange_trees(new, object).map_err(Error::io("moving into the store", new))?;
        if sync { sync_path(&self.options.real_dir) } else { Ok(()) }
    }

    /// A folder in the store that no collector takes while the result lives; removed with it.
    pub fn create_scratch(&self, activity: &Activity) -> Result<Scratch<'_>> {
        loop {
            let path = self.options.real_dir.join(format!("tmp-{}", self.files.unique()));
            fs::create_dir(&path).map_err(Error::io("creating directory", &path))?;
            let Ok(folder) = fs::File::open(&path) else { continue };
            super::lock::wait_flock(activity, &folder, &path, true)?;
            // A collector may have been faster than our lock.
            if path.exists() {
                return Ok(Scratch { store: self, path, _folder: folder });
            }
        }
    }
}

/// A folder in the store that no collector takes. See [`LocalStore::create_scratch`].
pub struct Scratch<'a> {
    store: &'a LocalStore,
    path: PathBuf,
    _folder: fs::File,
}

impl Scratch<'_> {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for Scratch<'_> {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        let _ = self.store.files.remove_tree(&self.path);
    }
}

/// The hash that the content address of an object on the disk should have.
fn address_of(activity: &Activity, path: &StorePath, address: &ContentAddress, real: &Path) -> Result<Hash> {
    let mut hasher = HashModuloWriter::new(address.hash.algorithm(), path);
    let mut out = Watched::new(activity, &mut hasher);
    match address.method {
        ContentAddressMethod::NixArchive => file_tree::nar::dump_path(real, &mut out)?,
        ContentAddressMethod::Flat | ContentAddressMethod::Text => {
            let accessor = file_tree::DiskAccessor::new(real);
            walk(&accessor, &TreePath::root(), &mut |_, _| Ok(true), &mut FlatContents(out))?;
        }
        ContentAddressMethod::Git => return Err(Error::GitHashing),
    }
    Ok(hasher.finish().map_err(Error::Stream)?.0)
}

/// Reads an archive that nobody needs.
fn skip_nar(activity: &Activity, nar: &mut dyn Read) -> Result<()> {
    struct Nowhere<'a>(&'a Activity);
    impl file_tree::TreeSink for Nowhere<'_> {
        fn event(&mut self, _: file_tree::TreeEvent<'_>) -> Result<(), file_tree::Error> {
            self.0.check().map_err(|cancelled| file_tree::Error::Caller(Box::new(cancelled)))
        }
    }
    Ok(file_tree::read_nar(&mut BufReader::new(nar), &mut Nowhere(activity))?)
}
