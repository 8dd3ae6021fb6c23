//! What is known about valid paths during one run, so that the store is asked once for each and in bulk.
//!
//! Also holds the outputs that this run made and has not registered yet: its later builds use them already.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use activity::Activity;
use store::{LocalStore, Store};
use store_model::{PathInfo, StorePath};

use crate::error::{Error, Result};

/// Metadata by path.
pub(crate) struct Known<'a> {
    store: &'a LocalStore,
    infos: RwLock<HashMap<StorePath, Arc<PathInfo>>>,
}

impl<'a> Known<'a> {
    pub(crate) fn new(store: &'a LocalStore) -> Self {
        Self { store, infos: RwLock::default() }
    }

    /// Outputs that are in place, registered or not.
    pub(crate) fn add(&self, infos: impl IntoIterator<Item = Arc<PathInfo>>) {
        let mut known = self.infos.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(infos.into_iter().map(|info| (info.path.clone(), info)));
    }

    /// What is known about one valid path.
    pub(crate) fn info(&self, activity: &Activity, path: &StorePath) -> Result<Arc<PathInfo>> {
        let mut closure = self.fetch(activity, std::slice::from_ref(path))?;
        closure.pop().ok_or_else(|| self.invalid(path))
    }

    /// The size of some valid paths together.
    pub(crate) fn bytes(&self, activity: &Activity, paths: &[StorePath]) -> Result<u64> {
        if paths.is_empty() {
            return Ok(0);
        }
        Ok(self.fetch(activity, paths)?.iter().map(|info| info.nar_size).sum())
    }

    /// The paths and everything they refer to.
    pub(crate) fn closure(
        &self,
        activity: &Activity,
        paths: impl IntoIterator<Item = StorePath>,
    ) -> Result<BTreeMap<StorePath, Arc<PathInfo>>> {
        let mut found = BTreeMap::new();
        let mut level: Vec<StorePath> = paths.into_iter().collect();
        while !level.is_empty() {
            level.sort_unstable();
            level.dedup();
            let mut next = Vec::new();
            for info in self.fetch(activity, &level)? {
                next.extend(info.references.iter().cloned());
                found.insert(info.path.clone(), info);
            }
            next.retain(|path| !found.contains_key(path));
            level = next;
        }
        Ok(found)
    }

    fn fetch(&self, activity: &Activity, paths: &[StorePath]) -> Result<Vec<Arc<PathInfo>>> {
        let mut found = Vec::with_capacity(paths.len());
        let mut missing = Vec::new();
        {
            let known = self.infos.read().unwrap_or_else(PoisonError::into_inner);
            for path in paths {
                match known.get(path) {
                    Some(info) => found.push(Arc::clone(info)),
                    None => missing.push(path.clone()),
                }
            }
        }
        if !missing.is_empty() {
            let asked = self.store.path_infos(activity, &missing)?;
            let fresh: Vec<_> = missing
                .iter()
                .zip(asked)
                .map(|(path, info)| info.map(Arc::new).ok_or_else(|| self.invalid(path)))
                .collect::<Result<_>>()?;
            self.add(fresh.iter().cloned());
            found.extend(fresh);
        }
        Ok(found)
    }

    fn invalid(&self, path: &StorePath) -> Error {
        Error::Store(store::Error::InvalidPath(self.store.store_dir().print(path)))
    }
}
