//! What evaluation does with the world: builds and fetches on the way, what the store must have, what may be read.
//!
//! Refusals in C++ Nix's words are recorded with the lists of expressions; here is what needs a store, builds and
//! downloads that succeed.

mod fetches;

use activity::{Activity, CancelToken, Recorded, Recorder};
use evaluator::{EvalError, EvalOptions, Evaluator, Origin, SearchPathEntry, TestWorld, with_large_stack};
use std::sync::Arc;

const A: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a";
const B: &str = "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-b";
const C: &str = "/nix/store/cccccccccccccccccccccccccccccccc-c";
const DRV: &str = "derivation { name = \"n\"; builder = \"b\"; system = \"s\"; }";

/// The printed values of texts, one after another in one evaluator, or the words of their errors.
fn eval_all(world: &Arc<TestWorld>, options: &EvalOptions, texts: &[&str]) -> Vec<Result<String, String>> {
    with_large_stack(|| {
        let mut evaluator = Evaluator::new(world.clone(), options.clone(), Activity::silent());
        let mut print = |text: &str| -> Result<String, EvalError> {
            let value = evaluator.eval_text(text.as_bytes(), b"/", Origin::String)?;
            evaluator.force_deep(&value)?;
            Ok(String::from_utf8_lossy(&evaluator.print_plain(&value)?).into_owned())
        };
        texts.iter().map(|text| print(text).map_err(|error| error.message().to_owned())).collect()
    })
}

/// The printed value of a text, or the words of its error.
fn eval(world: TestWorld, options: EvalOptions, text: &str) -> Result<String, String> {
    eval_all(&Arc::new(world), &options, &[text]).remove(0)
}

fn plain() -> EvalOptions {
    EvalOptions::default()
}

fn restricted() -> EvalOptions {
    EvalOptions { restricted: true, ..EvalOptions::default() }
}

fn pure() -> EvalOptions {
    EvalOptions { pure: true, ..EvalOptions::default() }
}

fn with_features(features: &[&str]) -> EvalOptions {
    let experimental_features = features.iter().map(|name| (*name).to_owned()).collect();
    EvalOptions { experimental_features, ..EvalOptions::default() }
}

fn forbidden(path: &str) -> Result<String, String> {
    Err(format!("access to absolute path '{path}' is forbidden in restricted mode"))
}

#[test]
fn what_is_imported_is_built_first() {
    let world = || TestWorld::new().builds("out", A).object(A, b"1 + 1", &[]);
    // Nothing stands for a path that is known beforehand: it is what is read.
    let words = eval(world(), plain(), &format!("import ({DRV})")).unwrap_err();
    assert!(words.starts_with("path '/nix/store/") && words.ends_with("-n' does not exist"), "{words}");
    let floating = |rest: &str| {
        format!(
            "let d = derivation {{ name = \"n\"; builder = \"b\"; system = \"s\"; __contentAddressed = true; \
             outputHashAlgo = \"sha256\"; outputHashMode = \"recursive\"; }}; in {rest}"
        )
    };
    let features = with_features(&["ca-derivations"]);
    for options in [
        features.clone(),
        EvalOptions { restricted: true, ..features.clone() },
        EvalOptions { pure: true, ..features.clone() },
    ] {
        let eval = |rest: &str| eval(world(), options.clone(), &floating(rest));
        assert_eq!(eval("import d"), Ok("2".into()));
        assert_eq!(eval("builtins.readFile d"), Ok("\"1 + 1\"".into()));
        assert_eq!(eval("builtins.readFile \"${d}\""), Ok("\"1 + 1\"".into()));
        assert_eq!(eval("builtins.pathExists d"), Ok("true".into()));
        assert_eq!(eval("builtins.readFileType d"), Ok("\"regular\"".into()));
        let found = eval("builtins.findFile [ { prefix = \"x\"; path = d; } ] \"x\"");
        assert_eq!(found, Ok(A.into()));
    }
    let not_allowed = EvalOptions { import_from_derivation: false, ..features };
    let words = eval(world(), not_allowed.clone(), &floating("import d")).unwrap_err();
    let start = "cannot build '/nix/store/";
    let end = "-n.drv^out' during evaluation because the option 'allow-import-from-derivation' is disabled";
    assert!(words.starts_with(start) && words.ends_with(end), "{words}");
    assert_eq!(eval(world(), not_allowed, &format!("import {A}")), Ok("2".into()));
}

#[test]
fn a_failed_build_is_the_error() {
    let words = eval(TestWorld::new(), plain(), &format!("import ({DRV})")).unwrap_err();
    assert!(words.starts_with("cannot build '") && words.ends_with("-n.drv^out' here"), "{words}");
    let words = eval(TestWorld::new(), plain(), &format!("builtins.pathExists \"${{{DRV}}}/x\"")).unwrap_err();
    assert!(words.starts_with("cannot build '"), "{words}");
}

#[test]
fn what_a_context_names_must_be_valid() {
    let world = || TestWorld::new().object(A, b"text", &[]);
    let texts = |path: &str| {
        [
            (format!("builtins.storePath {path}"), format!("\"{path}\"")),
            (format!("builtins.appendContext \"x\" {{ \"{path}\" = {{ path = true; }}; }}"), "\"x\"".into()),
        ]
    };
    for (text, value) in texts(A) {
        assert_eq!(eval(world(), plain(), &text), Ok(value), "{text}");
    }
    for (text, value) in texts(B) {
        assert_eq!(eval(world(), plain(), &text), Err(format!("path '{B}' is not valid")), "{text}");
        let read_only = EvalOptions { read_only: true, ..plain() };
        assert_eq!(eval(world(), read_only, &text), Ok(value), "{text}");
    }
    assert_eq!(eval(world(), plain(), &format!("builtins.readFile (builtins.storePath {A})")), Ok("\"text\"".into()));
    let read_only = || EvalOptions { read_only: true, ..plain() };
    let not_valid = || Err("path 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-b' is not valid".to_owned());
    let text = format!("builtins.readFile (builtins.storePath {B})");
    assert_eq!(eval(world(), read_only(), &text), not_valid());
    let text = format!("builtins.readFile (builtins.appendContext \"/x\" {{ \"{B}\" = {{ path = true; }}; }})");
    assert_eq!(eval(world().file("/x", b""), read_only(), &text), not_valid());
    let inside = eval(world().file(&format!("{A}/y"), b""), plain(), &format!("builtins.storePath {A}/y"));
    assert_eq!(inside, Ok(format!("\"{A}/y\"")));
}

#[test]
fn a_text_from_the_store_depends_on_what_it_names() {
    let text = format!("{B} and not the other");
    let world =
        || TestWorld::new().object(A, text.as_bytes(), &[B, C]).object(B, b"none", &[]).file("/x", text.as_bytes());
    let context = |path: &str| eval(world(), plain(), &format!("builtins.getContext (builtins.readFile {path})"));
    assert_eq!(context(A), Ok(format!("{{ \"{B}\" = {{ path = true; }}; }}")));
    assert_eq!(context(B), Ok("{ }".into()));
    assert_eq!(context("/x"), Ok("{ }".into()));
}

#[test]
fn restricted_evaluation_reads_below_its_folders() {
    let world = || {
        let files = ["/a", "/b/c", "/bc", "/d/e/f", "/search/x", "/searching"];
        files.into_iter().fold(TestWorld::new(), |world, path| world.file(path, b"text"))
    };
    let entry = |value: &str| SearchPathEntry { prefix: Vec::new(), value: value.into() };
    let allowed_paths: Vec<Vec<u8>> = ["/a", "/b", "/d/e/"].map(Into::into).into();
    let search_path = vec![entry("/search")];
    let options = EvalOptions { allowed_paths, search_path, ..restricted() };
    let read = |options: &EvalOptions, path: &str| eval(world(), options.clone(), &format!("builtins.readFile {path}"));
    for path in ["/a", "/b/c", "/d/e/f", "/search/x"] {
        assert_eq!(read(&options, path), Ok("\"text\"".into()), "{path}");
    }
    for path in ["/bc", "/searching", "/none"] {
        assert_eq!(read(&options, path), forbidden(path));
    }
    assert_eq!(eval(world(), options.clone(), "map builtins.pathExists [ /a /ab /b/c /bc /b/d /search/x ]"), {
        Ok("[ true false true false false true ]".into())
    });
    let all = EvalOptions { allowed_paths: vec![b"/".into()], ..restricted() };
    assert_eq!(read(&all, "/bc"), Ok("\"text\"".into()));
    // The search path counts for restricted evaluation only.
    let pure = EvalOptions { pure: true, restricted: false, ..options.clone() };
    assert_eq!(read(&pure, "/b/c"), Ok("\"text\"".into()));
    let words = "access to absolute path '/search/x' is forbidden in pure evaluation mode (use '--impure' to override)";
    assert_eq!(read(&pure, "/search/x"), Err(words.into()));
    assert_eq!(read(&EvalOptions { restricted: true, ..pure }, "/search/x"), Err(words.into()));
}

#[test]
fn restricted_evaluation_reads_what_it_put_into_the_store() {
    let world = Arc::new(TestWorld::new().file("/a/x", b"1").object(A, b"text", &[]));
    for options in [restricted(), pure()] {
        let options = EvalOptions { allowed_paths: vec![b"/a".into()], ..options };
        // Nothing lies there in this world, but it is not forbidden.
        for made in ["builtins.path { path = /a/x; name = \"n\"; }", "builtins.toFile \"n\" \"t\""] {
            let text = format!("builtins.readFile (builtins.unsafeDiscardStringContext ({made}))");
            let given = eval_all(&world, &options, &[&text]).remove(0);
            assert!(given.as_ref().is_err_and(|words| words.ends_with("-n' does not exist")), "{given:?}");
        }
        let given = eval_all(&world, &options, &[&format!("builtins.readFile {A}")]).remove(0);
        assert!(given.as_ref().is_err_and(|words| words.contains("is forbidden")), "{given:?}");
    }
}

#[test]
fn a_missing_entry_of_the_search_path_is_warned_of_once() {
    let entry = |prefix: &str, value: &str| SearchPathEntry { prefix: prefix.into(), value: value.into() };
    let search_path = vec![entry("", "/none"), entry("n", "channel:x"), entry("m", "channel:y"), entry("", "/lib")];
    let options = EvalOptions { search_path, ..plain() };
    let world = TestWorld::new().file("/lib/a", b"1").file("/ch/b", b"2").search_entry("channel:x", "/ch");
    let recorder = Arc::new(Recorder::default());
    let activity = Activity::root(recorder.clone(), CancelToken::new());
    let mut evaluator = Evaluator::new(Arc::new(world), options, activity);
    let mut find = |name: &str| evaluator.find_file(name.as_bytes()).map(|path| String::from_utf8(path).unwrap());
    for _ in 0..2 {
        assert_eq!(find("a").unwrap(), "/lib/a");
        assert_eq!(find("n/b").unwrap(), "/ch/b");
        assert!(find("m/b").is_err() && find("n/a").is_err());
    }
    let warnings = recorder.take().into_iter().filter_map(|event| match event {
        Recorded::Message(_, text) => Some(text),
        _ => None,
    });
    let expected = "Nix search path entry '/none' does not exist, ignoring";
    assert_eq!(warnings.collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_whole_derivation_brings_all_it_needs() {
    let world = Arc::new(TestWorld::new().object(A, b"", &[B]).object(B, b"", &[]));
    let text = format!(
        "let a = derivation {{ name = \"a\"; builder = \"b\"; system = \"s\"; src = builtins.storePath {A}; }}; \
         b = derivation {{ name = \"b\"; builder = \"b\"; system = \"s\"; outputs = [ \"out\" \"dev\" ]; inherit a; }}; \
         in [ (derivation {{ name = \"c\"; builder = \"b\"; system = \"s\"; whole = b.drvPath; }}).drvPath a.drvPath b.drvPath ]"
    );
    let given = eval_all(&world, &plain(), &[&text]).remove(0).unwrap();
    let paths: Vec<&str> = given.split('"').filter(|part| part.starts_with('/')).collect();
    let [c, a, b] = paths[..] else { panic!("{given}") };
    let texts = world.texts();
    let drv = texts.iter().find(|(path, _)| c.ends_with(&path.to_string())).map(|(_, text)| text).unwrap();
    let drv = String::from_utf8_lossy(drv);
    assert!(drv.contains(&format!("(\"{a}\",[\"out\"])")), "{drv}");
    assert!(drv.contains(&format!("(\"{b}\",[\"dev\",\"out\"])")), "{drv}");
    let mut sources = [A, B, a, b].map(|path| format!("\"{path}\""));
    sources.sort();
    assert!(drv.contains(&format!("],[{}],\"s\"", sources.join(","))), "{drv}");
    // Where nothing is written, a derivation that exists only here has no closure.
    let world = Arc::new(TestWorld::new().read_only());
    let options = EvalOptions { read_only: true, ..plain() };
    let text =
        format!("(derivation {{ name = \"c\"; builder = \"b\"; system = \"s\"; whole = ({DRV}).drvPath; }}).drvPath");
    let words = eval_all(&world, &options, &[&text]).remove(0).unwrap_err();
    assert!(words.ends_with("-n.drv' is not valid"), "{words}");
}
