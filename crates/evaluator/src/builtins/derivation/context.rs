//! Second stage: the context of the strings becomes the inputs.

use crate::error::EvalError;
use crate::eval::Eval;
use crate::value::{ContextElement, KnownElement, start_of_path};
use std::collections::{BTreeMap, BTreeSet};
use store_model::derivation::HashModulo;
use store_model::{SingleDerivedPath, StorePath};

/// What whole derivations among the context bring along.
#[derive(Default)]
pub(super) struct Closures {
    drvs: BTreeMap<StorePath, BTreeSet<String>>,
    srcs: BTreeSet<StorePath>,
}

/// A derivation with one of its outputs that is used.
pub(super) struct Input<'a> {
    start: u64,
    path: &'a StorePath,
    output: &'a str,
    /// The derivation's hash, if it is at hand.
    pub(super) hash: Option<&'a HashModulo>,
}

impl<'a> Input<'a> {
    fn key(&self) -> (u64, &'a StorePath, &'a str) {
        (self.start, self.path, self.output)
    }

    /// Derivation and output.
    pub(super) fn names(&self) -> (&'a StorePath, &'a str) {
        (self.path, self.output)
    }
}

/// The inputs, sorted, each once.
#[derive(Default)]
pub(super) struct Inputs<'a> {
    /// Derivations, once for each output used.
    pub(super) drvs: Vec<Input<'a>>,
    /// Sources.
    pub(super) srcs: Vec<&'a StorePath>,
    /// Outputs of outputs: the derivation that is an output, and an output of it.
    pub(super) dynamic: Vec<(&'a SingleDerivedPath, &'a str)>,
}

/// Finds what whole derivations bring along.
pub(super) fn closures(eval: &mut Eval, elements: &[&KnownElement]) -> Result<Closures, EvalError> {
    let mut closures = Closures::default();
    for known in elements {
        if let ContextElement::Whole(path) = &known.element {
            add_closure(eval, &mut closures, path)?;
        }
    }
    Ok(closures)
}

/// Orders all inputs.
pub(super) fn inputs<'a>(elements: &[&'a KnownElement], closures: &'a Closures) -> Inputs<'a> {
    let mut srcs: Vec<(u64, &StorePath)> = closures.srcs.iter().map(|path| (start_of_path(path), path)).collect();
    let mut drvs = Vec::with_capacity(elements.len());
    let mut dynamic = Vec::new();
    for (path, outputs) in &closures.drvs {
        let start = start_of_path(path);
        drvs.extend(outputs.iter().map(|output| Input { start, path, output, hash: None }));
    }
    for known in elements {
        match &known.element {
            ContextElement::Opaque(path) => srcs.push((known.start, path)),
            ContextElement::Output { derivation, output } => {
                drvs.push(Input { start: known.start, path: derivation, output, hash: known.hash() });
            }
            ContextElement::Dynamic { derivation, output } => dynamic.push((derivation, &**output)),
            ContextElement::Whole(_) => {}
        }
    }
    srcs.sort_unstable();
    srcs.dedup();
    drvs.sort_unstable_by(|a, b| a.key().cmp(&b.key()));
    drvs.dedup_by(|a, b| a.key() == b.key());
    Inputs { drvs, srcs: srcs.into_iter().map(|(_, path)| path).collect(), dynamic }
}

/// A derivation, everything it refers to, and all outputs of the derivations among that.
fn add_closure(eval: &mut Eval, closures: &mut Closures, path: &StorePath) -> Result<(), EvalError> {
    let world = eval.shared.world.clone();
    let mut seen: BTreeSet<StorePath> = BTreeSet::new();
    let mut work = vec![path.clone()];
    while let Some(path) = work.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        if seen.len().is_multiple_of(4096) {
            eval.poll()?;
        }
        if path.is_derivation() {
            // A derivation that exists only here has no closure yet.
            if eval.shared.options.read_only {
                world.references(&path)?;
            }
            let drv = world.read_derivation(&path)?;
            closures.drvs.entry(path.clone()).or_default().extend(drv.outputs.keys().cloned());
            work.extend(drv.references());
        } else {
            work.extend(world.references(&path)?);
        }
        closures.srcs.insert(path);
    }
    Ok(())
}
