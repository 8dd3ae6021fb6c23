//! Expressions and what they give, as data.
//!
//! `cases/okay/x.nix` is evaluated deeply; `x.exp` holds what `nix-instantiate --eval --strict` prints. `cases/fail/x.nix`
//! must fail; `x.err` holds the message and, where C++ Nix names one, the place, as `at line:column`. In the tree that
//! the expressions see, all of them and `cases/files` lie in `/case`.
//!
//! Expectations are C++ Nix's answers: `NIX_ORACLE=<folder of its commands> FIRN_UPDATE=1 cargo test -p language` writes
//! them anew. [`expressions`] are many more, one a line.

#[path = "../../../crates/cli/src/output/diagnostic.rs"]
mod diagnostic;
pub mod expressions;
mod inputs;
#[path = "../../../crates/cli/src/output/plain.rs"]
mod plain;

use evaluator::{EvalOptions, Evaluator, TestWorld};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One expression.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its file's name without the ending.
    pub name: String,
    /// The expression.
    pub text: Vec<u8>,
    /// The file with what it should give.
    pub expectation: PathBuf,
    /// Whether it should fail.
    pub fails: bool,
}

/// The folder of all cases.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All cases, by name.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, ending) in [("okay", "exp"), ("fail", "err")] {
        for path in files_in(&folder().join(kind)) {
            if path.extension().is_some_and(|extension| extension == "nix") {
                cases.push(Case {
                    name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                    text: read(&path),
                    expectation: path.with_extension(ending),
                    fails: kind == "fail",
                });
            }
        }
    }
    cases
}

/// A tree in memory with the expressions and their files in `/case`.
pub fn world(cases: &[Case]) -> TestWorld {
    let mut world = TestWorld::new();
    for case in cases {
        world = world.file(&format!("/case/{}.nix", case.name), &case.text);
    }
    for path in files_in(&folder().join("files")) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        world = world.file(&format!("/case/files/{name}"), &read(&path));
    }
    world
}

/// What a case gives here, in the form of its expectation; `Err` if it should fail and did not, or the reverse.
pub fn outcome(world: Arc<TestWorld>, case: &Case, options: &EvalOptions) -> Result<String, String> {
    evaluator::with_large_stack(|| {
        let mut evaluator = Evaluator::new(world.clone(), options.clone(), activity::Activity::silent());
        let path = format!("/case/{}.nix", case.name);
        let printed = evaluator.eval_file(path.as_bytes()).and_then(|value| {
            evaluator.force_deep(&value)?;
            evaluator.print_plain(&value)
        });
        match (printed, case.fails) {
            (Ok(printed), false) => Ok(String::from_utf8_lossy(&printed).into_owned() + "\n"),
            (Ok(printed), true) => Err(format!("gives {} and should fail", String::from_utf8_lossy(&printed))),
            (Err(error), fails) => {
                let report = evaluator.report(&error);
                let mut text = report.message.trim().to_string() + "\n";
                if let Some(position) = report.position {
                    text.push_str(&format!("at {}:{}\n", position.line, position.column));
                }
                if fails { Ok(text) } else { Err(text) }
            }
        }
    })
}
