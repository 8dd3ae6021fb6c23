//! `nix eval`: an expression to its value.

use std::ffi::OsString;
use std::sync::Arc;

use clap::Parser;
use evaluator::{Evaluator, with_large_stack};
use session::Session;
use session::remembered::{Answer, Start, Step, Work};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, Words, open, parse};
use crate::input::evaluation::{Evaluation, Question, leave};
use crate::input::installable::InstallableArgs;
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
    args.installables.refuse_impure(&session)?;
    let form = match args {
        Args { raw: true, .. } => Form::Raw,
        Args { json: true, .. } => Form::Json,
        _ => Form::Nice,
    };
    let mut work = Printing { surface, session: &session, args, form, evaluation: None };
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
    question.answer(surface, &session, &args.installables.evaluation, &mut work)?;
    leave(work, &session);
    Ok(0)
}

struct Printing<'a> {
    surface: &'a Surface,
    session: &'a Arc<Session>,
    args: &'a Args,
    form: Form,
    evaluation: Option<Evaluation>,
}

impl Work for Printing<'_> {
    type Error = CommandError;

    fn begin(&mut self, start: Start) -> Result<Vec<String>, CommandError> {
        let args = &self.args.installables.evaluation;
        self.evaluation = Some(Evaluation::start(start, self.session, args, false)?);
        Ok(vec![String::new()])
    }

    fn step(&mut self, _: usize, _: usize) -> Result<Step, CommandError> {
        let Some(evaluation) = &mut self.evaluation else { return Ok(Step::default()) };
        let root = self.args.installables.root(evaluation)?;
        let value = evaluation.select(&root, self.args.attribute.as_deref().unwrap_or_default())?;
        let mut value = evaluation.auto_call(&value)?;
        if let Some(function) = &self.args.apply {
            let function = evaluation.text(function)?;
            value = evaluation.run(|evaluator| evaluator.call(&function, &[&value]))?;
        }
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
            self.surface.print(&text);
        }
        Ok(())
    }
}
