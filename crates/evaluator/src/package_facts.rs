//! Packages as `nix-env` lists them: found by their names alone, then asked for one fact at a time, since among many
//! thousands few are wanted and some facts fail.
//!
//! Absent: what a user's environment changes about a package (another name, flags); `session` lays that over it.

use crate::builtins::versions::{compare, split_name as split};
use crate::error::EvalError;
use crate::eval::Eval;
use crate::evaluator::{Evaluator, Rooted};
use crate::packages::Walk;
use crate::value::{AttrSet, Pos, Value, View, sym};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use store_model::StorePath;

pub use crate::builtins::regex::NamePattern;

/// A package that was found.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Where it was found, such as `a.b`.
    pub attr_path: String,
    /// Its `name`.
    pub name: String,
    value: Rooted,
}

/// How versions compare: part by part, numbers as numbers.
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    compare(one.as_bytes(), other.as_bytes())
}

/// The name and the version of a derivation's name: the version begins after the first dash that no letter follows.
pub fn split_name(name: &str) -> (&str, &str) {
    let dash = split(name.as_bytes()).0.len();
    (&name[..dash], name.get(dash + 1..).unwrap_or_default())
}

impl Evaluator {
    /// All packages in a value, their attribute paths below `prefix`; functions met are called with `arguments`. What fails
    /// by an assertion or a `throw` is passed over if `tolerant`.
    ///
    /// # Errors
    /// Anything else that fails; a value that is none of a set, a list, a derivation.
    pub fn list_packages(
        &mut self,
        value: &Rooted,
        prefix: &str,
        arguments: &[(String, Rooted)],
        tolerant: bool,
    ) -> Result<Vec<Listed>, EvalError> {
        let arguments = self.auto_arguments(arguments);
        let value = value.value();
        let eval = self.enter();
        let mut walk = Walk::listing(&arguments, tolerant);
        eval.walk(value, prefix, &mut walk)?;
        let listed = walk.found.into_iter().map(|found| Listed {
            attr_path: found.attr_path,
            name: String::from_utf8_lossy(&found.name).into_owned(),
            value: found.value,
        });
        Ok(listed.collect())
    }

    fn facts<'e>(&'e mut self, package: &Listed) -> Result<(&'e mut Eval, AttrSet), EvalError> {
        let value = package.value.value();
        let eval = self.enter();
        let set = eval.expect_attrs(value, "while evaluating a derivation")?;
        Ok((eval, set))
    }

    /// Its `system`, or `unknown`.
    pub fn listed_system(&mut self, package: &Listed) -> Result<String, EvalError> {
        let (eval, set) = self.facts(package)?;
        eval.system_of(set)
    }

    /// Its derivation, if it has one.
    pub fn listed_derivation(&mut self, package: &Listed) -> Result<Option<StorePath>, EvalError> {
        let (eval, set) = self.facts(package)?;
        if set.value(sym::DRV_PATH).is_none() { Ok(None) } else { eval.drv_path(set).map(Some) }
    }

    /// Its `outPath`.
    pub fn listed_path(&mut self, package: &Listed) -> Result<StorePath, EvalError> {
        let (eval, set) = self.facts(package)?;
        eval.store_path_of(set)
    }

    /// Its `outputName`, or nothing.
    pub fn listed_output_name(&mut self, package: &Listed) -> Result<String, EvalError> {
        let (eval, set) = self.facts(package)?;
        eval.output_name_of(set)
    }

    /// Its outputs by name, with their paths if these are wanted. Without `outputs` it has `out` alone.
    pub fn listed_outputs(
        &mut self,
        package: &Listed,
        with_paths: bool,
    ) -> Result<BTreeMap<String, Option<StorePath>>, EvalError> {
        let (eval, set) = self.facts(package)?;
        let mut found = BTreeMap::new();
        let Some(outputs) = set.value(sym::OUTPUTS) else {
            let path = if with_paths { Some(eval.store_path_of(set)?) } else { None };
            found.insert("out".to_owned(), path);
            return Ok(found);
        };
        let outputs = eval.expect_list(outputs, "while evaluating the 'outputs' attribute of a derivation")?;
        for output in outputs.iter() {
            let text = "while evaluating the name of an output of a derivation";
            let name = eval.expect_plain_string(output, text)?;
            let text = String::from_utf8_lossy(name.bytes()).into_owned();
            if !with_paths {
                found.insert(text, None);
                continue;
            }
            let symbol = eval.symbol_of(name);
            let Some(output) = set.value(symbol) else { continue };
            let output = eval.expect_attrs(output, "while evaluating an output of a derivation")?;
            if output.value(sym::OUT_PATH).is_some() {
                let path = eval.store_path_of(output)?;
                found.entry(text).or_insert(Some(path));
            }
        }
        Ok(found)
    }

    /// Whether the value is one output of its derivation by the user's choice (`outputSpecified`).
    pub fn listed_is_one_output(&mut self, package: &Listed) -> Result<bool, EvalError> {
        self.is_one_output(&package.value)
    }

    /// The same for a derivation that was found in another way.
    pub fn is_one_output(&mut self, derivation: &Rooted) -> Result<bool, EvalError> {
        let value = derivation.value();
        let eval = self.enter();
        let set = eval.expect_attrs(value, "while evaluating a derivation")?;
        let name = eval.intern(b"outputSpecified");
        let text = "while evaluating the 'outputSpecified' attribute of a derivation";
        match set.get(name) {
            Some(truth) => eval.expect_bool_at(truth.value.get(), truth.pos, text),
            None => Ok(false),
        }
    }

    /// The names of its `meta`, in byte order.
    pub fn listed_meta_names(&mut self, package: &Listed) -> Result<Vec<String>, EvalError> {
        let (eval, set) = self.facts(package)?;
        let Some(meta) = eval.meta_of(set)? else { return Ok(Vec::new()) };
        let attrs = crate::builtins::in_name_order(eval, meta);
        Ok(attrs.iter().map(|attr| eval.bare_text(attr.name).into_owned()).collect())
    }

    /// An attribute of its `meta`, evaluated as a whole; `None` if there is none, or if it holds what an environment's manifest
    /// cannot: null, paths, functions, derivations.
    pub fn listed_meta(&mut self, package: &Listed, name: &str) -> Result<Option<Rooted>, EvalError> {
        let (eval, set) = self.facts(package)?;
        let Some(meta) = eval.meta_of(set)? else { return Ok(None) };
        let name = eval.intern(name.as_bytes());
        let Some(attr) = meta.get(name) else { return Ok(None) };
        let value = attr.value.get();
        if !eval.is_plain_data(value)? {
            return Ok(None);
        }
        let value = eval.force(value)?;
        Ok(Some(self.rooted(value)))
    }
}

impl Eval {
    /// The `outPath` of a set, which must be a store path.
    fn store_path_of(&mut self, set: AttrSet) -> Result<StorePath, EvalError> {
        let (text, path) = self.out_path(set)?;
        path.ok_or_else(|| {
            let shown = String::from_utf8_lossy(&text).into_owned();
            EvalError::eval(format!("path '{shown}' is not in the Nix store"))
        })
    }

    fn meta_of(&mut self, set: AttrSet) -> Result<Option<AttrSet>, EvalError> {
        let Some(meta) = set.value(sym::META) else { return Ok(None) };
        self.expect_attrs(meta, "while evaluating the 'meta' attribute of a derivation").map(Some)
    }

    fn is_plain_data(&mut self, value: Value) -> Result<bool, EvalError> {
        let depth = self.depth;
        let entered = self.enter_call().map_err(|error| error.at(self.pos_of_evaluated(value)));
        let result = entered.and_then(|()| self.is_plain(value));
        self.depth = depth;
        result
    }

    fn is_plain(&mut self, value: Value) -> Result<bool, EvalError> {
        let value = self.force(value)?;
        match value.view() {
            View::Int(_) | View::Bool(_) | View::String(_) | View::Float(_) => Ok(true),
            View::List(list) => {
                for element in list.iter() {
                    if !self.is_plain_data(element)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            View::Attrs(set) => {
                if set.value(sym::OUT_PATH).is_some() {
                    return Ok(false);
                }
                for attr in set.iter() {
                    if !self.is_plain_data(attr.value.get())? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The place that a value itself knows; a set knows where it was written.
    #[cold]
    fn pos_of_evaluated(&mut self, value: Value) -> Pos {
        let evaluated = value.as_thunk().and_then(|thunk| thunk.evaluated()).unwrap_or(value);
        let Some(set) = evaluated.as_attrs() else { return self.pos_of_value(value) };
        let Some(inside) = set.iter().map(|attr| attr.pos).find(|pos| *pos != Pos::NONE) else { return Pos::NONE };
        let Some(text) = crate::eval::lock(&self.shared.sources).text(inside).cloned() else { return Pos::NONE };
        let offset = crate::compile::set_with_binding_at(&text.source, text.offset_of(inside));
        offset.map_or(Pos::NONE, |offset| text.pos_of(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        assert_eq!(split_name("apache-httpd-2.0.48"), ("apache-httpd", "2.0.48"));
        assert_eq!(split_name("plain"), ("plain", ""));
        assert_eq!(split_name("trailing-"), ("trailing-", ""));
        assert_eq!(compare_versions("2.3a", "2.3.1"), Ordering::Less);
        let pattern = NamePattern::new("fo+|.*-dev").unwrap();
        let whole = |text: &str| pattern.matches(text).unwrap();
        assert_eq!([whole("foo"), whole("food"), whole("x-dev")], [true, false, true]);
        assert!(NamePattern::new("(").is_err());
    }
}
