//! Objects whose bytes are at hand, many at once: derivations, other texts, and the sources that evaluation copied.
//!
//! What one object goes through (`add.rs`) a batch goes through together: all paths are rooted and asked about in one go,
//! each is locked, as others may be writing it; then the missing ones are written, made durable behind one barrier, and
//! registered in one transaction. A process that dies before that leaves files which nobody knows; dying behind it, it has
//! left valid objects.
//!
//! Absent: reading what is added (`source.rs`), checking output paths (`derivations.rs`).

use super::LocalStore;
use super::rows::Registration;
use crate::{Error, Result, Store, TemporaryRoots, TreeObject};
use activity::Activity;
use file_tree::{RestoreOptions, Restorer, read_nar};
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use store_model::derivation::{TextObject, aterm};
use store_model::{ContentAddress, ContentAddressMethod, Hash, HashAlgorithm, Hasher, OutputMap, PathInfo, StorePath};

/// Objects that are locked, written and registered together: as many as leave descriptors for the rest of the process, each
/// lock being an open file.
fn batch_size() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    (limit / 2).clamp(32, 16 << 10) as usize
}

/// One object of a batch.
pub(super) enum Object<'o> {
    /// A text, and the outputs whose paths are known if it is a derivation.
    Text(&'o TextObject, OutputMap<StorePath>),
    /// A tree.
    Tree(&'o TreeObject),
}

impl Object<'_> {
    fn path(&self) -> &StorePath {
        match self {
            Object::Text(text, _) => &text.path,
            Object::Tree(tree) => &tree.path,
        }
    }

    /// What will be registered.
    fn info(&self) -> Result<PathInfo> {
        match self {
            Object::Text(text, _) => {
                let mut nar = Hasher::new(HashAlgorithm::Sha256);
                file_tree::nar::dump_bytes(&text.contents, &mut nar)?;
                let size = nar.bytes();
                let mut info = PathInfo::new(text.path.clone(), nar.finish(), size);
                info.references.clone_from(&text.references);
                info.content_address = Some(ContentAddress { method: ContentAddressMethod::Text, hash: text.hash });
                Ok(info)
            }
            Object::Tree(tree) => {
                let known = tree.address.method == ContentAddressMethod::NixArchive
                    && tree.address.hash.algorithm() == HashAlgorithm::Sha256;
                let hash = if known { tree.address.hash } else { Hash::of(HashAlgorithm::Sha256, &tree.archive) };
                let mut info = PathInfo::new(tree.path.clone(), hash, tree.archive.len() as u64);
                info.content_address = Some(tree.address);
                Ok(info)
            }
        }
    }
}

impl LocalStore {
    /// Adds trees and texts, as [`crate::WritableStore::write_batch`] promises.
    pub(super) fn write_together(&self, activity: &Activity, trees: &[TreeObject], texts: &[TextObject]) -> Result<()> {
        let paths = trees.iter().map(|tree| &tree.path).chain(texts.iter().map(|text| &text.path));
        let paths: Vec<StorePath> = paths.cloned().collect();
        self.add_temp_roots(activity, &paths)?;
        let valid = self.valid_paths(activity, &paths)?;
        let mut met = FxHashSet::default();
        let trees = trees.iter().filter(|tree| !valid.contains(&tree.path) && met.insert(&tree.path));
        let mut left: Vec<Object<'_>> = trees.map(Object::Tree).collect();
        let missing: FxHashMap<&StorePath, &TextObject> =
            texts.iter().filter(|text| !valid.contains(&text.path)).map(|text| (&text.path, text)).collect();
        let paths = missing.keys().map(|path| (*path).clone());
        let order = crate::closure::topological_order(&self.options.store_dir, paths, |path| {
            missing.get(path).map(|object| object.references.iter().cloned().collect()).unwrap_or_default()
        })?;
        // Trees refer to nothing and texts only to what stands before them: every part can be registered on its own.
        let mut order = order.iter().map(|path| missing[path]);
        let size = batch_size();
        loop {
            let room = size.saturating_sub(left.len());
            for object in order.by_ref().take(room) {
                left.push(Object::Text(object, self.outputs_of(object)?));
            }
            if left.is_empty() {
                return Ok(());
            }
            let rest = left.split_off(left.len().min(size));
            self.write_objects(activity, &std::mem::replace(&mut left, rest), false)?;
        }
    }

    /// Adds objects under one set of locks. They are rooted, and what they refer to is valid or among them.
    pub(super) fn write_objects(&self, activity: &Activity, objects: &[Object<'_>], repair: bool) -> Result<()> {
        let paths: Vec<StorePath> = objects.iter().map(|object| object.path().clone()).collect();
        self.refuse_if_read_only()?;
        let _locks = self.lock_paths(activity, &paths)?;
        let valid = if repair { Default::default() } else { self.valid_paths(activity, &paths)? };
        self.files.faults.pass("object-begin")?;
        let missing = objects.iter().filter(|object| !valid.contains(object.path()));
        let mut written = Vec::with_capacity(objects.len());
        let registered = self.write_and_register(activity, missing, repair, &mut written);
        if registered.is_err() {
            self.discard(&written);
        }
        registered
    }

    fn write_and_register<'o>(
        &self,
        activity: &Activity,
        objects: impl Iterator<Item = &'o Object<'o>>,
        repair: bool,
        written: &mut Vec<StorePath>,
    ) -> Result<()> {
        let (mut registrations, mut reals) = (Vec::new(), Vec::new());
        for object in objects {
            activity.check()?;
            let real = self.real_path(object.path());
            written.push(object.path().clone());
            let write = |place: &Path| match object {
                Object::Text(text, _) => self.write_text(place, &text.contents),
                Object::Tree(tree) => self.write_tree(place, &tree.archive),
            };
            // What lies at the place of a text is found out by writing it.
            if repair {
                self.put(activity, object.path(), repair, write, || Ok(()))?
            } else {
                write(&real)?
            }
            let outputs = match object {
                Object::Text(_, outputs) => outputs.clone(),
                Object::Tree(_) => OutputMap::new(),
            };
            reals.push(real);
            registrations.push(Registration { info: Cow::Owned(object.info()?), outputs });
        }
        self.make_durable(activity, &reals)?;
        self.register_rows(activity, &registrations, &[])
    }

    /// The outputs whose paths a text tells. A derivation was printed by the caller: the rest of it is not read.
    fn outputs_of(&self, object: &TextObject) -> Result<OutputMap<StorePath>> {
        let Ok(name) = object.path.derivation_name() else { return Ok(OutputMap::new()) };
        let store_dir = &self.options.store_dir;
        let outputs = aterm::parse_outputs(store_dir, &object.contents, name)?;
        let mut known = OutputMap::with_capacity(outputs.len());
        for (output, how) in outputs {
            if let Some(path) = how.path(store_dir, name, &output)? {
                known.insert(output, path);
            }
        }
        Ok(known)
    }

    /// Puts a text in its place, for [`LocalStore::register_outputs`] to make it valid. The caller has rooted and locked it.
    pub fn place_text(&self, text: &TextObject) -> Result<PathInfo> {
        self.refuse_if_read_only()?;
        self.write_text(&self.real_path(&text.path), &text.contents)?;
        Object::Text(text, OutputMap::new()).info()
    }

    fn write_tree(&self, path: &Path, mut archive: &[u8]) -> Result<()> {
        self.files.remove_tree(path)?;
        let mut restorer = Restorer::new(path, RestoreOptions { canonical: true });
        Ok(read_nar(&mut archive, &mut restorer)?)
    }

    fn write_text(&self, path: &Path, contents: &[u8]) -> Result<()> {
        let open = || OpenOptions::new().write(true).create_new(true).mode(0o444).open(path);
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.files.remove_tree(path)?;
                open()
            }
            opened => opened,
        }
        .map_err(Error::io("creating", path))?;
        file.write_all(contents).map_err(Error::io("writing", path))?;
        // The umask may have taken bits away.
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o444))
            .map_err(Error::system("changing mode of", path))?;
        let times = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            last_modification: rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 },
        };
        rustix::fs::futimens(&file, &times).map_err(Error::system("changing time of", path))
    }
}
