//! What outputs became by what another store knows: the derivation's own key is asked for first, then that of the derivation
//! that it comes to be once its inputs are known by the same store.

use std::collections::HashMap;

use activity::Activity;
use store::{LocalStore, Realisations, Store as _};
use store_model::{Derivation, DrvOutput, OutputMap, OutputName, Realisation, SingleDerivedPath, StorePath};

/// Answers about derivations that are in a store on this machine, out of what another store knows of outputs.
pub struct Realised<'a> {
    store: &'a LocalStore,
    elsewhere: &'a dyn Realisations,
    activity: &'a Activity,
    known: HashMap<StorePath, OutputMap<Realisation>>,
}

impl<'a> Realised<'a> {
    /// Nothing is asked yet.
    pub fn new(store: &'a LocalStore, elsewhere: &'a dyn Realisations, activity: &'a Activity) -> Self {
        Self { store, elsewhere, activity, known: HashMap::new() }
    }

    /// What the outputs of a derivation became that are known; those whose paths are known beforehand are not asked for.
    ///
    /// # Errors
    /// What either store says.
    pub fn outputs(&mut self, drv: &StorePath) -> store::Result<OutputMap<Realisation>> {
        if let Some(known) = self.known.get(drv) {
            return Ok(known.clone());
        }
        let derivation = self.store.read_derivation(self.activity, drv)?;
        let mut found = self.ask(&derivation)?;
        if found.len() < derivation.outputs.len()
            && derivation.should_resolve(false)?
            && let Some(resolved) = self.resolve(&derivation)?
        {
            let keys = self.store.output_ids(self.activity, &derivation)?;
            for (name, one) in self.resolved_outputs(&resolved)? {
                if let Some(id) = keys.get(&name) {
                    found.entry(name).or_insert(Realisation { id: id.clone(), ..one });
                }
            }
        }
        self.known.insert(drv.clone(), found.clone());
        Ok(found)
    }

    fn ask(&self, derivation: &Derivation) -> store::Result<OutputMap<Realisation>> {
        let ids: Vec<DrvOutput> =
            self.store.output_ids(self.activity, derivation)?.into_iter().map(|(_, id)| id).collect();
        let answers = self.elsewhere.realisations(self.activity, &ids)?;
        Ok(answers.into_iter().flatten().map(|one| (one.id.output.clone(), one)).collect())
    }

    /// The outputs of a derivation without inputs, known beforehand or not.
    fn resolved_outputs(&self, resolved: &Derivation) -> store::Result<OutputMap<Realisation>> {
        let mut found = self.ask(resolved)?;
        let keys = self.store.output_ids(self.activity, resolved)?;
        for (name, path) in resolved.output_paths(self.store.store_dir())? {
            if let (Some(out_path), Some(id)) = (path, keys.get(&name)) {
                let own = Realisation { id: id.clone(), out_path, signatures: Default::default() };
                found.entry(name).or_insert(own);
            }
        }
        Ok(found)
    }

    fn resolve(&mut self, derivation: &Derivation) -> store::Result<Option<Derivation>> {
        let dir = self.store.store_dir().clone();
        let mut failed = None;
        let mut became = |input: &SingleDerivedPath, output: &OutputName| match self.one(input, output) {
            Ok(path) => path,
            Err(error) => {
                failed = Some(error);
                None
            }
        };
        let resolved = derivation.resolve(&dir, &mut became)?;
        failed.map_or(Ok(resolved), Err)
    }

    fn one(&mut self, drv: &SingleDerivedPath, output: &OutputName) -> store::Result<Option<StorePath>> {
        let drv = match drv {
            SingleDerivedPath::Opaque(path) => path.clone(),
            SingleDerivedPath::Built { drv, output } => match self.one(drv, output)? {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        let derivation = self.store.read_derivation(self.activity, &drv)?;
        if let Some(path) = derivation.output_paths(self.store.store_dir())?.remove(output).flatten() {
            return Ok(Some(path));
        }
        Ok(self.outputs(&drv)?.remove(output).map(|one| one.out_path))
    }
}
