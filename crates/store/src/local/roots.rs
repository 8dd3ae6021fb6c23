//! Permanent roots: links that keep what they point at, and everything it refers to.
//!
//! A root outside the state folder is registered by a link to it under `gcroots/auto`, named by the sha1 of its path. Before a
//! root is made, the rows that speak of its target are durable; links are replaced at once, by renaming.
//!
//! Absent: roots of running processes, which only a collector needs.

use super::LocalStore;
use crate::{Error, Result, Store};
use activity::Activity;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use store_model::{Hash, HashAlgorithm, StorePath};

impl LocalStore {
    /// Makes `link` (absolute) a link to the path and a root: what `--add-root` and out-links are. An existing link is
    /// replaced if it points into the store; anything else there is an error. Root the path temporarily first.
    pub fn add_permanent_root(&self, activity: &Activity, link: &Path, path: &StorePath) -> Result<()> {
        activity.check()?;
        let target = PathBuf::from(self.options.store_dir.print(path));
        self.replace_store_link(link, &target)?;
        self.add_indirect_root(link)
    }

    /// Makes or replaces a link into the store, whose target may lie below an object. No root is registered.
    pub fn replace_store_link(&self, link: &Path, target: &Path) -> Result<()> {
        let store_dir = Path::new(self.options.store_dir.as_str());
        if link.starts_with(store_dir) || link.starts_with(&self.options.real_dir) {
            return Err(Error::RootInStore(link.to_owned()));
        }
        match fs::read_link(link) {
            Ok(old) if !old.starts_with(store_dir) => return Err(Error::LinkExists(link.to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => return Err(Error::LinkExists(link.to_owned())),
        }
        self.database.sync()?;
        self.files.replace_link(target, link, self.options.fsync_metadata)
    }

    /// Registers a link (absolute) as a root: whatever it points at is kept for as long as it does.
    pub fn add_indirect_root(&self, link: &Path) -> Result<()> {
        let name = Hash::of(HashAlgorithm::Sha1, link.as_os_str().as_bytes()).to_nix32();
        let root = self.options.state_dir.join("gcroots/auto").join(name);
        if fs::read_link(&root).is_ok_and(|old| old == link) {
            return Ok(());
        }
        self.files.replace_link(link, &root, self.options.fsync_metadata)
    }

    /// The permanent roots: by path, the links that keep it. Links that lead nowhere are left out.
    pub fn permanent_roots(&self, activity: &Activity) -> Result<BTreeMap<StorePath, BTreeSet<PathBuf>>> {
        let mut found = BTreeMap::new();
        for folder in ["gcroots", "profiles"] {
            self.find_roots(activity, &self.options.state_dir.join(folder), &mut found)?;
        }
        let paths: Vec<StorePath> = found.keys().cloned().collect();
        let valid = self.valid_paths(activity, &paths)?;
        found.retain(|path, _| valid.contains(path));
        Ok(found)
    }

    fn find_roots(
        &self,
        activity: &Activity,
        path: &Path,
        found: &mut BTreeMap<StorePath, BTreeSet<PathBuf>>,
    ) -> Result<()> {
        activity.check()?;
        let Ok(kind) = fs::symlink_metadata(path).map(|found| found.file_type()) else { return Ok(()) };
        if kind.is_dir() {
            let Ok(entries) = fs::read_dir(path) else { return Ok(()) };
            for entry in entries {
                let entry = entry.map_err(Error::io("reading directory", path))?;
                self.find_roots(activity, &entry.path(), found)?;
            }
        } else if kind.is_symlink() {
            let mut link = path.to_owned();
            let Some(mut target) = self.target_of(&link) else { return Ok(()) };
            if self.in_store(&target).is_none() {
                let Some(second) = self.target_of(&target) else { return Ok(()) };
                (link, target) = (target, second);
            }
            if let Some(root) = self.in_store(&target) {
                found.entry(root).or_default().insert(link);
            }
        } else if kind.is_file()
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
            && let Ok(root) = StorePath::parse(name)
        {
            found.entry(root).or_default().insert(path.to_owned());
        }
        Ok(())
    }

    fn target_of(&self, link: &Path) -> Option<PathBuf> {
        let target = fs::read_link(link).ok()?;
        Some(link.parent()?.join(target))
    }

    fn in_store(&self, target: &Path) -> Option<StorePath> {
        self.options.store_dir.parse_inside(target.to_str()?).ok().map(|(path, _)| path)
    }
}
