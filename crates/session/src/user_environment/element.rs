//! One package of an environment, or one that could be: a derivation of an expression, or a store path, with what the user
//! changed about it.

use std::collections::BTreeMap;

use evaluator::{Evaluator, Listed, Rooted, ValueKind};
use store_model::StorePath;

use super::EnvironmentError;

type Result<T> = std::result::Result<T, EnvironmentError>;

/// A package.
#[derive(Clone, Debug)]
pub struct Element {
    /// Where in the expression it was found.
    pub attr_path: String,
    name: String,
    from: From,
    /// What is said of it beside its own `meta`.
    flags: BTreeMap<String, Rooted>,
}

#[derive(Clone, Debug)]
enum From {
    Expression(Listed),
    Store { derivation: Option<StorePath>, path: StorePath },
}

impl Element {
    /// A derivation that an expression gave.
    pub fn of_expression(found: Listed) -> Self {
        let (attr_path, name) = (found.attr_path.clone(), found.name.clone());
        Self { attr_path, name, from: From::Expression(found), flags: BTreeMap::new() }
    }

    /// A store path, perhaps an output of a derivation.
    pub fn of_store(path: StorePath, derivation: Option<StorePath>) -> Self {
        let name = derivation.as_ref().unwrap_or(&path).name().to_owned();
        let from = From::Store { derivation, path };
        Self { attr_path: String::new(), name, from, flags: BTreeMap::new() }
    }

    /// Its name, with its version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it another name.
    pub fn set_name(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// The system it is for; nothing for a store path.
    ///
    /// # Errors
    /// As evaluating fails.
    pub fn system(&self, evaluator: &mut Evaluator) -> Result<String> {
        match &self.from {
            From::Expression(found) => Ok(evaluator.listed_system(found)?),
            From::Store { .. } => Ok(String::new()),
        }
    }

    /// Its derivation.
    ///
    /// # Errors
    /// As evaluating fails.
    pub fn derivation(&self, evaluator: &mut Evaluator) -> Result<Option<StorePath>> {
        match &self.from {
            From::Expression(found) => Ok(evaluator.listed_derivation(found)?),
            From::Store { derivation, .. } => Ok(derivation.clone()),
        }
    }

    /// Its `outPath`.
    ///
    /// # Errors
    /// As evaluating fails.
    pub fn path(&self, evaluator: &mut Evaluator) -> Result<StorePath> {
        match &self.from {
            From::Expression(found) => Ok(evaluator.listed_path(found)?),
            From::Store { path, .. } => Ok(path.clone()),
        }
    }

    /// The name of the output that it is itself.
    ///
    /// # Errors
    /// As evaluating fails.
    pub fn output_name(&self, evaluator: &mut Evaluator) -> Result<String> {
        match &self.from {
            From::Expression(found) => Ok(evaluator.listed_output_name(found)?),
            From::Store { .. } => Ok(String::new()),
        }
    }

    /// Its outputs, with their paths if these are wanted.
    ///
    /// # Errors
    /// As evaluating fails.
    pub fn outputs(&self, evaluator: &mut Evaluator, paths: bool) -> Result<BTreeMap<String, Option<StorePath>>> {
        match &self.from {
            From::Expression(found) => Ok(evaluator.listed_outputs(found, paths)?),
            From::Store { path, .. } => Ok([("out".to_owned(), paths.then(|| path.clone()))].into()),
        }
    }

    /// The outputs that installing it means: the one it is itself if that was chosen, else `meta.outputsToInstall`, else all.
    ///
    /// # Errors
    /// As evaluating fails; outputs that it does not have.
    pub fn outputs_to_install(&self, evaluator: &mut Evaluator) -> Result<Vec<(String, StorePath)>> {
        let mut all: BTreeMap<String, StorePath> = self
            .outputs(evaluator, true)?
            .into_iter()
            .filter_map(|(name, path)| path.map(|path| (name, path)))
            .collect();
        let From::Expression(found) = &self.from else { return Ok(all.into_iter().collect()) };
        if evaluator.listed_is_one_output(found)? {
            let name = self.output_name(evaluator)?;
            let path = all
                .remove(&name)
                .ok_or_else(|| EnvironmentError::Words(format!("derivation does not have output '{name}'")))?;
            return Ok(vec![(name, path)]);
        }
        let Some(wanted) = self.meta(evaluator, "outputsToInstall")? else { return Ok(all.into_iter().collect()) };
        let bad = || EnvironmentError::Words("this derivation has bad 'meta.outputsToInstall'".into());
        if evaluator.kind(&wanted)? != ValueKind::List {
            return Err(bad());
        }
        let mut chosen = BTreeMap::new();
        for element in evaluator.elements(&wanted)? {
            if evaluator.kind(&element)? != ValueKind::String {
                return Err(bad());
            }
            let name = String::from_utf8_lossy(&evaluator.string(&element, false)?.0).into_owned();
            let path = all.get(&name).cloned().ok_or_else(bad)?;
            chosen.insert(name, path);
        }
        Ok(chosen.into_iter().collect())
    }

    /// The names of what is said of it, in byte order.
    ///
    /// # Errors
    /// As evaluating fails.
    pub fn meta_names(&self, evaluator: &mut Evaluator) -> Result<Vec<String>> {
        let mut names = match &self.from {
            From::Expression(found) => evaluator.listed_meta_names(found)?,
            From::Store { .. } => Vec::new(),
        };
        names.extend(self.flags.keys().cloned());
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Something said of it, if it is plain data.
    ///
    /// # Errors
    /// As evaluating fails.
    pub fn meta(&self, evaluator: &mut Evaluator, name: &str) -> Result<Option<Rooted>> {
        match (&self.from, self.flags.get(name)) {
            (_, Some(value)) => Ok(Some(value.clone())),
            (From::Expression(found), None) => Ok(evaluator.listed_meta(found, name)?),
            (From::Store { .. }, None) => Ok(None),
        }
    }

    /// Says something else of it.
    pub fn set_flag(&mut self, evaluator: &mut Evaluator, name: &str, value: &str) {
        let value = evaluator.make_string(value.as_bytes());
        self.flags.insert(name.to_owned(), value);
    }

    /// Something said of it that is a string, else nothing.
    ///
    /// # Errors
    /// As evaluating fails.
    pub fn meta_string(&self, evaluator: &mut Evaluator, name: &str) -> Result<String> {
        let Some(value) = self.meta(evaluator, name)? else { return Ok(String::new()) };
        match evaluator.kind(&value)? {
            ValueKind::String => Ok(String::from_utf8_lossy(&evaluator.string(&value, false)?.0).into_owned()),
            _ => Ok(String::new()),
        }
    }

    /// Its priority; more is less.
    ///
    /// # Errors
    /// As evaluating fails.
    pub fn priority(&self, evaluator: &mut Evaluator) -> Result<i64> {
        let Some(value) = self.meta(evaluator, "priority")? else { return Ok(0) };
        Ok(match evaluator.kind(&value)? {
            ValueKind::Int(number) => number,
            ValueKind::String => self.meta_string(evaluator, "priority")?.parse().unwrap_or(0),
            _ => 0,
        })
    }

    /// Whether it is never to be replaced.
    ///
    /// # Errors
    /// As evaluating fails.
    pub fn is_kept(&self, evaluator: &mut Evaluator) -> Result<bool> {
        let Some(value) = self.meta(evaluator, "keep")? else { return Ok(false) };
        Ok(match evaluator.kind(&value)? {
            ValueKind::Bool(truth) => truth,
            ValueKind::String => self.meta_string(evaluator, "keep")? == "true",
            _ => false,
        })
    }
}
