//! Export streams: what is written is what C++ Nix reads, and whatever is read is understood or refused.

use activity::Activity;
use daemon::Error;
use daemon::export::{export_paths, import_paths};
use proptest::prelude::*;
use std::collections::BTreeSet;
use store::{MemoryStore, Store, WritableStore, WriteOptions};
use store_model::derivation::TextObject;
use store_model::{StoreDir, StorePath};

fn store() -> MemoryStore {
    MemoryStore::new(StoreDir::new("/nix/store").unwrap())
}

fn add(store: &MemoryStore, name: &str, contents: Vec<u8>, references: &[&StorePath]) -> StorePath {
    let references = references.iter().map(|path| (*path).clone()).collect();
    let object = TextObject::new(store.store_dir(), name, contents, references).unwrap();
    store.add_text(&Activity::silent(), &object, &WriteOptions::default()).unwrap();
    object.path
}

fn export(store: &MemoryStore, paths: &[&StorePath]) -> Vec<u8> {
    let paths = paths.iter().map(|path| (*path).clone()).collect();
    let mut out = Vec::new();
    export_paths(store, &Activity::silent(), &paths, &mut out).unwrap();
    out
}

fn import(store: &MemoryStore, mut stream: &[u8]) -> Result<Vec<StorePath>, Error> {
    let scratch = tempfile::tempdir().unwrap();
    import_paths(store, &Activity::silent(), &mut stream, scratch.path())
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let from = store();
    let path = add(&from, "a", b"hi".into(), &[]);
    let text = |text: &str| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    };
    let archive = ["nix-archive-1", "(", "type", "regular", "contents", "hi", ")"].map(text).concat();
    let one = 1u64.to_le_bytes();
    let zero = [0; 8];
    let magic = *b"NIXE\0\0\0\0";
    let printed = text(&from.store_dir().print(&path));
    let expected = [&one[..], &archive, &magic, &printed, &zero, &text(""), &zero, &zero].concat();
    assert_eq!(export(&from, &[&path]), expected);
    // A stream of old may hold a signature.
    let mut signed = expected.clone();
    signed.truncate(signed.len() - 16);
    signed.extend([&one[..], &text("a signature"), &zero].concat());
    assert_eq!(import(&store(), &signed).unwrap(), [path]);
}

#[test]
fn closures_travel_and_parts_of_them_do_not() {
    let from = store();
    let low = add(&from, "z-low", vec![7; 9 << 20], &[]);
    let high = add(&from, "a-high", b"high".into(), &[&low]);
    let to = store();
    assert!(matches!(import(&to, &export(&from, &[&high])), Err(Error::Store(store::Error::InvalidPath(_)))));
    assert_eq!(import(&to, &export(&from, &[&high, &low])).unwrap(), [low.clone(), high.clone()]);
    let a = Activity::silent();
    let paths = [low, high];
    let (mut before, mut after) = (from.path_infos(&a, &paths).unwrap(), to.path_infos(&a, &paths).unwrap());
    for info in before.iter_mut().chain(&mut after).flatten() {
        // The form does not carry these.
        (info.content_address, info.registration_time) = (None, 0);
    }
    assert_eq!(before, after);
}

#[test]
fn what_was_changed_is_not_exported() {
    let from = store();
    let path = add(&from, "a", b"hi".into(), &[]);
    from.put_nar(path.clone(), b"something else".into());
    let done = export_paths(&from, &Activity::silent(), &BTreeSet::from([path]), &mut Vec::new());
    assert!(matches!(done, Err(Error::Changed { .. })));
}

#[test]
fn other_streams_are_refused() {
    assert!(matches!(import(&store(), &[2, 0, 0, 0, 0, 0, 0, 0]), Err(Error::NotExported)));
    assert!(matches!(import(&store(), b""), Err(Error::Stream(_))));
    let from = store();
    let good = export(&from, &[&add(&from, "a", b"hi".into(), &[])]);
    let at = good.windows(4).position(|bytes| bytes == b"NIXE").unwrap();
    let mut bad = good.clone();
    bad[at] = b'M';
    assert!(matches!(import(&store(), &bad), Err(Error::WrongMagic)));
    bad = good.clone();
    bad[at + 8..at + 16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(import(&store(), &bad), Err(Error::TooLong { .. })));
}

proptest! {
    #[test]
    fn broken_streams_never_panic(at in 0usize..300, byte in any::<u8>(), length in 0usize..300) {
        let from = store();
        let mut stream = export(&from, &[&add(&from, "a", b"hi".into(), &[])]);
        let at = at % stream.len();
        stream[at] = byte;
        stream.truncate(stream.len() - length % stream.len());
        // Refused, or understood: both are answers.
        let _ = import(&store(), &stream);
    }
}
