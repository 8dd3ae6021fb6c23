//! Last stage: paths, the `.drv`, its hash for those that will use it, the resulting set.

use super::Stopped;
use super::attributes::Collected;
use crate::error::EvalError;
use crate::eval::{Eval, Outcome};
use crate::value::{AttrSetBuilder, ContextElement, Pos, Str, Value, sym};
use store_model::StorePath;
use store_model::derivation::hash_modulo::hash_modulo;
use store_model::derived_path::DownstreamPlaceholder;

pub(super) fn finish(eval: &mut Eval, collected: Collected) -> Outcome {
    let mut drv = collected.drv;
    let world = eval.shared.world.clone();
    let store_dir = world.store_dir();
    let model = |error: store_model::Error| EvalError::eval(error.to_string());
    let mut failure = None;
    let mut lookup =
        |input: &StorePath| eval.hash_of_derivation(input).map_err(|error| Stopped::keep(&mut failure, error));
    let hashed = drv
        .fill_in_output_paths(store_dir, &mut lookup)
        .and_then(|()| hash_modulo(store_dir, &drv, false, &mut lookup));
    let hash = match hashed {
        Ok(hash) => hash,
        Err(stopped) => return Err(stopped.into_error(failure)),
    };
    let text = drv.to_text_object(store_dir).map_err(model)?;
    let path = text.path;
    world.add_derivation(path.clone(), text.contents, text.references.into_iter().collect())?;
    eval.shared.derivations.insert(path.clone(), hash);

    let paths = drv.output_paths(store_dir).map_err(model)?;
    let mut set = AttrSetBuilder::new(&mut eval.arena, 1 + paths.len());
    let context = eval.shared.contexts.single(ContextElement::Whole(path.clone()));
    let printed = Str::new(&mut eval.arena, store_dir.print(&path).as_bytes(), context);
    set.push(sym::DRV_PATH, Pos::NONE, printed.into());
    for (output, known) in &paths {
        let name = eval.intern(output.as_bytes());
        let value = output_string(eval, &path, output, known.as_ref());
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
