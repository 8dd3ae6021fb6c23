//! Comparing what the database says with what is on the disk.
//!
//! A registered path whose object is gone is taken out of the database, unless something valid refers to it. With contents, every
//! object is read and its hash compared. Findings are told as messages of the activity, in C++ Nix's words.
//!
//! Absent: mending objects, which needs a builder or another store.

use super::LocalStore;
use super::lock::{open_lock_file, wait_flock};
use super::stream::hash_tree;
use crate::threads::on_threads;
use crate::{Error, Result, Store, validity};
use activity::{Activity, Verbosity};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use store_model::{PathInfo, StorePath};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Paths whose bytes are not what was registered, or that cannot be read.
    pub modified: BTreeSet<StorePath>,
    /// Paths whose objects are gone while valid paths refer to them.
    pub missing: BTreeSet<StorePath>,
    /// Paths whose objects were gone, and that were taken out of the database.
    pub removed: BTreeSet<StorePath>,
    /// Names in `.links` whose bytes are others.
    pub bad_links: BTreeSet<String>,
}

impl Verification {
    /// Whether something is wrong still.
    pub fn has_errors(&self) -> bool {
        !(self.modified.is_empty() && self.missing.is_empty() && self.bad_links.is_empty())
    }
}

/// How a list of valid paths is taken in.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Also paths that are valid already; they are left alone otherwise.
    pub again: bool,
    /// The list says each path's NAR hash and size.
    pub with_hash: bool,
    /// Give the objects canonical metadata first.
    pub canonicalise: bool,
}

impl LocalStore {
    /// Checks the store; `check_contents` reads every object.
    pub fn verify(&self, activity: &Activity, check_contents: bool) -> Result<Verification> {
        self.verify_and_mend(activity, check_contents, false)
    }

    /// The same; with `repair`, links to broken files are taken away. Paths are only told, as mending them needs a builder or
    /// another store.
    pub fn verify_and_mend(&self, activity: &Activity, check_contents: bool, repair: bool) -> Result<Verification> {
        let gc_path = self.options.state_dir.join("gc.lock");
        let gc_lock = open_lock_file(&gc_path)?;
        wait_flock(activity, &gc_lock, &gc_path, false)?;
        let tell = |text: &str| activity.message(Verbosity::Info, text);
        let mut result = Verification::default();
        tell("reading the Nix store...");
        let on_disk = self.names_on_disk()?;
        tell("checking path existence...");
        let registered = self.all_valid_paths(activity)?;
        let gone: BTreeSet<StorePath> = registered.difference(&on_disk).cloned().collect();
        self.remove_gone(activity, &gone, &mut result)?;
        if check_contents {
            tell("checking link hashes...");
            self.check_links(activity, repair, &mut result)?;
            tell("checking store hashes...");
            let paths: Vec<StorePath> = registered.difference(&gone).cloned().collect();
            result.modified = self.check_contents(activity, &paths)?;
        }
        Ok(result)
    }

    fn names_on_disk(&self) -> Result<BTreeSet<StorePath>> {
        let folder = &self.options.real_dir;
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(folder).map_err(Error::io("reading directory", folder))? {
            let entry = entry.map_err(Error::io("reading directory", folder))?;
            if let Some(Ok(path)) = entry.file_name().to_str().map(StorePath::parse) {
                names.insert(path);
            }
        }
        Ok(names)
    }

    /// Takes paths whose objects are gone out of the database, those first to which nothing refers.
    fn remove_gone(&self, activity: &Activity, gone: &BTreeSet<StorePath>, result: &mut Verification) -> Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        let order = self.topological_order(activity, gone)?;
        for path in order.iter().rev() {
            let printed = self.options.store_dir.print(path);
            let mut referrers = self.referrers(activity, path)?;
            referrers.remove(path);
            if referrers.is_empty() {
                let text = format!("path '{printed}' disappeared, removing from database...");
                activity.message(Verbosity::Info, &text);
                self.invalidate(activity, path)?;
                result.removed.insert(path.clone());
            } else {
                let text = format!("path '{printed}' disappeared, but it still has valid referrers!");
                activity.message(Verbosity::Error, &text);
                result.missing.insert(path.clone());
            }
        }
        Ok(())
    }

    fn invalidate(&self, activity: &Activity, path: &StorePath) -> Result<()> {
        let printed = self.options.store_dir.print(path);
        self.database.write(activity, |transaction| {
            transaction
                .execute("delete from ValidPaths where path = ?", [&printed])
                .map(|_| ())
                .map_err(self.database.failed())
        })
    }

    fn check_links(&self, activity: &Activity, repair: bool, result: &mut Verification) -> Result<()> {
        let folder = self.options.real_dir.join(".links");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("reading directory", &folder)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(Error::io("reading directory", &folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let (hash, _) = hash_tree(activity, &entry.path())?;
            if hash.to_nix32() != name {
                let path = entry.path();
                let text = format!(
                    "link \"{}\" was modified! expected hash {name}, got '{}'",
                    path.display(),
                    hash.to_nix32()
                );
                activity.message(Verbosity::Error, &text);
                if repair {
                    fs::remove_file(&path).map_err(Error::io("deleting", &path))?;
                    activity.message(Verbosity::Info, &format!("removed link \"{}\"", path.display()));
                } else {
                    result.bad_links.insert(name);
                }
            }
        }
        Ok(())
    }

    /// Reads every object, several at a time; tells in the order of the paths which are not as registered.
    ///
    /// # Errors
    /// Of the database, and the user's wish to end; an object that cannot be read is told like one with other contents.
    pub fn check_contents(&self, activity: &Activity, paths: &[StorePath]) -> Result<BTreeSet<StorePath>> {
        // A path collected meanwhile by hand is nothing to complain about.
        let mut infos: Vec<PathInfo> = self.path_infos(activity, paths)?.into_iter().flatten().collect();
        // The largest first: one that is begun last would be waited for.
        infos.sort_by_key(|info| std::cmp::Reverse(info.nar_size));
        let next = AtomicUsize::new(0);
        let work = || {
            let mut found = BTreeMap::new();
            while let Some(info) = infos.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Some(complaint) = self.complaint(activity, info)? {
                    found.insert(info.path.clone(), complaint);
                }
            }
            Ok(found)
        };
        let found: BTreeMap<StorePath, String> = on_threads(infos.len(), work)?.into_iter().flatten().collect();
        for complaint in found.values() {
            activity.message(Verbosity::Error, complaint);
        }
        Ok(found.into_keys().collect())
    }

    /// Those of the valid paths whose bytes are what was registered.
    pub fn intact_paths(&self, activity: &Activity, paths: BTreeSet<StorePath>) -> Result<BTreeSet<StorePath>> {
        let list: Vec<StorePath> = paths.into_iter().collect();
        let mut intact = BTreeSet::new();
        for info in self.path_infos(activity, &list)?.into_iter().flatten() {
            activity.check()?;
            if self.complaint(activity, &info)?.is_none() {
                intact.insert(info.path);
            }
        }
        Ok(intact)
    }

    fn complaint(&self, activity: &Activity, info: &PathInfo) -> Result<Option<String>> {
        match hash_tree(activity, &self.real_path(&info.path)).map_err(Error::from) {
            Ok((got, _)) if got == info.nar_hash => Ok(None),
            Ok((got, _)) => {
                let path = self.options.store_dir.print(&info.path);
                Ok(Some(format!("path '{path}' was modified! expected hash '{}', got '{got}'", info.nar_hash)))
            }
            Err(Error::Cancelled(cancelled)) => Err(cancelled.into()),
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    /// Writes the list of all valid paths.
    pub fn dump_db(&self, activity: &Activity, out: &mut dyn Write) -> Result<()> {
        let paths: Vec<StorePath> = self.all_valid_paths(activity)?.into_iter().collect();
        for part in paths.chunks(1024) {
            for info in self.path_infos(activity, part)?.into_iter().flatten() {
                validity::write_entry(&self.options.store_dir, &info, out)?;
            }
        }
        Ok(())
    }

    /// Registers the paths of such a list, whose objects must be in place; what the short form does not say is hashed.
    pub fn load_db(&self, activity: &Activity, how: LoadOptions, input: &mut dyn BufRead) -> Result<()> {
        let entries = validity::read_entries(&self.options.store_dir, how.with_hash, input)?;
        let paths: Vec<StorePath> = entries.iter().map(|entry| entry.path.clone()).collect();
        let valid = if how.again { BTreeSet::new() } else { self.valid_paths(activity, &paths)? };
        let mut infos = Vec::with_capacity(entries.len());
        for entry in entries.into_iter().filter(|entry| !valid.contains(&entry.path)) {
            let real = self.real_path(&entry.path);
            if how.canonicalise {
                self.canonicaliser(None).canonicalise(activity, &real)?;
            }
            let (hash, size) = match entry.nar {
                Some(nar) => nar,
                None => hash_tree(activity, &real)?,
            };
            let mut info = PathInfo::new(entry.path, hash, size);
            info.deriver = entry.deriver;
            info.references = entry.references.into_iter().collect();
            infos.push(info);
        }
        crate::WritableStore::register(self, activity, &infos)
    }
}
