//! The last look before a job begins: its outputs are locked and asked about once more, since another process may have made
//! them meanwhile.
//!
//! Outputs whose paths are known are locked by these, like in C++ Nix; others by the derivation's name and their own. A
//! derivation that came about by resolving is written now, as the record of what is built; the registrar makes it valid
//! after the inputs that it names.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use activity::Activity;
use store::{BuildMode, LocalStore, PathLocks, Store, TemporaryRoots};
use store_model::{Derivation, DerivationKind, OutputMap, OutputName, PathInfo, StorePath};

use crate::error::Result;
use crate::local::Job;
use crate::outputs::rewrite::unknown_path;
use crate::plan::{NodeId, Plan};
use crate::registrar::Finished;
use crate::run::Run;

/// What became of the attempt to begin a job.
pub(crate) enum Prepared {
    /// It can begin; what it is built from is to be registered first, where that is new.
    Job(Box<Job>, PathLocks, Option<Finished>),
    /// An object is copied; whoever writes it locks it. The locks are none.
    Object(PathLocks),
    /// Its outputs are there.
    Present(Vec<Arc<PathInfo>>, OutputMap<StorePath>),
    /// Another process is at it.
    Locked,
}

/// The names that are locked while a node is built.
pub(crate) fn lock_files(store: &LocalStore, plan: &Plan, id: NodeId) -> Vec<PathBuf> {
    let known = |name: &OutputName| {
        let derivation = plan.derivation(id)?;
        derivation.outputs.get(name)?.path(store.store_dir(), &derivation.name, name).ok()?
    };
    let drv = plan.path(id);
    let file = |name: &OutputName| match known(name) {
        Some(path) => store.real_path(&path),
        None => store.real_dir().join(format!("{drv}.{name}")),
    };
    plan.outputs(id).keys().map(file).collect()
}

impl Run<'_> {
    /// Locks the outputs and looks at them once more.
    pub(crate) fn prepare(&self, id: NodeId) -> Result<Prepared> {
        let store = &self.shared.store;
        if self.plan.is_object(id) {
            return Ok(Prepared::Object(store.lock_paths(self.activity, &[])?));
        }
        let Some(derivation) = self.plan.derivation(id).cloned() else { return Ok(Prepared::Locked) };
        let kind = derivation.kind()?;
        let known = derivation.output_paths(store.store_dir())?;
        let mut outputs: OutputMap<StorePath> =
            known.into_iter().filter_map(|(name, path)| Some((name, path?))).collect();
        let paths: Vec<StorePath> = outputs.values().cloned().collect();
        // The derivation's path names the root that is made for its builder, so it is rooted with the rest.
        store.add_temp_roots(self.activity, &paths)?;
        let Some(locks) = store.try_lock_files(&lock_files(store, self.plan, id))? else {
            return Ok(Prepared::Locked);
        };
        let mut hash = None;
        if kind == DerivationKind::Floating {
            // Now that nobody else builds it, what it became is certain.
            let (by, became) = store.realised_outputs(self.activity, &derivation)?;
            let paths: Vec<StorePath> = became.values().cloned().collect();
            store.add_temp_roots(self.activity, &paths)?;
            let valid = store.valid_paths(self.activity, &paths)?;
            outputs.extend(became.into_iter().filter(|(_, path)| valid.contains(path)));
            hash = Some(by);
        }
        let paths: Vec<StorePath> = outputs.values().cloned().collect();
        let mode = self.plan.mode(id);
        let valid = store.valid_paths(self.activity, &paths)?;
        let complete = valid.len() == derivation.outputs.len();
        if mode == BuildMode::Normal && complete {
            return self.present(outputs);
        }
        for path in paths.iter().filter(|path| !valid.contains(*path)) {
            store.remove_tree(&store.real_path(path))?;
        }
        let mut broken = BTreeSet::new();
        if mode == BuildMode::Repair {
            let there: Vec<StorePath> = valid.iter().cloned().collect();
            broken = store.check_contents(self.activity, &there)?;
            if broken.is_empty() && complete {
                return self.present(outputs);
            }
        }
        let names = |wanted: &dyn Fn(&StorePath) -> bool| {
            outputs.iter().filter(|(_, path)| wanted(path)).map(|(name, _)| name.clone()).collect()
        };
        let valid = names(&|path| valid.contains(path) && !broken.contains(path));
        let broken = names(&|path| broken.contains(path));
        let path = self.plan.path(id).clone();
        let mut unknown = OutputMap::new();
        for name in derivation.outputs.keys().filter(|name| !outputs.contains_key(*name)) {
            unknown.insert(name.clone(), unknown_path(&path, &derivation.name, name)?);
        }
        let scratch: Vec<StorePath> = unknown.values().cloned().collect();
        store.add_temp_roots(self.activity, &scratch)?;
        for path in &scratch {
            store.remove_tree(&store.real_path(path))?;
        }
        outputs.extend(unknown);
        let file = match self.plan.is_resolved(id) {
            true => match self.write_resolved(&path, &derivation)? {
                Written::Locked => return Ok(Prepared::Locked),
                Written::There => None,
                Written::New(file) => Some(file),
            },
            false => None,
        };
        let inputs = self.inputs_of(&derivation);
        let job = Job { path, derivation, outputs, valid, broken, mode, inputs, hash };
        Ok(Prepared::Job(Box::new(job), locks, file))
    }

    fn present(&self, outputs: OutputMap<StorePath>) -> Result<Prepared> {
        let paths: Vec<StorePath> = outputs.values().cloned().collect();
        let infos = self.shared.store.path_infos(self.activity, &paths)?;
        Ok(Prepared::Present(infos.into_iter().flatten().map(Arc::new).collect(), outputs))
    }

    fn inputs_of(&self, derivation: &Derivation) -> Vec<StorePath> {
        let mut inputs: Vec<StorePath> = derivation.input_srcs.iter().cloned().collect();
        for (input, used) in &derivation.input_drvs {
            let Some(node) = self.plan.find(input) else { continue };
            let made = self.plan.outputs(node);
            inputs.extend(used.outputs.iter().filter_map(|name| made.get(name).cloned().flatten()));
        }
        inputs
    }

    /// Puts the file of a derivation that was resolved in its place.
    fn write_resolved(&self, path: &StorePath, derivation: &Derivation) -> Result<Written> {
        let (store, activity): (_, &Activity) = (&self.shared.store, self.activity);
        let own = std::slice::from_ref(path);
        store.add_temp_roots(activity, own)?;
        if !store.valid_paths(activity, own)?.is_empty() {
            return Ok(Written::There);
        }
        let Some(locks) = store.try_lock_paths(own)? else { return Ok(Written::Locked) };
        if !store.valid_paths(activity, own)?.is_empty() {
            return Ok(Written::There);
        }
        let info = store.place_text(&derivation.to_text_object(store.store_dir())?)?;
        Ok(Written::New(Finished { infos: vec![info], locks: vec![locks], ..Finished::default() }))
    }
}

/// What became of a derivation's file.
enum Written {
    Locked,
    There,
    New(Finished),
}
