//! Third stage: which kind of outputs a derivation has.

use super::attributes::Collected;
use crate::builtins::store::parse_hash;
use crate::error::EvalError;
use crate::eval::Eval;
use store_model::derivation::DraftOutput;
use store_model::derived_path::hash_placeholder;
use store_model::{ContentAddress, ContentAddressMethod, DerivationOutput, HashAlgorithm};

/// Decides the outputs; they come sorted by name.
pub(super) fn decide<'a>(eval: &mut Eval, collected: &'a Collected) -> Result<Vec<DraftOutput<'a>>, EvalError> {
    check(collected)?;
    if let Some(hash) = &collected.hash {
        return Ok(vec![fixed(eval, collected, hash)?]);
    }
    let mut names: Vec<&str> = collected.outputs.iter().map(String::as_str).collect();
    names.sort_unstable();
    if collected.content_addressed || collected.impure {
        return floating(collected, &names);
    }
    let deferred = |name| DraftOutput { name, output: DerivationOutput::Deferred, placeholder: None };
    Ok(names.into_iter().map(deferred).collect())
}

fn check(collected: &Collected) -> Result<(), EvalError> {
    if collected.builder.is_empty() {
        return Err(EvalError::eval("required attribute 'builder' missing"));
    }
    if collected.platform.is_empty() {
        return Err(EvalError::eval("required attribute 'system' missing"));
    }
    let makes_derivation = collected.method == Some(ContentAddressMethod::Text) && collected.outputs == ["out"];
    if collected.name.ends_with(".drv") && !makes_derivation {
        let message = "derivation names are allowed to end in '.drv' only if they produce a single derivation file";
        return Err(EvalError::eval(message));
    }
    Ok(())
}

fn fixed<'a>(eval: &mut Eval, collected: &Collected, hash: &str) -> Result<DraftOutput<'a>, EvalError> {
    if collected.outputs != ["out"] {
        return Err(EvalError::eval("multiple outputs are not supported in fixed-output derivations"));
    }
    let hash = parse_hash(eval, hash, collected.algorithm)?;
    let method = collected.method.unwrap_or(ContentAddressMethod::Flat);
    let output = DerivationOutput::CAFixed(ContentAddress { method, hash });
    Ok(DraftOutput { name: "out", output, placeholder: None })
}

fn floating<'a>(collected: &Collected, names: &[&'a str]) -> Result<Vec<DraftOutput<'a>>, EvalError> {
    if collected.content_addressed && collected.impure {
        return Err(EvalError::eval("derivation cannot be both content-addressed and impure"));
    }
    let algorithm = collected.algorithm.unwrap_or(HashAlgorithm::Sha256);
    let method = collected.method.unwrap_or(ContentAddressMethod::NixArchive);
    let output = if collected.impure {
        DerivationOutput::Impure { method, algorithm }
    } else {
        DerivationOutput::CAFloating { method, algorithm }
    };
    let outputs = names.iter().map(|name| DraftOutput {
        name,
        output: output.clone(),
        placeholder: Some(hash_placeholder(name)),
    });
    Ok(outputs.collect())
}
