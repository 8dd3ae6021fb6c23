//! One store, one after the other: what either wrote, the other reads, checks, builds in, collects.

use activity::Activity;
use file_tree::{DiskAccessor, TreePath};
use interchange::Oracle;
use std::collections::BTreeSet;
use std::io::Write;
use store::{AddTree, BuildLogs, LocalStore, Store, TemporaryRoots, WritableStore, WriteOptions};
use store_model::derivation::TextObject;
use store_model::{ContentAddressMethod, Derivation, DerivationOutput, HashAlgorithm, References, StorePath};

fn add_text(store: &LocalStore, name: &str, contents: &str, references: &[&StorePath]) -> StorePath {
    let references = references.iter().map(|path| (*path).clone()).collect();
    let object = TextObject::new(store.store_dir(), name, contents.into(), references).unwrap();
    store.add_text(&Activity::silent(), &object, &WriteOptions::default()).unwrap();
    object.path
}

/// A derivation whose build prints a line and writes its output.
fn add_derivation(store: &LocalStore, source: &StorePath) -> StorePath {
    let mut drv = Derivation {
        name: "built".to_owned(),
        outputs: FromIterator::from_iter([("out".to_owned(), DerivationOutput::Deferred)]),
        input_srcs: BTreeSet::from([source.clone()]),
        platform: b"x86_64-linux".to_vec(),
        builder: b"/bin/sh".to_vec(),
        args: vec![b"-c".to_vec(), b"echo logged; echo $src > $out".to_vec()],
        env: FromIterator::from_iter([
            (b"out".to_vec(), Vec::new()),
            (b"src".to_vec(), store.store_dir().print(source).into_bytes()),
        ]),
        ..Derivation::default()
    };
    let a = Activity::silent();
    drv.fill_in_output_paths(store.store_dir(), &mut |input| store.hash_modulo(&a, input)).unwrap();
    let object = drv.to_text_object(store.store_dir()).unwrap();
    store.write_batch(&a, &[], std::slice::from_ref(&object)).unwrap();
    object.path
}

fn add_tree(oracle: &Oracle, store: &LocalStore, method: ContentAddressMethod) -> StorePath {
    let tree = oracle.scratch().join("source");
    if !tree.exists() {
        std::fs::create_dir_all(tree.join("sub")).unwrap();
        std::fs::write(tree.join("sub/file"), "contents").unwrap();
        std::os::unix::fs::symlink("sub/file", tree.join("link")).unwrap();
    }
    let (name, root) = match method {
        ContentAddressMethod::Flat => ("file", tree.join("sub/file")),
        _ => ("source", tree),
    };
    let mut request = AddTree {
        name,
        accessor: &DiskAccessor::new(root),
        path: &TreePath::root(),
        method,
        algorithm: HashAlgorithm::Sha256,
        references: References::default(),
        filter: &mut |_, _| Ok(true),
    };
    store.add_tree(&Activity::silent(), &mut request, &WriteOptions::default()).unwrap().path
}

#[test]
fn the_oracle_in_our_store() {
    let Some(oracle) = Oracle::for_test("the_oracle_in_our_store") else { return };
    let a = Activity::silent();
    let store = oracle.ours();
    let print = |path: &StorePath| store.store_dir().print(path);
    let first = add_text(&store, "first", "x", &[]);
    let second = add_text(&store, "second", &print(&first), &[&first]);
    let tree = add_tree(&oracle, &store, ContentAddressMethod::NixArchive);
    let flat = add_tree(&oracle, &store, ContentAddressMethod::Flat);
    let drv = add_derivation(&store, &second);
    oracle.verify();

    assert_eq!(oracle.run(&["nix-store", "--add-fixed", "--recursive", "sha256", "source"]), print(&tree));
    assert_eq!(oracle.run(&["nix-store", "--add-fixed", "sha256", "source/sub/file"]), print(&flat));
    assert_eq!(oracle.run(&["nix-store", "-q", "--references", &print(&second)]), print(&first));
    assert_eq!(oracle.run(&["nix-store", "-q", "--referrers", &print(&second)]), print(&drv));
    let requisites = oracle.run(&["nix-store", "-q", "--requisites", &print(&drv)]);
    let ours = store.closure(&a, std::slice::from_ref(&drv)).unwrap();
    let ours = store.topological_order(&a, &ours).unwrap();
    assert_eq!(requisites, ours.iter().map(print).collect::<Vec<_>>().join("\n"), "also in this order");
    let mut list = Vec::new();
    store.dump_db(&a, &mut list).unwrap();
    let mut theirs: Vec<String> = oracle.run(&["nix-store", "--dump-db"]).lines().map(str::to_owned).collect();
    let mut ours: Vec<String> = String::from_utf8(list).unwrap().lines().map(str::to_owned).collect();
    theirs.sort();
    ours.sort();
    assert_eq!(theirs, ours);

    let out = oracle.run(&["nix-store", "--realise", &print(&drv)]);
    let out = store.store_dir().parse(&out).unwrap();
    let info = store.path_infos(&a, std::slice::from_ref(&out)).unwrap().pop().flatten().unwrap();
    assert!(info.ultimate && info.deriver == Some(drv.clone()) && info.references.contains(&second));
    assert_eq!(store.build_log(&a, &drv).unwrap().unwrap(), b"logged\n");
    assert!(!store.verify(&a, true).unwrap().has_errors());
    oracle.verify();
}

#[test]
fn the_oracle_reads_our_logs() {
    let Some(oracle) = Oracle::for_test("the_oracle_reads_our_logs") else { return };
    let store = oracle.ours();
    let source = add_text(&store, "s", "x", &[]);
    let drv = add_derivation(&store, &source);
    let mut log = store.create_log(&drv).unwrap();
    log.write_all(b"one\ntwo\n").unwrap();
    log.finish().unwrap();
    assert_eq!(oracle.run(&["nix-store", "--read-log", &store.store_dir().print(&drv)]), "one\ntwo");
}

#[test]
fn we_in_the_oracles_store() {
    let Some(oracle) = Oracle::for_test("we_in_the_oracles_store") else { return };
    let expression = r#"let s = builtins.toFile "s" "x"; in derivation { name = "n"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo $s > $out" ]; inherit s; }"#;
    let out = oracle.run(&["nix-build", "-E", expression]);
    let a = Activity::silent();
    let store = oracle.ours();
    let out = store.store_dir().parse(&out).unwrap();
    let closure = store.closure(&a, std::slice::from_ref(&out)).unwrap();
    assert_eq!(closure.len(), 2);
    let [deriver] = &store.valid_derivers(&a, &out).unwrap().into_iter().collect::<Vec<_>>()[..] else {
        panic!("one deriver");
    };
    assert_eq!(store.derivation_outputs(&a, deriver).unwrap().get("out"), Some(&Some(out.clone())));
    assert!(store.permanent_roots(&a).unwrap().contains_key(&out));
    assert!(!store.verify(&a, true).unwrap().has_errors());
    add_text(&store, "ours", "refers", &[&out]);
    add_tree(&oracle, &store, ContentAddressMethod::NixArchive);
    oracle.verify();
}

#[test]
fn the_oracle_collects_what_nobody_wants() {
    let Some(oracle) = Oracle::for_test("the_oracle_collects_what_nobody_wants") else { return };
    let a = Activity::silent();
    let link = oracle.scratch().join("result");
    let (kept, wanted, garbage);
    {
        let store = oracle.ours();
        let below = add_text(&store, "below", "x", &[]);
        kept = add_text(&store, "kept", "y", &[&below]);
        garbage = add_text(&store, "garbage", "z", &[&kept]);
        store.add_permanent_root(&a, &link, &kept).unwrap();
    }
    let store = oracle.ours();
    wanted = add_text(&store, "wanted", "temporarily", &[&kept]);
    // Not there at all, but ours: a lock or scratch file of it must stay too.
    let absent = StorePath::from_parts([3; 20], "absent").unwrap();
    store.add_temp_roots(&a, std::slice::from_ref(&absent)).unwrap();
    let _lock = store.lock_paths(&a, std::slice::from_ref(&absent)).unwrap();
    let scratch = store.create_scratch(&a).unwrap();
    oracle.run(&["nix-store", "--gc"]);
    let valid = store.all_valid_paths(&a).unwrap();
    assert_eq!(valid.len(), 3);
    assert!(valid.contains(&kept) && valid.contains(&wanted) && !valid.contains(&garbage));
    assert!(!store.real_path(&garbage).exists());
    assert!(scratch.path().exists());
    assert!(store.real_dir().join(format!("{absent}.lock")).exists());
    drop(scratch);
    drop(store);
    std::fs::remove_file(&link).unwrap();
    oracle.run(&["nix-store", "--gc"]);
    assert!(oracle.ours().all_valid_paths(&a).unwrap().is_empty());
    oracle.verify();
}
