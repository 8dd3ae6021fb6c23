//! `nix-build`: expressions to results, with links to them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use evaluator::with_large_stack;
use session::remembered::Answer;
use store::{BuildMode, Store as _};
use store_model::{DerivedPath, OutputsSpec, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::attributes::{self, Attributes};
use crate::input::common::{CommonArgs, Words, open, parse};
use crate::input::evaluation::{EvaluationArgs, Question};
use crate::output::build::{Opened, link_name, store_error};

/// Build the derivations of expressions
///
/// Without arguments everything in ./default.nix is built. Links to the results, `result` by default, keep them from
/// being collected.
#[derive(Parser, Debug)]
#[command(name = "nix-build", disable_version_flag = true)]
struct Args {
    /// The arguments are expressions, not files
    #[arg(short = 'E', long)]
    expr: bool,
    /// The attribute to build, such as `a.b`; may be repeated
    #[arg(short = 'A', long = "attr", value_name = "PATH")]
    attributes: Vec<String>,
    /// The link to the result
    #[arg(short = 'o', long, value_name = "PATH", default_value = "result", overrides_with = "no_out_link")]
    out_link: PathBuf,
    /// Make no link
    #[arg(long, alias = "no-link", overrides_with = "out_link")]
    no_out_link: bool,
    // What follows did something once, or does in a shell only.
    #[arg(long, value_name = "PATH", hide = true)]
    drv_link: Option<PathBuf>,
    #[arg(long, hide = true)]
    add_drv_link: bool,
    #[arg(long, hide = true)]
    indirect: bool,
    #[arg(long, hide = true)]
    exclude: Vec<String>,
    #[arg(long, hide = true)]
    pure: bool,
    #[arg(long, hide = true)]
    keep: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Build again and compare
    #[arg(long)]
    check: bool,
    /// Mend results that are broken
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Files, expressions, or store paths of derivations
    arguments: Vec<String>,
}

/// Runs the program.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    if words.iter().any(|word| word == "--version") {
        surface.line(&crate::programs::version("nix-build", &words));
        return Ok(0);
    }
    if let Some(place) = words.iter().position(|word| word == "--run-env") {
        let mut words = words;
        words.remove(place);
        return super::nix_shell::run(surface, words);
    }
    let mut words = parse::<Args>(words, &[])?;
    if words.args.arguments.is_empty() && !words.args.expr {
        words.args.arguments.push("./default.nix".to_owned());
    }
    let session = open(surface, &words.given, &words.args.common)?;
    if words.args.repair {
        session.mend();
    }
    let opened = Opened { surface, session };
    let wanted = with_large_stack(|| wanted(&opened, &words))?;
    build(&opened, &words.args, wanted)
}

/// One derivation to build, with the outputs that are wanted of it.
struct Wanted {
    path: DerivedPath,
    drv: StorePath,
}

fn wanted(opened: &Opened<'_>, words: &Words<Args>) -> Result<Vec<Wanted>, CommandError> {
    let args = &words.args;
    // By the number of the argument: a derivation that is in the store already needs no evaluation.
    let mut found: Vec<(usize, Wanted)> = Vec::new();
    let mut sources = Vec::new();
    let mut numbers = Vec::new();
    for (number, argument) in args.arguments.iter().enumerate() {
        if !args.expr
            && let Ok(path @ DerivedPath::Built { .. }) = opened.session.derived_path(argument)
        {
            let drv = path.base().clone();
            check_outputs(opened, &path, argument)?;
            found.push((number, Wanted { path, drv }));
            continue;
        }
        sources.push(argument.clone());
        numbers.push(number);
    }
    let mut show = |source: usize, answer| {
        let Answer::Derivations(packages) = answer else { return Ok(()) };
        for package in packages {
            if package.output_name.is_empty() {
                let shown = opened.show(&package.drv_path);
                return Err(CommandError::failed(format!("derivation '{shown}' lacks an 'outputName' attribute")));
            }
            let path = DerivedPath::output(package.drv_path.clone(), &package.output_name);
            found.push((numbers[source], Wanted { path, drv: package.drv_path }));
        }
        Ok(())
    };
    if !sources.is_empty() {
        let (session, evaluation) = (&opened.session, &args.evaluation);
        let from = (sources.as_slice(), args.expr);
        let wanted = attributes::Wanted::Derivations;
        let mut work = Attributes::new(session, evaluation, from, &args.attributes, wanted, &mut show);
        // All at once, before the building.
        work.flushing = false;
        let question = Question {
            command: "nix-build",
            words: [vec![args.expr.to_string()], args.attributes.clone()].concat(),
            sources: &sources,
            separable: work.is_separable(),
        };
        question.answer(opened.surface, session, evaluation, &mut work)?;
        work.flush()?;
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, wanted)| wanted).collect())
}

/// One output may be named after a derivation, and it must have it.
fn check_outputs(opened: &Opened<'_>, path: &DerivedPath, typed: &str) -> Result<(), CommandError> {
    let DerivedPath::Built { outputs: OutputsSpec::Names(names), .. } = path else { return Ok(()) };
    let [name] = names.iter().collect::<Vec<_>>()[..] else {
        let outputs = typed.rsplit(['!', '^']).next().unwrap_or_default();
        let shown = format!("{}!{outputs}", opened.show(path.base()));
        let message = format!("building more than one derivation output is not supported, in '{shown}'");
        return Err(CommandError::failed(message));
    };
    let derivation = opened.store()?.read_derivation(opened.activity(), path.base()).map_err(store_error)?;
    if derivation.outputs.contains_key(name) {
        return Ok(());
    }
    let shown = opened.show(path.base());
    Err(CommandError::failed(format!("derivation '{shown}' does not have output '{name}'")))
}

fn build(opened: &Opened<'_>, args: &Args, wanted: Vec<Wanted>) -> CommandResult {
    let paths: Vec<DerivedPath> = wanted.iter().map(|one| one.path.clone()).collect();
    let paths = opened.plan(paths, false)?;
    if args.dry_run {
        return Ok(0);
    }
    let mode = match args {
        Args { check: true, .. } => BuildMode::Check,
        Args { repair: true, .. } => BuildMode::Repair,
        _ => BuildMode::Normal,
    };
    opened.build(&paths, mode)?;
    let mut lines = String::new();
    let mut built = Vec::new();
    let mut numbers: HashMap<&StorePath, usize> = HashMap::new();
    for one in &wanted {
        // Outputs of one derivation share a number.
        let next = numbers.len();
        let number = *numbers.entry(&one.drv).or_insert(next);
        for (name, output) in opened.outputs(&one.path)? {
            if !args.no_out_link {
                opened.link(&output, &link_name(&args.out_link, number + 1, &name))?;
            }
            lines.push_str(&opened.show(&output));
            lines.push('\n');
            built.push(output);
        }
    }
    opened.surface.print(lines.as_bytes());
    opened.say_how_to_enter(&built);
    Ok(0)
}
