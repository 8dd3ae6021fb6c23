//! Entry points that take any bytes: what must come back from each with an answer or an error, never a panic, and what
//! was understood must print and parse to the same again.
//!
//! `tests/properties.rs` runs them under `cargo test`; the targets in `tests/fuzz` hand them to a fuzzer.

use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use activity::Activity;
use evaluator::{EvalOptions, Evaluator, Origin, TestWorld, with_large_stack};
use fetchers::{FlakeRef, InputRules};
use file_tree::archive::{ArchiveTree, Forms, read_archive};
use file_tree::{MemoryTree, TreePath};
use store_model::derivation::{aterm, json};
use store_model::{ContentAddress, DerivedPath, Hash, NarInfo, OutputsSpec, Signature, StoreDir, StorePath};

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
}

/// A Nix expression, compiled and evaluated in a world with nothing in it.
pub fn expression(bytes: &[u8]) {
    with_large_stack(|| {
        let options = EvalOptions { max_call_depth: 300, ..EvalOptions::default() };
        let mut evaluator = Evaluator::new(Arc::new(TestWorld::new()), options, Activity::silent());
        match evaluator.eval_text(bytes, b"/", Origin::String) {
            Ok(value) => drop(evaluator.print_plain(&value)),
            Err(error) => drop(evaluator.report(&error)),
        }
    });
}
