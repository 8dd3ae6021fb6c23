//! What stores read that somebody else may have written: the database, streams of objects, lists of registrations.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use activity::Activity;
use rusqlite::types::Value;
use store::{
    GarbageCollector, GcAction, GcOptions, GcResults, LoadOptions, LocalStore, LocalStoreOptions, MemoryStore, Store,
    WritableStore,
};
use store_model::derivation::TextObject;
use store_model::{Derivation, DerivationOutput, StorePath};

use crate::store_dir;

fn options(folder: &Path) -> LocalStoreOptions {
    LocalStoreOptions {
        fsync_store_paths: false,
        fsync_metadata: false,
        reserved_size: 0,
        ..LocalStoreOptions::rooted(store_dir(), folder)
    }
}

/// A store with a text, another that refers to it and to itself, and a derivation.
fn small_store(folder: &Path) -> Vec<StorePath> {
    let activity = Activity::silent();
    let store = LocalStore::open(&activity, options(folder)).expect("a new store");
    let text = |name: &str, contents: &str, references: &[StorePath]| {
        TextObject::new(store.store_dir(), name, contents.into(), references.iter().cloned().collect()).expect("a text")
    };
    let one = text("one", "one", &[]);
    let two = text("two", &store.store_dir().print(&one.path), std::slice::from_ref(&one.path));
    let mut drv = Derivation {
        name: "three".into(),
        platform: b"x86_64-linux".to_vec(),
        builder: b"/bin/sh".to_vec(),
        input_srcs: [one.path.clone()].into(),
        outputs: FromIterator::from_iter([("out".to_owned(), DerivationOutput::Deferred)]),
        env: FromIterator::from_iter([(b"out".to_vec(), Vec::new())]),
        ..Derivation::default()
    };
    drv.fill_in_output_paths(store.store_dir(), &mut |_| -> Result<_, store::Error> {
        unreachable!("it has no inputs")
    })
    .expect("a derivation");
    let drv = drv.to_text_object(store.store_dir()).expect("a derivation");
    let paths = [&one, &two, &drv].map(|object| object.path.clone());
    store.write_batch(&activity, &[], &[one, two, drv]).expect("objects");
    paths.to_vec()
}

/// Everything that is asked of a store in daily use. Each answer is one, or an error.
fn ask(store: &LocalStore, known: &[StorePath]) {
    let activity = Activity::silent();
    let mut paths: BTreeSet<StorePath> = known.iter().cloned().collect();
    paths.extend(store.all_valid_paths(&activity).unwrap_or_default());
    let list: Vec<StorePath> = paths.iter().cloned().collect();
    let _ = store.valid_paths(&activity, &list);
    let _ = store.path_infos(&activity, &list);
    let _ = store.closure(&activity, &list);
    let _ = store.referrers_closure(&activity, &list);
    let _ = store.topological_order(&activity, &paths);
    for path in &list {
        let _ = store.referrers(&activity, path);
        let _ = store.valid_derivers(&activity, path);
        let _ = store.derivation_outputs(&activity, path);
        let _ = store.path_from_hash_part(&activity, path.hash_part());
        let _ = store.hash_modulo(&activity, path);
    }
    let _ = store.dump_db(&activity, &mut std::io::sink());
    let _ = store.verify(&activity, true);
    for action in [GcAction::ReturnLive, GcAction::ReturnDead] {
        let options = GcOptions { action, ..GcOptions::default() };
        let _ = store.collect_garbage(&activity, &options, &mut GcResults::default());
    }
}

/// Bytes as a source of decisions.
struct Decisions<'a>(&'a [u8]);

impl Decisions<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = usize::from(self.byte().unwrap_or(0)).min(most).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes.to_vec()
    }

    fn number(&mut self) -> i64 {
        self.bytes(8).iter().fold(0, |all, byte| (all << 8) | i64::from(*byte))
    }

    /// A value of any type, often one that is almost right.
    fn value(&mut self, known: &[StorePath]) -> Value {
        let kind = self.byte().unwrap_or(0);
        match kind % 8 {
            0 => Value::Null,
            1 => Value::Integer(self.number()),
            2 => Value::Real(f64::from_bits(self.number() as u64)),
            3 => Value::Blob(self.bytes(64)),
            4 => Value::Text(String::from_utf8_lossy(&self.bytes(96)).into_owned()),
            _ => {
                let path = &known[usize::from(kind / 8) % known.len()];
                let mut text = store_dir().print(path).into_bytes();
                for (place, byte) in self.bytes(6).chunks_exact(2).map(|pair| (usize::from(pair[0]), pair[1])) {
                    let length = text.len();
                    text[place % length] = byte;
                }
                Value::Text(String::from_utf8_lossy(&text).into_owned())
            }
        }
    }
}

/// What is done to a good database; `?1` is a value, `?2` the number of a path.
const EDITS: &[&str] = &[
    "update ValidPaths set path = ?1 where id = ?2",
    "update ValidPaths set hash = ?1 where id = ?2",
    "update ValidPaths set registrationTime = ?1 where id = ?2",
    "update ValidPaths set deriver = ?1 where id = ?2",
    "update ValidPaths set narSize = ?1 where id = ?2",
    "update ValidPaths set ultimate = ?1 where id = ?2",
    "update ValidPaths set sigs = ?1 where id = ?2",
    "update ValidPaths set ca = ?1 where id = ?2",
    "insert into ValidPaths (path, hash, registrationTime) values (?1, 'sha256:' || ?2, 1)",
    "insert into Refs values (?2, ?1)",
    "insert into Refs values (?1, ?2)",
    "insert into Refs values (?2, ?2 % 3 + 1)",
    "update DerivationOutputs set path = ?1 where ?2",
    "update DerivationOutputs set id = ?1 where ?2",
    "update DerivationOutputs set drv = ?1 where ?2",
    "insert into DerivationOutputs values (?2, ?1, ?1)",
    "delete from ValidPaths where id = ?2 and ?1",
    "delete from Refs where referrer = ?2 or ?1",
    "alter table ValidPaths drop column ca",
    "alter table Refs rename to Other",
    "drop table DerivationOutputs",
    "drop trigger DeleteSelfRefs",
];

/// A database whose rows, schema and file anybody may have changed.
///
/// # Panics
/// Whatever is in it, asking must not.
pub fn database(bytes: &[u8]) {
    thread_local! {
        static GOOD: OnceCell<(tempfile::TempDir, Vec<StorePath>)> = const { OnceCell::new() };
    }
    let folder = tempfile::tempdir().expect("a folder");
    let state = Path::new("nix/var/nix/db");
    let known = GOOD.with(|good| {
        let (good, known) = good.get_or_init(|| {
            let folder = tempfile::tempdir().expect("a folder");
            let known = small_store(folder.path());
            (folder, known)
        });
        std::fs::create_dir_all(folder.path().join(state)).expect("a folder");
        for name in ["schema", "db.sqlite"] {
            std::fs::copy(good.path().join(state).join(name), folder.path().join(state).join(name)).expect("a copy");
        }
        known.clone()
    });
    let file = folder.path().join(state).join("db.sqlite");
    let mut decisions = Decisions(bytes);
    let edits = decisions.byte().unwrap_or(0) % 8;
    {
        let connection = rusqlite::Connection::open(&file).expect("a database");
        connection.execute_batch("pragma foreign_keys = 0; pragma synchronous = off").expect("settings");
        for _ in 0..edits {
            let Some(edit) = decisions.byte() else { break };
            let edit = EDITS[usize::from(edit) % EDITS.len()];
            let (value, id) = (decisions.value(&known), i64::from(decisions.byte().unwrap_or(0)) % 4);
            let given: &[&dyn rusqlite::ToSql] = if edit.contains("?2") { &[&value, &id] } else { &[] };
            // What the schema forbids does not get in.
            let _ = connection.execute(edit, given);
        }
    }
    if !decisions.0.is_empty() {
        // The rest changes the file itself.
        let mut raw = std::fs::OpenOptions::new().write(true).open(&file).expect("the database");
        let length = raw.metadata().expect("the database").len();
        for place in decisions.0.chunks_exact(3).take(16) {
            let at = (u64::from(place[0]) << 8 | u64::from(place[1])) * 7 % length;
            raw.seek(SeekFrom::Start(at)).and_then(|_| raw.write_all(&place[2..])).expect("a change");
        }
    }
    if let Ok(store) = LocalStore::open(&Activity::silent(), options(folder.path())) {
        ask(&store, &known);
    }
}

/// A list of registrations, as `--load-db` and `--register-validity` read it.
///
/// # Panics
/// If what it registered cannot be written and read again.
pub fn registrations(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let activity = Activity::silent();
    let store = LocalStore::open(&activity, options(folder.path())).expect("a new store");
    let how = LoadOptions { with_hash: true, again: false, canonicalise: false };
    if store.load_db(&activity, how, &mut &*bytes).is_ok() {
        let written = |store: &LocalStore| {
            let mut text = Vec::new();
            store.dump_db(&activity, &mut text).expect("what was registered");
            text
        };
        let text = written(&store);
        store.load_db(&activity, how, &mut text.as_slice()).expect("what was written");
        assert_eq!(written(&store), text);
    }
}

/// A stream of objects, as `nix-store --import` reads it.
///
/// # Panics
/// If what it brought cannot be exported and brought again.
pub fn export(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let activity = Activity::silent();
    let store = MemoryStore::new(store_dir());
    let Ok(paths) = daemon::export::import_paths(&store, &activity, &mut &*bytes, folder.path()) else { return };
    let paths: BTreeSet<StorePath> = paths.into_iter().collect();
    let mut stream = Vec::new();
    daemon::export::export_paths(&store, &activity, &paths, &mut stream).expect("what was brought");
    let again = MemoryStore::new(store_dir());
    let brought = daemon::export::import_paths(&again, &activity, &mut stream.as_slice(), folder.path());
    assert_eq!(brought.expect("what was exported").into_iter().collect::<BTreeSet<_>>(), paths);
}

/// A good stream, to be damaged.
pub fn exported() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = small_store(folder.path());
    let activity = Activity::silent();
    let store = LocalStore::open(&activity, options(folder.path())).expect("a store");
    let mut stream = Vec::new();
    daemon::export::export_paths(&store, &activity, &paths.into_iter().collect(), &mut stream).expect("good objects");
    stream
}

/// A good list of registrations, to be damaged.
pub fn registered() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    small_store(folder.path());
    let activity = Activity::silent();
    let store = LocalStore::open(&activity, options(folder.path())).expect("a store");
    let mut text = Vec::new();
    store.dump_db(&activity, &mut text).expect("good paths");
    text
}
