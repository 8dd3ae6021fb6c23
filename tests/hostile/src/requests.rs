//! Requests over the serve protocol, in a store in memory.

use std::collections::BTreeSet;
use std::path::PathBuf;

use activity::Activity;
use daemon::serve::{BuildFailure, BuildSettings, Builds, Changes, Scratch, Server};
use store::{MemoryStore, Store as _, TemporaryRoots, WritableStore as _, WriteOptions};
use store_model::derivation::{TextObject, aterm};
use store_model::{BuildResult, BuildStatus, Derivation, DerivedPath, StorePath};

use crate::store_dir;

/// Builds nothing, and looks at what it is told to build.
struct Nothing;

impl Builds for Nothing {
    fn substitute(&self, _: &Activity, _: &[StorePath]) -> store::Result<()> {
        Ok(())
    }

    fn build_paths(
        &self,
        _: &Activity,
        _: &[DerivedPath],
        _: &BuildSettings,
    ) -> store::Result<Result<(), BuildFailure>> {
        Ok(Err(BuildFailure { status: 1, message: "nothing is built".to_owned() }))
    }

    fn build_derivation(
        &self,
        _: &Activity,
        path: &StorePath,
        derivation: Derivation,
        _: &BuildSettings,
    ) -> store::Result<BuildResult> {
        // Some outputs have no form: their paths would be too long.
        if let Ok(printed) = aterm::print(&store_dir(), &derivation) {
            let name = path.derivation_name().expect("it came with the path of a derivation");
            assert_eq!(aterm::parse(&store_dir(), &printed, name).expect("what was printed"), derivation);
        }
        Ok(BuildResult::new(BuildStatus::MiscFailure, "nothing is built"))
    }
}

fn object() -> TextObject {
    TextObject::new(&store_dir(), "a", b"hi".into(), BTreeSet::new()).expect("a good name")
}

/// What a client sends, to a server in a store that has one object.
///
/// # Panics
/// If what it brought cannot be exported, or a derivation that was understood prints to another one.
pub fn serve(bytes: &[u8]) {
    served(bytes);
}

/// The same; tells whether all of it was answered.
pub(crate) fn served(bytes: &[u8]) -> bool {
    let activity = Activity::silent();
    let store = MemoryStore::new(store_dir());
    store.add_text(&activity, &object(), &WriteOptions::default()).expect("a store in memory");
    let folder = tempfile::tempdir().expect("a folder");
    let scratch = || -> store::Result<Scratch<'_>> { Ok(Box::new(PathBuf::from(folder.path()))) };
    let roots: &dyn TemporaryRoots = &store;
    let changes = Changes { store: &store, roots: Some(roots), scratch: &scratch, builds: &Nothing };
    let mut answers = Vec::new();
    let server = Server { store: &store, changes: Some(changes) };
    let served = daemon::serve::serve(&server, &activity, &mut &*bytes, &mut answers);
    assert!(served.is_err() || answers.len() >= 16, "an end without a greeting");
    let all = store.all_valid_paths(&activity).expect("a store in memory");
    daemon::export::export_paths(&store, &activity, &all, &mut std::io::sink()).expect("what was brought");
    served.is_ok()
}

/// Good requests of every kind, to be damaged.
///
/// # Panics
/// If one of them is refused.
pub fn requests() -> Vec<u8> {
    let mut all = Vec::new();
    let path = store_dir().print(&object().path);
    add(&mut all, &[0x390c_9deb, 0x207, 1, 1, 1, 1], &[&path]);
    add(&mut all, &[2, 1], &[&path]);
    add(&mut all, &[3], &[&path]);
    add(&mut all, &[4], &[]);
    all.extend(crate::exported());
    add(&mut all, &[6, 1], &[&path]);
    add(&mut all, &[0; 6], &[]);
    add(&mut all, &[7, 1, 1], &[&path]);
    add(&mut all, &[8], &["/nix/store/00000000000000000000000000000000-x.drv"]);
    add(&mut all, &[1], &["out", "/nix/store/00000000000000000000000000000000-x", "", ""]);
    add(&mut all, &[1], &[&path, "x86_64-linux", "/bin/sh"]);
    add(&mut all, &[1], &["-c"]);
    add(&mut all, &[2], &["out", "/out", "__json", "{}"]);
    add(&mut all, &[0; 6], &[]);
    let mut nar = Vec::new();
    let store = MemoryStore::new(store_dir());
    let activity = Activity::silent();
    store.add_text(&activity, &object(), &WriteOptions::default()).expect("a store in memory");
    store.nar(&activity, &object().path, &mut nar).expect("it is there");
    let hash = store_model::Hash::of(store_model::HashAlgorithm::Sha256, &nar).to_base16();
    add(&mut all, &[9], &["/nix/store/00000000000000000000000000000000-b", "", &hash]);
    add(&mut all, &[0, 0, nar.len() as u64, 0, 1], &["key:AAAA", ""]);
    all.extend(nar);
    assert!(served(&all), "good requests are answered");
    all
}

/// Numbers, then strings, as the protocol has them.
fn add(out: &mut Vec<u8>, numbers: &[u64], strings: &[&str]) {
    numbers.iter().for_each(|one| out.extend(one.to_le_bytes()));
    for text in strings {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.bytes());
        out.resize(out.len().next_multiple_of(8), 0);
    }
}
