//! Requests that ask: which paths are valid, what is known of them, what they need, what they are.

use super::{Connection, Version};
use crate::Result;
use crate::wire::{number, path_or_none, paths, string, strings};
use std::collections::BTreeSet;
use store::closure::closure;
use store_model::{PathInfo, StorePath};

/// Paths that are asked about at once.
const BATCH: usize = 1000;

impl Connection<'_, '_> {
    /// Which of some paths are valid. A client that is about to use them wants them kept, and perhaps fetched first.
    pub(super) fn valid_paths(&mut self) -> Result<()> {
        let (lock, substitute) = (self.wire.flag()?, self.wire.flag()?);
        let dir = self.server.store.store_dir();
        let asked: Vec<StorePath> = self.wire.paths(dir)?.into_iter().collect();
        if let Some(changes) = &self.server.changes {
            if let (true, Some(roots)) = (lock, changes.roots) {
                roots.add_temp_roots(self.activity, &asked)?;
            }
            if substitute {
                let objects: Vec<StorePath> = asked.iter().filter(|path| !path.is_derivation()).cloned().collect();
                changes.builds.substitute(self.activity, &objects)?;
            }
        }
        paths(self.out, dir, &self.server.store.valid_paths(self.activity, &asked)?)
    }

    /// What is known of those that are valid.
    pub(super) fn path_infos(&mut self) -> Result<()> {
        let store = self.server.store;
        let asked: Vec<StorePath> = self.wire.paths(store.store_dir())?.into_iter().collect();
        for batch in asked.chunks(BATCH) {
            for info in store.path_infos(self.activity, batch)?.into_iter().flatten() {
                string(self.out, store.store_dir().print(&info.path).as_bytes())?;
                self.path_info(&info)?;
            }
        }
        string(self.out, b"")
    }

    fn path_info(&mut self, info: &PathInfo) -> Result<()> {
        let dir = self.server.store.store_dir();
        path_or_none(self.out, dir, info.deriver.as_ref())?;
        paths(self.out, dir, &info.references)?;
        // The first one was the size of a download.
        number(self.out, info.nar_size)?;
        number(self.out, info.nar_size)?;
        if self.version >= Version(2, 4) {
            string(self.out, info.nar_hash.to_string().as_bytes())?;
            string(self.out, info.content_address.map(|one| one.to_string()).unwrap_or_default().as_bytes())?;
            strings(self.out, info.signatures.iter().map(ToString::to_string))?;
        }
        Ok(())
    }

    /// The archive of a path, without anything before or behind it.
    pub(super) fn dump(&mut self) -> Result<()> {
        let store = self.server.store;
        let path = self.wire.path(store.store_dir())?;
        // What is being written there is nobody's yet.
        if store.valid_paths(self.activity, std::slice::from_ref(&path))?.is_empty() {
            return Err(store::Error::InvalidPath(store.store_dir().print(&path)).into());
        }
        Ok(store.nar(self.activity, &path, self.out)?)
    }

    /// All that some paths refer to, themselves included; with outputs, those of derivations and all that these refer to.
    pub(super) fn closure(&mut self) -> Result<()> {
        let (store, activity) = (self.server.store, self.activity);
        let with_outputs = self.wire.flag()?;
        let mut next: Vec<StorePath> = self.wire.paths(store.store_dir())?.into_iter().collect();
        let mut found = BTreeSet::new();
        // An output may be a derivation, which has outputs.
        while !next.is_empty() {
            let more = closure(store, activity, &next)?;
            let mut outputs = Vec::new();
            for drv in more.iter().filter(|path| with_outputs && path.is_derivation() && !found.contains(*path)) {
                outputs.extend(store.derivation_outputs(activity, drv)?.into_iter().filter_map(|(_, path)| path));
            }
            found.extend(more);
            next = store.valid_paths(activity, &outputs)?.into_iter().filter(|path| !found.contains(path)).collect();
        }
        paths(self.out, store.store_dir(), &found)
    }
}
