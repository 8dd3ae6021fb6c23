//! Random programs are evaluated or refused; nothing panics and nothing runs away.

use evaluator::{EvalOptions, Evaluator, Origin, TestWorld};
use proptest::prelude::*;
use std::sync::Arc;

/// Pieces that together often make programs that run.
const PIECES: &[&str] = &[
    "1",
    "2.5",
    "\"s\"",
    "true",
    "null",
    "x",
    "y",
    "[ 1 2 ]",
    "{ a = 1; }",
    "(x: x)",
    "(x: y: x)",
    "({ a ? 1, ... }: a)",
    "let x = 1; y = x; in",
    "rec { a = b; b = 1; }",
    "with { x = 1; };",
    "assert true;",
    "if true then",
    "else",
    "+",
    "-",
    "*",
    "/",
    "//",
    "++",
    "==",
    "<",
    "&&",
    "||",
    "!",
    ".a",
    " or 1",
    "? a",
    "(",
    ")",
    "builtins.map",
    "builtins.length",
    "builtins.toJSON",
    "builtins.fromJSON",
    "builtins.match \"(a*)b|c\"",
    "builtins.split \"a|ab\"",
    "builtins.toString",
    "builtins.replaceStrings [ \"\" \"a\" ] [ \"x\" \"y\" ]",
    "builtins.compareVersions \"1.2\"",
    "builtins.fromTOML",
    "builtins.toXML",
    "builtins.hashString \"md5\"",
    "builtins.substring 0 1",
    "builtins.sort builtins.lessThan",
    "\"${",
    "}\"",
    "''\n  a ${",
    "}''",
    "builtins.tryEval",
    "throw \"t\"",
];

fn evaluate(text: &str) {
    let mut evaluator =
        Evaluator::new(Arc::new(TestWorld::new()), EvalOptions::default(), activity::Activity::silent());
    let value = evaluator.eval_text(text.as_bytes(), b"/", Origin::String);
    if let Err(error) = value.and_then(|value| evaluator.force_deep(&value)) {
        let report = evaluator.report(&error);
        assert!(!report.message.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_programs_end(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 1..14)) {
        evaluator::with_large_stack(|| evaluate(&pieces.join(" ")));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n]{0,40}|(\\{|\\}|\\[|\\]|\"a\"|:|,|=|1|-|\\.|e5|true|\\n|#|'|\\\\u00e9|\\(|\\)|\\*|\\+|\\?|\\||\\^|\\$|a){0,20}") {
        for function in ["fromJSON", "fromTOML", "splitVersion", "parseDrvName", "match \"\"", "split \"a*\""] {
            apply(&format!("builtins.{function}"), &[&text]);
        }
        apply("pattern: text: [ (builtins.match pattern text) (builtins.split pattern text) ]", &[&text, "aab=1"]);
        apply("text: builtins.fromJSON (builtins.toJSON text) == text || throw \"changed\"", &[&text]);
    }
}

/// Applies a function to strings; a message that says \"changed\" is a broken promise.
fn apply(function: &str, arguments: &[&str]) {
    evaluator::with_large_stack(|| {
        let mut evaluator =
            Evaluator::new(Arc::new(TestWorld::new()), EvalOptions::default(), activity::Activity::silent());
        let Ok(function) = evaluator.eval_text(function.as_bytes(), b"/", Origin::String) else {
            panic!("the test's own function is good");
        };
        let arguments: Vec<_> = arguments.iter().map(|text| evaluator.make_string(text.as_bytes())).collect();
        let references: Vec<_> = arguments.iter().collect();
        if let Err(error) = evaluator.call(&function, &references).and_then(|value| evaluator.force_deep(&value)) {
            assert_ne!(error.message(), "changed");
        }
    });
}

#[test]
fn deep_programs_are_refused_or_evaluated() {
    for (opening, middle, closing) in [
        ("[", "", "]"),
        ("(", "1", ")"),
        ("{a=", "1", ";}"),
        ("x: ", "1", ""),
        ("1 + (", "1", ")"),
        ("let a = ", "1", "; in a"),
        ("if true then ", "1", " else 1"),
        ("[ 1 ] ++ ", "[ ]", ""),
        ("\"${", "\"\"", "}\""),
    ] {
        for depth in [1_000, 300_000] {
            let text = opening.repeat(depth) + middle + &closing.repeat(depth);
            evaluator::with_large_stack(|| evaluate(&text));
        }
    }
    // Chains that lean to the left do not nest while they are read.
    for link in [" + 1", " ? a", " // { }"] {
        let text = "{ }".to_string() + &link.repeat(100_000);
        evaluator::with_large_stack(|| evaluate(&text));
    }
}
