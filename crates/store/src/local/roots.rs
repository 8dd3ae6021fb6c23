//! Permanent roots: links that keep what they point at, and everything it refers to.
//!
//! A root outside the state folder is registered by a link to it under `gcroots/auto`, named by the sha1 of its path. Before a
//! root is made, the rows that speak of its target are durable; links are replaced at once, by renaming.
//!
//! Absent: finding roots, which is the collector's (`gc/roots.rs`).

use super::LocalStore;
use crate::{Error, Result};
use activity::Activity;
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
        self.add_indirect_root(link)?;
        self.temp_roots.confirm(activity, &self.options.store_dir, path)
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
}
