//! What outputs became: kept with the paths, asked for only where that was switched on.

use crate::{options, store_dir};
use activity::Activity;
use std::collections::BTreeSet;
use std::path::Path;
use store::{
    Error, GarbageCollector, GcOptions, GcResults, LocalStore, Realisations, Store, WritableStore, WriteOptions,
};
use store_model::derivation::TextObject;
use store_model::{
    ContentAddressMethod, Derivation, DerivationOutput, DrvOutput, HashAlgorithm, PublicKeys, Realisation, SecretKey,
    StorePath,
};

fn open(root: &Path, keep_outputs: bool) -> LocalStore {
    let options = store::LocalStoreOptions { ca_derivations: true, keep_outputs, ..options(root) };
    LocalStore::open(&Activity::silent(), options).unwrap()
}

fn text(store: &LocalStore, name: &str) -> StorePath {
    let object = TextObject::new(&store_dir(), name, name.into(), BTreeSet::new()).unwrap();
    store.add_text(&Activity::silent(), &object, &WriteOptions::default()).unwrap();
    object.path
}

/// A derivation with one floating output.
fn floating(store: &LocalStore) -> (StorePath, DrvOutput) {
    let output =
        DerivationOutput::CAFloating { method: ContentAddressMethod::NixArchive, algorithm: HashAlgorithm::Sha256 };
    let drv = Derivation {
        name: "x".into(),
        outputs: FromIterator::from_iter([("out".to_owned(), output)]),
        ..Derivation::default()
    };
    let object = drv.to_text_object(&store_dir()).unwrap();
    store.add_text(&Activity::silent(), &object, &WriteOptions::default()).unwrap();
    let id = store.output_ids(&Activity::silent(), &drv).unwrap().remove("out").unwrap();
    (object.path, id)
}

fn realisation(id: &DrvOutput, path: &StorePath) -> Realisation {
    Realisation { id: id.clone(), out_path: path.clone(), signatures: BTreeSet::new() }
}

fn tables(root: &Path) -> i64 {
    let database = rusqlite::Connection::open(root.join("nix/var/nix/db/db.sqlite")).unwrap();
    let count = "select count(*) from sqlite_master where name like '%ealisation%'";
    database.query_row(count, [], |row| row.get(0)).unwrap()
}

#[test]
fn outputs_are_known_once_they_were_noted() {
    let folder = tempfile::tempdir().unwrap();
    let a = Activity::silent();
    let store = open(folder.path(), false);
    let (drv, id) = floating(&store);
    assert_eq!(store.derivation_outputs(&a, &drv).unwrap().get("out"), Some(&None));
    assert_eq!(tables(folder.path()), 0, "nothing is made before it is needed");
    let path = text(&store, "made");
    store.register_realisations(&a, &[realisation(&id, &path)], &WriteOptions::default()).unwrap();
    assert_eq!(tables(folder.path()), 7);
    assert_eq!(store.derivation_outputs(&a, &drv).unwrap().get("out"), Some(&Some(path.clone())));
    assert_eq!(store.realisations(&a, std::slice::from_ref(&id)).unwrap(), [Some(realisation(&id, &path))]);
    // Without the feature nobody asks.
    let plain = crate::open(folder.path());
    assert_eq!(plain.derivation_outputs(&a, &drv).unwrap().get("out"), Some(&None));
}

#[test]
fn of_an_output_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let a = Activity::silent();
    let store = open(folder.path(), false);
    let (_, id) = floating(&store);
    let [path, other] = ["made", "other"].map(|name| text(&store, name));
    let register = |one: Realisation, options: &WriteOptions| store.register_realisations(&a, &[one], options);
    register(realisation(&id, &path), &WriteOptions::default()).unwrap();
    let refused = register(realisation(&id, &other), &WriteOptions::default());
    assert!(matches!(refused, Err(Error::OtherRealisation { .. })), "{refused:?}");
    // Signatures come together.
    let mut signed = realisation(&id, &path);
    let key = SecretKey::from_seed("k", [7; 32]);
    signed.sign(&key);
    let keys: PublicKeys = [key.to_public()].into_iter().collect();
    let strict = WriteOptions { trusted_keys: Some(keys.into()), ..WriteOptions::default() };
    let unsigned = register(realisation(&id, &path), &strict);
    assert!(matches!(unsigned, Err(Error::UntrustedRealisation(_))), "{unsigned:?}");
    register(signed.clone(), &strict).unwrap();
    register(realisation(&id, &path), &WriteOptions::default()).unwrap();
    assert_eq!(store.realisations(&a, &[id]).unwrap(), [Some(signed)]);
    // What is not valid is nobody's output.
    let nothing = StorePath::parse("00000000000000000000000000000000-nothing").unwrap();
    let id = DrvOutput { output: "dev".into(), ..realisation(&floating(&store).1, &path).id };
    let refused = register(realisation(&id, &nothing), &WriteOptions::default());
    assert!(matches!(refused, Err(Error::InvalidPath(_))), "{refused:?}");
}

#[test]
fn they_go_with_their_paths_and_keep_outputs_follows_them() {
    for keep in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let a = Activity::silent();
        let (drv, id, path) = {
            let store = open(folder.path(), keep);
            let (drv, id) = floating(&store);
            let path = text(&store, "made");
            store.register_realisations(&a, &[realisation(&id, &path)], &WriteOptions::default()).unwrap();
            store.add_permanent_root(&a, &folder.path().join("link"), &drv).unwrap();
            (drv, id, path)
        };
        let store = open(folder.path(), keep);
        store.collect_garbage(&a, &GcOptions::default(), &mut GcResults::default()).unwrap();
        let left = if keep { BTreeSet::from([drv, path.clone()]) } else { BTreeSet::from([drv]) };
        assert_eq!(store.all_valid_paths(&a).unwrap(), left);
        assert_eq!(store.realisations(&a, &[id]).unwrap()[0].is_some(), keep);
    }
}
