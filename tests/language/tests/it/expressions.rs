//! The lists of expressions, here and in C++ Nix.
//!
//! `NIX_ORACLE=<folder of its commands> FIRN_UPDATE=1 cargo test -p language` records the answers anew.

use evaluator::EvalOptions;
use language::expressions::{
    Answer, FEATURES, Mode, Record, Subject, Tree, as_argument, folder, is_strict, record, settings, subjects,
};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `work` for every number below `count` on two threads; results in order.
fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return done;
            }
            done.push((number, work(number)));
        }
    };
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads = [0; 2].map(|_| scope.spawn(|| evaluator::with_large_stack(worker)));
        threads.into_iter().flat_map(|thread| thread.join().expect("a worker that ends")).collect()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, result)| result).collect()
}

fn recorded(subject: &Subject) -> Vec<Record> {
    let path = subject.answers();
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let read = |line: &str| Record::from_line(line).unwrap_or_else(|| panic!("{}: {line}", path.display()));
    text.lines().map(read).collect()
}

#[test]
fn every_expression_gives_what_is_recorded() {
    expect_all(&EvalOptions::default());
}

/// Which thread was first must not show.
#[test]
fn every_expression_gives_it_with_several_threads() {
    crate::with_several_threads(expect_all);
}

fn expect_all(base: &EvalOptions) {
    let tree = Tree::read();
    let mut wrong = Vec::new();
    let mut count = 0;
    for subject in subjects() {
        let records = recorded(&subject);
        let listed: Vec<&str> = records.iter().map(|record| record.expression.as_str()).collect();
        assert_eq!(listed, subject.expressions, "{}: record the answers anew", subject.name);
        count += records.len();
        let given =
            in_parallel(records.len(), |number| record(&tree, &subject.name, &records[number].expression, base));
        for (expected, given) in records.iter().zip(&given) {
            if let Some(difference) = difference(expected, given) {
                wrong.push(format!("== {}: {}\n{difference}", subject.name, expected.expression));
            }
        }
    }
    assert!(count >= 1500, "the lists were found");
    let (number, cores, stress) = (wrong.len(), base.cores, base.heap.stress.is_some());
    let wrong = wrong.join("\n");
    assert!(number == 0, "{number} of {count} expressions are wrong ({cores} threads, stress: {stress}):\n{wrong}");
}

fn difference(expected: &Record, given: &Record) -> Option<String> {
    let shown = |answer: &Answer| format!("[{}] {}{}", answer.status, answer.out, answer.err);
    let texts = [
        ("plain", shown(&expected.plain), shown(&given.plain)),
        ("json", shown(&expected.json), shown(&given.json)),
        ("trace", expected.trace.clone(), given.trace.clone()),
    ];
    let (what, expected, given) = texts.into_iter().find(|(_, expected, given)| expected != given)?;
    Some(format!("-- {what}, expected\n{expected}-- given\n{given}"))
}

#[test]
fn no_expression_stands_twice() {
    let mut seen = HashSet::new();
    for subject in subjects() {
        for expression in subject.expressions {
            let name = &subject.name;
            let under = (settings(name), is_strict(name), Mode::Json.option(name));
            assert!(seen.insert((under, expression.clone())), "{}: {expression}", subject.name);
        }
    }
}

/// C++ Nix in a folder of its own.
struct Oracle {
    program: PathBuf,
    base: PathBuf,
}

impl Oracle {
    fn new(program: PathBuf, base: PathBuf) -> Oracle {
        for name in ["conf", "home", "state", "pwd"] {
            std::fs::create_dir(base.join(name)).expect("a folder");
        }
        let settings = format!("experimental-features = {FEATURES}\nsubstituters =\nshow-trace = false\n");
        std::fs::write(base.join("conf/nix.conf"), settings).expect("a file");
        copy(&folder().join("fix"), &base.join("pwd/fix"));
        Oracle { program, base }
    }

    fn answer(&self, subject: &str, expression: &str, mode: Mode) -> Answer {
        let pwd = self.base.join("pwd");
        let search = format!("named={0}/fix/attrs.nix:{0}/fix/search", pwd.display());
        let output = Command::new(&self.program)
            .arg("--eval")
            .args(is_strict(subject).then_some("--strict"))
            .args(mode.option(subject))
            .args(settings(subject).iter().flat_map(|(name, value)| ["--option", name, value]))
            .arg("-E")
            .arg(as_argument(expression))
            .current_dir(&pwd)
            .env_clear()
            .envs([("NIX_REMOTE", "dummy://"), ("NIX_STORE_DIR", "/nix/store"), ("NIX_USER_CONF_FILES", "")])
            .envs([("DIFF_EVAL_VAR", "set"), ("LANG", "C.UTF-8"), ("NO_COLOR", "1"), ("NIX_PATH", &search)])
            .env("NIX_CONF_DIR", self.base.join("conf"))
            .env("NIX_STATE_DIR", self.base.join("state"))
            .env("HOME", self.base.join("home"))
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&*pwd.to_string_lossy(), "/pwd");
            let text = text.replace(&*self.base.to_string_lossy(), "/base");
            text.replace(&*self.program.to_string_lossy(), "nix-instantiate")
        };
        let status = output.status.code().map_or(-1, i64::from);
        Answer { status, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if let Ok(target) = std::fs::read_link(&path) {
            std::os::unix::fs::symlink(target, to).expect("a link");
        } else if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("a copy");
        }
    }
}

#[test]
fn cpp_nix_answers_so() {
    let Some(commands) = std::env::var_os("NIX_ORACLE") else {
        return println!("skipped: cpp_nix_answers_so (NIX_ORACLE names no folder of C++ Nix's commands)");
    };
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let base = scratch.path().canonicalize().expect("a real path");
    let oracle = Oracle::new(Path::new(&commands).join("nix-instantiate"), base);
    let update = std::env::var_os("FIRN_UPDATE").is_some();
    let only = std::env::var("FIRN_SUBJECT").ok();
    for subject in subjects() {
        if only.as_ref().is_some_and(|only| *only != subject.name) {
            continue;
        }
        let records = in_parallel(subject.expressions.len(), |number| {
            let expression = &subject.expressions[number];
            Record {
                expression: expression.clone(),
                plain: oracle.answer(&subject.name, expression, Mode::Plain),
                json: oracle.answer(&subject.name, expression, Mode::Json),
                trace: oracle.answer(&subject.name, expression, Mode::Trace).err,
            }
        });
        if update {
            let lines: String = records.iter().map(|record| record.to_line() + "\n").collect();
            std::fs::write(subject.answers(), lines).expect("a file");
            continue;
        }
        assert_eq!(recorded(&subject), records, "{}", subject.name);
    }
}
