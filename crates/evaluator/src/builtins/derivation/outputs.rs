//! Third stage: which kind of outputs a derivation has.

use super::attributes::Collected;
use crate::builtins::store::parse_hash;
use crate::error::EvalError;
use crate::eval::Eval;
use store_model::derived_path::hash_placeholder;
use store_model::{ContentAddress, ContentAddressMethod, DerivationOutput, HashAlgorithm};

pub(super) fn decide(eval: &mut Eval, collected: &mut Collected) -> Result<(), EvalError> {
    check(collected)?;
    if let Some(hash) = collected.hash.take() {
        return fixed(eval, collected, &hash);
    }
    if collected.content_addressed || collected.impure {
        return floating(collected);
    }
    for output in &collected.outputs {
        collected.drv.env.insert(output.clone().into_bytes(), Vec::new());
        collected.drv.outputs.insert(output.clone(), DerivationOutput::Deferred);
    }
    Ok(())
}

fn check(collected: &Collected) -> Result<(), EvalError> {
    if collected.drv.builder.is_empty() {
        return Err(EvalError::eval("required attribute 'builder' missing"));
    }
    if collected.drv.platform.is_empty() {
        return Err(EvalError::eval("required attribute 'system' missing"));
    }
    let makes_derivation = collected.method == Some(ContentAddressMethod::Text) && collected.outputs == ["out"];
    if collected.drv.name.ends_with(".drv") && !makes_derivation {
        let message = "derivation names are allowed to end in '.drv' only if they produce a single derivation file";
        return Err(EvalError::eval(message));
    }
    Ok(())
}

/// The hash of the one output is given.
fn fixed(eval: &mut Eval, collected: &mut Collected, hash: &str) -> Result<(), EvalError> {
    if collected.outputs != ["out"] {
        return Err(EvalError::eval("multiple outputs are not supported in fixed-output derivations"));
    }
    let hash = parse_hash(eval, hash, collected.algorithm)?;
    let method = collected.method.unwrap_or(ContentAddressMethod::Flat);
    let output = DerivationOutput::CAFixed(ContentAddress { method, hash });
    let store_dir = eval.shared.world.store_dir();
    let path = output
        .path(store_dir, &collected.drv.name, "out")
        .map_err(|error| EvalError::eval(error.to_string()))?
        .map(|path| store_dir.print(&path))
        .unwrap_or_default();
    collected.drv.env.insert(b"out".to_vec(), path.into_bytes());
    collected.drv.outputs.insert("out".to_owned(), output);
    Ok(())
}

/// The paths will follow from what is built.
fn floating(collected: &mut Collected) -> Result<(), EvalError> {
    if collected.content_addressed && collected.impure {
        return Err(EvalError::eval("derivation cannot be both content-addressed and impure"));
    }
    let algorithm = collected.algorithm.unwrap_or(HashAlgorithm::Sha256);
    let method = collected.method.unwrap_or(ContentAddressMethod::NixArchive);
    for output in &collected.outputs {
        collected.drv.env.insert(output.clone().into_bytes(), hash_placeholder(output).into_bytes());
        let kind = if collected.impure {
            DerivationOutput::Impure { method, algorithm }
        } else {
            DerivationOutput::CAFloating { method, algorithm }
        };
        collected.drv.outputs.insert(output.clone(), kind);
    }
    Ok(())
}
