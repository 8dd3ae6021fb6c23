//! The arguments of everything that evaluates, and the evaluator they open.

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use evaluator::program::{Lint, Lints};
use evaluator::{
    ErrorKind, EvalError, EvalOptions, Evaluator, HeapOptions, Origin, Rooted, Sampling, SearchPathEntry, WorldError,
    WorldErrorClass,
};
use session::remembered::{Request, Start, Work};
use session::{Inputs, Session, SessionWorld, Settings, remembered, without_dots};

use crate::command::{CommandError, Surface};
use crate::output::{diagnostic, folded, statistics};

/// What evaluation is told.
#[derive(Args, Clone, Debug, Default)]
pub struct EvaluationArgs {
    /// Add an entry to the search path: PATH or NAME=PATH
    #[arg(short = 'I', long = "include", value_name = "PATH", allow_hyphen_values = true)]
    pub include: Vec<String>,
    /// Pass an expression to the functions that are called: NAME EXPRESSION
    #[arg(long, num_args = 2, value_names = ["NAME", "EXPRESSION"], allow_hyphen_values = true)]
    pub arg: Vec<String>,
    /// Pass a string to the functions that are called: NAME STRING
    #[arg(long, num_args = 2, value_names = ["NAME", "STRING"], allow_hyphen_values = true)]
    pub argstr: Vec<String>,
    /// Pass the text of a file to the functions that are called: NAME FILE
    #[arg(long, num_args = 2, value_names = ["NAME", "FILE"], allow_hyphen_values = true)]
    pub arg_from_file: Vec<String>,
    /// Pass the text on standard input to the functions that are called: NAME
    #[arg(long, value_name = "NAME")]
    pub arg_from_stdin: Option<String>,
    /// Evaluation is pure unless a setting or `--impure` says otherwise.
    #[arg(skip)]
    pub pure: bool,
    /// Accept what depends on more than its expression
    #[arg(long)]
    pub impure: bool,
    /// Where relative paths in `--arg` start from, if not from the working directory.
    #[arg(skip)]
    pub folder: Option<Vec<u8>>,
}

impl EvaluationArgs {
    /// Whether evaluation sees only what is fixed by a hash.
    pub fn is_pure(&self, settings: &Settings) -> bool {
        match settings.is_given("pure-eval") {
            _ if self.impure => false,
            true => settings.flag("pure-eval"),
            false => self.pure,
        }
    }
}

/// An evaluator, the arguments for functions, and how its errors are shown.
pub struct Evaluation {
    /// The evaluator.
    pub evaluator: Evaluator,
    /// What functions that are met are called with.
    pub arguments: Vec<(String, Rooted)>,
    show_trace: bool,
    /// Who wants to know what was done, and has not been told.
    curious: Option<Settings>,
    /// The folder of what is evaluated.
    folder: PathBuf,
    /// For one of the older commands.
    legacy: bool,
}

impl Evaluation {
    /// Opens an evaluator over a session that remembers nothing.
    ///
    /// # Errors
    /// Arguments that are no expressions, files that cannot be read.
    pub fn open(surface: &Surface, session: &Arc<Session>, args: &EvaluationArgs) -> Result<Self, CommandError> {
        let world = Arc::new(SessionWorld::new(Arc::clone(session)));
        let activity = surface.activity.with_token(surface.cancel.clone());
        let legacy = surface.program.starts_with("nix-");
        Self::start(Start { world, activity, reads: None, programs: None }, session, args, legacy)
    }

    /// Opens an evaluator from a given start. The older programs run the file that they begin with, others import it.
    ///
    /// # Errors
    /// As [`Evaluation::open`].
    pub fn start(start: Start, session: &Session, args: &EvaluationArgs, legacy: bool) -> Result<Self, CommandError> {
        let options = EvalOptions { read_only: session.read_only(), ..options(&session.settings, args) };
        let evaluator = start.evaluator(options);
        let show_trace = session.settings.flag("show-trace");
        let here = here()?;
        let folder = PathBuf::from(OsString::from_vec(here.clone()));
        let curious = is_watched(&session.settings).then(|| session.settings.clone());
        let mut evaluation = Self { evaluator, arguments: Vec::new(), show_trace, curious, folder, legacy };
        for pair in args.arg.chunks_exact(2) {
            let from = args.folder.as_ref().unwrap_or(&here);
            let value = evaluation.evaluator.delay_text(pair[1].as_bytes(), from, Origin::String);
            let value = value.map_err(|error| evaluation.failed(&error))?;
            evaluation.arguments.push((pair[0].clone(), value));
        }
        for pair in args.argstr.chunks_exact(2) {
            let value = evaluation.evaluator.make_string(pair[1].as_bytes());
            evaluation.arguments.push((pair[0].clone(), value));
        }
        for pair in args.arg_from_file.chunks_exact(2) {
            let text = std::fs::read(&pair[1])
                .map_err(|error| CommandError::failed(format!("opening file '{}': {error}", pair[1])))?;
            let value = evaluation.evaluator.make_string(&text);
            evaluation.arguments.push((pair[0].clone(), value));
        }
        if let Some(name) = &args.arg_from_stdin {
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut text)?;
            let value = evaluation.evaluator.make_string(&text);
            evaluation.arguments.push((name.clone(), value));
        }
        Ok(evaluation)
    }

    /// An evaluation error as the command's.
    pub fn failed(&self, error: &EvalError) -> CommandError {
        if error.is_cancelled() {
            return CommandError::Interrupted;
        }
        let report = self.evaluator.report(error);
        let text = if self.show_trace || !std::io::stderr().is_terminal() {
            diagnostic::render(&report, self.show_trace)
        } else {
            folded::render(&report, &self.folder)
        };
        let mismatch = |error: &WorldError| error.class == WorldErrorClass::HashMismatch;
        match error.kind() {
            ErrorKind::Usage => CommandError::EvaluationUsage(text),
            ErrorKind::World(error) if mismatch(error) => CommandError::Evaluation { text, status: 102 },
            _ => CommandError::Evaluation { text, status: 1 },
        }
    }

    /// Whether errors are shown with all of their traces.
    pub fn shows_trace(&self) -> bool {
        self.show_trace
    }

    /// Errors are shown with all of their traces from now on, or not.
    pub fn show_trace(&mut self, shows: bool) {
        self.show_trace = shows;
    }

    /// Tells what was done, if that is wanted (`NIX_SHOW_STATS`, `eval-profiler`) and was not told yet.
    pub fn show_statistics(&mut self) {
        let Some(settings) = self.curious.take() else { return };
        if profiles(&settings) {
            let file = settings.text("eval-profile-file");
            let lines: String = self.evaluator.profile().into_iter().map(|line| line + "\n").collect();
            if let Err(error) = std::fs::write(file, lines) {
                let _ = writeln!(std::io::stderr(), "warning: cannot write the profile to '{file}': {error}");
            }
        }
        if !statistics::wanted(&settings) {
            return;
        }
        if let Err(error) = statistics::show(&settings, &self.evaluator.statistics()) {
            let file = settings.around.text("NIX_SHOW_STATS_PATH").unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "warning: cannot write statistics to '{file}': {error}");
        }
    }

    /// Runs a step of evaluation; its error becomes the command's.
    pub fn run<T>(&mut self, step: impl FnOnce(&mut Evaluator) -> Result<T, EvalError>) -> Result<T, CommandError> {
        step(&mut self.evaluator).map_err(|error| self.failed(&error))
    }

    /// Writes what evaluation left pending.
    pub fn flush(&self) -> Result<(), CommandError> {
        self.evaluator.flush().map_err(|error| CommandError::failed(error.message))
    }

    /// Evaluates a text given on the command line.
    pub fn text(&mut self, text: &str) -> Result<Rooted, CommandError> {
        let here = here()?;
        self.run(|evaluator| evaluator.eval_text(text.as_bytes(), &here, Origin::String))
    }

    /// Evaluates a file as users name it: a path, a folder, `<name>` of the search path, or `-` for standard input.
    pub fn file(&mut self, name: &str) -> Result<Rooted, CommandError> {
        if name == "-" {
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut text)?;
            let here = here()?;
            return self.run(|evaluator| evaluator.eval_text(&text, &here, Origin::Stdin));
        }
        let path = self.locate(name)?;
        self.folder = folder_of(Path::new(OsStr::from_bytes(&path)));
        let legacy = self.legacy;
        self.run(|evaluator| if legacy { evaluator.run_file(&path) } else { evaluator.eval_file(&path) })
    }

    /// Where such a file lies. An archive at a URL, or `channel:NAME`, is fetched.
    pub fn locate(&mut self, name: &str) -> Result<Vec<u8>, CommandError> {
        if let Some(inner) = name.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            return self.run(|evaluator| evaluator.find_file(inner.as_bytes()));
        }
        let elsewhere = ["http://", "https://", "file://", "channel:", "s3://"];
        if elsewhere.iter().any(|start| name.starts_with(start)) {
            let found = self.run(|evaluator| evaluator.fetch_source(name.as_bytes()))?;
            return found.ok_or_else(|| CommandError::failed(format!("cannot fetch '{name}'")));
        }
        Ok(std::path::absolute(name)?.into_os_string().into_vec())
    }

    /// Runs a step of evaluation that calls functions with the arguments.
    pub fn with_arguments<T>(
        &mut self,
        step: impl FnOnce(&mut Evaluator, &[(String, Rooted)]) -> Result<T, EvalError>,
    ) -> Result<T, CommandError> {
        step(&mut self.evaluator, &self.arguments).map_err(|error| self.failed(&error))
    }

    /// The value at an attribute path, functions on the way called.
    pub fn select(&mut self, value: &Rooted, path: &str) -> Result<Rooted, CommandError> {
        self.with_arguments(|evaluator, arguments| evaluator.select_path(value, path, arguments))
    }

    /// The value, called if it is a function that can be.
    pub fn auto_call(&mut self, value: &Rooted) -> Result<Rooted, CommandError> {
        self.with_arguments(|evaluator, arguments| evaluator.auto_call(value, arguments))
    }
}

/// The folder of a file that is evaluated, links resolved as the evaluator shows it.
fn folder_of(path: &Path) -> PathBuf {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match real.parent() {
        Some(parent) if !real.is_dir() => parent.to_owned(),
        _ => real,
    }
}

impl Drop for Evaluation {
    fn drop(&mut self) {
        self.show_statistics();
    }
}

/// A question to be answered from memory or by evaluating.
pub struct Question<'a> {
    /// The command.
    pub command: &'a str,
    /// What it was told that decides its answers, beside its evaluation arguments.
    pub words: Vec<String>,
    /// Files and expressions among them.
    pub sources: &'a [String],
    /// Whether an attribute's answer is the same without the others.
    pub separable: bool,
}

impl Question<'_> {
    /// Answers it.
    ///
    /// # Errors
    /// Those of the work.
    pub fn answer<W: Work<Error = CommandError>>(
        self,
        surface: &Surface,
        session: &Arc<Session>,
        args: &EvaluationArgs,
        work: &mut W,
    ) -> Result<(), CommandError> {
        let activity = surface.activity.with_token(surface.cancel.clone());
        // What comes from elsewhere than the tree is not asked for again, and who counts or mends wants it done.
        if is_watched(&session.settings)
            || session.mends()
            || !args.arg_from_file.is_empty()
            || args.arg_from_stdin.is_some()
            || self.sources.iter().any(|source| source == "-")
        {
            remembered::run_without(session, &activity, work)?;
            return Ok(());
        }
        let mut words = vec![self.command.as_bytes().to_vec(), here()?, args.folder.clone().unwrap_or_default()];
        for list in [&self.words, &args.arg, &args.argstr, &self.sources.to_vec()] {
            words.push(list.len().to_string().into_bytes());
            words.extend(list.iter().map(|word| word.as_bytes().to_vec()));
        }
        let options = options(&session.settings, args);
        let tree = [here()?, self.sources.join("\0").into_bytes()].join(&0);
        let request = Request { words, tree, options, separable: self.separable };
        remembered::run(session, &activity, &request, work)?;
        Ok(())
    }
}

/// Ends the work of a command that ends with it.
pub fn leave(work: impl Work<Error = CommandError>, session: &Session) {
    // Freeing an evaluator's heap, programs and tables one by one costs time and gives a process that ends nothing back.
    // The store is given back nevertheless: others look at its roots and locks. What is to be printed was printed, and
    // what was to be written was flushed.
    // Who counts is told by the evaluation's end.
    if is_watched(&session.settings) {
        drop(work);
    } else {
        std::mem::forget(work);
    }
    session.close();
}

/// The working directory.
pub fn here() -> Result<Vec<u8>, CommandError> {
    let here =
        std::env::current_dir().map_err(|error| CommandError::failed(format!("the working directory: {error}")))?;
    Ok(here.into_os_string().into_vec())
}

/// More threads than this wait for each other more than they evaluate.
const MOST_CORES: u32 = 64;

/// Whether somebody wants to see how it is evaluated: then it must be.
fn is_watched(settings: &Settings) -> bool {
    statistics::wanted(settings) || settings.flag("trace-function-calls") || profiles(settings)
}

/// Whether stacks of calls are counted.
fn profiles(settings: &Settings) -> bool {
    settings.text("eval-profiler") == "flamegraph"
}

/// The time since 1970; 0 for a clock that stands before.
fn nanoseconds() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos())
}

fn options(settings: &Settings, args: &EvaluationArgs) -> EvalOptions {
    let pure = args.is_pure(settings);
    let system = match settings.text("eval-system") {
        "" => settings.system(),
        given => given.to_owned(),
    };
    let max_heap = usize::try_from(settings.number("max-heap")).unwrap_or(usize::MAX);
    EvalOptions {
        system,
        search_path: search_path(settings, &args.include, pure),
        pure,
        restricted: settings.flag("restrict-eval"),
        allowed_uris: settings.list("allowed-uris"),
        max_call_depth: u32::try_from(settings.number("max-call-depth")).unwrap_or(u32::MAX),
        // What other threads do ahead is neither counted nor said.
        cores: if is_watched(settings) {
            1
        } else {
            u32::try_from(settings.eval_cores()).unwrap_or(u32::MAX).min(MOST_CORES)
        },
        heap: HeapOptions { limit: (max_heap > 0).then_some(max_heap), ..HeapOptions::default() },
        import_from_derivation: settings.flag("allow-import-from-derivation"),
        trace_verbose: settings.flag("trace-verbose"),
        show_trace: settings.flag("show-trace"),
        counting: statistics::wanted(settings),
        trace_calls: settings.flag("trace-function-calls").then_some(nanoseconds),
        profile: profiles(settings).then(|| Sampling {
            period: 1_000_000_000_u128.checked_div(settings.number("eval-profiler-frequency").into()).unwrap_or(0),
            clock: nanoseconds,
        }),
        lints: Lints {
            url_literals: Lint::of(settings.text("lint-url-literals")),
            absolute_path_literals: Lint::of(settings.text("lint-absolute-path-literals")),
            short_path_literals: Lint::of(settings.text("lint-short-path-literals")),
        },
        abort_on_warn: settings.flag("abort-on-warn"),
        experimental_features: settings.list("experimental-features").into_iter().collect(),
        nix_version: crate::programs::nix_version().to_owned(),
        inputs: Some(Arc::new(Inputs::new(settings))),
        ..EvalOptions::default()
    }
}

/// `-I`, then `nix-path` (which `NIX_PATH` sets), then the usual channels.
fn search_path(settings: &Settings, include: &[String], pure: bool) -> Vec<SearchPathEntry> {
    if pure {
        return Vec::new();
    }
    let mut entries: Vec<String> = include.to_vec();
    entries.extend(settings.list("nix-path"));
    if !settings.flag("restrict-eval") {
        let places = &settings.places;
        let channels = places.state.join("profiles/per-user/root/channels");
        let usual: [(&str, PathBuf); 3] =
            [("", places.home.join(".nix-defexpr/channels")), ("nixpkgs=", channels.join("nixpkgs")), ("", channels)];
        let there = usual.into_iter().filter(|(_, path)| path.exists());
        entries.extend(there.map(|(name, path)| format!("{name}{}", path.display())));
    }
    entries.iter().map(|entry| search_path_entry(entry)).collect()
}

fn search_path_entry(entry: &str) -> SearchPathEntry {
    let (prefix, value) = entry.split_once('=').unwrap_or(("", entry));
    let elsewhere = value.contains("://") || value.starts_with("channel:") || value.starts_with("flake:");
    let value = match std::path::absolute(Path::new(value)) {
        Ok(path) if !elsewhere && !value.is_empty() => without_dots(&path).as_os_str().as_bytes().to_vec(),
        _ => value.as_bytes().to_vec(),
    };
    SearchPathEntry { prefix: prefix.as_bytes().to_vec(), value }
}
