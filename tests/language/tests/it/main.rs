//! Runs the cases here and, where it is installed, in C++ Nix.

mod expressions;
mod oracle;
mod properties;

use language::{cases, outcome, world};
use std::sync::Arc;

#[test]
fn every_case_gives_what_is_expected() {
    let cases = cases();
    assert!(cases.len() > 80, "the cases were found");
    let world = Arc::new(world(&cases));
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = std::fs::read_to_string(&case.expectation)
            .unwrap_or_else(|error| panic!("{}: {error}", case.expectation.display()));
        match outcome(world.clone(), case) {
            Ok(given) if given == expected => {}
            Ok(given) => wrong.push(format!("{}:\n  expected {expected}  given    {given}", case.name)),
            Err(given) => wrong.push(format!("{}: {given}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
