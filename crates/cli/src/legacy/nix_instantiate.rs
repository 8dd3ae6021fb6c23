//! `nix-instantiate`: expressions to derivations, or to values.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use evaluator::{Rooted, with_large_stack};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, Words, open, parse};
use crate::input::evaluation::{Evaluation, EvaluationArgs};
use crate::output::build::{Opened, link_name};
use crate::output::value::{Form, print_value};

/// Instantiate derivations from expressions, or evaluate them
///
/// Without options every derivation of ./default.nix is written to the store and its path printed.
#[derive(Parser, Debug)]
#[command(name = "nix-instantiate", disable_version_flag = true)]
struct Args {
    /// The arguments are expressions, not files
    #[arg(short = 'E', long)]
    expr: bool,
    /// The attribute to take, such as `a.b`; may be repeated
    #[arg(short = 'A', long = "attr", value_name = "PATH")]
    attributes: Vec<String>,
    /// Print the value instead of instantiating
    #[arg(long, alias = "eval-only")]
    eval: bool,
    /// Print the syntax tree instead of evaluating
    #[arg(long, alias = "parse-only")]
    parse: bool,
    /// Print where files of the search path lie
    #[arg(long)]
    find_file: bool,
    /// Evaluate everything inside the value
    #[arg(long)]
    strict: bool,
    /// Print the value as JSON
    #[arg(long)]
    json: bool,
    /// Print the value as XML
    #[arg(long)]
    xml: bool,
    /// Print a string as it is
    #[arg(long)]
    raw: bool,
    /// Leave places out of XML
    #[arg(long)]
    no_location: bool,
    /// With --eval: let evaluation write to the store
    #[arg(long)]
    read_write_mode: bool,
    /// Write nothing
    #[arg(long)]
    dry_run: bool,
    /// Make a link to the derivation, which keeps it from being collected
    #[arg(long, value_name = "PATH")]
    add_root: Option<PathBuf>,
    /// Accepted for older scripts: roots are always indirect
    #[arg(long)]
    indirect: bool,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Files (`-` for standard input), or expressions
    #[arg(allow_hyphen_values = false)]
    arguments: Vec<String>,
}

/// Runs the program.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    if words.iter().any(|word| word == "--version") {
        surface.line(&format!("nix-instantiate (Nix) {}", crate::programs::nix_version()));
        return Ok(0);
    }
    let mut words = parse::<Args>(words, &[])?;
    let args = &mut words.args;
    let value_only = args.eval || args.parse;
    args.common.readonly_mode |= args.dry_run || (value_only && !args.read_write_mode);
    if args.arguments.is_empty() && !args.expr {
        args.arguments.push("./default.nix".to_owned());
    }
    with_large_stack(|| evaluate(surface, &words))
}

fn evaluate(surface: &Surface, words: &Words<Args>) -> CommandResult {
    let args = &words.args;
    let session = open(surface, &words.given, &args.common)?;
    let mut evaluation = Evaluation::open(surface, &session, &args.evaluation)?;
    let opened = Opened { surface, session: Arc::clone(&session) };
    if args.find_file {
        for name in &args.arguments {
            let found = evaluation.run(|evaluator| evaluator.find_file(name.as_bytes()))?;
            surface.print(&[found.as_slice(), b"\n"].concat());
        }
        return Ok(0);
    }
    let whole = [String::new()];
    let attributes = if args.attributes.is_empty() { whole.as_slice() } else { args.attributes.as_slice() };
    let mut number = 0;
    for argument in &args.arguments {
        if args.parse {
            print_parsed(surface, &mut evaluation, args, argument)?;
            continue;
        }
        let root = if args.expr { evaluation.text(argument)? } else { evaluation.file(argument)? };
        for attribute in attributes {
            let value = evaluation.select(&root, attribute)?;
            let value = evaluation.run(|evaluator| evaluator.force(&value))?;
            if args.eval {
                show(surface, &mut evaluation, args, &value)?;
            } else {
                instantiate(&opened, &mut evaluation, args, &value, &mut number)?;
            }
        }
    }
    Ok(0)
}

fn print_parsed(
    surface: &Surface,
    evaluation: &mut Evaluation,
    args: &Args,
    argument: &str,
) -> Result<(), CommandError> {
    let shown = if args.expr {
        let here = crate::input::evaluation::here()?;
        evaluation.run(|evaluator| evaluator.show_parsed_text(argument.as_bytes(), &here))?
    } else if argument == "-" {
        let here = crate::input::evaluation::here()?;
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut text)
            .map_err(|error| CommandError::failed(format!("standard input: {error}")))?;
        evaluation.run(|evaluator| evaluator.show_parsed(&text, &here, evaluator::Origin::Stdin))?
    } else {
        let path = evaluation.locate(argument)?;
        evaluation.run(|evaluator| evaluator.show_parsed_file(&path))?
    };
    surface.print(&[shown.as_slice(), b"\n"].concat());
    Ok(())
}

fn show(surface: &Surface, evaluation: &mut Evaluation, args: &Args, value: &Rooted) -> Result<(), CommandError> {
    let called;
    let value = if evaluation.arguments.is_empty() {
        value
    } else {
        called = evaluation.auto_call(value)?;
        &called
    };
    let form = match args {
        Args { raw: true, .. } => Form::Raw,
        Args { xml: true, .. } => Form::Xml { places: !args.no_location },
        Args { json: true, .. } => Form::Json,
        _ => Form::Plain,
    };
    print_value(surface, evaluation, value, form, args.strict)
}

fn instantiate(
    opened: &Opened<'_>,
    evaluation: &mut Evaluation,
    args: &Args,
    value: &Rooted,
    number: &mut usize,
) -> Result<(), CommandError> {
    let arguments = std::mem::take(&mut evaluation.arguments);
    let packages = evaluation.run(|evaluator| evaluator.walk_derivations(value, &arguments));
    evaluation.arguments = arguments;
    let packages = packages?;
    evaluation.flush()?;
    let mut paths = Vec::new();
    let mut lines = String::new();
    for package in packages {
        if package.output_name.is_empty() {
            let shown = opened.show(&package.drv_path);
            return Err(CommandError::failed(format!("derivation '{shown}' lacks an 'outputName' attribute")));
        }
        *number += 1;
        let shown = match &args.add_root {
            Some(root) if !opened.session.read_only() => {
                let link = link_name(&std::path::absolute(root)?, *number, "out");
                opened.link(&package.drv_path, &link)?.into_os_string().into_vec()
            }
            _ => opened.show(&package.drv_path).into_bytes(),
        };
        lines.push_str(&String::from_utf8_lossy(&shown));
        if package.output_name != "out" {
            lines.push('!');
            lines.push_str(&package.output_name);
        }
        lines.push('\n');
        paths.push(package.drv_path);
    }
    if args.add_root.is_none() && !paths.is_empty() {
        opened.warn_of_no_root();
    }
    opened.surface.print(lines.as_bytes());
    if !opened.session.read_only() {
        opened.say_how_to_enter(&paths);
    }
    Ok(())
}
