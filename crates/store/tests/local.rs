//! What only the local store has: locks, roots, canonical metadata, faults, two handles at once.

use crate::{open, options, store_dir};
use activity::{Activity, CancelToken, Silent};
use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{
    Error, ErrorClass, FaultPoints, LoadOptions, LocalStore, Store, TemporaryRoots, TreeObject, WritableStore,
    WriteOptions,
};
use store_model::derivation::TextObject;
use store_model::{ContentAddress, ContentAddressMethod, Hash, HashAlgorithm, PathInfo, StorePath};

fn text(name: &str, contents: &str) -> TextObject {
    TextObject::new(&store_dir(), name, contents.into(), BTreeSet::new()).unwrap()
}

fn add(store: &LocalStore, name: &str, contents: &str) -> StorePath {
    let object = text(name, contents);
    store.add_text(&Activity::silent(), &object, &WriteOptions::default()).unwrap();
    object.path
}

#[test]
fn opening_twice_makes_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let path = add(&first, "a", "x");
    let second = open(folder.path());
    let a = Activity::silent();
    assert_eq!(second.all_valid_paths(&a).unwrap(), BTreeSet::from([path]));
    let schema = std::fs::read_to_string(folder.path().join("nix/var/nix/db/schema")).unwrap();
    assert_eq!(schema, "10");
}

#[test]
fn another_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    std::fs::write(folder.path().join("nix/var/nix/db/schema"), "11").unwrap();
    let error = LocalStore::open(&Activity::silent(), options(folder.path())).err().unwrap();
    assert_eq!(error.to_string(), "current Nix store schema is version 11, but I only support 10");
}

#[test]
fn older_schemas_are_upgraded_and_ancient_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = add(&open(folder.path()), "a", "x");
    let database = folder.path().join("nix/var/nix/db");
    let old = rusqlite::Connection::open(database.join("db.sqlite")).unwrap();
    // As schema 7 was, and as a process leaves it that died half-way.
    old.execute_batch(
        "alter table ValidPaths drop column sigs; alter table ValidPaths drop column ca; create table FailedPaths (path text)",
    )
    .unwrap();
    drop(old);
    std::fs::write(database.join("schema"), "7").unwrap();
    let mut read_only = options(folder.path());
    read_only.read_only = true;
    let a = Activity::silent();
    assert!(matches!(LocalStore::open(&a, read_only), Err(Error::NeedsMigration)));
    let store = open(folder.path());
    assert_eq!(std::fs::read_to_string(database.join("schema")).unwrap(), "10");
    let info = store.path_infos(&a, std::slice::from_ref(&path)).unwrap().remove(0).unwrap();
    assert_eq!((info.path, info.content_address), (path, None));
    add(&store, "b", "y");
    drop(store);
    for (version, words) in [("4", "Berkeley DB"), ("5", "flat file"), ("11", "version 11"), ("x", "version x")] {
        std::fs::write(database.join("schema"), version).unwrap();
        let error = LocalStore::open(&a, options(folder.path())).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn reading_only_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut read_only = options(folder.path());
    read_only.read_only = true;
    let error = LocalStore::open(&Activity::silent(), read_only.clone()).err().unwrap();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let path = add(&open(folder.path()), "a", "x");
    let store = LocalStore::open(&Activity::silent(), read_only).unwrap();
    let a = Activity::silent();
    assert_eq!(store.all_valid_paths(&a).unwrap(), BTreeSet::from([path]));
    let refused = store.add_text(&a, &text("b", "y"), &WriteOptions::default()).unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Denied);
}

#[test]
fn objects_are_canonical() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let path = add(&store, "a", "x");
    let found = std::fs::symlink_metadata(store.real_path(&path)).unwrap();
    assert_eq!((found.permissions().mode() & 0o7777, found.mtime()), (0o444, 1));
}

#[test]
fn canonicalising_a_build() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("root"));
    let tree = folder.path().join("tree");
    std::fs::create_dir_all(tree.join("bin")).unwrap();
    for (name, mode) in [("bin/run", 0o4711), ("plain", 0o600)] {
        std::fs::write(tree.join(name), name).unwrap();
        std::fs::set_permissions(tree.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    std::fs::hard_link(tree.join("plain"), tree.join("same")).unwrap();
    symlink("plain", tree.join("link")).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    // Not every file system has them.
    let set = |name: &str| rustix::fs::setxattr(tree.join(name), "user.x", b"y", flags).is_ok();
    let set = set("bin") && set("bin/run") && set("plain");
    let a = Activity::silent();
    let me = std::fs::metadata(&tree).unwrap().uid();
    store.canonicaliser(Some((me, me))).canonicalise(&a, &tree).unwrap();
    for (name, mode) in [("bin", 0o555), ("bin/run", 0o555), ("plain", 0o444), ("same", 0o444)] {
        let found = std::fs::symlink_metadata(tree.join(name)).unwrap();
        assert_eq!((found.permissions().mode() & 0o7777, found.mtime()), (mode, 1), "{name}");
        let attributes = rustix::fs::listxattr_query(tree.join(name));
        assert!(!set || attributes == Ok(0), "{name}: {attributes:?}");
    }
    assert_eq!(std::fs::symlink_metadata(tree.join("link")).unwrap().mtime(), 1);
    let stranger = store.canonicaliser(Some((me + 1, me + 1))).canonicalise(&a, &tree);
    assert!(matches!(stranger, Err(Error::Ownership(_))));
    store.remove_tree(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn a_repair_replaces_what_is_there_only_by_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let a = Activity::silent();
    let file = file_tree::MemoryNode::file("good");
    let tree = file_tree::MemoryTree::new(file_tree::MemoryNode::directory([("file", file)]));
    let mut good = Vec::new();
    file_tree::nar::dump(&tree, &file_tree::TreePath::root(), &mut |_, _| Ok(true), &mut good).unwrap();
    let path = StorePath::parse("0hm2f1psjpcwg8fijsmr4wwxrx59s092-x").unwrap();
    let info = PathInfo::new(path.clone(), Hash::of(HashAlgorithm::Sha256, &good), good.len() as u64);
    store.add_nar(&a, &info, &mut &good[..], &WriteOptions::default()).unwrap();
    let repair = WriteOptions { repair: true, ..WriteOptions::default() };
    let file = store.real_path(&path).join("file");
    let read = || std::fs::read_to_string(&file).unwrap();
    let mut other = good.clone();
    let at = other.windows(4).position(|bytes| bytes == b"good").unwrap();
    other[at..at + 4].copy_from_slice(b"evil");
    for bad in [&other[..], &good[..at], b"nonsense"] {
        store.add_nar(&a, &info, &mut &*bad, &repair).unwrap_err();
        assert_eq!(read(), "good");
        assert!(store.check_contents(&a, std::slice::from_ref(&path)).unwrap().is_empty());
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&file, "worn").unwrap();
    store.add_nar(&a, &info, &mut &good[..], &repair).unwrap();
    assert_eq!(read(), "good");
    let left = std::fs::read_dir(store.real_dir())
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("tmp-"));
    assert_eq!(left.count(), 0);
}

#[test]
fn folders_of_the_state_are_the_owners_to_write_to() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for name in ["db", "gcroots/per-user", "profiles", "profiles/per-user", "temproots"] {
        let mode = std::fs::metadata(store.state_dir().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o022, 0, "{name}");
    }
}

#[test]
fn locks_exclude_and_go_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let a = Activity::silent();
    let path = [text("a", "x").path];
    let lock = store.lock_paths(&a, &path).unwrap();
    assert!(store.try_lock_paths(&path).unwrap().is_none());
    let waiting = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let _lock = store.lock_paths(&Activity::silent(), &path).unwrap();
                assert_eq!(waiting.fetch_add(1, Ordering::SeqCst), 0, "one holder at a time");
                std::thread::yield_now();
                waiting.fetch_sub(1, Ordering::SeqCst);
            });
        }
        drop(lock);
    });
    assert!(store.try_lock_paths(&path).unwrap().is_some());
    let left = std::fs::read_dir(store.real_dir()).unwrap().filter(|e| e.as_ref().unwrap().file_name() != ".links");
    assert_eq!(left.count(), 0);
}

#[test]
fn waiting_for_a_lock_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let path = [text("a", "x").path];
    let _lock = store.lock_paths(&Activity::silent(), &path).unwrap();
    let token = CancelToken::new();
    let activity = Activity::root(Arc::new(Silent), token.clone());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| store.lock_paths(&activity, &path).err());
        token.cancel();
        assert_eq!(waiter.join().unwrap().unwrap().class(), ErrorClass::Cancelled);
    });
}

#[test]
fn temporary_roots_are_files_of_our_number() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let other = open(folder.path());
    let a = Activity::silent();
    let path = text("a", "x").path;
    let names = || {
        let mut names: Vec<String> = std::fs::read_dir(folder.path().join("nix/var/nix/temproots"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    store.add_temp_roots(&a, &[path.clone(), path.clone()]).unwrap();
    store.add_temp_roots(&a, std::slice::from_ref(&path)).unwrap();
    other.add_temp_roots(&a, std::slice::from_ref(&path)).unwrap();
    let pid = std::process::id();
    assert_eq!(names(), [format!("{pid}-0"), format!("{pid}-1")]);
    let roots = std::fs::read(folder.path().join(format!("nix/var/nix/temproots/{pid}-1"))).unwrap();
    assert_eq!(roots, format!("{}\0", store_dir().print(&path)).into_bytes());
    drop(store);
    assert_eq!(names(), [format!("{pid}-1")]);
    // What a killed process left is taken away by whoever gets its number.
    std::fs::write(folder.path().join(format!("nix/var/nix/temproots/{pid}-0")), "stale").unwrap();
    let third = open(folder.path());
    third.add_temp_roots(&a, &[path]).unwrap();
    assert_eq!(names().len(), 2);
    let roots = std::fs::read(folder.path().join(format!("nix/var/nix/temproots/{pid}-0"))).unwrap();
    assert!(!roots.starts_with(b"stale"));
}

#[test]
fn permanent_roots() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("root"));
    let a = Activity::silent();
    let (first, second) = (add(&store, "a", "x"), add(&store, "b", "y"));
    let link = folder.path().join("result");
    store.add_permanent_root(&a, &link, &first).unwrap();
    store.add_permanent_root(&a, &link, &second).unwrap();
    assert_eq!(std::fs::read_link(&link).unwrap(), Path::new(&store_dir().print(&second)));
    let roots = store.permanent_roots(&a).unwrap();
    assert_eq!(roots.keys().collect::<Vec<_>>(), [&second]);
    assert_eq!(roots[&second], BTreeSet::from([link.clone()]));
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "mine").unwrap();
    assert!(matches!(store.add_permanent_root(&a, &taken, &first), Err(Error::LinkExists(_))));
    let inside = Path::new("/nix/store/result");
    assert!(matches!(store.add_permanent_root(&a, inside, &first), Err(Error::RootInStore(_))));
    std::fs::remove_file(&link).unwrap();
    assert!(store.permanent_roots(&a).unwrap().is_empty());
}

#[test]
fn leftovers_of_a_killed_process_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let object = text("a", "x");
    std::fs::create_dir_all(store.real_path(&object.path).join("half/written")).unwrap();
    let path = add(&store, "a", "x");
    assert_eq!(std::fs::read(store.real_path(&path)).unwrap(), b"x");
}

#[test]
fn a_fault_at_any_point_leaves_the_store_sound() {
    const POINTS: [&str; 7] = [
        "lock-acquired",
        "object-begin",
        "object-written",
        "object-synced",
        "transaction-begin",
        "transaction-filled",
        "temp-root-written",
    ];
    for point in POINTS {
        let folder = tempfile::tempdir().unwrap();
        let mut faulty = options(folder.path());
        faulty.faults = FaultPoints::new(move |name| name == point);
        let a = Activity::silent();
        let store = LocalStore::open(&a, faulty).unwrap();
        let object = text("a", "x");
        let error = store.add_text(&a, &object, &WriteOptions::default()).unwrap_err();
        assert!(matches!(error, Error::Fault(name) if name == point), "{point}: {error}");
        drop(store);
        let store = open(folder.path());
        assert!(store.all_valid_paths(&a).unwrap().is_empty(), "{point}");
        add(&store, "a", "x");
        assert!(!store.verify(&a, true).unwrap().has_errors(), "{point}");
    }
}

/// A file as a batch holds it.
fn tree(name: &str, contents: &str) -> TreeObject {
    let mut archive = Vec::new();
    file_tree::nar::dump_bytes(contents.as_bytes(), &mut archive).unwrap();
    let hash = Hash::of(HashAlgorithm::Sha256, &archive);
    let address = ContentAddress { method: ContentAddressMethod::NixArchive, hash };
    let path = store_dir().content_addressed_path(name, &address, &Default::default()).unwrap();
    TreeObject { path, address, archive }
}

#[test]
fn a_fault_at_any_point_leaves_nothing_of_a_batch() {
    for (point, survives) in [
        ("temp-root-written", false),
        ("lock-acquired", false),
        ("object-begin", false),
        ("object-written", false),
        ("object-synced", false),
        ("transaction-begin", false),
        ("transaction-filled", false),
        ("transaction-committed", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut faulty = options(folder.path());
        faulty.faults = FaultPoints::new(move |name| name == point);
        let a = Activity::silent();
        let trees = [tree("a", "x"), tree("b", "y")];
        let references = trees.iter().map(|tree| tree.path.clone()).collect();
        let texts = [TextObject::new(&store_dir(), "c", b"z".to_vec(), references).unwrap()];
        let store = LocalStore::open(&a, faulty).unwrap();
        let error = store.write_batch(&a, &trees, &texts).unwrap_err();
        assert!(matches!(error, Error::Fault(name) if name == point), "{point}: {error}");
        drop(store);
        let store = open(folder.path());
        let there = if survives { 3 } else { 0 };
        assert_eq!(store.all_valid_paths(&a).unwrap().len(), there, "{point}");
        assert_eq!(std::fs::read_dir(store.real_dir()).unwrap().count(), there + 1, "{point}");
        store.write_batch(&a, &trees, &texts).unwrap();
        assert_eq!(store.all_valid_paths(&a).unwrap().len(), 3, "{point}");
        assert!(!store.verify(&a, true).unwrap().has_errors(), "{point}");
    }
}

#[test]
fn a_batch_replaces_leftovers_and_is_canonical() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let a = Activity::silent();
    let (tree, text) = (tree("a", "x"), text("b", "y"));
    std::fs::create_dir_all(store.real_path(&tree.path).join("half")).unwrap();
    std::fs::write(store.real_path(&text.path), "half").unwrap();
    store.write_batch(&a, std::slice::from_ref(&tree), std::slice::from_ref(&text)).unwrap();
    for (path, contents) in [(&tree.path, "x"), (&text.path, "y")] {
        let real = store.real_path(path);
        assert_eq!(std::fs::read_to_string(&real).unwrap(), contents);
        let found = std::fs::symlink_metadata(&real).unwrap();
        assert_eq!((found.permissions().mode() & 0o7777, found.mtime()), (0o444, 1));
    }
}

#[test]
fn a_batch_of_more_than_one_set_of_locks() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let a = Activity::silent();
    let trees: Vec<TreeObject> = (0..700).map(|n| tree(&format!("tree{n}"), "x")).collect();
    let references = trees.iter().map(|tree| tree.path.clone()).collect();
    let texts = [TextObject::new(&store_dir(), "text", b"z".to_vec(), references).unwrap()];
    store.write_batch(&a, &trees, &texts).unwrap();
    assert_eq!(store.all_valid_paths(&a).unwrap().len(), 701);
    assert_eq!(store.closure(&a, &[texts[0].path.clone()]).unwrap().len(), 701);
    assert!(!store.verify(&a, true).unwrap().has_errors());
}

#[test]
fn a_fault_behind_the_commit_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut faulty = options(folder.path());
    faulty.faults = FaultPoints::new(|name| name == "transaction-committed");
    let a = Activity::silent();
    let store = LocalStore::open(&a, faulty).unwrap();
    let object = text("a", "x");
    assert!(store.add_text(&a, &object, &WriteOptions::default()).is_err());
    assert_eq!(store.all_valid_paths(&a).unwrap(), BTreeSet::from([object.path]));
    assert!(!store.verify(&a, true).unwrap().has_errors());
}

#[test]
fn verification_finds_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let a = Activity::silent();
    let (kept, changed, gone) = (add(&store, "kept", "x"), add(&store, "changed", "y"), add(&store, "gone", "z"));
    assert!(!store.verify(&a, true).unwrap().has_errors());
    let real = store.real_path(&changed);
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&real, "other").unwrap();
    std::fs::remove_file(store.real_path(&gone)).unwrap();
    let found = store.verify(&a, true).unwrap();
    assert_eq!(found.modified, BTreeSet::from([changed.clone()]));
    assert_eq!(found.removed, BTreeSet::from([gone]));
    assert_eq!(store.all_valid_paths(&a).unwrap(), BTreeSet::from([kept, changed]));
}

#[test]
fn the_list_of_paths_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("a"));
    let a = Activity::silent();
    let first = add(&store, "a", "x");
    let second = TextObject::new(&store_dir(), "b", b"y".to_vec(), BTreeSet::from([first])).unwrap();
    store.add_text(&a, &second, &WriteOptions::default()).unwrap();
    let mut list = Vec::new();
    store.dump_db(&a, &mut list).unwrap();
    let copy = open(&folder.path().join("b"));
    let how = LoadOptions { again: false, with_hash: true, canonicalise: false };
    copy.load_db(&a, how, &mut list.as_slice()).unwrap();
    let mut again = Vec::new();
    copy.dump_db(&a, &mut again).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(list).unwrap());
    // What is valid already is left alone, unless it is to be registered again.
    let nar_hash =
        |path: &StorePath| copy.path_infos(&a, std::slice::from_ref(path)).unwrap()[0].as_ref().unwrap().nar_hash;
    let before = nar_hash(&second.path);
    let changed = format!("{}\n{}\n1\n\n0\n", store_dir().print(&second.path), "0".repeat(64));
    copy.load_db(&a, how, &mut changed.as_bytes()).unwrap();
    assert_eq!(nar_hash(&second.path), before);
    copy.load_db(&a, LoadOptions { again: true, ..how }, &mut changed.as_bytes()).unwrap();
    assert_ne!(nar_hash(&second.path), before);
    for broken in ["/nix/store/x\n", &*format!("{}\nzz\n", store_dir().print(&second.path))] {
        assert!(copy.load_db(&a, how, &mut broken.as_bytes()).is_err());
    }
}

#[test]
fn many_writers_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let store = open(root);
                for n in 0..20 {
                    // Half of them are the same in all threads.
                    let contents = if n % 2 == 0 { format!("{n}") } else { format!("{thread} {n}") };
                    add(&store, "a", &contents);
                }
            });
        }
    });
    let store = open(root);
    let a = Activity::silent();
    assert_eq!(store.all_valid_paths(&a).unwrap().len(), 10 + 4 * 10);
    assert!(!store.verify(&a, true).unwrap().has_errors());
}

#[test]
fn many_derivations_in_one_call() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let a = Activity::silent();
    let mut objects = Vec::new();
    for n in 0..1000 {
        let references: BTreeSet<StorePath> =
            objects.last().map(|object: &TextObject| object.path.clone()).into_iter().collect();
        let drv = store_model::Derivation {
            name: format!("d{n}"),
            outputs: FromIterator::from_iter([("out".to_owned(), store_model::DerivationOutput::Deferred)]),
            input_drvs: references.iter().map(|p| (p.clone(), store_model::InputOutputs::of(["out"]))).collect(),
            platform: b"x".to_vec(),
            builder: b"/b".to_vec(),
            ..Default::default()
        };
        objects.push(drv.to_text_object(&store_dir()).unwrap());
    }
    objects.reverse();
    store.write_batch(&a, &[], &objects).unwrap();
    let last = objects[0].path.clone();
    assert_eq!(store.closure(&a, std::slice::from_ref(&last)).unwrap().len(), 1000);
    let order = store.topological_order(&a, &store.all_valid_paths(&a).unwrap()).unwrap();
    assert_eq!(order.last(), Some(&last));
    assert_eq!(store.referrers_closure(&a, &order[..1]).unwrap().len(), 1000);
    let unknown = StorePath::from_parts([1; 20], "x").unwrap();
    assert!(matches!(store.closure(&a, &[unknown]), Err(Error::InvalidPath(_))));
}

#[test]
fn circles_are_not_registered() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let a = Activity::silent();
    let hash = Hash::of(HashAlgorithm::Sha256, b"x");
    let path = |n: u8| StorePath::from_parts([n; 20], "x").unwrap();
    let info = |n: u8, refers_to: u8| {
        let mut info = PathInfo::new(path(n), hash, 1);
        info.references.insert(path(refers_to));
        info
    };
    assert!(matches!(store.register(&a, &[info(1, 2), info(2, 1)]), Err(Error::Cycle { .. })));
    assert!(store.all_valid_paths(&a).unwrap().is_empty());
    store.register(&a, &[info(1, 2), info(2, 2)]).unwrap();
}

#[test]
fn cancelling_stops_adding() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let path = add(&store, "a", "x");
    let token = CancelToken::new();
    let activity = Activity::root(Arc::new(Silent), token.clone());
    token.cancel();
    let classes = [
        store.add_text(&activity, &text("b", "y"), &WriteOptions::default()).unwrap_err().class(),
        store.nar(&activity, &path, &mut Vec::new()).unwrap_err().class(),
        store.verify(&activity, true).unwrap_err().class(),
    ];
    assert_eq!(classes, [ErrorClass::Cancelled; 3]);
}

/// A tree too large to be kept in memory is unpacked while it is read; a file of the disk is copied.
#[test]
fn large_trees() {
    use file_tree::{DiskAccessor, MemoryNode, MemoryTree, SourceAccessor, TreePath};
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let a = Activity::silent();
    let contents: Vec<u8> = (0..35_000_000u32).map(|n| (n >> 4) as u8).collect();
    let tree = MemoryTree::new(MemoryNode::executable(contents.clone()));
    let file = folder.path().join("file");
    std::fs::write(&file, &contents).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let disk = DiskAccessor::new(&file);
    let trees: [(&str, &dyn SourceAccessor); 2] = [("large", &tree), ("copied", &disk)];
    let forms = [
        (ContentAddressMethod::NixArchive, HashAlgorithm::Sha256),
        (ContentAddressMethod::NixArchive, HashAlgorithm::Sha1),
        (ContentAddressMethod::Flat, HashAlgorithm::Sha256),
    ];
    for ((name, accessor), (method, algorithm)) in trees.into_iter().flat_map(|tree| forms.map(|form| (tree, form))) {
        let mut request = store::AddTree {
            name,
            accessor,
            path: &TreePath::root(),
            method,
            algorithm,
            references: Default::default(),
            filter: &mut |_, _| Ok(true),
        };
        let info = store.add_tree(&a, &mut request, &WriteOptions::default()).unwrap();
        let mut archive = Vec::new();
        store.nar(&a, &info.path, &mut archive).unwrap();
        assert_eq!(Hash::of(HashAlgorithm::Sha256, &archive), info.nar_hash);
        let flat = Hash::of(algorithm, &contents);
        assert_eq!(info.content_address.unwrap().hash == flat, method == ContentAddressMethod::Flat);
        let mode = std::fs::metadata(store.real_path(&info.path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if method == ContentAddressMethod::Flat { 0o444 } else { 0o555 });
    }
    assert!(!store.verify(&a, true).unwrap().has_errors());
}

/// Other contents at every reading, of which so many bytes come; or a file that is shorter than it was said to be.
struct Restless(AtomicUsize, u64, Option<std::fs::File>);

impl file_tree::SourceAccessor for Restless {
    fn stat(&self, _: &file_tree::TreePath) -> Result<Option<file_tree::Metadata>, file_tree::Error> {
        let size = 40 << 20;
        Ok(Some(file_tree::Metadata { file_type: file_tree::FileType::Regular, executable: false, size }))
    }

    fn open(&self, _: &file_tree::TreePath) -> Result<file_tree::Contents<'_>, file_tree::Error> {
        let byte = self.0.fetch_add(1, Ordering::SeqCst) as u8;
        let reader = Box::new(std::io::Read::take(std::io::repeat(byte), self.1));
        Ok(file_tree::Contents { size: 40 << 20, executable: false, reader })
    }

    fn host_file(
        &self,
        path: &file_tree::TreePath,
    ) -> Result<Option<(std::fs::File, file_tree::Metadata)>, file_tree::Error> {
        let Some(file) = &self.2 else { return Ok(None) };
        Ok(Some((file.try_clone().unwrap(), self.stat(path)?.unwrap())))
    }

    fn read_dir(&self, path: &file_tree::TreePath) -> Result<Vec<(Vec<u8>, file_tree::FileType)>, file_tree::Error> {
        Err(file_tree::Error::NotFound(self.show(path)))
    }

    fn read_link(&self, path: &file_tree::TreePath) -> Result<Vec<u8>, file_tree::Error> {
        Err(file_tree::Error::NotFound(self.show(path)))
    }

    fn show(&self, _: &file_tree::TreePath) -> String {
        "restless".to_owned()
    }
}

#[test]
fn what_is_written_is_what_was_hashed_and_a_tree_that_breaks_off_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let a = Activity::silent();
    for (method, algorithm) in [
        (ContentAddressMethod::NixArchive, HashAlgorithm::Sha256),
        (ContentAddressMethod::NixArchive, HashAlgorithm::Sha1),
        (ContentAddressMethod::Flat, HashAlgorithm::Sha256),
    ] {
        let add = |bytes, file| {
            let mut request = store::AddTree {
                name: "restless",
                accessor: &Restless(AtomicUsize::new(0), bytes, file),
                path: &file_tree::TreePath::root(),
                method,
                algorithm,
                references: Default::default(),
                filter: &mut |_, _| Ok(true),
            };
            store.add_tree(&a, &mut request, &WriteOptions::default())
        };
        let file = tempfile::tempfile_in(folder.path()).unwrap();
        file.set_len(36 << 20).unwrap();
        for file in [None, Some(file)] {
            let error = add(36 << 20, file).unwrap_err();
            assert_eq!(error.to_string(), "file 'restless' changed while it was being read");
        }
        let valid = store.all_valid_paths(&a).unwrap().len();
        let names =
            std::fs::read_dir(store.real_dir()).unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        assert_eq!(names.filter(|name| name.ends_with("-restless") || name.starts_with("tmp-")).count(), valid);
        add(40 << 20, None).unwrap();
    }
    assert!(!store.verify(&a, true).unwrap().has_errors());
}
