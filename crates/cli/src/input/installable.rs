//! What the newer commands are given: attribute paths of a file or an expression (`-f`, `--expr`), or store paths, each
//! with outputs after `^`.

use clap::Args;
use evaluator::{Package, Rooted, with_large_stack};
use store_model::{DerivedPath, OutputsSpec, SingleDerivedPath};

use super::evaluation::{Evaluation, EvaluationArgs};
use crate::command::CommandError;
use crate::output::build::Opened;

/// Where attribute paths start.
#[derive(Args, Debug, Default)]
pub struct InstallableArgs {
    /// Attribute paths are those of this file or folder (`-` for standard input)
    #[arg(short = 'f', long = "file", value_name = "FILE", allow_hyphen_values = true)]
    pub file: Option<String>,
    /// Attribute paths are those of this expression
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "file", allow_hyphen_values = true)]
    pub expr: Option<String>,
    #[command(flatten)]
    pub evaluation: EvaluationArgs,
}

/// One thing to build, and what is known of it.
pub struct Installable {
    /// What to make valid.
    pub path: DerivedPath,
    /// The program that `nix run` starts, where it came from an expression.
    pub main_program: Option<String>,
}

impl InstallableArgs {
    /// Whether attribute paths have a start.
    fn evaluates(&self) -> bool {
        self.file.is_some() || self.expr.is_some()
    }

    /// The value that attribute paths start from.
    pub fn root(&self, evaluation: &mut Evaluation) -> Result<Rooted, CommandError> {
        match (&self.file, &self.expr) {
            (_, Some(text)) => evaluation.text(text),
            (Some(file), None) => evaluation.file(file),
            (None, None) => Err(no_flakes("")),
        }
    }

    /// What the words mean. Without words the whole file or expression is meant.
    pub fn resolve(&self, opened: &Opened<'_>, words: &[String]) -> Result<Vec<Installable>, CommandError> {
        if !self.evaluates() {
            if words.is_empty() {
                return Err(no_flakes("."));
            }
            let paths = words.iter().map(|word| {
                let path = opened.session.derived_path(word).map_err(|_| no_flakes(word))?;
                Ok(Installable { path: as_is(word, path), main_program: None })
            });
            return paths.collect();
        }
        with_large_stack(|| self.evaluate(opened, words))
    }

    fn evaluate(&self, opened: &Opened<'_>, words: &[String]) -> Result<Vec<Installable>, CommandError> {
        let mut evaluation = Evaluation::open(opened.surface, &opened.session, &self.evaluation)?;
        let root = self.root(&mut evaluation)?;
        let whole = [String::new()];
        let words = if words.is_empty() { whole.as_slice() } else { words };
        let mut found = Vec::new();
        for word in words {
            let (path, outputs) = match word.split_once('^') {
                Some((path, outputs)) => (
                    path,
                    Some(
                        OutputsSpec::parse(outputs)
                            .map_err(|error| CommandError::failed(format!("'{word}': {error}")))?,
                    ),
                ),
                None => (word.as_str(), None),
            };
            let value = evaluation.select(&root, path)?;
            let value = evaluation.auto_call(&value)?;
            let package = evaluation.run(|evaluator| evaluator.derivation_of(&value))?;
            let Some(package) = package else {
                let what = if path.is_empty() { "the expression".to_owned() } else { format!("'{path}'") };
                return Err(CommandError::failed(format!("{what} does not evaluate to a derivation")));
            };
            let outputs = match outputs {
                Some(outputs) => outputs,
                None => wanted_outputs(&mut evaluation, &package)?,
            };
            let main_program = Some(evaluation.run(|evaluator| evaluator.main_program(&package))?);
            let drv = SingleDerivedPath::Opaque(package.drv_path);
            found.push(Installable { path: DerivedPath::Built { drv, outputs }, main_program });
        }
        evaluation.flush()?;
        Ok(found)
    }
}

/// A derivation named by its store path means its file unless outputs are asked for.
fn as_is(word: &str, path: DerivedPath) -> DerivedPath {
    match path {
        DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), outputs: OutputsSpec::All }
            if !word.contains(['^', '!']) =>
        {
            DerivedPath::Opaque(drv)
        }
        other => other,
    }
}

/// `meta.outputsToInstall`, else the output that the value itself is, else `out`.
fn wanted_outputs(evaluation: &mut Evaluation, package: &Package) -> Result<OutputsSpec, CommandError> {
    let names = evaluation.run(|evaluator| {
        if !matches!(package.output_name.as_str(), "" | "out") {
            return Ok(vec![package.output_name.clone()]);
        }
        let Some(meta) = evaluator.attr(&package.value, "meta")? else { return Ok(Vec::new()) };
        let Some(list) = evaluator.attr(&meta, "outputsToInstall")? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for element in evaluator.elements(&list)? {
            let (text, _) = evaluator.string(&element, false)?;
            names.push(String::from_utf8_lossy(&text).into_owned());
        }
        Ok(names)
    })?;
    let names = if !names.is_empty() {
        names
    } else if package.output_name.is_empty() {
        vec!["out".to_owned()]
    } else {
        vec![package.output_name.clone()]
    };
    Ok(OutputsSpec::Names(names.into_iter().collect()))
}

fn no_flakes(word: &str) -> CommandError {
    CommandError::failed(format!("'{word}' is a flake reference, and flakes are not there yet"))
        .hint("Name a file or an expression: `-f FILE ATTRIBUTE`, `--expr EXPRESSION`, or give a store path.")
}
