//! The evaluator through its public API, over a world in memory.

#[path = "outside/mod.rs"]
mod outside;
mod programs;
#[path = "properties/mod.rs"]
mod properties;

use activity::Activity;
use evaluator::{
    ErrorKind, EvalOptions, Evaluator, HeapOptions, Origin, PrintOptions, SearchPathEntry, TestWorld, with_large_stack,
};
use std::sync::Arc;

/// Evaluators and their values go from thread to thread.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Evaluator>();
    is_send::<evaluator::Rooted>();
    is_send::<evaluator::EvalError>();
};

fn evaluator(world: TestWorld) -> Evaluator {
    Evaluator::new(Arc::new(world), EvalOptions::default(), Activity::silent())
}

/// The fully evaluated value of a text, printed; or the words of its error.
fn eval(text: &str) -> Result<String, String> {
    eval_in(TestWorld::new(), text)
}

fn eval_in(world: TestWorld, text: &str) -> Result<String, String> {
    with_large_stack(|| {
        let mut evaluator = evaluator(world);
        let value = evaluator.eval_text(text.as_bytes(), b"/", Origin::String).map_err(|e| e.message().to_owned())?;
        evaluator.force_deep(&value).map_err(|error| error.message().to_owned())?;
        let printed = evaluator.print_plain(&value).map_err(|error| error.message().to_owned())?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    })
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(eval(text).as_deref(), Ok(*expected), "{text}");
    }
}

#[test]
fn expressions() {
    check(&[
        ("1 + 1", "2"),
        ("let x = 1; y = x + 1; in [ x y ]", "[ 1 2 ]"),
        ("(a: b: a - b) 5 3", "2"),
        ("({ a, b ? a + 1, ... }@args: [ a b (args ? c) ]) { a = 1; c = 2; }", "[ 1 2 true ]"),
        ("rec { a = b; b = 1; }", "{ a = 1; b = 1; }"),
        ("{ a.b = 1; a.c = 2; }.a", "{ b = 1; c = 2; }"),
        ("let s = { x = 1; y = 2; }; in { inherit (s) x y; z = with s; x + y; }", "{ x = 1; y = 2; z = 3; }"),
        ("\"a${\"b\"}c\"", "\"abc\""),
        ("{ ${\"a\" + \"b\"} = 1; ${null} = 2; }", "{ ab = 1; }"),
        ("{ a = 1; } // { b = 2; }", "{ a = 1; b = 2; }"),
        ("[ 1 ] ++ [ 2 ]", "[ 1 2 ]"),
        ("{ a.b.c = 5; }.a.b.c or 6", "5"),
        ("{ a = 1; }.a.b or 6", "6"),
        ("if 1 < 2 then \"y\" else \"n\"", "\"y\""),
        ("1 <= 2 && !(2 < 1) || false -> true", "true"),
        ("builtins.foldl' (a: b: a + b) 0 (builtins.genList (x: x) 10)", "45"),
        ("1.5 + 1", "2.5"),
        ("-7 / 2", "-3"),
        ("./a/../b", "/b"),
        ("let f = n: if n == 0 then 0 else f (n - 1); in f 9000", "0"),
        ("builtins.tryEval (throw \"x\")", "{ success = false; value = false; }"),
        ("let r = rec { x = { inherit r; }; }; in builtins.attrNames r.x", "[ \"r\" ]"),
        ("builtins.sort (a: b: a > b) [ 1 3 2 ]", "[ 3 2 1 ]"),
        ("map (x: x * x) [ 1 2 3 ]", "[ 1 4 9 ]"),
        ("let __sub = a: b: 42; in 1 - 1", "42"),
        ("{ __functor = self: x: x + self.n; n = 1; } 2", "3"),
        ("rec { __overrides = { a = 5; }; a = 1; b = a; }", "{ __overrides = { a = 5; }; a = 5; b = 5; }"),
        ("let a = { x = 1; f = y: y; }; in a == a", "true"),
        ("9007199254740993 == 9007199254740992.0", "true"),
        (
            "builtins.length (builtins.genericClosure { startSet = [ { key = 1; } ]; operator = x: if x.key < 5 then [ { key = x.key + 1; } { key = 1; } ] else [ ]; })",
            "5",
        ),
    ]);
}

#[test]
fn failures_speak_as_cpp_nix() {
    for (text, words) in [
        ("{ }.a", "attribute 'a' missing"),
        ("1 + \"a\"", "cannot add a string to an integer"),
        ("\"a\" + 1", "cannot coerce an integer to a string: 1"),
        ("1 { }", "attempt to call something which is not a function but an integer: 1"),
        ("({ a }: a) { }", "function 'anonymous lambda' called without required argument 'a'"),
        ("({ a }: a) { a = 1; b = 2; }", "function 'anonymous lambda' called with unexpected argument 'b'"),
        ("let x = x; in x", "infinite recursion encountered"),
        ("let f = x: f x; in f 1", "stack overflow; max-call-depth exceeded"),
        ("9223372036854775807 + 1", "integer overflow in adding 9223372036854775807 + 1"),
        ("1 / 0", "division by zero"),
        ("throw \"oh\"", "oh"),
        ("assert 1 == 2; 3", "an integer with value '1' is not equal to an integer with value '2'"),
        ("assert false; 3", "assertion 'false' failed"),
        ("builtins.head [ ]", "'builtins.head' called on an empty list"),
        ("x", "undefined variable 'x'"),
        ("with { }; x", "undefined variable 'x'"),
        ("[ 1 ] < [ null ]", "cannot compare an integer with null; values are 1 and null"),
    ] {
        assert_eq!(eval(text), Err(words.to_owned()), "{text}");
    }
}

#[test]
fn failures_are_remembered_and_shared() {
    let text = "let x = builtins.trace \"once\" (throw \"a\"); in [ (builtins.tryEval x).success (builtins.tryEval x).success ]";
    let recorder = Arc::new(activity::Recorder::default());
    let activity = Activity::root(recorder.clone(), activity::CancelToken::new());
    let mut evaluator = Evaluator::new(Arc::new(TestWorld::new()), EvalOptions::default(), activity);
    let value = evaluator.eval_text(text.as_bytes(), b"/", Origin::String).unwrap();
    evaluator.force_deep(&value).unwrap();
    let printed = evaluator.print_plain(&value).unwrap();
    assert_eq!(String::from_utf8(printed).unwrap(), "[ false false ]");
    let traced = format!("{:?}", recorder.take());
    assert_eq!(traced.matches("trace: once").count(), 1, "{traced}");
}

#[test]
fn cancellation_leaves_values_usable() {
    let token = activity::CancelToken::new();
    let activity = Activity::root(Arc::new(activity::Silent), token.clone());
    let mut evaluator = Evaluator::new(Arc::new(TestWorld::new()), EvalOptions::default(), activity);
    let text = b"{ slow = builtins.foldl' (a: b: a + b) 0 (builtins.genList (x: x) 100); }";
    let set = evaluator.eval_text(text, b"/", Origin::String).unwrap();
    let slow = evaluator.attr(&set, "slow").unwrap().unwrap();
    token.cancel();
    assert!(evaluator.force(&slow).unwrap_err().is_cancelled());
    evaluator.set_activity(Activity::silent());
    let value = evaluator.force(&slow).unwrap();
    assert_eq!(evaluator.print_plain(&value).unwrap(), b"4950");
}

#[test]
fn files_are_evaluated_once_and_places_are_known() {
    let world = TestWorld::new()
        .file("/lib/default.nix", b"{ f = x: x.missing; here = __curPos; }")
        .file("/main.nix", b"let lib = import ./lib; in\nlib.f { missin = 1; }");
    with_large_stack(|| {
        let mut evaluator = evaluator(world);
        let error = evaluator.eval_file(b"/main.nix").unwrap_err();
        let report = evaluator.report(&error);
        assert_eq!(report.message, "attribute 'missing' missing");
        assert_eq!(report.suggestions, ["missin"]);
        let position = report.position.unwrap();
        assert_eq!(position.to_string(), "/lib/default.nix:1:10");
        assert!(matches!(report.kind, ErrorKind::Eval));
        let value = evaluator.eval_text(b"(import /lib).here.line", b"/", Origin::String).unwrap();
        assert_eq!(evaluator.print_plain(&value).unwrap(), b"1");
    });
}

#[test]
fn derivations_have_the_paths_of_cpp_nix() {
    let text = "let d = derivation { name = \"a\"; builder = \"b\"; system = \"c\"; }; in [ d.drvPath d.outPath d.type d.outputName ]";
    // The .drv path stands in the Nix manual's example of getContext.
    let drv = "/nix/store/arhvjaf6zmlyn8vh8fgn55rpwnxq0n7l-a.drv";
    let printed = eval(text).unwrap();
    assert!(printed.starts_with(&format!("[ \"{drv}\" ")), "{printed}");
    check(&[
        (
            "builtins.getContext \"${derivation { name = \"a\"; builder = \"b\"; system = \"c\"; }}\"",
            "{ \"/nix/store/arhvjaf6zmlyn8vh8fgn55rpwnxq0n7l-a.drv\" = { outputs = [ \"out\" ]; }; }",
        ),
        (
            "let d = derivation { name = \"a\"; builder = \"b\"; system = \"c\"; outputs = [ \"out\" \"dev\" ]; }; in \
            [ (d.dev.outputName) (d.all == [ d.out d.dev ]) (d.drvAttrs.name) (d.out.outPath == d.outPath) ]",
            "[ \"dev\" true \"a\" true ]",
        ),
        ("(derivation { name = throw \"x\"; builder = 1; system = \"c\"; }) ? outPath", "true"),
    ]);
}

#[test]
fn a_derivation_in_the_store_can_be_imported() {
    let text = "let d = derivation { name = \"a\"; builder = \"b\"; system = \"c\"; outputs = [ \"out\" \"dev\" ]; }; \
        i = import d.drvPath; in [ (i.outPath == d.dev.outPath) i.outputName (i.out.outPath == d.outPath) \
        (builtins.attrNames i) ]";
    let names = "[ \"all\" \"dev\" \"drvPath\" \"name\" \"out\" \"outPath\" \"outputName\" \"type\" ]";
    assert_eq!(eval(text), Ok(format!("[ true \"dev\" true {names} ]")));
}

#[test]
fn fetchers_check_their_arguments_before_they_ask_the_world() {
    for (text, words) in [
        ("fetchGit { url = \"x\"; }", "inputs cannot be fetched here"),
        ("fetchTarball { url = \"x\"; foo = 1; }", "unsupported argument 'foo' to 'fetchTarball'"),
        ("builtins.fetchurl { }", "'url' argument required"),
        ("builtins.fetchurl \"http://x/y\"", "cannot fetch 'http://x/y' here"),
    ] {
        assert_eq!(eval(text), Err(words.to_owned()), "{text}");
    }
}

#[test]
fn a_small_stack_ends_in_an_error() {
    for text in [
        "let f = n: if n == 0 then 0 else 1 + f (n - 1); in f 9900",
        "let f = n: builtins.foldl' (a: b: f b) 0 [ (n + 1) ]; in f 0",
        "let f = n: [ (f (n + 1)) ]; in builtins.deepSeq (f 0) 1",
        "let f = n: \"${f (n + 1)}\"; in f 0",
        "let f = n: builtins.sort (a: b: f (n + 1)) [ 2 1 ]; in f 0",
        "builtins.fromTOML (\"a = \" + builtins.concatStringsSep \"\" (builtins.genList (_: \"[\") 100000))",
    ] {
        let work = move || {
            let mut evaluator = evaluator(TestWorld::new());
            let value = evaluator.eval_text(text.as_bytes(), b"/", Origin::String);
            value.map(|_| ()).map_err(|error| error.message().to_owned())
        };
        let small = std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap();
        assert_eq!(small, Err("stack overflow; max-call-depth exceeded".to_owned()), "{text}");
    }
}

#[test]
fn derivations_are_found_as_nix_build_finds_them() {
    let mut evaluator = evaluator(TestWorld::new());
    let text = "let d = n: derivation { name = n; builder = \"b\"; system = \"c\"; }; in \
        { a = d \"one\"; b = { recurseForDerivations = true; c = d \"two\"; }; e.f = d \"three\"; same = 5; }";
    let value = evaluator.eval_text(text.as_bytes(), b"/", Origin::String).unwrap();
    let packages = evaluator.walk_derivations(&value, &[]).unwrap();
    let found: Vec<_> = packages.iter().map(|package| (package.attr_path.as_str(), package.name.as_str())).collect();
    assert_eq!(found, [("a", "one"), ("b.c", "two")]);
    let one = evaluator.select_path(&value, "b.c", &[]).unwrap();
    let package = evaluator.derivation_of(&one).unwrap().unwrap();
    assert_eq!(package.output_name, "out");
    assert_eq!(evaluator.main_program(&package).unwrap(), "two");
}

#[test]
fn values_are_printed_in_both_forms() {
    let mut evaluator = evaluator(TestWorld::new());
    let value =
        evaluator.eval_text(b"let l = [ 1 ]; in { a = l; b = l; c = x: x; \"d e\" = 1.0; }", b"/", Origin::String);
    let value = value.unwrap();
    let lazy = evaluator.print_plain(&value).unwrap();
    assert_eq!(String::from_utf8(lazy).unwrap(), "{ a = <CODE>; b = <CODE>; c = <CODE>; \"d e\" = 1; }");
    let nice = evaluator.print(&value, PrintOptions::EVAL).unwrap();
    let nice = String::from_utf8(nice).unwrap();
    assert_eq!(nice, "{ a = [ 1 ]; b = «repeated»; c = «lambda c @ «string»:1:39»; \"d e\" = 1; }");
}

/// Ten thousand times a list of a thousand thunks that nobody keeps, beside one that is kept.
const MUCH_GARBAGE: &str = "let kept = builtins.genList (i: i + 1) 1000;
    sum = builtins.foldl' (a: b: a + b) 0;
    in sum (builtins.genList (i: sum (builtins.genList (j: i + j) 1000)) 10000) + sum kept";

#[test]
fn what_nobody_keeps_is_used_again() {
    let heap = HeapOptions { first_collection: 1 << 20, ..HeapOptions::default() };
    let options = EvalOptions { heap, ..EvalOptions::default() };
    let (value, statistics) = with_large_stack(|| {
        let mut evaluator = Evaluator::new(Arc::new(TestWorld::new()), options, Activity::silent());
        let value = evaluator.eval_text(MUCH_GARBAGE.as_bytes(), b"/", Origin::String).unwrap();
        (evaluator.print_plain(&value).unwrap(), evaluator.heap_statistics())
    });
    assert_eq!(String::from_utf8_lossy(&value), "54990500500");
    assert!(statistics.collections > 10 && statistics.allocated > 300 << 20, "{statistics:?}");
    assert!(statistics.reserved < 32 << 20, "{statistics:?}");
}

#[test]
fn what_lives_is_left_to_grow() {
    let heap = HeapOptions { first_collection: 1 << 20, ..HeapOptions::default() };
    let options = EvalOptions { heap, ..EvalOptions::default() };
    let (value, statistics) = with_large_stack(|| {
        let mut evaluator = Evaluator::new(Arc::new(TestWorld::new()), options, Activity::silent());
        let text = b"let kept = builtins.genList (i: [ i ]) 300000; in builtins.deepSeq kept (builtins.length kept)";
        let value = evaluator.eval_text(text, b"/", Origin::String).unwrap();
        (evaluator.print_plain(&value).unwrap(), evaluator.heap_statistics())
    });
    assert_eq!(value, b"300000");
    assert!(statistics.collections == 0 && statistics.allocated > 8 << 20, "{statistics:?}");
}

#[test]
fn more_than_the_heap_may_hold_is_an_error_that_passes() {
    let heap = HeapOptions { first_collection: 1 << 20, limit: Some(16 << 20), ..HeapOptions::default() };
    let options = EvalOptions { heap, ..EvalOptions::default() };
    with_large_stack(|| {
        let mut evaluator = Evaluator::new(Arc::new(TestWorld::new()), options, Activity::silent());
        let text = "let
            f = n: l: if n == 0 then builtins.length l else
                let m = builtins.genList (x: x) 1000; in builtins.seq m (f (n - 1) [ l m ]);
          in f 9000 [ ]";
        let error = evaluator.eval_text(text.as_bytes(), b"/", Origin::String).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::OutOfMemory), "{}", error.message());
        assert!(error.message().contains("more than 16 MB"), "{}", error.message());
        for text in [
            "builtins.genList (x: x) 3000000",
            "builtins.genList (x: x) 1500000",
            "builtins.genList (x: x) 9000000000000",
            // As many bytes as no number holds.
            "builtins.genList (x: x) 2305843009213693951",
            "builtins.genList (x: x) 2305843009213693952",
            "builtins.genList (x: x) 9223372036854775807",
        ] {
            let error = evaluator.eval_text(text.as_bytes(), b"/", Origin::String).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::OutOfMemory), "{}", error.message());
        }
        let value =
            evaluator.eval_text(b"builtins.length (builtins.genList (x: x) 1000)", b"/", Origin::String).unwrap();
        assert_eq!(evaluator.print_plain(&value).unwrap(), b"1000");
    });
}

#[test]
fn names_are_looked_up_in_the_search_path() {
    let world = TestWorld::new().file("/lib/default.nix", b"1").file("/named.nix", b"2");
    let entry = |prefix: &str, value: &str| SearchPathEntry { prefix: prefix.into(), value: value.into() };
    let options =
        EvalOptions { search_path: vec![entry("n", "/named.nix"), entry("", "/lib")], ..EvalOptions::default() };
    let mut evaluator = Evaluator::new(Arc::new(world), options, Activity::silent());
    assert_eq!(evaluator.find_file(b"n").unwrap(), b"/named.nix");
    assert_eq!(evaluator.find_file(b"default.nix").unwrap(), b"/lib/default.nix");
    assert!(evaluator.find_file(b"other").is_err());
}

#[test]
fn calls_are_counted_where_that_was_asked_for() {
    let text = b"let f = x: y: x + y; in builtins.length (map (f 1) [ 1 2 3 ]) + f 1 2 + f 3 4 + builtins.length [ ]";
    for counting in [false, true] {
        let options = EvalOptions { counting, ..EvalOptions::default() };
        let mut evaluator = Evaluator::new(Arc::new(TestWorld::new()), options, Activity::silent());
        let value = evaluator.eval_text(text, b"/", Origin::String).unwrap();
        assert_eq!(evaluator.print_plain(&value).unwrap(), b"13");
        let statistics = evaluator.statistics();
        assert!(statistics.expressions > 10 && statistics.symbols > 100 && statistics.symbol_bytes > 500);
        assert!(statistics.heap.allocated > 0);
        let functions: Vec<_> = statistics.function_calls.iter().map(|f| (f.name.as_deref(), f.count)).collect();
        if counting {
            assert_eq!(statistics.builtin_calls, [("length", 2), ("map", 1)]);
            // The elements that `map` makes are never looked at, but `f 1` is; two calls take two arguments each.
            assert_eq!(functions, [(Some("f"), 2), (Some("f"), 3)]);
            let places = statistics.function_calls.iter().flat_map(|function| &function.position);
            assert_eq!(places.map(|place| (place.line, place.column)).collect::<Vec<_>>(), [(1, 12), (1, 9)]);
        } else {
            assert!(statistics.builtin_calls.is_empty() && functions.is_empty());
        }
    }
}

#[test]
fn a_budget_ends_what_would_go_on() {
    let heap = HeapOptions { first_collection: 1 << 20, budget: Some(8 << 20), ..HeapOptions::default() };
    with_large_stack(|| {
        for text in [
            // Everything made dies at once.
            "builtins.foldl' (a: n: a + n * 1.5) 0 (builtins.genList (n: n) 300000)",
            "builtins.genList (n: n) 10000000",
            "builtins.match \"(a|aa)*b\" (builtins.concatStringsSep \"\" (builtins.genList (_: \"a\") 60))",
        ] {
            let options = EvalOptions { heap: heap.clone(), ..EvalOptions::default() };
            let mut evaluator = Evaluator::new(Arc::new(TestWorld::new()), options, Activity::silent());
            let error = evaluator.eval_text(text.as_bytes(), b"/", Origin::String).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::OutOfMemory), "{text}: {}", error.message());
        }
    });
}
