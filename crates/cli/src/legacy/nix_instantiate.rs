//! `nix-instantiate`: expressions to derivations, or to values.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use evaluator::with_large_stack;
use session::remembered::{Answer, Found};
use store_model::StorePath;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::attributes::{Attributes, Wanted};
use crate::input::common::{CommonArgs, Words, open, parse};
use crate::input::evaluation::{Evaluation, EvaluationArgs, Question, leave};
use crate::output::build::{Opened, link_name};
use crate::output::value::Form;

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
    /// Write anew what is broken of derivations and sources
    #[arg(long)]
    repair: bool,
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
        surface.line(&crate::programs::version("nix-instantiate", &words));
        return Ok(0);
    }
    let mut words = parse::<Args>(words, &[])?;
    let args = &mut words.args;
    let value_only = args.eval || args.parse;
    args.common.readonly_mode |= args.dry_run || (value_only && !args.read_write_mode);
    if args.arguments.is_empty() && !args.expr {
        args.arguments.push("./default.nix".to_owned());
    }
    // Standard input comes first, wherever it was named.
    args.arguments.sort_by_key(|argument| argument != "-");
    with_large_stack(|| evaluate(surface, &words))
}

fn evaluate(surface: &Surface, words: &Words<Args>) -> CommandResult {
    let args = &words.args;
    let session = open(surface, &words.given, &args.common)?;
    if args.repair {
        session.mend();
    }
    let opened = Opened { surface, session: Arc::clone(&session) };
    if args.find_file || args.parse {
        let mut evaluation = Evaluation::open(surface, &session, &args.evaluation)?;
        for argument in &args.arguments {
            if args.parse {
                print_parsed(surface, &mut evaluation, args, argument)?;
                continue;
            }
            let found = evaluation.run(|evaluator| evaluator.find_file(argument.as_bytes()))?;
            surface.print(&[found.as_slice(), b"\n"].concat());
        }
        return Ok(0);
    }
    let mut paths = Vec::new();
    let mut show = |_, answer| match answer {
        Answer::Text(text) => {
            surface.print(&text);
            Ok(())
        }
        Answer::Derivations(found) => show_derivations(&opened, args, found, &mut paths),
    };
    let wanted = if args.eval { Wanted::Values { form: form(args), strict: args.strict } } else { Wanted::Derivations };
    let sources = (args.arguments.as_slice(), args.expr);
    let mut work = Attributes::new(&session, &args.evaluation, sources, &args.attributes, wanted, &mut show);
    let question = Question {
        command: "nix-instantiate",
        words: [vec![format!("{} {wanted:?}", args.expr)], args.attributes.clone()].concat(),
        sources: &args.arguments,
        separable: work.is_separable(),
    };
    question.answer(surface, &session, &args.evaluation, &mut work)?;
    leave(work, &session);
    if !session.read_only() {
        opened.say_how_to_enter(&paths);
    }
    Ok(0)
}

fn print_parsed(
    surface: &Surface,
    evaluation: &mut Evaluation,
    args: &Args,
    argument: &str,
) -> Result<(), CommandError> {
    let shown = if args.expr && argument != "-" {
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

fn form(args: &Args) -> Form {
    match args {
        Args { raw: true, .. } => Form::Raw,
        Args { xml: true, .. } => Form::Xml { places: !args.no_location },
        Args { json: true, .. } => Form::Json,
        _ => Form::Plain,
    }
}

/// Prints derivations, behind those in `paths` that were printed before.
fn show_derivations(
    opened: &Opened<'_>,
    args: &Args,
    found: Vec<Found>,
    paths: &mut Vec<StorePath>,
) -> Result<(), CommandError> {
    let warning = args.add_root.is_none() && !args.common.no_gc_warning;
    if warning && paths.is_empty() && !found.is_empty() {
        opened.warn_of_no_root();
    }
    let mut lines = String::new();
    for package in found {
        if package.output_name.is_empty() {
            let shown = opened.show(&package.drv_path);
            return Err(CommandError::failed(format!("derivation '{shown}' lacks an 'outputName' attribute")));
        }
        paths.push(package.drv_path.clone());
        let shown = match &args.add_root {
            Some(root) if !opened.session.read_only() => {
                let link = link_name(&std::path::absolute(root)?, paths.len(), "out");
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
    }
    opened.surface.print(lines.as_bytes());
    Ok(())
}
