//! Variables, and what they were loaded from.

use std::path::Path;

use evaluator::{ErrorKind, EvalError, Origin, Rooted, bytes_as_text};

use crate::command::CommandError;
use crate::input::evaluation::{Evaluation, EvaluationArgs, here};
use crate::input::installable::InstallableArgs;
use crate::output::build::Opened;

/// What attributes came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// A file, or `<name>`.
    File(String),
    /// An attribute path of `-f` or `--expr`.
    Installable(String),
}

/// What was typed.
pub(super) enum Typed {
    /// A set of new variables, not evaluated.
    Bindings(Rooted),
    /// An expression, not evaluated.
    Expression(Rooted),
    /// The beginning of something.
    Unfinished,
}

/// An evaluator and the variables that expressions see.
pub(super) struct Scope {
    pub(super) evaluation: Evaluation,
    variables: Rooted,
    /// `old: new: old // new`
    join: Rooted,
    last_loaded: Option<Rooted>,
}

impl Scope {
    /// An evaluator that has read nothing.
    pub(super) fn open(opened: &Opened<'_>, how: &EvaluationArgs) -> Result<Scope, CommandError> {
        let mut evaluation = Evaluation::open(opened.surface, &opened.session, how)?;
        let variables = evaluation.text("{ }")?;
        let join = evaluation.text("old: new: old // new")?;
        Ok(Scope { evaluation, variables, join, last_loaded: None })
    }

    /// Loads something; tells the set that it is.
    pub(super) fn load(&mut self, what: &Loaded, installables: &InstallableArgs) -> Result<Rooted, CommandError> {
        let evaluation = &mut self.evaluation;
        let value = match what {
            Loaded::File(file) => evaluation.file(file)?,
            Loaded::Installable(path) => {
                let root = installables.root(evaluation)?;
                evaluation.select(&root, path)?
            }
        };
        evaluation.auto_call(&value)
    }

    /// Makes the attributes of a set variables; their names, sorted.
    pub(super) fn add_loaded(&mut self, set: &Rooted) -> Result<Vec<String>, CommandError> {
        let names = self.evaluation.run(|evaluator| evaluator.attr_names(set))?;
        self.add(set)?;
        self.last_loaded = Some(set.clone());
        Ok(names.iter().map(|name| bytes_as_text(name).into_owned()).collect())
    }

    /// The names that were loaded last.
    pub(super) fn last_loaded(&mut self) -> Result<Vec<String>, CommandError> {
        let set = self.last_loaded.clone().ok_or_else(|| CommandError::failed("nothing has been loaded yet"))?;
        let names = self.evaluation.run(|evaluator| evaluator.attr_names(&set))?;
        Ok(names.iter().map(|name| bytes_as_text(name).into_owned()).collect())
    }

    /// Makes the attributes of a set variables.
    pub(super) fn add(&mut self, set: &Rooted) -> Result<(), CommandError> {
        let (join, variables) = (&self.join, &self.variables);
        self.variables = self.evaluation.run(|evaluator| evaluator.call(join, &[variables, set]))?;
        Ok(())
    }

    fn delay(&mut self, text: &str) -> Result<Result<Rooted, EvalError>, CommandError> {
        let here = here()?;
        let variables = &self.variables;
        Ok(self.evaluation.evaluator.delay_text_in(text.as_bytes(), &here, Origin::String, variables))
    }

    /// Understands what was typed: definitions, with or without the last `;`, or an expression.
    pub(super) fn understand(&mut self, text: &str) -> Result<Typed, CommandError> {
        let is_syntax = |error: &EvalError| matches!(error.kind(), ErrorKind::Syntax);
        let mut wrong = None;
        for ending in [" }", "; }"] {
            match self.delay(&format!("{{ {text}{ending}"))? {
                Ok(set) => return Ok(Typed::Bindings(set)),
                Err(error) if !is_syntax(&error) => return Err(self.evaluation.failed(&error)),
                Err(error) => wrong = Some(error),
            }
        }
        let breaks_off = |error: &EvalError| is_syntax(error) && error.message().contains("unexpected end of file");
        let error = match self.delay(text)? {
            Ok(expression) => return Ok(Typed::Expression(expression)),
            Err(error) => error,
        };
        let half = match defines(text) {
            true => self.delay(&format!("{{ {text}"))?.err(),
            false => None,
        };
        if breaks_off(&error) || half.as_ref().is_some_and(breaks_off) {
            return Ok(Typed::Unfinished);
        }
        let error = wrong.filter(|_| defines(text)).unwrap_or(error);
        Err(self.evaluation.failed(&error))
    }

    /// The value of an expression.
    pub(super) fn value(&mut self, text: &str) -> Result<Rooted, CommandError> {
        let delayed = self.delay(text)?.map_err(|error| self.evaluation.failed(&error))?;
        self.evaluation.run(|evaluator| evaluator.force(&delayed))
    }

    /// What a word may go on to: a variable, an attribute of a set, a path.
    pub(super) fn complete(&mut self, word: &str) -> Vec<String> {
        if let Some((folder, begun)) = word.rsplit_once('/') {
            return paths(folder, begun);
        }
        let (prefix, set, begun) = match word.rsplit_once('.') {
            // An error while completing is nobody's business.
            Some((before, begun)) => match self.value(before) {
                Ok(set) => (format!("{before}."), set, begun),
                Err(_) => return Vec::new(),
            },
            None => (String::new(), self.variables.clone(), word),
        };
        let mut names = self.evaluation.run(|evaluator| evaluator.attr_names(&set)).unwrap_or_default();
        if prefix.is_empty() {
            let options = self.evaluation.evaluator.options().clone();
            names.extend(evaluator::Evaluator::manual(&options).iter().map(|(name, ..)| name.as_bytes().to_vec()));
            names.push(b"builtins".to_vec());
            names.sort();
            names.dedup();
        }
        let names = names.iter().map(|name| bytes_as_text(name)).filter(|name| name.starts_with(begun));
        names.map(|name| format!("{prefix}{name}")).collect()
    }
}

/// Whether a text begins as a definition does: a name, then `=`.
fn defines(text: &str) -> bool {
    let rest = text.trim_start().trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_'-.\"".contains(c));
    let rest = rest.trim_start();
    rest.starts_with('=') && !rest.starts_with("==")
}

fn paths(folder: &str, begun: &str) -> Vec<String> {
    let place = if folder.is_empty() { Path::new("/") } else { Path::new(folder) };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<String> = names
        .filter(|name| !name.starts_with('.') && name.starts_with(begun))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    found.sort();
    found
}
