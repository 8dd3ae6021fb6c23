//! Collections of a real store: what stays, what goes, beside others and after crashes.

use crate::{open, options, store_dir};
use activity::{Activity, CancelToken, Silent};
use file_tree::{MemoryNode, MemoryTree, TreePath};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use store::{
    AddTree, AutoCollection, Error, ErrorClass, FaultPoints, GarbageCollector, GcAction, GcOptions, GcResults,
    LocalStore, Store, TemporaryRoots, WritableStore, WriteOptions,
};
use store_model::derivation::TextObject;
use store_model::{ContentAddressMethod, HashAlgorithm, References, StorePath};

/// Every point of a collection at which something may happen.
const POINTS: [&str; 7] = [
    "gc-locked",
    "gc-roots-found",
    "gc-pending",
    "gc-transaction-filled",
    "gc-transaction-committed",
    "gc-transaction-synced",
    "gc-renamed",
];

fn add(store: &LocalStore, name: &str, references: &[&StorePath]) -> StorePath {
    let references = references.iter().map(|path| (*path).clone()).collect();
    let object = TextObject::new(&store_dir(), name, name.into(), references).unwrap();
    store.add_text(&Activity::silent(), &object, &WriteOptions::default()).unwrap();
    object.path
}

/// Adds paths whose temporary roots are gone when it returns.
fn fill<T>(root: &Path, make: impl FnOnce(&LocalStore) -> T) -> T {
    make(&open(root))
}

fn collect(store: &LocalStore, options: &GcOptions) -> (GcResults, Result<(), Error>) {
    let mut results = GcResults::default();
    let done = store.collect_garbage(&Activity::silent(), options, &mut results);
    (results, done)
}

fn names(store: &LocalStore) -> BTreeSet<String> {
    let entries = std::fs::read_dir(store.real_dir()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).filter(|name| name != ".links").collect()
}

fn assert_sound(store: &LocalStore) {
    let found = store.verify(&Activity::silent(), true).unwrap();
    assert!(!found.has_errors() && found.removed.is_empty(), "{found:?}");
}

#[test]
fn roots_keep_their_closure() {
    let folder = tempfile::tempdir().unwrap();
    let (low, high, link) = fill(folder.path(), |store| {
        let low = add(store, "low", &[]);
        let high = add(store, "high", &[&low]);
        add(store, "dead", &[&low]);
        let link = folder.path().join("link");
        store.add_permanent_root(&Activity::silent(), &link, &high).unwrap();
        (low, high, link)
    });
    let store = open(folder.path());
    let (results, done) = collect(&store, &GcOptions::default());
    done.unwrap();
    assert_eq!((results.paths.len(), results.bytes_freed), (1, 4));
    assert_eq!(names(&store), [&low, &high].map(ToString::to_string).into());
    std::fs::remove_file(link).unwrap();
    let (results, done) = collect(&store, &GcOptions::default());
    done.unwrap();
    assert_eq!(results.paths.len(), 2);
    assert!(names(&store).is_empty());
    assert!(store.all_valid_paths(&Activity::silent()).unwrap().is_empty());
    // The link under `gcroots/auto` that led to it is gone too.
    assert_eq!(std::fs::read_dir(store.state_dir().join("gcroots/auto")).unwrap().count(), 0);
}

#[test]
fn what_nobody_registered_goes_and_what_is_in_use_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let real = store.real_dir();
    let rooted = TextObject::new(&store_dir(), "rooted", "x".into(), BTreeSet::new()).unwrap().path;
    let other = TextObject::new(&store_dir(), "other", "x".into(), BTreeSet::new()).unwrap().path;
    store.add_temp_roots(&Activity::silent(), std::slice::from_ref(&rooted)).unwrap();
    for path in [&rooted, &other] {
        std::fs::create_dir_all(real.join(path.as_str()).join("half/written")).unwrap();
        std::fs::write(real.join(format!("{path}.lock")), "").unwrap();
        std::fs::create_dir(real.join(format!("{path}.chroot"))).unwrap();
    }
    std::fs::write(real.join("junk"), "").unwrap();
    std::fs::create_dir(real.join("tmp-7-0")).unwrap();
    let scratch = store.create_scratch(&Activity::silent()).unwrap();
    collect(&store, &GcOptions::default()).1.unwrap();
    let kept = scratch.path().file_name().unwrap().to_str().unwrap().to_owned();
    let expected = [kept, rooted.to_string(), format!("{rooted}.lock"), format!("{rooted}.chroot")];
    assert_eq!(names(&store), expected.into());
}

#[test]
fn certain_paths_are_deleted_if_nothing_needs_them() {
    let folder = tempfile::tempdir().unwrap();
    let (low, high) = fill(folder.path(), |store| {
        let low = add(store, "low", &[]);
        let high = add(store, "high", &[&low]);
        let link = folder.path().join("link");
        store.add_permanent_root(&Activity::silent(), &link, &high).unwrap();
        (low, high)
    });
    let store = open(folder.path());
    let delete = |paths: &[&StorePath], ignore_liveness| {
        let paths = paths.iter().map(|path| (*path).clone()).collect();
        let action = GcAction::DeleteSpecific(paths);
        collect(&store, &GcOptions { action, ignore_liveness, ..GcOptions::default() })
    };
    assert!(matches!(delete(&[&low], false).1, Err(Error::StillAlive(_))));
    assert!(matches!(delete(&[&high], false).1, Err(Error::StillAlive(_))));
    assert!(matches!(delete(&[&low], true).1, Err(Error::StillAlive(_))), "another path refers to it");
    assert_eq!(names(&store).len(), 2);
    let (results, done) = delete(&[&low, &high], true);
    done.unwrap();
    assert_eq!(results.paths.len(), 2);
    assert!(names(&store).is_empty());
}

#[test]
fn a_bound_ends_the_collection() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), |store| (0..6).for_each(|n| drop(add(store, &format!("path-{n}"), &[]))));
    let store = open(folder.path());
    let bound = |max_freed| GcOptions { max_freed, ..GcOptions::default() };
    assert_eq!(collect(&store, &bound(0)).0.paths.len(), 0);
    // Each has six bytes: the third makes it more than twelve.
    let (results, done) = collect(&store, &bound(12));
    done.unwrap();
    assert_eq!((results.paths.len(), results.bytes_freed), (3, 18));
    assert_eq!(names(&store).len(), 3);
    assert_sound(&store);
}

#[test]
fn living_and_dead_paths_are_told_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let dead = fill(folder.path(), |store| add(store, "dead", &[]));
    let store = open(folder.path());
    let alive = add(&store, "alive", &[]);
    std::fs::write(store.real_dir().join("junk"), "").unwrap();
    let tell = |action| collect(&store, &GcOptions { action, ..GcOptions::default() }).0.paths;
    let shown = |path: &StorePath| vec![PathBuf::from(store_dir().print(path))];
    assert_eq!(tell(GcAction::ReturnDead), shown(&dead));
    assert_eq!(tell(GcAction::ReturnLive), shown(&alive));
    assert_eq!(names(&store).len(), 3);
}

#[test]
fn a_cancelled_collection_leaves_a_sound_store() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), |store| add(store, "dead", &[]));
    let token = CancelToken::new();
    let seen = token.clone();
    let mut interrupted = options(folder.path());
    interrupted.faults = FaultPoints::new(move |point| {
        if point == "gc-roots-found" {
            seen.cancel();
        }
        false
    });
    let activity = Activity::root(Arc::new(Silent), token);
    let store = LocalStore::open(&Activity::silent(), interrupted).unwrap();
    let error = store.collect_garbage(&activity, &GcOptions::default(), &mut GcResults::default()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Cancelled);
    assert_sound(&store);
    assert_eq!(names(&store).len(), 1);
}

/// What a user does while a collection is at a certain point: roots a dead path, and uses it if it is valid still.
fn use_while_collecting(root: &Path, path: StorePath) -> JoinHandle<Option<(LocalStore, StorePath)>> {
    let store = open(root);
    std::thread::spawn(move || {
        let activity = Activity::silent();
        store.add_temp_roots(&activity, std::slice::from_ref(&path)).unwrap();
        let valid = !store.valid_paths(&activity, std::slice::from_ref(&path)).unwrap().is_empty();
        valid.then_some((store, path))
    })
}

#[test]
fn a_root_that_arrives_at_any_point_is_kept_if_it_was_found_valid() {
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let (low, high) = fill(&root, |store| {
            let low = add(store, "low", &[]);
            let high = add(store, "high", &[&low]);
            (low, high)
        });
        let users: Arc<Mutex<Vec<JoinHandle<_>>>> = Arc::default();
        let mut watched = options(&root);
        let (place, begun) = (root.clone(), Arc::clone(&users));
        watched.faults = FaultPoints::new(move |passed| {
            if passed == point {
                begun.lock().unwrap().push(use_while_collecting(&place, high.clone()));
                // Whether the root comes now or later: both orders must be right.
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            false
        });
        let store = LocalStore::open(&Activity::silent(), watched).unwrap();
        collect(&store, &GcOptions::default()).1.unwrap();
        let users: Vec<JoinHandle<_>> = std::mem::take(&mut *users.lock().unwrap());
        assert_eq!(users.len(), 1, "{point} was passed");
        let kept = users.into_iter().find_map(|user| user.join().unwrap());
        let expected = if let Some((_user, high)) = &kept {
            [&low, high].map(ToString::to_string).into()
        } else {
            BTreeSet::new()
        };
        assert_eq!(names(&store), expected, "{point}");
        assert_sound(&store);
    }
}

#[test]
fn a_root_that_arrives_after_the_roots_were_read_counts() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let (low, high) = fill(&root, |store| {
        let low = add(store, "low", &[]);
        let high = add(store, "high", &[&low]);
        (low, high)
    });
    let mut watched = options(&root);
    let users: Arc<Mutex<Vec<_>>> = Arc::default();
    let (begun, wanted) = (Arc::clone(&users), high.clone());
    watched.faults = FaultPoints::new(move |passed| {
        if passed == "gc-roots-found" {
            begun.lock().unwrap().push(use_while_collecting(&root, wanted.clone()).join().unwrap());
        }
        false
    });
    let store = LocalStore::open(&Activity::silent(), watched).unwrap();
    collect(&store, &GcOptions::default()).1.unwrap();
    assert!(users.lock().unwrap().iter().all(Option::is_some));
    assert_eq!(names(&store), [low, high].map(|path| path.to_string()).into());
}

#[test]
fn a_failure_at_any_point_leaves_a_sound_store() {
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fill(root, |store| {
            let low = add(store, "low", &[]);
            add(store, "high", &[&low]);
        });
        let mut failing = options(root);
        failing.faults = FaultPoints::new(move |passed| passed == point);
        let store = LocalStore::open(&Activity::silent(), failing).unwrap();
        assert!(matches!(collect(&store, &GcOptions::default()).1, Err(Error::Fault(_))), "{point}");
        drop(store);
        let store = open(root);
        assert_sound(&store);
        collect(&store, &GcOptions::default()).1.unwrap();
        assert!(names(&store).is_empty(), "{point}: {:?}", names(&store));
    }
}

#[test]
fn deep_trees_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let dead = TextObject::new(&store_dir(), "dead", "x".into(), BTreeSet::new()).unwrap().path;
    let mut deep = store.real_path(&dead);
    // As deep as one path name allows.
    while deep.as_os_str().len() < 4000 {
        deep.push("d");
    }
    std::fs::create_dir_all(&deep).unwrap();
    collect(&store, &GcOptions::default()).1.unwrap();
    assert!(names(&store).is_empty());
}

#[test]
fn short_space_is_noticed_before_paths_are_added() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), |store| (0..6).for_each(|n| drop(add(store, &format!("path-{n}"), &[]))));
    let free = folder.path().join("free");
    std::fs::write(&free, "100").unwrap();
    let mut short = options(folder.path());
    short.auto = AutoCollection {
        min_free: 1000,
        max_free: 112,
        interval: std::time::Duration::ZERO,
        free_space_file: Some(free.clone()),
    };
    let store = LocalStore::open(&Activity::silent(), short).unwrap();
    let add_file = |name: &str| {
        let tree = MemoryTree::new(MemoryNode::Regular { executable: false, contents: name.into() });
        let added = store.add_tree(
            &Activity::silent(),
            &mut AddTree {
                name,
                accessor: &tree,
                path: &TreePath::root(),
                method: ContentAddressMethod::NixArchive,
                algorithm: HashAlgorithm::Sha256,
                references: References::default(),
                filter: &mut |_, _| Ok(true),
            },
            &WriteOptions::default(),
        );
        added.unwrap();
    };
    // Twelve bytes are wanted, and the third path makes it more.
    add_file("first");
    assert_eq!(names(&store).len(), 3 + 1);
    // It helped nothing, so it is not done again until there is even less.
    add_file("second");
    assert_eq!(names(&store).len(), 3 + 2);
    assert_sound(&store);
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<StorePath> =
        fill(folder.path(), |store| (0..4).map(|n| add(store, &format!("path-{n}"), &[])).collect());
    let user = fill(folder.path(), |store| add(store, "user-1", &[&paths[1]]));
    let state = folder.path().join("nix/var/nix");
    // As if each had been added at another time, and not been used since.
    std::fs::remove_file(state.join("db/last-use")).unwrap();
    let database = rusqlite::Connection::open(state.join("db/db.sqlite")).unwrap();
    for (path, time) in paths.iter().zip([100, 200, 300, 400]).chain([(&user, 350)]) {
        let sql = "update ValidPaths set registrationTime = ?, narSize = 1000 where path = ?";
        database.execute(sql, rusqlite::params![time, store_dir().print(path)]).unwrap();
    }
    drop(database);
    // The oldest is used now.
    fill(folder.path(), |store| store.add_temp_roots(&Activity::silent(), &paths[..1]).unwrap());
    let store = open(folder.path());
    let shown = |paths: &[&StorePath]| {
        let mut shown: Vec<PathBuf> = paths.iter().map(|path| store_dir().print(path).into()).collect();
        shown.sort();
        shown
    };
    let told = |options: GcOptions| {
        let told = collect(&store, &GcOptions { action: GcAction::ReturnDead, ..options });
        told.1.unwrap();
        told.0
    };
    let by_size = |max_size| told(GcOptions { max_size: Some(max_size), ..GcOptions::default() }).paths;
    assert_eq!(by_size(5000), shown(&[]));
    assert_eq!(by_size(4999), shown(&[&paths[2]]));
    // The second is as young as its user, and goes after it.
    assert_eq!(by_size(3000), shown(&[&paths[2], &user]));
    assert_eq!(by_size(2500), shown(&[&paths[2], &user, &paths[1]]));
    let since = |time| told(GcOptions { keep_since: Some(time), ..GcOptions::default() });
    assert_eq!(since(351).paths, shown(&[&paths[1], &paths[2], &user]));
    assert_eq!((since(350).paths, since(350).bytes_freed), (shown(&[&paths[2]]), 1000));
    let options = GcOptions { keep_since: Some(350), max_size: Some(0), ..GcOptions::default() };
    collect(&store, &options).1.unwrap();
    assert_eq!(names(&store).len(), 4);
}
