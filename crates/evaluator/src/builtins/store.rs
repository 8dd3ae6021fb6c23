//! The store: texts, paths, placeholders, building what a context names.

use super::builtins;
use super::hash::{parse_any, permitted};
use super::paths::replace_all;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Eval, Links, Outcome};
use crate::value::{ContextElement, ContextId, Str, Value};
use std::collections::BTreeSet;
use store_model::derivation::TextObject;
use store_model::derived_path::{DownstreamPlaceholder, hash_placeholder};
use store_model::{DerivedPath, Hash, HashAlgorithm, OutputNames, OutputsSpec, SingleDerivedPath, StorePath};

builtins! {
    /// A text put into the store under a name.
    "__toFile" / 2 => to_file;
    /// A path in the store as a string that depends on it.
    "__storePath" / 1 => store_path;
    /// What stands for an output's path while it is not known.
    "placeholder" / 1 => |eval, args| {
        let output = eval.expect_plain_string(args[0], "while evaluating the first argument passed to builtins.placeholder")?;
        let placeholder = hash_placeholder(&String::from_utf8_lossy(output.bytes()));
        Ok(eval.string(placeholder.as_bytes()))
    };
}

/// A hash as users write it; an empty one stands for zeros, with a warning.
pub(crate) fn parse_hash(eval: &Eval, text: &str, algorithm: Option<HashAlgorithm>) -> Result<Hash, EvalError> {
    if text.is_empty() {
        let Some(algorithm) = algorithm else {
            return Err(EvalError::eval("empty hash requires explicit hash algorithm"));
        };
        let zero = Hash::zero(permitted(eval, algorithm)?);
        eval.effect()?;
        eval.activity.warn(&format!("found empty hash, assuming '{}'", zero.to_sri()));
        return Ok(zero);
    }
    parse_any(eval, text, algorithm)
}

fn to_file(eval: &mut Eval, args: &[Value]) -> Outcome {
    let name = eval.expect_plain_string(args[0], "while evaluating the first argument passed to builtins.toFile")?;
    let contents = eval.expect_string(args[1], "while evaluating the second argument passed to builtins.toFile")?;
    let name = String::from_utf8_lossy(name.bytes()).into_owned();
    let mut references = BTreeSet::new();
    for element in eval.context_elements(contents.context()) {
        let ContextElement::Opaque(path) = element else {
            let shown = wire_form(&element);
            let message = format!(
                "files created by builtins.toFile may not reference derivations, but {name} references {shown}"
            );
            return Err(EvalError::eval(message));
        };
        references.insert(path);
    }
    let world = eval.shared.world.clone();
    let text = TextObject::new(world.store_dir(), &name, contents.bytes().to_vec(), references)
        .map_err(|error| EvalError::eval(error.to_string()))?;
    let references: Vec<StorePath> = text.references.iter().cloned().collect();
    world.add_text(&eval.activity, &text.path, &text.contents, &references)?;
    eval.allow(&text.path);
    let printed = world.store_dir().print(&text.path);
    let context = eval.shared.contexts.single(ContextElement::Opaque(text.path));
    Ok(Str::new(&mut eval.arena, printed.as_bytes(), context).into())
}

/// An element of a context as C++ Nix writes it inside.
fn wire_form(element: &ContextElement) -> String {
    match element {
        ContextElement::Opaque(path) => path.to_string(),
        ContextElement::Output { derivation, output } => format!("!{output}!{derivation}"),
        ContextElement::Dynamic { derivation, output } => {
            let mut outputs = format!("!{output}");
            let mut rest = derivation;
            while let SingleDerivedPath::Built { drv, output } = rest {
                outputs.push_str(&format!("!{output}"));
                rest = drv;
            }
            format!("{outputs}!{}", rest.base())
        }
        ContextElement::Whole(path) => format!("={path}"),
    }
}

fn store_path(eval: &mut Eval, args: &[Value]) -> Outcome {
    if eval.shared.options.pure {
        let message = "'builtins.storePath' is not allowed in pure evaluation mode";
        return Err(EvalError::new(ErrorKind::Restricted, message));
    }
    let text = "while evaluating the first argument passed to 'builtins.storePath'";
    let (path, context) = eval.coerce_to_path(args[0], text)?;
    let world = eval.shared.world.clone();
    let store_dir = world.store_dir();
    // Of an endless chain of links C++ Nix tells what is left of the path behind it.
    let path = match store_dir.parse_bytes(&path) {
        Ok(_) => path,
        Err(_) => eval.follow_named(&path, Links::All, |rest| {
            let rest = rest.iter().rev().flat_map(|part| [b"/", &part[..]].concat());
            String::from_utf8_lossy(&rest.collect::<Vec<u8>>()).into_owned()
        })?,
    };
    let shown = String::from_utf8_lossy(&path).into_owned();
    if !store_dir.contains(&shown) {
        return Err(EvalError::eval(format!("path '{shown}' is not in the Nix store")));
    }
    let object = store_dir.parse_inside(&shown).map_err(|error| EvalError::eval(error.to_string()))?.0;
    if !eval.shared.options.read_only {
        eval.require_valid(&object)?;
    }
    let own = eval.shared.contexts.single(ContextElement::Opaque(object));
    let context = eval.shared.contexts.union(context, own);
    Ok(Str::new(&mut eval.arena, &path, context).into())
}

impl Eval {
    /// Fails unless the store has a path or can get it.
    pub(crate) fn require_valid(&self, path: &StorePath) -> Result<(), EvalError> {
        let world = &self.shared.world;
        self.effect()?;
        if world.ensure_path(&self.activity, path)? {
            return Ok(());
        }
        Err(EvalError::eval(format!("path '{}' is not valid", world.store_dir().print(path))))
    }

    /// Makes sure that what a context names is in the store, building outputs; gives what placeholders of them stand
    /// for (empty where paths are known before building).
    pub(crate) fn realise_context(&mut self, context: ContextId) -> Result<Vec<(String, String)>, EvalError> {
        let world = self.shared.world.clone();
        let mut wanted = Vec::new();
        for element in self.context_elements(context) {
            match element {
                ContextElement::Opaque(path) | ContextElement::Whole(path) => {
                    self.effect()?;
                    if !world.ensure_path(&self.activity, &path)? {
                        return Err(EvalError::eval(format!("path '{path}' is not valid")));
                    }
                }
                ContextElement::Output { derivation, output } => {
                    let outputs = OutputsSpec::Names(OutputNames::from([output.into_string()]));
                    wanted.push(DerivedPath::Built { drv: SingleDerivedPath::Opaque(derivation), outputs });
                }
                ContextElement::Dynamic { derivation, output } => {
                    let outputs = OutputsSpec::Names(OutputNames::from([output.into_string()]));
                    wanted.push(DerivedPath::Built { drv: derivation, outputs });
                }
            }
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        if !self.shared.options.import_from_derivation {
            let shown = wanted[0].print(world.store_dir());
            let message = format!(
                "cannot build '{shown}' during evaluation because the option 'allow-import-from-derivation' is disabled"
            );
            return Err(EvalError::eval(message));
        }
        self.effect()?;
        let mut rewrites = Vec::new();
        let activity = self.activity.clone();
        for (path, output, built) in self.arena.blocked(|| world.realise(&activity, &wanted))? {
            self.allow_closure(built.clone())?;
            if let DerivedPath::Built { drv, .. } = &path
                && let Ok(placeholder) = DownstreamPlaceholder::of_chain(drv, &output)
            {
                rewrites.push((placeholder.render(), world.store_dir().print(&built)));
            }
        }
        Ok(rewrites)
    }

    /// Builds what a string's context names and replaces placeholders in its text.
    pub(crate) fn realise_string(&mut self, string: Str) -> Result<Vec<u8>, EvalError> {
        let rewrites = self.realise_context(string.context())?;
        let text = string.bytes().to_vec();
        Ok(rewrites.into_iter().fold(text, |text, (from, to)| replace_all(&text, from.as_bytes(), to.as_bytes())))
    }
}
