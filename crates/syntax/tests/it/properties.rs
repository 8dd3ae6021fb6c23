//! Hostile and random texts: no panic, spans in the text, one error or one expression, bounded nesting.

use crate::recorder::record;
use proptest::prelude::*;
use syntax::{ParseOptions, SyntaxErrorKind};

/// Pieces that, strung together, reach deep into the grammar.
const PIECES: &[&str] = &[
    "a",
    "or",
    "b.c",
    "1",
    "1.5",
    "./a",
    "/a/",
    "~/b",
    "<c>",
    "x:y",
    "\"",
    "''",
    "${",
    "}",
    "{",
    "(",
    ")",
    "[",
    "]",
    "=",
    ";",
    ",",
    ":",
    "@",
    "?",
    "...",
    "inherit",
    "rec",
    "let",
    "in",
    "if",
    "then",
    "else",
    "with",
    "assert",
    "+",
    "-",
    "*",
    "/",
    "//",
    "++",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "->",
    "!",
    "|>",
    "<|",
    "#c\n",
    "/*",
    "*/",
    "/**",
    " ",
    "\n",
    "\r",
    "\\",
    "$",
    "'",
    "''$",
    "''\\n",
    "'''",
    "é",
    "\0",
    "a = 1;",
    "{ a, b ? 1 }: ",
    "\"x${y}z\"",
];

fn options() -> ParseOptions {
    ParseOptions { pipe_operators: true, ..ParseOptions::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_parsed_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        record(&text, options());
    }

    #[test]
    fn any_row_of_tokens_is_parsed_or_refused(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60),
        spaced: bool,
    ) {
        let text = pieces.join(if spaced { " " } else { "" });
        record(text.as_bytes(), options());
    }
}

#[test]
fn deep_nesting_is_refused_without_overflow() {
    let openings = [
        "(",
        "[",
        "{a=",
        "rec{a=",
        "let a=",
        "a: ",
        "{a}: ",
        "-",
        "!",
        "a -> ",
        "a // ",
        "\"${",
        "''${",
        "./${",
        "x.${",
        "x.y or ",
        "if a then b else ",
        "a ++ ",
        "assert a;",
        "with a;",
        "{a?",
        "f <| ",
        "let {a=",
    ];
    for opening in openings {
        let text = opening.repeat(100_000);
        let errors = record(text.as_bytes(), options()).errors;
        let kind = errors.first().map(|error| &error.kind);
        assert_eq!(kind, Some(&SyntaxErrorKind::NestingTooDeep), "for {opening}");
    }
}

#[test]
fn the_stack_floor_is_respected() {
    let marker = 0u8;
    let here = std::ptr::from_ref(&marker).addr();
    let options = ParseOptions { max_depth: u32::MAX, stack_floor: here - 200_000, ..ParseOptions::default() };
    let errors = record("(".repeat(100_000).as_bytes(), options).errors;
    assert_eq!(errors[0].kind, SyntaxErrorKind::NestingTooDeep);
}

#[test]
fn long_chains_are_not_deep() {
    for piece in ["a.", "1 + ", "a ? ", "f ", "a.b/", "a+b"] {
        let text = piece.repeat(20_000) + "a";
        assert_eq!(record(text.as_bytes(), options()).errors, vec![], "for {piece}");
    }
}
