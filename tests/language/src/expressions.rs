//! Expressions, one a line, with C++ Nix's recorded answers.
//!
//! `expressions/SUBJECT.txt` lists expressions (␤ ␉ ␍ stand for line end, tab, carriage return);
//! `expressions/SUBJECT.jsonl` holds, in the same order, what `nix-instantiate --eval --strict` answers: status, standard
//! output, standard error. `json` is the answer with `--json`, where it is not just the same failure; `trace` is standard
//! error with `--show-trace`, where that says more. The working directory is `/pwd`, with `expressions/fix` in `./fix`.
//! Some lists are evaluated under settings of their own, see [`settings`], and some without `--strict`.
//!
//! Absent: running C++ Nix, which the test that records does.

use activity::{Activity, CancelToken, Recorded, Recorder, Verbosity};
use evaluator::{ErrorKind, EvalOptions, Evaluator, Origin, SearchPathEntry, TestWorld};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic;

/// The folder of the lists.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("expressions")
}

/// Experimental features that are on in all of them.
pub const FEATURES: &str = "blake3-hashes ca-derivations dynamic-derivations fetch-closure fetch-tree flakes \
    git-hashing impure-derivations nix-command parse-toml-timestamps pipe-operators";

/// The settings that the expressions of a list are evaluated under, besides the defaults.
pub fn settings(subject: &str) -> &'static [(&'static str, &'static str)] {
    match subject {
        "restricted" => &[("restrict-eval", "true"), ("allowed-uris", "https://allowed.example/a")],
        "pure" => &[("pure-eval", "true")],
        "depth" => &[("max-call-depth", "24")],
        "warnings" => &[("abort-on-warn", "true"), ("trace-verbose", "true")],
        _ => &[],
    }
}

/// How a value is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `--eval --strict`.
    Plain,
    /// With `--json`, or `--xml` for one list.
    Json,
    /// With `--show-trace`.
    Trace,
}

impl Mode {
    /// The option of `nix-instantiate --eval` for a list.
    pub fn option(self, subject: &str) -> Option<&'static str> {
        match self {
            Mode::Plain => None,
            Mode::Json if is_xml(subject) => Some("--xml"),
            Mode::Json => Some("--json"),
            Mode::Trace => Some("--show-trace"),
        }
    }
}

/// Whether the values of a list are evaluated in their depth; else what is not evaluated yet shows.
pub fn is_strict(subject: &str) -> bool {
    !matches!(subject, "lazy" | "as-xml")
}

/// Whether a list is shown as XML where the others are as JSON.
fn is_xml(subject: &str) -> bool {
    subject == "as-xml"
}

/// What came of an expression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The exit status.
    pub status: i64,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Answer {
    fn say(&mut self, text: &str) {
        let text = crate::plain::plain(text);
        self.err.push_str(&String::from_utf8_lossy(&evaluator::text_as_bytes(&text)));
        self.err.push('\n');
    }
}

/// An expression with its answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The expression.
    pub expression: String,
    /// The plain answer.
    pub plain: Answer,
    /// The answer in JSON.
    pub json: Answer,
    /// Standard error of the plain one with all frames.
    pub trace: String,
}

impl Record {
    /// One line of JSON.
    pub fn to_line(&self) -> String {
        let mut fields = vec![format!("\"expr\":{}", quoted(&self.expression))];
        fields.extend(answer_fields(&self.plain));
        if self.json.status == 0 || self.json != self.plain {
            fields.push(format!("\"json\":{{{}}}", answer_fields(&self.json).join(",")));
        }
        if self.trace != self.plain.err {
            fields.push(format!("\"trace\":{}", quoted(&self.trace)));
        }
        format!("{{{}}}", fields.join(","))
    }

    /// The record of a line; `None` if it is none.
    pub fn from_line(line: &str) -> Option<Record> {
        let value: Value = serde_json::from_str(line).ok()?;
        let plain = answer_of(&value);
        let json = value.get("json").map_or_else(|| plain.clone(), answer_of);
        let trace = value.get("trace").and_then(Value::as_str).unwrap_or(&plain.err).to_owned();
        Some(Record { expression: value.get("expr")?.as_str()?.to_owned(), plain, json, trace })
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn answer_fields(answer: &Answer) -> Vec<String> {
    let mut fields = Vec::new();
    if answer.status != 0 {
        fields.push(format!("\"status\":{}", answer.status));
    }
    for (name, text) in [("out", &answer.out), ("err", &answer.err)] {
        if !text.is_empty() {
            fields.push(format!("\"{name}\":{}", quoted(text)));
        }
    }
    fields
}

fn answer_of(value: &Value) -> Answer {
    let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Answer { status: value.get("status").and_then(Value::as_i64).unwrap_or(0), out: text("out"), err: text("err") }
}

/// A list: its name and its expressions.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The file's name without the ending.
    pub name: String,
    /// The expressions.
    pub expressions: Vec<String>,
}

impl Subject {
    /// The file of the recorded answers.
    pub fn answers(&self) -> PathBuf {
        folder().join(format!("{}.jsonl", self.name))
    }
}

/// All lists, by name.
pub fn subjects() -> Vec<Subject> {
    let lists = crate::files_in(&folder()).into_iter().filter(|path| path.extension().is_some_and(|end| end == "txt"));
    lists
        .map(|path| Subject {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            expressions: String::from_utf8_lossy(&crate::read(&path)).lines().map(unfold).collect(),
        })
        .collect()
}

fn unfold(line: &str) -> String {
    line.replace('␤', "\n").replace('␉', "\t").replace('␍', "\r")
}

/// The files that the expressions see: paths relative to the working directory, with text or link target.
#[derive(Clone, Debug, Default)]
pub struct Tree(Vec<(String, Entry)>);

#[derive(Clone, Debug)]
enum Entry {
    File(Vec<u8>, bool),
    Link(String),
}

impl Tree {
    /// Reads it.
    pub fn read() -> Tree {
        let mut tree = Tree::default();
        tree.add(&folder().join("fix"), "fix");
        tree
    }

    fn add(&mut self, folder: &Path, name: &str) {
        for path in crate::files_in(folder) {
            let name = format!("{name}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            if let Ok(target) = std::fs::read_link(&path) {
                self.0.push((name, Entry::Link(target.to_string_lossy().into_owned())));
            } else if path.is_dir() {
                self.add(&path, &name);
            } else {
                let executable = name.ends_with(".sh");
                self.0.push((name, Entry::File(crate::read(&path), executable)));
            }
        }
    }

    fn world(&self) -> TestWorld {
        let world = TestWorld::new().read_only().variable("DIFF_EVAL_VAR", "set").variable("HOME", "/base/home");
        self.0.iter().fold(world, |world, (name, entry)| {
            let path = format!("/pwd/{name}");
            match entry {
                Entry::File(text, false) => world.file(&path, text),
                Entry::File(text, true) => world.executable(&path, text),
                Entry::Link(target) => world.symlink(&path, target),
            }
        })
    }
}

/// What the lists say, and `subject` itself, on top of `base`.
fn options(subject: &str, show_trace: bool, base: &EvalOptions) -> EvalOptions {
    let entry = |prefix: &str, path: &str| SearchPathEntry { prefix: prefix.into(), value: path.into() };
    let is_on = |name: &str| settings(subject).contains(&(name, "true"));
    let setting = |name: &str| settings(subject).iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
    let search_path = vec![entry("named", "/pwd/fix/attrs.nix"), entry("", "/pwd/fix/search")];
    EvalOptions {
        // Pure evaluation has no search path from outside.
        search_path: if is_on("pure-eval") { Vec::new() } else { search_path },
        pure: is_on("pure-eval"),
        restricted: is_on("restrict-eval"),
        allowed_uris: setting("allowed-uris").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        abort_on_warn: is_on("abort-on-warn"),
        trace_verbose: is_on("trace-verbose"),
        max_call_depth: setting("max-call-depth").and_then(|depth| depth.parse().ok()).unwrap_or(base.max_call_depth),
        experimental_features: FEATURES.split_whitespace().map(str::to_owned).collect(),
        read_only: true,
        show_trace,
        inputs: Some(Arc::new(crate::inputs::Inputs)),
        ..base.clone()
    }
}

/// An expression as it is handed to a program: a leading minus would make it an option.
pub fn as_argument(expression: &str) -> String {
    if expression.starts_with('-') { format!(" {expression}") } else { expression.to_owned() }
}

/// What an expression of a list gives here. To be called on a large stack.
pub fn answer(tree: &Tree, subject: &str, expression: &str, mode: Mode, base: &EvalOptions) -> Answer {
    let recorder = Arc::new(Recorder::default());
    let activity = Activity::root(recorder.clone(), CancelToken::new());
    let show_trace = mode == Mode::Trace;
    let mut evaluator = Evaluator::new(Arc::new(tree.world()), options(subject, show_trace, base), activity);
    let printed = evaluator.eval_text(as_argument(expression).as_bytes(), b"/pwd", Origin::String).and_then(|value| {
        if mode == Mode::Json && is_xml(subject) {
            // It ends in a line end of its own.
            return evaluator.to_xml(&value, is_strict(subject), true).map(|text| text.trim_ascii_end().to_vec());
        }
        if mode == Mode::Json {
            return evaluator.to_json(&value, is_strict(subject));
        }
        if is_strict(subject) {
            evaluator.force_deep(&value)?;
        }
        evaluator.print_plain(&value)
    });
    let mut answer = Answer::default();
    for event in recorder.take() {
        match event {
            Recorded::Message(Verbosity::Warn, text)
                if !text.is_empty() && !text.starts_with("evaluation warning:") =>
            {
                answer.say(&format!("warning: {text}"));
            }
            Recorded::Message(level, text) if level <= Verbosity::Info => answer.say(&text),
            _ => {}
        }
    }
    match printed {
        Ok(printed) => answer.out = String::from_utf8_lossy(&printed).into_owned() + "\n",
        Err(error) => {
            answer.status = 1;
            answer.say(&diagnostic::render(&evaluator.report(&error), show_trace));
            if matches!(error.kind(), ErrorKind::Usage) {
                answer.say("Try 'nix-instantiate --help' for more information.");
            }
        }
    }
    answer
}

/// All answers to an expression of a list, evaluated as `base` says where the lists do not say it. To be called on a large
/// stack.
pub fn record(tree: &Tree, subject: &str, expression: &str, base: &EvalOptions) -> Record {
    Record {
        expression: expression.to_owned(),
        plain: answer(tree, subject, expression, Mode::Plain, base),
        json: answer(tree, subject, expression, Mode::Json, base),
        trace: answer(tree, subject, expression, Mode::Trace, base).err,
    }
}
