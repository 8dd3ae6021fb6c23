//! String contexts as values.

use super::{builtins, in_name_order};
use crate::error::EvalError;
use crate::eval::{Coercion, Eval, Outcome};
use crate::program::Symbol;
use crate::value::{AttrSetBuilder, ContextElement, ContextId, ListBuilder, Pos, Str, Value, sym};
use std::collections::BTreeMap;
use store_model::{SingleDerivedPath, StorePath};

builtins! {
    /// A string without its context.
    "__unsafeDiscardStringContext" / 1 => |eval, args| {
        let text = "while evaluating the argument passed to builtins.unsafeDiscardStringContext";
        let string = eval.coerce(args[0], Coercion::PLAIN, text)?;
        if string.context() == ContextId::NONE {
            return Ok(string.into());
        }
        Ok(eval.string(string.bytes()))
    };
    /// Whether a string has a context.
    "__hasContext" / 1 => |eval, args| {
        let string = eval.expect_string(args[0], "while evaluating the argument passed to builtins.hasContext")?;
        Ok(Value::bool(string.context() != ContextId::NONE))
    };
    /// A string whose whole derivations are turned into plain paths.
    "__unsafeDiscardOutputDependency" / 1 => discard_output_dependency;
    /// A string that refers to one `.drv`, turned into one that needs the whole derivation.
    "__addDrvOutputDependencies" / 1 => add_drv_output_dependencies;
    /// A string's context as a set: store paths to `{ path, allOutputs, outputs }`.
    "__getContext" / 1 => get_context;
    /// A string with more context, in the form that `getContext` gives.
    "__appendContext" / 2 => append_context;
}

fn with_context(eval: &mut Eval, string: Str, context: ContextId) -> Value {
    Str::new(&mut eval.arena, string.bytes(), context).into()
}

fn discard_output_dependency(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the argument passed to builtins.unsafeDiscardOutputDependency";
    let string = eval.coerce(args[0], Coercion::INTERPOLATION, text)?;
    let elements = eval.context_elements(string.context()).into_iter().map(|element| match element {
        ContextElement::Whole(path) => ContextElement::Opaque(path),
        element => element,
    });
    let context = eval.shared.contexts.of_elements(elements);
    Ok(with_context(eval, string, context))
}

fn add_drv_output_dependencies(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the argument passed to builtins.addDrvOutputDependencies";
    let string = eval.coerce(args[0], Coercion::INTERPOLATION, text)?;
    let elements = eval.context_elements(string.context());
    let [element] = &elements[..] else {
        let shown = crate::text::bytes_as_text(string.bytes());
        let message = format!("context of string '{shown}' must have exactly one element, but has {}", elements.len());
        return Err(EvalError::eval(message));
    };
    let path = match element {
        ContextElement::Whole(path) => path.clone(),
        ContextElement::Opaque(path) if path.is_derivation() => path.clone(),
        ContextElement::Opaque(path) => {
            let shown = eval.shared.world.store_dir().print(path);
            return Err(EvalError::eval(format!("path '{shown}' is not a derivation")));
        }
        ContextElement::Output { output, .. } | ContextElement::Dynamic { output, .. } => {
            let message = format!(
                "`addDrvOutputDependencies` can only act on derivations, not on a derivation output such as '{output}'"
            );
            return Err(EvalError::eval(message));
        }
    };
    let context = eval.shared.contexts.single(ContextElement::Whole(path));
    Ok(with_context(eval, string, context))
}

#[derive(Default)]
struct PathContext {
    path: bool,
    all_outputs: bool,
    outputs: Vec<Box<str>>,
}

fn get_context(eval: &mut Eval, args: &[Value]) -> Outcome {
    let string = eval.expect_string(args[0], "while evaluating the argument passed to builtins.getContext")?;
    let mut paths: BTreeMap<StorePath, PathContext> = BTreeMap::new();
    for element in eval.context_elements(string.context()) {
        match element {
            ContextElement::Opaque(path) => paths.entry(path).or_default().path = true,
            ContextElement::Whole(path) => paths.entry(path).or_default().all_outputs = true,
            ContextElement::Output { derivation, output } => {
                paths.entry(derivation).or_default().outputs.push(output);
            }
            ContextElement::Dynamic { derivation, .. } => return Err(unbuilt(eval, &derivation)),
        }
    }
    let mut set = AttrSetBuilder::new(&mut eval.arena, paths.len());
    for (path, info) in paths {
        let mut attrs: Vec<Symbol> = Vec::new();
        if info.path {
            attrs.push(sym::PATH);
        }
        if info.all_outputs {
            attrs.push(sym::ALL_OUTPUTS);
        }
        let mut inner = AttrSetBuilder::new(&mut eval.arena, attrs.len() + 1);
        attrs.iter().for_each(|name| inner.push(*name, Pos::NONE, Value::TRUE));
        if !info.outputs.is_empty() {
            let mut outputs = ListBuilder::new(&mut eval.arena, info.outputs.len());
            for output in &info.outputs {
                outputs.push(eval.string(output.as_bytes()));
            }
            inner.push(sym::OUTPUTS, Pos::NONE, outputs.finish().into());
        }
        let inner = inner.finish(&mut eval.arena);
        let name = eval.shared.world.store_dir().print(&path);
        let name = eval.intern(name.as_bytes());
        set.push(name, Pos::NONE, inner.into());
    }
    Ok(set.finish(&mut eval.arena).into())
}

/// There is no path yet to name what is an output of an output.
fn unbuilt(eval: &Eval, derivation: &SingleDerivedPath) -> EvalError {
    let mut first = derivation;
    while let SingleDerivedPath::Built { drv, output } = first {
        if matches!(**drv, SingleDerivedPath::Opaque(_)) {
            let shown = drv.print(eval.shared.world.store_dir());
            return EvalError::eval(format!("cannot operate on output '{output}' of the unbuilt derivation '{shown}'"));
        }
        first = drv;
    }
    EvalError::eval("cannot operate on an unbuilt derivation")
}

fn append_context(eval: &mut Eval, args: &[Value]) -> Outcome {
    let string = eval.expect_string(args[0], "while evaluating the first argument passed to builtins.appendContext")?;
    let set = eval.expect_attrs(args[1], "while evaluating the second argument passed to builtins.appendContext")?;
    let mut elements = Vec::new();
    for attr in in_name_order(eval, set) {
        let name = eval.text(attr.name);
        let Ok(path) = eval.shared.world.store_dir().parse_bytes(eval.shared.symbols.bytes(attr.name)) else {
            return Err(EvalError::eval(format!("context key '{name}' is not a store path")).at(attr.pos));
        };
        if !eval.shared.options.read_only {
            eval.require_valid(&path)?;
        }
        let text = "while evaluating the value of a string context";
        let info = eval.expect_attrs_at(attr.value.get(), attr.pos, text)?;
        if let Some(wish) = info.get(sym::PATH)
            && eval.expect_bool_at(
                wish.value.get(),
                wish.pos,
                "while evaluating the `path` attribute of a string context",
            )?
        {
            elements.push(ContextElement::Opaque(path.clone()));
        }
        if let Some(wish) = info.get(sym::ALL_OUTPUTS)
            && eval.expect_bool_at(
                wish.value.get(),
                wish.pos,
                "while evaluating the `allOutputs` attribute of a string context",
            )?
        {
            if !path.is_derivation() {
                let message =
                    format!("tried to add all-outputs context of {name}, which is not a derivation, to a string");
                return Err(EvalError::eval(message).at(attr.pos));
            }
            elements.push(ContextElement::Whole(path.clone()));
        }
        if let Some(own) = info.get(sym::OUTPUTS) {
            let text = "while evaluating the `outputs` attribute of a string context";
            let outputs = eval.expect_list_at(own.value.get(), own.pos, text)?;
            if !outputs.is_empty() && !path.is_derivation() {
                let message =
                    format!("tried to add derivation output context of {name}, which is not a derivation, to a string");
                return Err(EvalError::eval(message).at(attr.pos));
            }
            for output in outputs.iter() {
                let text = "while evaluating an output name within a string context";
                let output = eval.expect_plain_string_at(output, own.pos, text)?;
                let output = String::from_utf8_lossy(output.bytes()).into();
                elements.push(ContextElement::Output { derivation: path.clone(), output });
            }
        }
    }
    let more = eval.shared.contexts.of_elements(elements);
    let context = eval.shared.contexts.union(string.context(), more);
    Ok(with_context(eval, string, context))
}
