//! `nix eval`: an expression to its value.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use evaluator::{Evaluator, Rooted, ValueKind, with_large_stack};
use session::Session;
use session::remembered::{Answer, Start, Step, Work};
use store_model::json_text;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, Words, open, parse};
use crate::input::evaluation::{Evaluation, EvaluationArgs, Question, leave};
use crate::input::installable::InstallableArgs;
use crate::output::json::JsonArgs;
use crate::output::value::{Form, value_text};

/// Evaluate an attribute of a file, or an expression
#[derive(Parser, Debug)]
#[command(name = "nix eval")]
struct Args {
    /// Print a string as it is
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    style: JsonArgs,
    /// Write the string, or the set of strings as a folder of files, to this path
    #[arg(long, value_name = "PATH")]
    write_to: Option<PathBuf>,
    /// Apply this function to the value first
    #[arg(long, value_name = "FUNCTION")]
    apply: Option<String>,
    /// Write nothing to the store
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// The attribute path
    attribute: Option<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let mut words = parse::<Args>(words, &[])?;
    words.args.common.readonly_mode |= words.args.read_only;
    with_large_stack(|| evaluate(surface, &words))
}

fn evaluate(surface: &Surface, words: &Words<Args>) -> CommandResult {
    let args = &words.args;
    let session = open(surface, &words.given, &args.common)?;
    let form = match args {
        Args { raw: true, .. } => Form::Raw,
        Args { json: true, .. } => Form::Json,
        _ => Form::Nice,
    };
    let how = args.installables.evaluation(&session.settings)?;
    if let Some(path) = &args.write_to {
        let mut evaluation = Evaluation::open(surface, &session, &how)?;
        let value = value(&mut evaluation, args)?;
        if path.symlink_metadata().is_ok() {
            return Err(CommandError::failed(format!("path '{}' already exists", path.display())));
        }
        write(&mut evaluation, &value, path)?;
        return Ok(0);
    }
    let mut work = Printing { surface, session: &session, args, how: &how, form, evaluation: None };
    let sources: Vec<String> = args.installables.file.iter().chain(&args.installables.expr).cloned().collect();
    let question = Question {
        command: "nix eval",
        words: vec![
            format!("{form:?} {:?} {:?}", args.apply, args.attribute),
            args.installables.expr.is_some().to_string(),
        ],
        sources: &sources,
        separable: false,
    };
    question.answer(surface, &session, &how, &mut work)?;
    leave(work, &session);
    Ok(0)
}

struct Printing<'a> {
    surface: &'a Surface,
    session: &'a Arc<Session>,
    args: &'a Args,
    how: &'a EvaluationArgs,
    form: Form,
    evaluation: Option<Evaluation>,
}

impl Work for Printing<'_> {
    type Error = CommandError;

    fn begin(&mut self, start: Start) -> Result<Vec<String>, CommandError> {
        self.evaluation = Some(Evaluation::start(start, self.session, self.how, false)?);
        Ok(vec![String::new()])
    }

    fn step(&mut self, _: usize, _: usize) -> Result<Step, CommandError> {
        let Some(evaluation) = &mut self.evaluation else { return Ok(Step::default()) };
        let value = value(evaluation, self.args)?;
        let text = value_text(evaluation, &value, self.form, true)?;
        Ok(Step { answer: Some(Answer::Text(text)), identities: Vec::new() })
    }

    fn evaluator(&mut self) -> Option<&mut Evaluator> {
        self.evaluation.as_mut().map(|evaluation| &mut evaluation.evaluator)
    }

    fn show(&mut self, _: usize, answer: Answer) -> Result<(), CommandError> {
        if let Some(evaluation) = &self.evaluation {
            evaluation.flush()?;
        }
        if let Answer::Text(text) = answer {
            match self.form == Form::Json && self.args.style.indents() {
                true => self.surface.line(&json_text::indented(
                    &serde_json::from_slice(&text).map_err(|error| CommandError::failed(error.to_string()))?,
                )),
                false => self.surface.print(&text),
            }
        }
        Ok(())
    }
}

/// The value that is asked for.
fn value(evaluation: &mut Evaluation, args: &Args) -> Result<Rooted, CommandError> {
    let root = args.installables.root(evaluation)?;
    let value = evaluation.select(&root, args.attribute.as_deref().unwrap_or_default())?;
    let value = evaluation.auto_call(&value)?;
    let Some(function) = &args.apply else { return Ok(value) };
    let function = evaluation.text(function)?;
    evaluation.run(|evaluator| evaluator.call(&function, &[&value]))
}

/// Writes a string as a file, a set as a folder.
fn write(evaluation: &mut Evaluation, value: &Rooted, path: &Path) -> Result<(), CommandError> {
    let failed =
        |what: &str, error: std::io::Error| CommandError::failed(format!("{what} '{}': {error}", path.display()));
    if evaluation.run(|evaluator| evaluator.kind(value))? == ValueKind::Attrs {
        std::fs::create_dir(path).map_err(|error| failed("creating directory", error))?;
        for name in evaluation.run(|evaluator| evaluator.attr_names(value))? {
            let name = String::from_utf8_lossy(&name).into_owned();
            if matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']) {
                return Err(CommandError::failed(format!("invalid file name '{name}'")));
            }
            if let Some(value) = evaluation.run(|evaluator| evaluator.attr(value, &name))? {
                write(evaluation, &value, &path.join(name))?;
            }
        }
        return Ok(());
    }
    let (text, _) = evaluation.run(|evaluator| evaluator.string(value, false)).map_err(|error| match error {
        CommandError::Evaluation { .. } => {
            CommandError::failed(format!("value at '{}' is not a string or an attribute set", path.display()))
        }
        other => other,
    })?;
    std::fs::write(path, text).map_err(|error| failed("writing", error))
}
