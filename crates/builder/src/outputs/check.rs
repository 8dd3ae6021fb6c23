//! What a derivation says its outputs may be: sizes, references, closures. The words are C++ Nix's
//! (`src/libstore/build/derivation-check.cc`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use store_model::derivation::options::{AllOutputChecks, CheckedReference, OutputChecks};
use store_model::{BuildStatus, OutputMap, PathInfo, StoreDir, StorePath};

use crate::error::{Error, Result};

/// Asks what is known about a path that is valid already.
pub(crate) type Lookup<'a> = dyn FnMut(&StorePath) -> Result<Arc<PathInfo>> + 'a;

/// The outputs of one build, and the words about them.
pub(crate) struct Checked<'a> {
    pub store_dir: &'a StoreDir,
    pub derivation: &'a StorePath,
    pub outputs: &'a OutputMap<Arc<PathInfo>>,
}

impl Checked<'_> {
    /// Applies all checks to all outputs.
    ///
    /// # Errors
    /// [`Error::Build`] with [`BuildStatus::OutputRejected`] for the first one that is broken.
    pub(crate) fn apply(&self, checks: &AllOutputChecks, lookup: &mut Lookup<'_>) -> Result<()> {
        for (name, info) in self.outputs {
            match checks {
                AllOutputChecks::ForAllOutputs(checks) => self.output(name, info, checks, lookup)?,
                AllOutputChecks::PerOutput(checks) => {
                    if let Some(checks) = checks.get(name) {
                        self.output(name, info, checks, lookup)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn output(&self, name: &str, info: &PathInfo, checks: &OutputChecks, lookup: &mut Lookup<'_>) -> Result<()> {
        let path = self.store_dir.print(&info.path);
        if let Some(limit) = checks.max_size.filter(|&limit| info.nar_size > limit) {
            return Err(rejected(format!(
                "path '{path}' is too large at {} bytes; limit is {limit} bytes",
                info.nar_size
            )));
        }
        let closure_wanted = checks.max_closure_size.is_some()
            || checks.allowed_requisites.is_some()
            || !checks.disallowed_requisites.is_empty();
        let (mut closure, size) = if closure_wanted { self.closure(&info.path, lookup)? } else { (BTreeSet::new(), 0) };
        if let Some(limit) = checks.max_closure_size.filter(|&limit| size > limit) {
            return Err(rejected(format!(
                "closure of path '{path}' is too large at {size} bytes; limit is {limit} bytes"
            )));
        }
        if checks.ignore_self_references {
            closure.remove(&info.path);
        }
        if let Some(allowed) = &checks.allowed_references {
            self.references(name, info, allowed, true, &info.references)?;
        }
        if let Some(allowed) = &checks.allowed_requisites {
            self.references(name, info, allowed, true, &closure)?;
        }
        if !checks.disallowed_references.is_empty() {
            self.references(name, info, &checks.disallowed_references, false, &info.references)?;
        }
        if !checks.disallowed_requisites.is_empty() {
            self.references(name, info, &checks.disallowed_requisites, false, &closure)?;
        }
        Ok(())
    }

    /// Everything a path refers to, itself included, and the bytes of all of it. Outputs need not be valid yet.
    fn closure(&self, path: &StorePath, lookup: &mut Lookup<'_>) -> Result<(BTreeSet<StorePath>, u64)> {
        let own: BTreeMap<&StorePath, &Arc<PathInfo>> = self.outputs.values().map(|info| (&info.path, info)).collect();
        let (mut seen, mut size) = (BTreeSet::new(), 0);
        let mut left = vec![path.clone()];
        while let Some(path) = left.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let info = match own.get(&path) {
                Some(info) => Arc::clone(info),
                None => lookup(&path)?,
            };
            size += info.nar_size;
            left.extend(info.references.iter().filter(|reference| !seen.contains(*reference)).cloned());
        }
        Ok((seen, size))
    }

    fn references(
        &self,
        name: &str,
        info: &PathInfo,
        named: &BTreeSet<CheckedReference>,
        allowed: bool,
        used: &BTreeSet<StorePath>,
    ) -> Result<()> {
        let mut paths = BTreeSet::new();
        for reference in named {
            match reference {
                CheckedReference::Path(path) => paths.insert(path.clone()),
                CheckedReference::Output(output) => match self.outputs.get(output) {
                    Some(info) => paths.insert(info.path.clone()),
                    None => return Err(self.unknown_output(name, output)),
                },
            };
        }
        let bad: String = used
            .iter()
            .filter(|path| paths.contains(*path) != allowed)
            .map(|path| format!("\n  {}", self.store_dir.print(path)))
            .collect();
        if bad.is_empty() {
            return Ok(());
        }
        let path = self.store_dir.print(&info.path);
        Err(rejected(format!("output '{path}' is not allowed to refer to the following paths:{bad}")))
    }

    fn unknown_output(&self, name: &str, output: &str) -> Error {
        let known: Vec<_> = self.outputs.keys().map(String::as_str).collect();
        rejected(format!(
            "derivation '{}' output check for '{name}' contains output name '{output}', but this is not a valid output of this derivation. (Valid outputs are [{}].)",
            self.store_dir.print(self.derivation),
            known.join(", ")
        ))
    }
}

fn rejected(message: String) -> Error {
    Error::Build { status: BuildStatus::OutputRejected, message }
}
