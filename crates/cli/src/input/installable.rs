//! What the newer commands are given: attribute paths of a file or an expression (`-f`, `--expr`), or store paths, each
//! with outputs after `^`.

use std::collections::BTreeMap;

use clap::Args;
use evaluator::{Evaluator, Package, Rooted, StringContextElement, ValueKind, with_large_stack};
use session::Settings;
use session::remembered::{Answer, Found, Start, Step, Work};
use store_model::{DerivedPath, OutputsSpec, SingleDerivedPath, StorePath};

use super::evaluation::{Evaluation, EvaluationArgs, Question};
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
    pub fn evaluates(&self) -> bool {
        self.file.is_some() || self.expr.is_some()
    }

    /// How these are evaluated: expressions of the command line are pure unless it is said otherwise, files are not.
    ///
    /// # Errors
    /// A file together with `--pure-eval`.
    pub fn evaluation(&self, settings: &Settings) -> Result<EvaluationArgs, CommandError> {
        if self.file.is_some() && settings.is_given("pure-eval") && self.evaluation.is_pure(settings) {
            return Err(CommandError::usage("'--file' is not compatible with '--pure-eval'"));
        }
        Ok(EvaluationArgs { pure: self.expr.is_some(), ..self.evaluation.clone() })
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
        let whole = [String::new()];
        let words = if words.is_empty() { whole.as_slice() } else { words };
        let sources: Vec<String> = self.file.iter().chain(&self.expr).cloned().collect();
        let question = Question {
            // Every command that builds asks the same of its words.
            command: "nix",
            words: [vec![self.expr.is_some().to_string()], words.to_vec()].concat(),
            sources: &sources,
            separable: true,
        };
        let words = words.iter().map(|word| Word::parse(word)).collect::<Result<Vec<_>, _>>()?;
        let how = self.evaluation(&opened.session.settings)?;
        let mut work =
            Resolving { args: self, how: &how, opened, words, evaluation: None, root: None, found: Vec::new() };
        question.answer(opened.surface, &opened.session, &how, &mut work)?;
        if let Some(evaluation) = &work.evaluation {
            evaluation.flush()?;
        }
        Ok(work.found)
    }
}

/// An attribute path, and the outputs where others than the usual ones are wanted.
struct Word {
    path: String,
    outputs: Option<OutputsSpec>,
}

impl Word {
    fn parse(word: &str) -> Result<Self, CommandError> {
        let Some((path, outputs)) = word.split_once('^') else {
            return Ok(Self { path: word.to_owned(), outputs: None });
        };
        let outputs =
            OutputsSpec::parse(outputs).map_err(|error| CommandError::failed(format!("'{word}': {error}")))?;
        Ok(Self { path: path.to_owned(), outputs: Some(outputs) })
    }
}

/// Attribute paths on their way to derivations.
struct Resolving<'a> {
    args: &'a InstallableArgs,
    how: &'a EvaluationArgs,
    opened: &'a Opened<'a>,
    words: Vec<Word>,
    evaluation: Option<Evaluation>,
    root: Option<Rooted>,
    found: Vec<Installable>,
}

impl Work for Resolving<'_> {
    type Error = CommandError;

    fn begin(&mut self, start: Start) -> Result<Vec<String>, CommandError> {
        let mut evaluation = Evaluation::start(start, &self.opened.session, self.how, false)?;
        self.root = Some(self.args.root(&mut evaluation)?);
        self.evaluation = Some(evaluation);
        Ok(self.words.iter().map(|word| word.path.clone()).collect())
    }

    fn step(&mut self, _: usize, part: usize) -> Result<Step, CommandError> {
        let (Some(evaluation), Some(root)) = (&mut self.evaluation, &self.root) else { return Ok(Step::default()) };
        let path = &self.words[part].path;
        let value = evaluation.select(root, path)?;
        let value = evaluation.auto_call(&value)?;
        let package = evaluation.run(|evaluator| evaluator.derivation_of(&value))?;
        let Some(package) = package else {
            if let Some(path) = store_object(evaluation, &value)? {
                let text = path.print(self.opened.session.store_dir()).into_bytes();
                return Ok(Step { answer: Some(Answer::Text(text)), identities: Vec::new() });
            }
            let kind = evaluation.run(|evaluator| evaluator.kind(&value))?;
            if matches!(kind, ValueKind::Attrs | ValueKind::List) {
                return Ok(Step { answer: Some(self.all_below(&value, part)?), identities: Vec::new() });
            }
            let what = if path.is_empty() { "the expression".to_owned() } else { format!("'{path}'") };
            return Err(CommandError::failed(format!("{what} does not evaluate to a derivation")));
        };
        let found = found(evaluation, package, self.words[part].outputs.is_none())?;
        Ok(Step { answer: Some(Answer::Derivations(vec![found])), identities: Vec::new() })
    }

    fn evaluator(&mut self) -> Option<&mut Evaluator> {
        self.evaluation.as_mut().map(|evaluation| &mut evaluation.evaluator)
    }

    fn show(&mut self, part: usize, answer: Answer) -> Result<(), CommandError> {
        let found = match answer {
            Answer::Derivations(found) => found,
            Answer::Text(text) => {
                let text = String::from_utf8_lossy(&text);
                let path = DerivedPath::parse(self.opened.session.store_dir(), &text);
                let path = path.map_err(|error| CommandError::failed(error.to_string()))?;
                self.found.push(Installable { path, main_program: None });
                return Ok(());
            }
        };
        for one in found {
            let outputs = match &self.words[part].outputs {
                Some(outputs) => outputs.clone(),
                None => OutputsSpec::Names(one.outputs.into_iter().collect()),
            };
            let drv = SingleDerivedPath::Opaque(one.drv_path);
            let path = DerivedPath::Built { drv, outputs };
            self.found.push(Installable { path, main_program: one.main_program });
        }
        Ok(())
    }
}

/// What is to be known of a package; its usual outputs where no others are wanted.
fn found(evaluation: &mut Evaluation, package: Package, usual: bool) -> Result<Found, CommandError> {
    let outputs = if usual { wanted_outputs(evaluation, &package)? } else { Vec::new() };
    let main_program = Some(evaluation.run(|evaluator| evaluator.main_program(&package))?);
    let (drv_path, output_name) = (package.drv_path, package.output_name);
    Ok(Found { drv_path, output_name, outputs, main_program })
}

impl Resolving<'_> {
    /// Every derivation in a set or list, in the order of their paths, each once.
    fn all_below(&mut self, value: &Rooted, part: usize) -> Result<Answer, CommandError> {
        let usual = self.words[part].outputs.is_none();
        let Some(evaluation) = &mut self.evaluation else { return Ok(Answer::Derivations(Vec::new())) };
        let packages =
            evaluation.with_arguments(|evaluator, arguments| evaluator.walk_derivations(value, arguments))?;
        let mut all: BTreeMap<StorePath, Found> = BTreeMap::new();
        for package in packages {
            let one = found(evaluation, package, usual)?;
            match all.get_mut(&one.drv_path) {
                Some(known) => known.outputs.extend(one.outputs),
                None => drop(all.insert(one.drv_path.clone(), one)),
            }
        }
        Ok(Answer::Derivations(all.into_values().collect()))
    }
}

/// A path, which is copied to the store, or a text that is a store path or an output: what it means. `None` for everything
/// else.
fn store_object(evaluation: &mut Evaluation, value: &Rooted) -> Result<Option<DerivedPath>, CommandError> {
    let kind = evaluation.run(|evaluator| evaluator.kind(value))?;
    if !matches!(kind, ValueKind::String | ValueKind::Path(_)) {
        return Ok(None);
    }
    let (text, context) = evaluation.run(|evaluator| evaluator.string(value, true))?;
    Ok(match context.as_slice() {
        [StringContextElement::Opaque(path)] => Some(DerivedPath::Opaque(path.clone())),
        [StringContextElement::Whole(_)] => {
            let text = String::from_utf8_lossy(&text);
            return Err(CommandError::failed(format!(
                "string '{text}' has a context which refers to a complete source and binary closure. This is not supported at this time"
            )));
        }
        [StringContextElement::Output(drv, output)] => Some(DerivedPath::output(drv.clone(), output)),
        [StringContextElement::Dynamic(drv, output)] => {
            Some(DerivedPath::Built { drv: drv.clone(), outputs: OutputsSpec::Names([output.clone()].into()) })
        }
        others => {
            let (text, count) = (String::from_utf8_lossy(&text), others.len());
            return Err(CommandError::failed(format!(
                "string '{text}' has {count} entries in its context. It should only have exactly one entry"
            )));
        }
    })
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

/// The output that the value itself is if that was chosen (`hello.dev`), else `meta.outputsToInstall`, else all.
fn wanted_outputs(evaluation: &mut Evaluation, package: &Package) -> Result<Vec<String>, CommandError> {
    let names = evaluation.run(|evaluator| {
        if evaluator.is_one_output(&package.value)? {
            return Ok(vec![package.output_name.clone()]);
        }
        let mut list = None;
        if let Some(meta) = evaluator.attr(&package.value, "meta")? {
            list = evaluator.attr(&meta, "outputsToInstall")?;
        }
        if list.is_none() {
            list = evaluator.attr(&package.value, "outputs")?;
        }
        let Some(list) = list else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for element in evaluator.elements(&list)? {
            let (text, _) = evaluator.string(&element, false)?;
            names.push(String::from_utf8_lossy(&text).into_owned());
        }
        Ok(names)
    })?;
    Ok(if names.is_empty() { vec!["out".to_owned()] } else { names })
}

fn no_flakes(word: &str) -> CommandError {
    CommandError::failed(format!("'{word}' is a flake reference, and flakes are not there yet"))
        .hint("Name a file or an expression: `-f FILE ATTRIBUTE`, `--expr EXPRESSION`, or give a store path.")
}
