//! Outputs of outputs (experimental feature `dynamic-derivations`): `outputOf`, derivations that depend on such.
//!
//! The fast way of `finish.rs` does not know them: such a derivation is put together whole.
//!
//! Absent on purpose: building them.

use super::attributes::Collected;
use super::context::{Input, Inputs};
use super::{Stopped, finish};
use crate::builtins::builtins;
use crate::error::EvalError;
use crate::eval::{Eval, Outcome};
use crate::value::{ContextElement, Pos, Str, Value};
use std::collections::BTreeMap;
use store_model::derivation::hash_modulo::hash_modulo;
use store_model::derivation::{Derivation, DraftOutput, InputOutputs, StructuredAttrs};
use store_model::derived_path::DownstreamPlaceholder;
use store_model::{SingleDerivedPath, StorePath};

builtins! {
    /// The path, or what stands for it, of an output of a derivation that is itself named by its path or as an output: the
    /// derivation as a string with one element in its context, and the name of the output.
    "__outputOf" / 2 => output_of, (feature: Some("dynamic-derivations"));
}

fn output_of(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument to builtins.outputOf";
    let string = eval.expect_string(args[0], text)?;
    let derivation = derivation_of(eval, string, text)?;
    let text = "while evaluating the second argument to builtins.outputOf";
    let output = eval.expect_plain_string(args[1], text)?;
    let output = String::from_utf8_lossy(output.bytes()).into_owned();
    let shown = text_of_output(eval, &derivation, &output)?;
    let element = match derivation {
        SingleDerivedPath::Opaque(derivation) => ContextElement::Output { derivation, output: output.into() },
        derivation => ContextElement::Dynamic { derivation, output: output.into() },
    };
    let context = eval.shared.contexts.single(element);
    Ok(Str::new(&mut eval.arena, shown.as_bytes(), context).into())
}

/// The derivation that a string names; its text must be the one that its context asks for.
fn derivation_of(eval: &mut Eval, string: Str, text: &'static str) -> Result<SingleDerivedPath, EvalError> {
    let shown = crate::text::bytes_as_text(string.bytes());
    let refuse = |message: String| Err(EvalError::eval(message).trace(Pos::NONE, text));
    let elements = eval.context_elements(string.context());
    let count = elements.len();
    let Ok([element]) = <[ContextElement; 1]>::try_from(elements) else {
        return refuse(format!(
            "string '{shown}' has {count} entries in its context. It should only have exactly one entry"
        ));
    };
    let built = |drv, output: Box<str>| SingleDerivedPath::Built { drv: Box::new(drv), output: output.into() };
    let derivation = match element {
        ContextElement::Opaque(path) => SingleDerivedPath::Opaque(path),
        ContextElement::Output { derivation, output } => built(SingleDerivedPath::Opaque(derivation), output),
        ContextElement::Dynamic { derivation, output } => built(derivation, output),
        ContextElement::Whole(_) => {
            return refuse(format!(
                "string '{shown}' has a context which refers to a complete source and binary closure. This is not \
                 supported at this time"
            ));
        }
    };
    let store_dir = eval.shared.world.clone();
    let store_dir = store_dir.store_dir();
    match &derivation {
        SingleDerivedPath::Opaque(path) => {
            let expected = store_dir.print(path);
            if string.bytes() != expected.as_bytes() {
                return refuse(format!("path string '{shown}' has context with the different path '{expected}'"));
            }
        }
        SingleDerivedPath::Built { drv, output } => {
            let expected = text_of_output(eval, drv, output)?;
            if string.bytes() != expected.as_bytes() {
                let drv = drv.print(store_dir);
                return refuse(format!(
                    "string '{shown}' has context with the output '{output}' from derivation '{drv}', but the string is \
                     not the right placeholder for this derivation output. It should be '{expected}'"
                ));
            }
        }
    }
    Ok(derivation)
}

/// The path of an output, or what stands for it until it is built.
fn text_of_output(eval: &mut Eval, derivation: &SingleDerivedPath, output: &str) -> Result<String, EvalError> {
    let world = eval.shared.world.clone();
    let store_dir = world.store_dir();
    let model = |error: store_model::Error| EvalError::eval(error.to_string());
    if let SingleDerivedPath::Opaque(path) = derivation {
        let shown = store_dir.print(path);
        // What is only evaluated is in no store.
        if eval.shared.options.read_only && world.references(path).is_err() {
            return Err(EvalError::eval(format!("path '{shown}' is not a valid store path")));
        }
        let drv = world.read_derivation(path)?;
        let Some(known) = drv.outputs.get(output) else {
            return Err(EvalError::eval(format!("derivation '{shown}' does not have output '{output}'")));
        };
        if let Some(path) = known.path(store_dir, &drv.name, output).map_err(model)? {
            return Ok(store_dir.print(&path));
        }
    }
    Ok(DownstreamPlaceholder::of_chain(derivation, output).map_err(model)?.render())
}

/// As [`finish::finish`], with outputs of outputs among the inputs.
pub(super) fn finish_dynamic(
    eval: &mut Eval,
    collected: &Collected,
    inputs: &Inputs<'_>,
    outputs: Vec<DraftOutput<'_>>,
) -> Outcome {
    let shared = eval.shared.clone();
    let store_dir = shared.world.store_dir();
    let mut drv = whole(collected, inputs, &outputs)?;
    let mut failure = None;
    let mut lookup = |path: &StorePath| {
        let hash = eval.hash_of_derivation(&shared, path).cloned();
        hash.map_err(|error| Stopped::keep(&mut failure, error))
    };
    let hash = match drv.fill_in_output_paths(store_dir, &mut lookup) {
        Ok(()) => hash_modulo(store_dir, &drv, false, &mut lookup),
        Err(stopped) => Err(stopped),
    };
    let hash = hash.map_err(|stopped| stopped.into_error(failure))?;
    let model = |error: store_model::Error| EvalError::eval(error.to_string());
    let object = drv.to_text_object(store_dir).map_err(model)?;
    let references: Vec<&StorePath> = object.references.iter().collect();
    shared.world.add_derivation(object.path.clone(), &object.contents, &references)?;
    let paths = drv.output_paths(store_dir).map_err(model)?;
    let paths: Vec<(&str, Option<&StorePath>)> =
        paths.iter().map(|(name, path)| (name.as_str(), path.as_ref())).collect();
    Ok(finish::result(eval, &object.path, &hash, paths.into_iter()))
}

fn whole(collected: &Collected, inputs: &Inputs<'_>, outputs: &[DraftOutput<'_>]) -> Result<Derivation, EvalError> {
    let mut input_drvs: BTreeMap<StorePath, InputOutputs> = BTreeMap::new();
    for (path, output) in inputs.drvs.iter().map(Input::names) {
        input_drvs.entry(path.clone()).or_default().outputs.insert(output.to_owned());
    }
    for (derivation, output) in &inputs.dynamic {
        node(&mut input_drvs, derivation).outputs.insert((*output).to_owned());
    }
    let owned = |(name, value): &(&[u8], &[u8])| (name.to_vec(), value.to_vec());
    let mut env: BTreeMap<Vec<u8>, Vec<u8>> = collected.env.iter().map(owned).collect();
    for output in outputs {
        let placeholder = output.placeholder.clone().unwrap_or_default();
        env.insert(output.name.as_bytes().to_vec(), placeholder.into_bytes());
    }
    let structured_attrs = match &collected.structured {
        Some(text) => Some(StructuredAttrs::parse(text.as_bytes()).map_err(EvalError::eval)?),
        None => None,
    };
    Ok(Derivation {
        name: collected.name.clone(),
        outputs: outputs.iter().map(|output| (output.name.to_owned(), output.output.clone())).collect(),
        input_drvs: input_drvs.into_iter().collect(),
        input_srcs: inputs.srcs.iter().map(|path| (*path).clone()).collect(),
        platform: collected.platform.to_vec(),
        builder: collected.builder.to_vec(),
        args: collected.args.iter().map(|arg| arg.to_vec()).collect(),
        env: env.into_iter().collect(),
        structured_attrs,
    })
}

/// What is used of a derivation that is an output.
fn node<'a>(drvs: &'a mut BTreeMap<StorePath, InputOutputs>, derivation: &SingleDerivedPath) -> &'a mut InputOutputs {
    match derivation {
        SingleDerivedPath::Opaque(path) => drvs.entry(path.clone()).or_default(),
        SingleDerivedPath::Built { drv, output } => node(drvs, drv).dynamic.entry(output.clone()).or_default(),
    }
}
