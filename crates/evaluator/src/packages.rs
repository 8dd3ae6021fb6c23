//! Derivations in a value, as `nix-build`, `nix-instantiate` and `nix-env` find them.
//!
//! A value is a derivation if it is a set with `type = "derivation"`. In any other set the attributes are looked at in
//! byte order of their names, going into those with `recurseForDerivations = true`; in a list every element. The same set
//! met twice counts once. What is asked of a package one fact at a time stands in `package_facts.rs`.

use crate::attr_path::AutoArguments;
use crate::error::EvalError;
use crate::eval::{Coercion, Eval};
use crate::evaluator::{Evaluator, Rooted};
use crate::parallel::Task;
use crate::value::{AttrSet, Value, sym};
use rustc_hash::FxHashSet;
use store_model::StorePath;

const NAME_TEXT: &str = "while evaluating the 'name' attribute of a derivation";

/// An output of a derivation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageOutput {
    /// Its name.
    pub name: String,
    /// Its path, where that is known before building.
    pub path: Option<StorePath>,
}

/// A derivation found in a value.
#[derive(Clone, Debug)]
pub struct Package {
    /// Where it was found, such as `a.b`; empty for the value itself.
    pub attr_path: String,
    /// Its `name`.
    pub name: String,
    /// Its `system`, or `unknown`.
    pub system: String,
    /// Its `drvPath`.
    pub drv_path: StorePath,
    /// The output that was selected (`outputName`, or the first), by which `nix-build` names its link.
    pub output_name: String,
    /// `outPath` of the selected output; a placeholder if not known before building.
    pub out_path: Vec<u8>,
    /// The set itself.
    pub value: Rooted,
}

/// A derivation that a walk met, before anything but its kind was looked at.
pub struct Met {
    value: Rooted,
    attr_path: String,
    /// Tells the same value from another, within one evaluator.
    pub identity: u64,
}

impl Evaluator {
    /// The derivation that a value is, or `None`.
    pub fn derivation_of(&mut self, value: &Rooted) -> Result<Option<Package>, EvalError> {
        let value = value.value();
        let eval = self.enter();
        let value = eval.force(value)?;
        let Some(set) = value.as_attrs() else { return Ok(None) };
        if !eval.is_derivation(set)? {
            return Ok(None);
        }
        eval.package(set, String::new()).map(Some)
    }

    /// All derivations in a value; functions met are called with `arguments`. An error if it holds none of a set, a list,
    /// a derivation.
    pub fn walk_derivations(
        &mut self,
        value: &Rooted,
        arguments: &[(String, Rooted)],
    ) -> Result<Vec<Package>, EvalError> {
        let arguments = self.auto_arguments(arguments);
        let value = value.value();
        let eval = self.enter();
        let mut walk = Walk::new(&arguments);
        eval.walk(value, "", &mut walk)?;
        let mut packages = Vec::with_capacity(walk.found.len());
        for found in walk.found {
            if let Some(set) = found.value.value().as_attrs() {
                packages.push(eval.package(set, found.attr_path)?);
            }
        }
        Ok(packages)
    }

    /// The names that [`Evaluator::walk_derivations`] would look at one by one, with the set they are in; `None` if the value
    /// is no set, or a derivation.
    pub fn walk_names(
        &mut self,
        value: &Rooted,
        arguments: &[(String, Rooted)],
    ) -> Result<Option<(Rooted, Vec<String>)>, EvalError> {
        let arguments = self.auto_arguments(arguments);
        let value = value.value();
        let eval = self.enter();
        let value = eval.auto_call(value, &arguments)?;
        let Some(set) = value.as_attrs() else { return Ok(None) };
        if eval.is_derivation(set)? {
            return Ok(None);
        }
        let attrs = crate::builtins::in_name_order(eval, set);
        let names = attrs.into_iter().map(|attr| eval.bare_text(attr.name).into_owned());
        let names = names.filter(|name| is_path_part(name.as_bytes())).collect();
        Ok(Some((self.rooted(value), names)))
    }

    /// What [`Evaluator::walk_derivations`] finds in one attribute of such a set.
    pub fn walk_attribute(
        &mut self,
        set: &Rooted,
        name: &str,
        arguments: &[(String, Rooted)],
    ) -> Result<Vec<Met>, EvalError> {
        let arguments = self.auto_arguments(arguments);
        let value = set.value();
        let eval = self.enter();
        let set = eval.expect_attrs(value, "while evaluating a set")?;
        let symbol = eval.intern(name.as_bytes());
        let Some(attr) = set.get(symbol) else { return Ok(Vec::new()) };
        let mut walk = Walk::new(&arguments);
        eval.deeper(|eval| eval.walk_attr(attr.value.get(), name, &mut walk))
            .map_err(|error| error.trace(attr.pos, format!("while evaluating the attribute '{name}'")))?;
        let met =
            |found: Found| Met { identity: found.value.value().word(), value: found.value, attr_path: found.attr_path };
        Ok(walk.found.into_iter().map(met).collect())
    }

    /// The derivation that was met.
    pub fn package(&mut self, met: &Met) -> Result<Package, EvalError> {
        let value = met.value.value();
        let eval = self.enter();
        let set = eval.expect_attrs(value, "while evaluating a derivation")?;
        eval.package(set, met.attr_path.clone())
    }

    /// The outputs of a derivation: those named by `outputs`, with their paths.
    pub fn package_outputs(&mut self, package: &Package) -> Result<Vec<PackageOutput>, EvalError> {
        let value = package.value.value();
        let eval = self.enter();
        let set = eval.expect_attrs(value, "while evaluating a derivation")?;
        let Some(outputs) = set.value(sym::OUTPUTS) else {
            return Ok(vec![PackageOutput { name: "out".into(), path: eval.out_path(set)?.1 }]);
        };
        let outputs = eval.expect_list(outputs, "while evaluating the 'outputs' attribute of a derivation")?;
        let mut found = Vec::with_capacity(outputs.len());
        for output in outputs.iter() {
            let text = "while evaluating the name of an output of a derivation";
            let name = eval.expect_plain_string(output, text)?;
            let symbol = eval.symbol_of(name);
            let Some(output) = set.value(symbol) else { continue };
            let output = eval.expect_attrs(output, "while evaluating an output of a derivation")?;
            let path = eval.out_path(output)?.1;
            found.push(PackageOutput { name: String::from_utf8_lossy(name.bytes()).into_owned(), path });
        }
        Ok(found)
    }

    /// The program that `nix run` starts: `meta.mainProgram`, else `pname`, else the name without its version.
    pub fn main_program(&mut self, package: &Package) -> Result<String, EvalError> {
        let value = package.value.value();
        let eval = self.enter();
        let set = eval.expect_attrs(value, "while evaluating a derivation")?;
        if let Some(meta) = set.value(sym::META) {
            let meta = eval.expect_attrs(meta, "while evaluating the 'meta' attribute of a derivation")?;
            if let Some(program) = meta.value(sym::MAIN_PROGRAM) {
                let program = eval.expect_string(program, "while evaluating the 'mainProgram' attribute")?;
                return Ok(String::from_utf8_lossy(program.bytes()).into_owned());
            }
        }
        if let Some(name) = set.value(sym::PNAME) {
            let name = eval.expect_string(name, "while evaluating the 'pname' attribute of a derivation")?;
            return Ok(String::from_utf8_lossy(name.bytes()).into_owned());
        }
        Ok(without_version(&package.name).to_owned())
    }
}

/// The part of a derivation name before its version: up to the first `-` that no letter follows.
fn without_version(name: &str) -> &str {
    let bytes = name.as_bytes();
    let dash = (0..bytes.len())
        .find(|at| bytes[*at] == b'-' && bytes.get(at + 1).is_some_and(|next| !next.is_ascii_alphabetic()));
    &name[..dash.unwrap_or(name.len())]
}

/// A derivation that a walk found.
pub(crate) struct Found {
    pub(crate) value: Rooted,
    pub(crate) attr_path: String,
    /// Its name, if names are wanted.
    pub(crate) name: Vec<u8>,
}

/// A walk over a value.
pub(crate) struct Walk<'a> {
    arguments: AutoArguments<'a>,
    seen: FxHashSet<u64>,
    pub(crate) found: Vec<Found>,
    /// Names are wanted.
    names: bool,
    /// What fails by an assertion or a `throw` is passed over.
    tolerant: bool,
}

impl<'a> Walk<'a> {
    fn new(arguments: AutoArguments<'a>) -> Self {
        Self { arguments, seen: FxHashSet::default(), found: Vec::new(), names: false, tolerant: false }
    }

    /// A walk that looks at names.
    pub(crate) fn listing(arguments: AutoArguments<'a>, tolerant: bool) -> Self {
        Self { names: true, tolerant, ..Self::new(arguments) }
    }
}

impl Eval {
    /// Takes a derivation; says whether it makes sense to look inside.
    fn take_derivation(&mut self, value: Value, path: &str, walk: &mut Walk<'_>) -> Result<bool, EvalError> {
        match self.take_if_derivation(value, path, walk) {
            Err(error) if walk.tolerant && error.kind().is_catchable() => Ok(false),
            result => result,
        }
    }

    fn take_if_derivation(&mut self, value: Value, path: &str, walk: &mut Walk<'_>) -> Result<bool, EvalError> {
        let value = self.force(value)?;
        let Some(set) = value.as_attrs() else { return Ok(true) };
        if !self.is_derivation(set)? {
            return Ok(true);
        }
        if walk.seen.insert(value.word()) {
            let name = set.value(sym::NAME).ok_or_else(|| EvalError::type_error("derivation name missing"))?;
            let name = match walk.names {
                true => self.expect_plain_string(name, NAME_TEXT)?.bytes().to_vec(),
                false => Vec::new(),
            };
            walk.found.push(Found { value: Rooted::new(&self.shared, value), attr_path: path.to_owned(), name });
        }
        Ok(false)
    }

    pub(crate) fn walk(&mut self, value: Value, path: &str, walk: &mut Walk<'_>) -> Result<(), EvalError> {
        self.deeper(|eval| eval.walk_inside(value, path, walk))
    }

    fn walk_inside(&mut self, value: Value, path: &str, walk: &mut Walk<'_>) -> Result<(), EvalError> {
        let value = self.auto_call(value, walk.arguments)?;
        if !self.take_derivation(value, path, walk)? {
            return Ok(());
        }
        if let Some(set) = value.as_attrs() {
            let mut attrs = crate::builtins::in_name_order(self, set);
            // nix-env's folder of channels is a set of sets that are gone into.
            let channels = attrs.iter().any(|attr| self.shared.symbols.bytes(attr.name) == b"_combineChannels");
            attrs.retain(|attr| is_path_part(self.shared.symbols.bytes(attr.name)));
            let values = || attrs.iter().map(|attr| attr.value.get());
            return self.go_through(Task::Force, values, |eval, progress| {
                for (index, attr) in attrs.iter().enumerate() {
                    progress.at(index);
                    let name = eval.bare_text(attr.name);
                    let inner = join(path, &name);
                    let result = match channels {
                        true => eval.walk(attr.value.get(), &inner, walk),
                        false => eval.walk_attr(attr.value.get(), &inner, walk),
                    };
                    let text = || format!("while evaluating the attribute '{name}'");
                    result.map_err(|error| error.trace(attr.pos, text()))?;
                }
                Ok(())
            });
        }
        if let Some(list) = value.as_list() {
            for (index, element) in list.iter().enumerate() {
                let inner = join(path, &index.to_string());
                if self.take_derivation(element, &inner, walk)? {
                    self.walk(element, &inner, walk)?;
                }
            }
            return Ok(());
        }
        let message = "expression does not evaluate to a derivation (or a set or list of those)";
        Err(EvalError::type_error(message))
    }

    fn walk_attr(&mut self, value: Value, path: &str, walk: &mut Walk<'_>) -> Result<(), EvalError> {
        if !self.take_derivation(value, path, walk)? {
            return Ok(());
        }
        let value = self.force(value)?;
        let Some(wish) = value.as_attrs().and_then(|set| set.value(sym::RECURSE_FOR_DERIVATIONS)) else {
            return Ok(());
        };
        if self.expect_bool(wish, "while evaluating the attribute `recurseForDerivations`")? {
            self.walk(value, path, walk)?;
        }
        Ok(())
    }

    fn package(&mut self, set: AttrSet, attr_path: String) -> Result<Package, EvalError> {
        let name = set.value(sym::NAME).ok_or_else(|| EvalError::type_error("derivation name missing"))?;
        let name = self.expect_plain_string(name, NAME_TEXT)?;
        let system = self.system_of(set)?;
        let drv_path = self.drv_path(set)?;
        let output_name = self.output_name_of(set)?;
        let (out_path, _) = self.out_path(set)?;
        let value = Rooted::new(&self.shared, set.into());
        let name = String::from_utf8_lossy(name.bytes()).into_owned();
        Ok(Package { attr_path, name, system, drv_path, output_name, out_path, value })
    }

    pub(crate) fn system_of(&mut self, set: AttrSet) -> Result<String, EvalError> {
        let Some(system) = set.get(sym::SYSTEM) else { return Ok("unknown".into()) };
        let text = "while evaluating the 'system' attribute of a derivation";
        let system = self.expect_plain_string_at(system.value.get(), system.pos, text)?;
        Ok(String::from_utf8_lossy(system.bytes()).into_owned())
    }

    pub(crate) fn output_name_of(&mut self, set: AttrSet) -> Result<String, EvalError> {
        let Some(output) = set.value(sym::OUTPUT_NAME) else { return Ok(String::new()) };
        let text = "while evaluating the output name of a derivation";
        Ok(String::from_utf8_lossy(self.expect_plain_string(output, text)?.bytes()).into_owned())
    }

    pub(crate) fn drv_path(&mut self, set: AttrSet) -> Result<StorePath, EvalError> {
        let text = "while evaluating the 'drvPath' attribute of a derivation";
        let Some(attr) = set.get(sym::DRV_PATH) else {
            return Err(EvalError::eval("derivation does not contain a 'drvPath' attribute"));
        };
        let string = self.coerce_at(attr.value.get(), Coercion::PLAIN, attr.pos, text)?;
        let parsed = self.shared.world.store_dir().parse_bytes(string.bytes());
        match parsed {
            Ok(path) if path.is_derivation() => Ok(path),
            Ok(path) => {
                let message = format!("store path '{path}' is not a valid derivation path");
                Err(EvalError::eval(message).trace(attr.pos, text))
            }
            Err(_) => {
                let shown = String::from_utf8_lossy(string.bytes()).into_owned();
                let error = EvalError::eval(format!("path '{shown}' is not in the Nix store"));
                Err(error.trace(attr.pos, text))
            }
        }
    }

    /// The text of `outPath`, and the store path if it is one.
    pub(crate) fn out_path(&mut self, set: AttrSet) -> Result<(Vec<u8>, Option<StorePath>), EvalError> {
        let Some(attr) = set.get(sym::OUT_PATH) else {
            return Err(EvalError::eval("derivation does not have attribute 'outPath'"));
        };
        let text = "while evaluating the output path of a derivation";
        let string = self.coerce_at(attr.value.get(), Coercion::PLAIN, attr.pos, text)?;
        let path = self.shared.world.store_dir().parse_bytes(string.bytes()).ok();
        Ok((string.bytes().to_vec(), path))
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Whether a name can be written in an attribute path without quotes.
fn is_path_part(name: &[u8]) -> bool {
    let Some((first, rest)) = name.split_first() else { return false };
    (first.is_ascii_alphabetic() || *first == b'_')
        && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_versions() {
        assert_eq!(without_version("hello-2.10"), "hello");
        assert_eq!(without_version("nix-store-2"), "nix-store");
        assert_eq!(without_version("plain"), "plain");
        assert_eq!(without_version("trailing-"), "trailing-");
    }
}
