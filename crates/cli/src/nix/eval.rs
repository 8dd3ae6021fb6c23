//! `nix eval`: an expression to its value.

use std::ffi::OsString;

use clap::Parser;
use evaluator::with_large_stack;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, Words, open, parse};
use crate::input::evaluation::Evaluation;
use crate::input::installable::InstallableArgs;
use crate::output::value::{Form, print_value};

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
    let mut evaluation = Evaluation::open(surface, &session, &args.installables.evaluation)?;
    let root = args.installables.root(&mut evaluation)?;
    let value = evaluation.select(&root, args.attribute.as_deref().unwrap_or_default())?;
    let mut value = evaluation.auto_call(&value)?;
    if let Some(function) = &args.apply {
        let function = evaluation.text(function)?;
        value = evaluation.run(|evaluator| evaluator.call(&function, &[&value]))?;
    }
    let form = match args {
        Args { raw: true, .. } => Form::Raw,
        Args { json: true, .. } => Form::Json,
        _ => Form::Nice,
    };
    print_value(surface, &mut evaluation, &value, form, true)?;
    Ok(0)
}
