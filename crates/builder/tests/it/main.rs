//! The builder through its public interface.
//!
//! The binary has its own entry, because sandbox children are this binary executed again. It runs the tests named on its
//! command line (all without one), several at once, and says for each whether it passed or why it was skipped.

mod build;
mod builtin;
mod enter;
mod planning;
mod resources;
mod rig;
mod sandbox;
mod security;
mod together;
mod unknown;

use std::panic::catch_unwind;

/// What a test that did not fail says.
pub enum Verdict {
    /// Everything held.
    Passed,
    /// The machine lacks something.
    Skipped(String),
}

type Test = (&'static str, fn() -> Verdict);

/// Skips, or fails where `FIRN_REQUIRE` lists the thing.
pub fn lacks(thing: &str, why: &str) -> Verdict {
    let required = std::env::var("FIRN_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|word| word == thing), "FIRN_REQUIRE lists {thing}, but: {why}");
    Verdict::Skipped(format!("needs {thing}: {why}"))
}

#[expect(clippy::print_stdout, reason = "a test binary with its own entry tells its results itself")]
fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == builder::sandbox::CHILD_ARGUMENT) {
        std::process::exit(builder::child_main());
    }
    if arguments.get(1).is_some_and(|first| first == enter::WORD) {
        enter::become_entered(&arguments[2..]);
    }
    if arguments.get(1).is_some_and(|first| first == security::WORD) {
        return security::attack(&arguments[2..]);
    }
    if arguments.get(1).is_some_and(|first| first == together::WORD) {
        together::build_and_wait(&arguments[2..]);
    }
    let words: Vec<_> = arguments.iter().skip(1).filter(|word| !word.starts_with('-')).collect();
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let all: Vec<Test> = [
        build::TESTS,
        builtin::TESTS,
        enter::TESTS,
        planning::TESTS,
        resources::TESTS,
        sandbox::TESTS,
        security::TESTS,
        together::TESTS,
        unknown::TESTS,
    ]
    .concat()
    .into_iter()
    .filter(|(name, _)| chosen(name))
    .collect();
    if arguments.iter().any(|word| word == "--list") {
        all.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failed = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, test)) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    match catch_unwind(test) {
                        Ok(Verdict::Passed) => println!("test {name} ... ok"),
                        Ok(Verdict::Skipped(why)) => println!("test {name} ... skipped, {why}"),
                        Err(_) => {
                            println!("test {name} ... FAILED");
                            failed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("\ntest result: {} of {} failed", failed, all.len());
    std::process::exit(i32::from(failed != 0));
}
