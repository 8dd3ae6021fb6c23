//! The text that says what is in an environment, and the derivation that makes it.
//!
//! Both are, byte for byte, what C++ Nix makes of the same elements, so that both find each other's environments built.

use std::collections::BTreeMap;

use activity::Activity;
use evaluator::{Evaluator, Origin, Rooted};
use store::{WritableStore as _, WriteOptions};
use store_model::StorePath;
use store_model::derivation::TextObject;

use super::source::quote;
use super::{Element, EnvironmentError};
use crate::session::Session;

/// From the manifest's path and what it says to the environment's derivation. The builder gets, for each package, whether
/// it is active, its priority, and its outputs with their number before them.
const DERIVATION: &str = r#"
  manifest: packages:
  let
    words = package:
      let outputs = map (name: package.${name}) package.outputs;
      in [ (package.meta.active or "true") (package.meta.priority or 5) (builtins.length outputs) ] ++ outputs;
  in
  derivation {
    name = "user-environment";
    system = "builtin";
    builder = "builtin:buildenv";
    derivations = map words packages;
    inherit manifest;
    preferLocalBuild = true;
    allowSubstitutes = false;
  }
"#;

/// An environment that can be built.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its derivation.
    pub derivation: StorePath,
    /// What that makes.
    pub path: StorePath,
}

/// Writes the manifest of elements whose outputs are all valid to the store, and the derivation of their environment.
/// With `keep_derivations` the manifest refers to the elements' derivations.
///
/// # Errors
/// What evaluating or the store says.
pub fn write(
    session: &Session,
    activity: &Activity,
    evaluator: &mut Evaluator,
    elements: &[Element],
    keep_derivations: bool,
) -> Result<Environment, EnvironmentError> {
    let mut references = Vec::new();
    let mut text = b"[ ".to_vec();
    for element in elements {
        describe(session, evaluator, element, keep_derivations, &mut text, &mut references)?;
        text.push(b' ');
    }
    text.push(b']');
    let references = references.into_iter().collect();
    let object = TextObject::new(session.store_dir(), "env-manifest.nix", text.clone(), references)
        .map_err(|error| EnvironmentError::Session(error.into()))?;
    // Elements may name derivations that evaluation has not written yet.
    evaluator.flush().map_err(|error| EnvironmentError::Words(error.message))?;
    session.store(activity)?.add_text(activity, &object, &WriteOptions::default())?;
    let path = session.store_dir().print(&object.path);
    let path = format!("builtins.appendContext \"{path}\" {{ \"{path}\".path = true; }}");
    let manifest = evaluator.eval_text(path.as_bytes(), b"/", Origin::String)?;
    let packages = evaluator.eval_text(&text, b"/", Origin::String)?;
    let function = evaluator.eval_text(DERIVATION.as_bytes(), b"/", Origin::String)?;
    let value = evaluator.call(&function, &[&manifest, &packages])?;
    let found = evaluator.derivation_of(&value)?;
    let found = found.ok_or_else(|| EnvironmentError::Words("the environment is no derivation".into()))?;
    let path =
        session.store_dir().parse_bytes(&found.out_path).map_err(|error| EnvironmentError::Session(error.into()))?;
    evaluator.flush().map_err(|error| EnvironmentError::Words(error.message))?;
    Ok(Environment { derivation: found.drv_path, path })
}

/// Appends what the manifest says of an element.
fn describe(
    session: &Session,
    evaluator: &mut Evaluator,
    element: &Element,
    keep_derivations: bool,
    text: &mut Vec<u8>,
    references: &mut Vec<StorePath>,
) -> Result<(), EnvironmentError> {
    let quoted = |bytes: &[u8]| {
        let mut text = Vec::new();
        quote(&mut text, bytes);
        text
    };
    let shown = |path: &StorePath| quoted(session.store_dir().print(path).as_bytes());
    // In byte order of names, an output instead of anything else of that name.
    let mut attributes: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    attributes.insert("type".into(), quoted(b"derivation"));
    attributes.insert("name".into(), quoted(element.name().as_bytes()));
    let system = element.system(evaluator)?;
    if !system.is_empty() {
        attributes.insert("system".into(), quoted(system.as_bytes()));
    }
    attributes.insert("outPath".into(), shown(&element.path(evaluator)?));
    if keep_derivations && let Some(derivation) = element.derivation(evaluator)? {
        attributes.insert("drvPath".into(), shown(&derivation));
        references.push(derivation);
    }
    let mut names = b"[ ".to_vec();
    for (name, path) in element.outputs_to_install(evaluator)? {
        names.extend(quoted(name.as_bytes()));
        names.push(b' ');
        attributes.insert(name, [b"{ outPath = ".as_slice(), &shown(&path), b"; }"].concat());
        references.push(path);
    }
    names.push(b']');
    attributes.insert("outputs".into(), names);
    let mut meta = b"{ ".to_vec();
    for name in element.meta_names(evaluator)? {
        if let Some(value) = element.meta(evaluator, &name)? {
            attribute(evaluator, &mut meta, &name, &value)?;
        }
    }
    meta.push(b'}');
    attributes.insert("meta".into(), meta);
    text.extend_from_slice(b"{ ");
    for (name, value) in attributes {
        push_name(text, &name);
        text.extend_from_slice(b" = ");
        text.extend_from_slice(&value);
        text.extend_from_slice(b"; ");
    }
    text.push(b'}');
    Ok(())
}

fn attribute(
    evaluator: &mut Evaluator,
    text: &mut Vec<u8>,
    name: &str,
    value: &Rooted,
) -> Result<(), EnvironmentError> {
    push_name(text, name);
    text.extend_from_slice(b" = ");
    text.extend(evaluator.print_whole(value)?);
    text.extend_from_slice(b"; ");
    Ok(())
}

fn push_name(text: &mut Vec<u8>, name: &str) {
    evaluator::push_name(text, name.as_bytes());
}
