//! Second stage: the context of the strings becomes the inputs.

use super::attributes::Collected;
use crate::error::EvalError;
use crate::eval::Eval;
use crate::value::ContextElement;
use std::collections::BTreeSet;
use store_model::StorePath;

pub(super) fn add_inputs(eval: &mut Eval, collected: &mut Collected) -> Result<(), EvalError> {
    let shared = eval.shared.clone();
    let elements: Vec<&ContextElement> = shared.contexts.elements_of_all(collected.strings.contexts()).collect();
    for element in elements {
        match element {
            ContextElement::Opaque(path) => {
                collected.drv.input_srcs.insert(path.clone());
            }
            ContextElement::Output { derivation, output } => {
                let input = collected.drv.input_drvs.entry(derivation.clone()).or_default();
                input.outputs.insert(output.to_string());
            }
            ContextElement::Whole(path) => add_closure(eval, collected, path)?,
        }
    }
    Ok(())
}

/// The builder gets to see the whole graph below a derivation, so all of it becomes input, with all outputs.
fn add_closure(eval: &mut Eval, collected: &mut Collected, path: &StorePath) -> Result<(), EvalError> {
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
            let input = collected.drv.input_drvs.entry(path.clone()).or_default();
            input.outputs.extend(drv.outputs.keys().cloned());
            work.extend(drv.references());
        } else {
            work.extend(world.references(&path)?);
        }
        collected.drv.input_srcs.insert(path);
    }
    Ok(())
}
