//! Last stage: paths, the `.drv`, its hash for those that will use it, the resulting set.

use super::Stopped;
use super::attributes::Collected;
use super::context::{self, Closures};
use crate::eval::{Eval, Outcome};
use crate::value::{AttrSetBuilder, ContextElement, Pos, Str, Value, sym};
use store_model::StorePath;
use store_model::derivation::{DerivationDraft, DraftOutput};
use store_model::derived_path::DownstreamPlaceholder;

/// Completes the derivation and gives `{ drvPath, out, … }`.
pub(super) fn finish(
    eval: &mut Eval,
    collected: &Collected,
    closures: &Closures,
    outputs: Vec<DraftOutput<'_>>,
) -> Outcome {
    let shared = eval.shared.clone();
    let store_dir = shared.world.store_dir();
    let inputs = context::inputs(&shared.contexts, collected, closures);
    // A variable with the name of an output gives way to it.
    let of_output = |name: &[u8]| outputs.iter().any(|output| output.name.as_bytes() == name);
    let draft = DerivationDraft {
        name: &collected.name,
        input_drvs: inputs.drvs,
        input_srcs: inputs.srcs,
        platform: collected.platform,
        builder: collected.builder,
        args: collected.args.clone(),
        env: collected.env.iter().copied().filter(|(name, _)| !of_output(name)).collect(),
        structured_attrs: collected.structured.as_deref(),
        outputs: outputs.clone(),
    };
    let mut failure = None;
    let mut buffers = std::mem::take(&mut eval.draft_buffers);
    let mut lookup =
        |input: &StorePath| eval.hash_of_derivation(input).map_err(|error| Stopped::keep(&mut failure, error));
    let made = match draft.instantiate(store_dir, &mut buffers, &mut lookup) {
        Ok(made) => made,
        Err(stopped) => return Err(stopped.into_error(failure)),
    };
    let path = made.path;
    shared.world.add_derivation(path.clone(), made.text, &made.references)?;
    let outputs_made = made.outputs;
    shared.derivations.insert(path.clone(), made.hash);
    eval.draft_buffers = buffers;

    let mut set = AttrSetBuilder::new(&mut eval.arena, 1 + outputs.len());
    let context = shared.contexts.single(ContextElement::Whole(path.clone()));
    let printed = Str::new(&mut eval.arena, store_dir.print(&path).as_bytes(), context);
    set.push(sym::DRV_PATH, Pos::NONE, printed.into());
    for (output, known) in outputs.iter().zip(&outputs_made) {
        let name = eval.intern(output.name.as_bytes());
        let value = output_string(eval, &path, output.name, known.as_ref());
        set.push(name, Pos::NONE, value);
    }
    Ok(set.finish(&mut eval.arena).into())
}

/// The string for an output: its path, or what stands for it until it is built.
pub(super) fn output_string(eval: &mut Eval, derivation: &StorePath, output: &str, known: Option<&StorePath>) -> Value {
    let text = match known {
        Some(path) => eval.shared.world.store_dir().print(path),
        None => {
            DownstreamPlaceholder::of_output(derivation, output).map(DownstreamPlaceholder::render).unwrap_or_default()
        }
    };
    let element = ContextElement::Output { derivation: derivation.clone(), output: output.into() };
    let context = eval.shared.contexts.single(element);
    Str::new(&mut eval.arena, text.as_bytes(), context).into()
}
