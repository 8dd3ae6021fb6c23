//! `nix-prefetch-url`: a download into the store, and its hash.

use std::ffi::OsString;

use activity::Verbosity;
use clap::Parser;
use evaluator::{Rooted, with_large_stack};
use session::Prefetch;
use store_model::{HashAlgorithm, HashFormat};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, Words, open, parse};
use crate::input::evaluation::{Evaluation, EvaluationArgs};
use crate::nix::hash::{algorithm, read_hash};
use crate::output::build::Opened;

/// Download a file into the store and print its hash
///
/// With a HASH nothing is downloaded where the store has the file already, and another file is refused.
#[derive(Parser, Debug)]
#[command(name = "nix-prefetch-url")]
struct Args {
    /// The algorithm: md5, sha1, sha256, sha512, blake3
    #[arg(long = "type", value_name = "ALGORITHM", default_value = "sha256")]
    algorithm: String,
    /// Print the store path too
    #[arg(long)]
    print_path: bool,
    /// Take what is in the archive; the hash is that of its NAR then
    #[arg(long)]
    unpack: bool,
    /// Make the file executable; the hash is that of its NAR then
    #[arg(long)]
    executable: bool,
    /// The name in the store; the last part of the URL by default
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Take URL and name from the source at this attribute path; the first argument is a file then
    #[arg(short = 'A', long = "attr", value_name = "PATH")]
    attribute: Option<String>,
    /// With -A: write anew what is broken of derivations and sources
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// The URL, or with -A a file, `.` by default; then the hash that is expected
    arguments: Vec<String>,
}

/// Runs the program.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    if words.iter().any(|word| word == "--version") {
        surface.line(&crate::programs::version("nix-prefetch-url", &words));
        return Ok(0);
    }
    let words = parse::<Args>(words, &[])?;
    with_large_stack(|| prefetch(surface, words))
}

fn prefetch(surface: &Surface, words: Words<Args>) -> CommandResult {
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    if args.repair {
        opened.session.mend();
    }
    let settings = &opened.session.settings;
    let mut request = Prefetch {
        url: String::new(),
        name: args.name.clone(),
        algorithm: algorithm(settings, &args.algorithm)?,
        expected: None,
        unpack: args.unpack,
        executable: args.executable,
    };
    let (first, second) = match args.arguments.as_slice() {
        [] => (None, None),
        [first] => (Some(first), None),
        [first, second] => (Some(first), Some(second)),
        _ => return Err(CommandError::usage("too many arguments")),
    };
    let mut evaluation = Evaluation::open(surface, &opened.session, &args.evaluation)?;
    match (&args.attribute, first) {
        (Some(path), file) => {
            describe(surface, &mut evaluation, (file.map_or(".", String::as_str), path), &mut request)?;
        }
        (None, Some(url)) => request.url.clone_from(url),
        (None, None) => return Err(CommandError::usage("you must specify a URL")),
    }
    if let Some(text) = second {
        request.expected = Some(read_hash(settings, text, Some(request.algorithm))?.0);
    }
    if let Some(url) = nixpkgs_mirror(&mut evaluation, &request.url)? {
        request.url = url;
    }
    let (path, hash) = opened.prefetch(&request)?;
    let path = opened.show(&path);
    let print_path = args.print_path || settings.around.text("PRINT_PATH") == Some("1");
    if !print_path {
        opened.activity().message(Verbosity::Info, &format!("path is '{path}'"));
    }
    let form = if hash.algorithm() == HashAlgorithm::Md5 { HashFormat::Base16 } else { HashFormat::Nix32 };
    surface.line(&hash.format(form, false));
    if print_path {
        surface.line(&path);
    }
    Ok(0)
}

/// What the source at an attribute path says of itself.
fn describe(
    surface: &Surface,
    evaluation: &mut Evaluation,
    (file, path): (&str, &str),
    request: &mut Prefetch,
) -> Result<(), CommandError> {
    let root = evaluation.file(file)?;
    let source = evaluation.select(&root, path)?;
    let urls = evaluation.run(|evaluator| evaluator.attr(&source, "urls"))?;
    let urls = urls.ok_or_else(|| CommandError::failed("attribute 'urls' missing"))?;
    let all = evaluation.run(|evaluator| evaluator.elements(&urls))?;
    let first = all.first().ok_or_else(|| CommandError::failed("'urls' list is empty"))?;
    request.url = text(evaluation, first)?;
    match evaluation.run(|evaluator| evaluator.attr(&source, "outputHashMode"))? {
        Some(mode) => request.unpack = text(evaluation, &mode)? == "recursive",
        None => surface.warn("this does not look like a fetchurl call"),
    }
    if request.name.is_none()
        && let Some(name) = evaluation.run(|evaluator| evaluator.attr(&source, "name"))?
    {
        request.name = Some(text(evaluation, &name)?);
    }
    Ok(())
}

fn text(evaluation: &mut Evaluation, value: &Rooted) -> Result<String, CommandError> {
    let (bytes, _) = evaluation.run(|evaluator| evaluator.string(value, false))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The first place of a `mirror://NAME/PATH` in the list of a Nixpkgs on the search path, where it has one.
fn nixpkgs_mirror(evaluation: &mut Evaluation, url: &str) -> Result<Option<String>, CommandError> {
    let Some((name, path)) = url.strip_prefix("mirror://").and_then(|rest| rest.split_once('/')) else {
        return Ok(None);
    };
    let list = b"nixpkgs/pkgs/build-support/fetchurl/mirrors.nix";
    let Ok(list) = evaluation.evaluator.find_file(list) else { return Ok(None) };
    let mirrors = evaluation.run(|evaluator| evaluator.eval_file(&list))?;
    let Some(places) = evaluation.run(|evaluator| evaluator.attr(&mirrors, name))? else { return Ok(None) };
    let places = evaluation.run(|evaluator| evaluator.elements(&places))?;
    let Some(place) = places.first() else { return Ok(None) };
    let place = text(evaluation, place)?;
    Ok(Some(format!("{}/{path}", place.trim_end_matches('/'))))
}
