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

/// Which thread was first must not show.
#[test]
fn every_case_gives_it_with_several_threads() {
    with_several_threads(expect_all);
}

/// Evaluates with 2 and 8 threads, also under constant collection, `FIRN_ROUNDS` times (else once).
fn with_several_threads(expect: impl Fn(&EvalOptions)) {
    let rounds = std::env::var("FIRN_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    for (cores, stress) in [(2, None), (8, None), (2, Some(256)), (8, Some(256))].repeat(rounds) {
        let heap = HeapOptions { stress, ..HeapOptions::default() };
        expect(&EvalOptions { cores, heap, ..EvalOptions::default() });
    }
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
    let (number, cores, stress) = (wrong.len(), options.cores, options.heap.stress.is_some());
    let (count, wrong) = (cases.len(), wrong.join("\n"));
    assert!(number == 0, "{number} of {count} cases are wrong ({cores} threads, stress: {stress}):\n{wrong}");
}
