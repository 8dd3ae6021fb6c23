//! Programs of every form survive storing; broken bytes are refused, or are programs that run without harm.

use std::sync::Arc;

use syntax::{Origin, Source};

use super::{decode, encode};
use crate::program::{CompileOptions, Lints, Program};
use crate::{EvalOptions, Evaluator, TestWorld};

const TEXTS: &[&str] = &[
    "1",
    "let a = 1; b = a + c; c = 2.5; in { inherit a b; x.y.z = c; }",
    "rec { a = b; b = ./x; c = ~/y; d = /z; e = <nixpkgs>; f = __curPos; g = \"t${a}u${toString b}\"; h = ./p/${g}/q; }",
    "{ x, y ? x, ... }@all: with all; x + y * zed - all.q or y",
    "x: y: let inherit (x) a b; inherit (y) c; inherit x; in rec { inherit (x) d; inherit y; e = d; ${a} = e; \"${b}x\" = c; }",
    "with { a = 1; }; with { b = 2; }; if a < b && b >= a || !(a == b) then [ a b [ ] ] else assert a != b -> false; a // b ++ [ ]",
    "rec { __overrides = { a = 2; }; a = 1; b = a; }",
    "let f = n: if n == 0 then 0 else f (n - 1); in { r = f 10; h = { a.b = 1; } ? a.b; i = { a = 1; }.${\"a\"}; j = builtins.map (v: v) [ 1 ]; }",
    "let __sub = a: b: a; in 3 - -1",
    "({ a, b ? 2 }: a + b) { a = 1; }",
];

fn options() -> EvalOptions {
    EvalOptions::default()
}

fn compile(text: &str) -> Program {
    let source = Source::new(Origin::String, text.as_bytes().to_vec()).unwrap();
    let options = options();
    let compile = CompileOptions {
        base: &|name| crate::builtins::global_number(name, &options),
        scope: None,
        pipe_operators: false,
        lints: Lints::default(),
        max_depth: syntax::DEFAULT_MAX_DEPTH,
        stack_floor: 0,
    };
    let mut compiler = crate::compile::Compiler::default();
    let program = compiler.compile(&source, compile).unwrap_or_else(|error| panic!("{text}: {}", error.message));
    std::mem::take(program)
}

fn globals() -> u32 {
    crate::builtins::global_count()
}

#[test]
fn programs_are_the_same_when_they_come_back() {
    for text in TEXTS {
        let program = compile(text);
        let bytes = encode(&program).unwrap();
        assert_eq!(decode(&bytes, text.len() as u32, globals()), Some(program), "{text}");
        assert_eq!(decode(&bytes, text.len() as u32, 0).is_some(), !uses_globals(text), "{text}");
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length], text.len() as u32, globals()), None, "{text}");
        }
    }
}

fn uses_globals(text: &str) -> bool {
    let used = |node: &crate::program::Node| matches!(node, crate::program::Node::Global(_));
    compile(text).nodes.iter().any(used)
}

/// Runs a program as if it were the text's own.
fn run(text: &str, mut program: Program) {
    let mut evaluator = Evaluator::new(Arc::new(TestWorld::new()), options(), activity::Activity::silent());
    let eval = evaluator.enter();
    let source = Source::new(Origin::String, text.as_bytes().to_vec()).unwrap();
    let source = crate::eval::lock(&eval.shared.sources).add(source).unwrap();
    let code = crate::code::link(eval, &mut program, source, b"/");
    let value = eval.eval(code, code.root, crate::value::Env::NONE);
    if let Ok(value) = value {
        let value = evaluator.rooted(value);
        let report = evaluator.force_deep(&value);
        if let Err(error) = report {
            evaluator.report(&error);
        }
    }
}

#[test]
fn broken_bytes_do_no_harm() {
    let mut ran = 0;
    for text in TEXTS {
        let bytes = encode(&compile(text)).unwrap();
        for at in 0..bytes.len() {
            for change in [1u8, 2, 3, 7, 0x80] {
                let mut broken = bytes.clone();
                broken[at] = broken[at].wrapping_add(change);
                if let Some(program) = decode(&broken, text.len() as u32, globals()) {
                    ran += 1;
                    run(text, program);
                }
            }
        }
    }
    assert!(ran > 100, "only {ran} of the broken programs were programs");
}

#[test]
fn loops_and_strange_environments_are_refused() {
    use crate::program::{Node, NodeId};
    let text = "let a = 1; in x: [ a x ]";
    let whole = compile(text);
    let refused = |change: &dyn Fn(&mut Program)| {
        let mut program = whole.clone();
        change(&mut program);
        assert_eq!(decode(&encode(&program).unwrap(), text.len() as u32, globals()), None);
    };
    let at = |wanted: fn(&Node) -> bool| whole.nodes.iter().position(wanted).unwrap();
    let variable = at(|node| matches!(node, Node::Var0 { .. }));
    let outer = at(|node| matches!(node, Node::Var1 { .. }));
    refused(&|program| program.nodes[variable] = Node::Var0 { slot: 1 });
    refused(&|program| program.nodes[outer] = Node::Var { depth: 2, slot: 0 });
    refused(&|program| program.nodes[variable] = Node::Not(NodeId(variable as u32)));
    refused(&|program| program.lambdas[0].slots = 2);
    refused(&|program| program.attrs[0].slots = 0);
    refused(&|program| program.bindings[0].slot = 1);
    refused(&|program| program.offsets[0] = 1000);
    refused(&|program| program.root = Some(NodeId(1000)));
}
