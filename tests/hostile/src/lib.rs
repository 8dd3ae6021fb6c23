//! Entry points that take any bytes: what must come back from each with an answer or an error, never a panic, and what
//! was understood must print and parse to the same again.
//!
//! `tests/properties.rs` runs them under `cargo test`; the targets in `tests/fuzz` hand them to a fuzzer.

mod lossless;
mod requests;
mod stores;

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use activity::Activity;
use evaluator::{
    ErrorKind, EvalError, EvalOptions, Evaluator, HeapOptions, Origin, Rooted, TestWorld, with_large_stack,
};
use fetchers::{FlakeRef, InputRules};
use file_tree::archive::{ArchiveTree, Forms, read_archive};
use file_tree::{MemoryTree, TreePath};
use session::Settings;
use session::settings::{SETTINGS, Surroundings};
use store_model::derivation::{aterm, json};
use store_model::{
    ContentAddress, DerivedPath, DrvOutput, Hash, NarInfo, OutputsSpec, Realisation, Signature, StoreDir, StorePath,
};

pub use requests::{requests, serve};
pub use stores::{database, export, exported, registered, registrations};

fn store_dir() -> StoreDir {
    StoreDir::new("/nix/store").expect("an absolute folder")
}

/// A NAR: read into memory; what was read dumps to the same bytes.
///
/// # Panics
/// If it does not.
pub fn archive(bytes: &[u8]) {
    let mut tree = MemoryTree::default();
    let mut rest = bytes;
    if file_tree::read_nar(&mut rest, &mut tree).is_ok() {
        let mut again = Vec::new();
        file_tree::nar::dump(&tree, &TreePath::root(), &mut |_, _| Ok(true), &mut again).expect("a tree that was read");
        assert_eq!(again, bytes[..bytes.len() - rest.len()], "print after parse");
    }
    let _ = file_tree::nar::listing_of(&mut &*bytes);
}

/// An archive of others (tar under compressions, zip), read into a tree that is then read in full.
///
/// # Panics
/// If a tree that was read cannot be walked.
pub fn packed(bytes: &[u8]) {
    let file = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).and_then(|()| file.rewind()).expect("a file that can be written");
        file
    };
    let mut tree = ArchiveTree::new(file(b""), bytes.len() as u64);
    if read_archive(file(bytes), Forms::Usual, &mut tree).is_ok()
        && let Ok(tree) = tree.finish()
    {
        let mut sink = std::io::sink();
        file_tree::nar::dump(&tree, &TreePath::root(), &mut |_, _| Ok(true), &mut sink).expect("a tree that was read");
    }
}

/// References to inputs: what was understood means the same when it was printed.
///
/// # Panics
/// If it does not.
pub fn references(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let rules = InputRules { flakes: true, verified_fetches: true, trust_forges: true };
    let _ = fetchers::git_url(&text);
    if let Ok(reference) = FlakeRef::parse(&text, true, rules)
        && let Ok(printed) = reference.print()
    {
        let again = FlakeRef::parse(&printed, true, rules).expect("what was printed");
        assert_eq!(again.print().expect("what was parsed"), printed);
    }
}

/// A derivation as ATerm.
///
/// # Panics
/// If print after parse gives something else on the second round.
pub fn derivation(bytes: &[u8]) {
    let dir = store_dir();
    if let Ok(drv) = aterm::parse(&dir, bytes, "name")
        && let Ok(text) = aterm::print(&dir, &drv)
    {
        assert_eq!(aterm::parse(&dir, &text, "name").expect("what was printed"), drv);
    }
}

/// A derivation as JSON.
pub fn derivation_json(bytes: &[u8]) {
    let _ = json::parse(bytes);
}

/// The small texts of the store: names, hashes, addresses, signatures, narinfo.
pub fn texts(bytes: &[u8]) {
    let dir = store_dir();
    let _ = StorePath::parse_bytes(bytes);
    let _ = dir.parse_bytes(bytes);
    let text = String::from_utf8_lossy(bytes);
    if let Ok(hash) = Hash::parse_any(&text, None) {
        assert_eq!(Hash::parse_any(&hash.to_sri(), None).expect("what was printed"), hash);
    }
    let _ = ContentAddress::parse(&text);
    let _ = DerivedPath::parse(&dir, &text);
    let _ = OutputsSpec::parse(&text);
    let _ = Signature::parse(&text);
    let _ = NarInfo::parse(&dir, &text, "here");
    let _ = DrvOutput::parse(&text);
    if let Ok(value) = serde_json::from_slice(bytes)
        && let Ok(realisation) = Realisation::from_json(&value)
    {
        let again = Realisation::from_json(&realisation.to_json());
        assert_eq!(again.expect("what was printed"), realisation);
    }
}

/// Configuration: the bytes as a file that includes others and itself, and as `NIX_CONFIG`.
///
/// # Panics
/// If settings that were written are not read as the same again.
pub fn configuration(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    // Files of the configuration are separated by a byte that stands in no text.
    for (number, part) in bytes.split(|byte| *byte == 0xff).take(8).enumerate() {
        let name = if number == 0 { "nix.conf".to_owned() } else { number.to_string() };
        std::fs::write(folder.path().join(name), part).expect("a file");
    }
    let surroundings = |folder: &Path, text: String| {
        let mut around = Surroundings { user: 1000, ..Surroundings::default() };
        for (name, value) in [("NIX_CONF_DIR", folder.into()), ("NIX_USER_CONF_FILES", "".into())] {
            around.variables.insert(name.into(), value);
        }
        around.variables.insert("HOME".into(), folder.into());
        around.variables.insert("NIX_CONFIG".into(), text.into());
        around
    };
    let text = String::from_utf8_lossy(bytes).replace('\0', "");
    let Ok((mut settings, _)) = Settings::load(surroundings(folder.path(), text)) else { return };
    let lines = settings.to_lines();
    let empty = tempfile::tempdir().expect("a folder");
    let (again, _) = Settings::load(surroundings(empty.path(), lines.clone())).expect("what was written");
    assert_eq!(again.to_lines(), lines, "print after parse");
    let _ = settings.settle(&["cores"]);
    for setting in SETTINGS {
        let _ = settings.effective(setting);
    }
}

/// The lexer over every byte: where the grammar refuses a token, reading begins anew behind it.
///
/// # Panics
/// If tokens and trivia do not cover the text without gap or overlap.
pub fn tokens(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(refused) = lossless::read(rest).refused {
        // An error at the end of a text has nothing behind it.
        rest = rest.get((refused.start as usize + 1).max(refused.end as usize)..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
    }
}

/// The parser: the lossless tree of a text that it took gives back the text.
///
/// # Panics
/// If it does not.
pub fn tree(bytes: &[u8]) {
    let read = lossless::read(bytes);
    let mut text = Vec::new();
    read.tree.iter().for_each(|element| element.write(bytes, &mut text));
    let rest = &bytes[text.len()..];
    assert!(bytes.starts_with(&text), "the tree's text is the source");
    match read.refused {
        None => assert!(rest.first().is_none_or(|byte| *byte == 0), "nothing but a NUL ends a text early"),
        Some(refused) => assert!(refused.start as usize <= bytes.len()),
    }
}

/// An evaluator whose work has an end: few calls nest, and a number of bytes may be handed out, which bounds the calls too.
fn evaluator() -> Evaluator {
    let features = ["flakes", "fetch-closure", "pipe-operators", "parse-toml-timestamps", "dynamic-derivations"];
    let options = EvalOptions {
        max_call_depth: 300,
        heap: HeapOptions { first_collection: 1 << 20, budget: Some(24 << 20), ..HeapOptions::default() },
        experimental_features: features.iter().map(|name| name.to_string()).collect(),
        ..EvalOptions::default()
    };
    Evaluator::new(Arc::new(TestWorld::new()), options, Activity::silent())
}

/// What a builtin gives for a text, and what `builtins.toJSON` makes of that.
fn read_text(evaluator: &mut Evaluator, reader: &str, text: &[u8]) -> Option<Vec<u8>> {
    let reader = evaluator.eval_text(reader.as_bytes(), b"/", Origin::String).expect("a builtin");
    let text = evaluator.make_string(text);
    let value = shown(evaluator, |evaluator| evaluator.call(&reader, &[&text]))?;
    let writer = evaluator.eval_text(b"builtins.toJSON", b"/", Origin::String).expect("a builtin");
    let json = shown(evaluator, |evaluator| evaluator.call(&writer, &[&value]))?;
    Some(evaluator.string(&json, false).expect("a string").0)
}

/// The result, or nothing if it is an error, which then was rendered.
fn shown(evaluator: &mut Evaluator, work: impl FnOnce(&mut Evaluator) -> Result<Rooted, EvalError>) -> Option<Rooted> {
    work(evaluator).inspect_err(|error| drop(evaluator.report(error))).ok()
}

/// `builtins.fromJSON`.
///
/// # Panics
/// If what was understood and written is not read as the same again.
pub fn json_text(bytes: &[u8]) {
    with_large_stack(|| {
        let mut evaluator = evaluator();
        let Some(json) = read_text(&mut evaluator, "builtins.fromJSON", bytes) else { return };
        let again = read_text(&mut evaluator, "builtins.fromJSON", &json).expect("what was written");
        assert_eq!(again, json, "print after parse");
    });
}

/// `builtins.fromTOML`.
///
/// # Panics
/// If what was understood is no value that can be written.
pub fn toml_text(bytes: &[u8]) {
    with_large_stack(|| {
        let mut evaluator = evaluator();
        if let Some(json) = read_text(&mut evaluator, "builtins.fromTOML", bytes) {
            read_text(&mut evaluator, "builtins.fromJSON", &json).expect("what was written");
        }
    });
}

/// The list of what is installed in a profile, which is an expression.
pub fn manifest(bytes: &[u8]) {
    with_large_stack(|| {
        let mut evaluator = evaluator();
        let value = shown(&mut evaluator, |evaluator| evaluator.eval_text(bytes, b"/", Origin::String));
        let Some(value) = value else { return };
        match evaluator.list_packages(&value, "", &[], false) {
            Err(error) => drop(evaluator.report(&error)),
            Ok(listed) => drop(listed),
        }
    });
}

/// A Nix expression, compiled and evaluated, also in its depth, in a world with nothing in it.
pub fn expression(bytes: &[u8]) {
    with_large_stack(|| {
        let mut evaluator = evaluator();
        let value = shown(&mut evaluator, |evaluator| evaluator.eval_text(bytes, b"/", Origin::String));
        let Some(value) = value else { return };
        if let Err(error) = evaluator.force_deep(&value) {
            drop(evaluator.report(&error));
            // The same thunks answer the same again.
            let again = evaluator.force_deep(&value).err();
            let kind = |error: &EvalError| std::mem::discriminant(error.kind());
            let [spent, deep] =
                [ErrorKind::OutOfMemory, ErrorKind::StackOverflow].map(|kind| std::mem::discriminant(&kind));
            match again {
                // The end of the work may come anywhere; what was too deep may be reached by what is evaluated now.
                again
                    if [Some(&error), again.as_ref()]
                        .into_iter()
                        .flatten()
                        .any(|e| [spent, deep].contains(&kind(e))) => {}
                Some(again) => assert_eq!(kind(&again), kind(&error)),
                None => panic!("a failure was forgotten: {}", error.message()),
            }
        }
        drop(evaluator.print_plain(&value));
    });
}
