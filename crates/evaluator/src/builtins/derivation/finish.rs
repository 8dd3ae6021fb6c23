//! Last stage: paths, the `.drv`, its hash for those that will use it, the resulting set.

use super::Stopped;
use super::attributes::Collected;
use super::context::{Input, Inputs};
use crate::eval::{Eval, Outcome};
use crate::value::{AttrSetBuilder, ContextElement, Pos, Str, Value, sym};
use store_model::StorePath;
use store_model::derivation::{DerivationDraft, DraftOutput, HashModulo, Instantiated};
use store_model::derived_path::DownstreamPlaceholder;

/// Completes the derivation and gives `{ drvPath, out, … }`.
pub(super) fn finish(
    eval: &mut Eval,
    collected: &Collected,
    inputs: &Inputs<'_>,
    outputs: Vec<DraftOutput<'_>>,
) -> Outcome {
    let shared = eval.shared.clone();
    let store_dir = shared.world.store_dir();
    let draft = DerivationDraft {
        name: &collected.name,
        inputs: inputs.drvs.iter().map(Input::names).collect(),
        input_srcs: &inputs.srcs,
        platform: collected.platform,
        builder: collected.builder,
        args: &collected.args,
        env: &collected.env,
        structured_attrs: collected.structured.as_deref(),
        outputs: &outputs,
    };
    let mut failure = None;
    let mut buffers = std::mem::take(&mut eval.draft_buffers);
    let mut lookup = |input: usize| match inputs.drvs[input].hash {
        Some(hash) => Ok(hash),
        None => {
            let hash = eval.hash_of_derivation(&shared, inputs.drvs[input].names().0);
            hash.map_err(|error| Stopped::keep(&mut failure, error))
        }
    };
    let made = match draft.instantiate(store_dir, &mut buffers, &mut lookup) {
        Ok(made) => made,
        Err(stopped) => return Err(stopped.into_error(failure)),
    };
    let Instantiated { path, text, references, hash, outputs: paths } = made;
    shared.world.add_derivation(path.clone(), text, &references)?;
    eval.draft_buffers = buffers;
    let paths = outputs.iter().map(|output| output.name).zip(paths.iter().map(Option::as_ref));
    Ok(result(eval, &path, &hash, paths))
}

/// What `derivationStrict` gives: `{ drvPath, out, … }`.
pub(super) fn result<'a>(
    eval: &mut Eval,
    path: &StorePath,
    hash: &HashModulo,
    outputs: impl ExactSizeIterator<Item = (&'a str, Option<&'a StorePath>)>,
) -> Value {
    let shared = eval.shared.clone();
    let mut set = AttrSetBuilder::new(&mut eval.arena, 1 + outputs.len());
    let context = shared.contexts.single_of(ContextElement::Whole(path.clone()), hash);
    let printed = Str::new(&mut eval.arena, shared.world.store_dir().print(path).as_bytes(), context);
    set.push(sym::DRV_PATH, Pos::NONE, printed.into());
    for (output, known) in outputs {
        let name = eval.intern(output.as_bytes());
        let value = output_string(eval, path, output, known, Some(hash));
        set.push(name, Pos::NONE, value);
    }
    set.finish(&mut eval.arena).into()
}

/// The string for an output: its path, or what stands for it until it is built. `hash` is the derivation's, if known.
pub(super) fn output_string(
    eval: &mut Eval,
    derivation: &StorePath,
    output: &str,
    known: Option<&StorePath>,
    hash: Option<&HashModulo>,
) -> Value {
    let text = match known {
        Some(path) => eval.shared.world.store_dir().print(path),
        None => {
            DownstreamPlaceholder::of_output(derivation, output).map(DownstreamPlaceholder::render).unwrap_or_default()
        }
    };
    let element = ContextElement::Output { derivation: derivation.clone(), output: output.into() };
    let contexts = &eval.shared.contexts;
    let context = match hash {
        Some(hash) => contexts.single_of(element, hash),
        None => contexts.single(element),
    };
    Str::new(&mut eval.arena, text.as_bytes(), context).into()
}
