//! Runs the cases here and, where it is installed, in C++ Nix.

mod expressions;
mod oracle;
mod properties;

use evaluator::{EvalOptions, HeapOptions};
use language::{cases, outcome, world};
use std::sync::Arc;

#[test]
fn every_case_gives_what_is_expected() {
    expect_all(&EvalOptions::default());
}

/// What the collector takes is overwritten, so that whoever still uses it is found out.
#[test]
fn every_case_gives_it_under_constant_collection() {
    let heap = HeapOptions { stress: Some(256), ..HeapOptions::default() };
    expect_all(&EvalOptions { heap, ..EvalOptions::default() });
}

fn expect_all(options: &EvalOptions) {
    let cases = cases();
    assert!(cases.len() > 80, "the cases were found");
    let world = Arc::new(world(&cases));
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = std::fs::read_to_string(&case.expectation)
            .unwrap_or_else(|error| panic!("{}: {error}", case.expectation.display()));
        match outcome(world.clone(), case, options) {
            Ok(given) if given == expected => {}
            Ok(given) => wrong.push(format!("{}:\n  expected {expected}  given    {given}", case.name)),
            Err(given) => wrong.push(format!("{}: {given}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
