//! Reading `.drv` files, and checking the output paths in them before they are registered.
//!
//! The hash modulo of a derivation needs those of its inputs; they are computed once per open store, depth first without
//! recursion, because graphs of derivations are deep. The table only grows with what is asked.

use super::LocalStore;
use crate::{Error, Result};
use activity::Activity;
use rustc_hash::FxHashMap;
use std::fs;
use store_model::derivation::hash_modulo::hash_modulo;
use store_model::derivation::{HashModulo, aterm};
use store_model::{Derivation, OutputMap, StorePath};

impl LocalStore {
    pub(super) fn load_derivation(&self, path: &StorePath) -> Result<Derivation> {
        let name = path.derivation_name()?;
        let file = self.real_path(path);
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::InvalidPath(self.options.store_dir.print(path)));
            }
            Err(error) => return Err(Error::io("reading", &file)(error)),
        };
        Ok(aterm::parse(&self.options.store_dir, &bytes, name)?)
    }

    /// The hash modulo of a derivation in the store, as users of it need it.
    pub fn hash_modulo(&self, activity: &Activity, path: &StorePath) -> Result<HashModulo> {
        let mut known = self.modulo.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(found) = known.get(path) {
            return Ok(found.clone());
        }
        // Derivations that wait for their inputs. A circle cannot be: a path holds the hash of what it refers to; should one
        // be forged, the second visit finds the derivation waiting already.
        let mut waiting: FxHashMap<StorePath, Derivation> = FxHashMap::default();
        let mut stack = vec![path.clone()];
        while let Some(current) = stack.last().cloned() {
            activity.check()?;
            if known.contains_key(&current) {
                stack.pop();
                continue;
            }
            let (drv, again) = match waiting.remove(&current) {
                Some(drv) => (drv, true),
                None => (self.load_derivation(&current)?, false),
            };
            let missing: Vec<StorePath> =
                drv.input_drvs.keys().filter(|input| !known.contains_key(*input)).cloned().collect();
            if missing.is_empty() {
                let modulo =
                    hash_modulo(&self.options.store_dir, &drv, false, &mut |input| self.lookup(&known, input))?;
                known.insert(current, modulo);
                stack.pop();
            } else if again || missing.iter().any(|input| waiting.contains_key(input)) {
                let print = |path: &StorePath| self.options.store_dir.print(path);
                return Err(Error::Cycle { path: print(&missing[0]), parent: print(&current) });
            } else {
                waiting.insert(current, drv);
                stack.extend(missing);
            }
        }
        self.lookup(&known, path)
    }

    fn lookup(&self, known: &FxHashMap<StorePath, HashModulo>, path: &StorePath) -> Result<HashModulo> {
        known.get(path).cloned().ok_or_else(|| Error::InvalidPath(self.options.store_dir.print(path)))
    }

    /// The outputs of a derivation that is about to be registered; an error unless name, output paths and variables are
    /// what the derivation itself gives. Its inputs must be in the store.
    pub(super) fn checked_outputs(
        &self,
        activity: &Activity,
        path: &StorePath,
        drv: &Derivation,
    ) -> Result<OutputMap<StorePath>> {
        let store_dir = &self.options.store_dir;
        if path.derivation_name()? != drv.name {
            let path = store_dir.print(path);
            return Err(store_model::Error::DerivationNameMismatch { path, name: drv.name.clone() }.into());
        }
        drv.check_output_paths(store_dir, &mut |input| self.hash_modulo(activity, input))?;
        self.known_outputs(drv)
    }

    /// Whether these bytes are a derivation that may be registered under the path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_derivation(&self, activity: &Activity, path: &StorePath, bytes: &[u8]) -> Result<()> {
        let drv = aterm::parse(&self.options.store_dir, bytes, path.derivation_name()?)?;
        self.checked_outputs(activity, path, &drv).map(drop)
    }

    /// The outputs whose paths are known.
    fn known_outputs(&self, drv: &Derivation) -> Result<OutputMap<StorePath>> {
        let outputs = drv.output_paths(&self.options.store_dir)?;
        Ok(outputs.into_iter().filter_map(|(name, path)| Some((name, path?))).collect())
    }
}
