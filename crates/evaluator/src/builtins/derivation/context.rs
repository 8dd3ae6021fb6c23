//! Second stage: the context of the strings becomes the inputs.

use super::attributes::Collected;
use crate::error::EvalError;
use crate::eval::Eval;
use crate::value::{ContextElement, Contexts};
use std::collections::{BTreeMap, BTreeSet};
use store_model::StorePath;

/// What whole derivations among the context bring along.
#[derive(Default)]
pub(super) struct Closures {
    drvs: BTreeMap<StorePath, BTreeSet<String>>,
    srcs: BTreeSet<StorePath>,
}

/// The inputs, sorted, each once.
#[derive(Default)]
pub(super) struct Inputs<'a> {
    /// Derivations, each with the outputs used of it, sorted.
    pub(super) drvs: Vec<(&'a StorePath, Vec<&'a str>)>,
    /// Sources.
    pub(super) srcs: Vec<&'a StorePath>,
}

/// Finds what whole derivations bring along.
pub(super) fn closures(eval: &mut Eval, collected: &Collected) -> Result<Closures, EvalError> {
    let shared = eval.shared.clone();
    let mut closures = Closures::default();
    for element in shared.contexts.elements_of_all(collected.strings.contexts()) {
        if let ContextElement::Whole(path) = element {
            add_closure(eval, &mut closures, path)?;
        }
    }
    Ok(closures)
}

/// Orders all inputs.
pub(super) fn inputs<'a>(contexts: &'a Contexts, collected: &Collected, closures: &'a Closures) -> Inputs<'a> {
    let mut srcs: Vec<&StorePath> = closures.srcs.iter().collect();
    let used = closures.drvs.iter().flat_map(|(path, outputs)| outputs.iter().map(move |output| (path, &**output)));
    let mut used: Vec<(u64, &StorePath, &str)> = used.map(|(path, output)| (start(path), path, output)).collect();
    for element in contexts.elements_of_all(collected.strings.contexts()) {
        match element {
            ContextElement::Opaque(path) => srcs.push(path),
            ContextElement::Output { derivation, output } => used.push((start(derivation), derivation, output)),
            ContextElement::Whole(_) => {}
        }
    }
    srcs.sort_unstable();
    srcs.dedup();
    used.sort_unstable();
    used.dedup();
    let groups = used.chunk_by(|a, b| a.1 == b.1);
    let drvs = groups.map(|group| (group[0].1, group.iter().map(|(_, _, output)| *output).collect())).collect();
    Inputs { drvs, srcs }
}

/// The first digits of a path, which decide most comparisons.
fn start(path: &StorePath) -> u64 {
    path.as_str().as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
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
