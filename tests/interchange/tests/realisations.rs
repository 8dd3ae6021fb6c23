//! What outputs became: written by the one, believed by the other.

use activity::Activity;
use file_tree::{DiskAccessor, TreePath};
use interchange::Oracle;
use std::collections::BTreeSet;
use store::{AddTree, LocalStore, LocalStoreOptions, Realisations, Store, WritableStore, WriteOptions};
use store_model::{ContentAddressMethod, HashAlgorithm, Realisation, StoreDir, StorePath};

const EXPRESSION: &str = r#"
    let
      base = { system = builtins.currentSystem; builder = "/bin/sh"; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
      leaf = derivation (base // { name = "leaf"; args = [ "-c" "echo leaf > $out" ]; });
      user = derivation (base // { name = "user"; args = [ "-c" "read x < ${leaf}; echo $x > $out" ]; });
    in { inherit leaf user; }
"#;

fn ours(oracle: &Oracle) -> LocalStore {
    let mut options = LocalStoreOptions::rooted(StoreDir::new("/nix/store").unwrap(), &oracle.root());
    options.ca_derivations = true;
    LocalStore::open(&Activity::silent(), options).unwrap()
}

fn parse(store: &LocalStore, text: &str) -> StorePath {
    store.store_dir().parse(text.trim()).unwrap()
}

/// A store that C++ Nix built in answers us, and its collector takes what outputs became along with them.
#[test]
fn theirs_are_ours() {
    let Some(oracle) = Oracle::for_test("theirs_are_ours") else { return };
    let a = Activity::silent();
    let build = |name: &str| oracle.run(&["nix-build", "--no-out-link", "-E", EXPRESSION, "-A", name]);
    let instantiate = |name: &str| oracle.run(&["nix-instantiate", "-E", EXPRESSION, "-A", name]);
    let built = build("user");
    let store = ours(&oracle);
    let drv = parse(&store, &instantiate("user"));
    let outputs = store.derivation_outputs(&a, &drv).unwrap();
    assert_eq!(outputs.get("out").and_then(Option::as_ref), Some(&parse(&store, &built)));
    let id = store.output_ids(&a, &store.read_derivation(&a, &drv).unwrap()).unwrap().remove("out").unwrap();
    let line = oracle.run(&["nix", "realisation", "info", &format!("{}^out", store.store_dir().print(&drv))]);
    assert_eq!(line, format!("{id} {built}"));
    drop(store);
    oracle.run(&["nix-store", "--gc"]);
    let store = ours(&oracle);
    assert_eq!(store.realisations(&a, &[id]).unwrap(), [None]);
    oracle.verify();
}

/// What we write down is enough for C++ Nix not to build again, and is not taken for another output.
#[test]
fn ours_are_theirs() {
    let Some(oracle) = Oracle::for_test("ours_are_theirs") else { return };
    let a = Activity::silent();
    let [leaf, user] = ["leaf", "user"].map(|name| oracle.run(&["nix-instantiate", "-E", EXPRESSION, "-A", name]));
    let store = ours(&oracle);
    std::fs::write(oracle.scratch().join("leaf"), "leaf\n").unwrap();
    let info = store
        .add_tree(
            &a,
            &mut AddTree {
                name: "leaf",
                accessor: &DiskAccessor::new(oracle.scratch().join("leaf")),
                path: &TreePath::root(),
                method: ContentAddressMethod::NixArchive,
                algorithm: HashAlgorithm::Sha256,
                references: Default::default(),
                filter: &mut |_, _| Ok(true),
            },
            &WriteOptions::default(),
        )
        .unwrap();
    let derivation = store.read_derivation(&a, &parse(&store, &leaf)).unwrap();
    let id = store.output_ids(&a, &derivation).unwrap().remove("out").unwrap();
    let one = Realisation { id: id.clone(), out_path: info.path.clone(), signatures: BTreeSet::new() };
    store.register_realisations(&a, std::slice::from_ref(&one), &WriteOptions::default()).unwrap();
    let built = oracle.run(&["nix-build", "--no-out-link", "-j0", "-E", EXPRESSION, "-A", "leaf"]);
    assert_eq!(built, store.store_dir().print(&info.path));
    let user = oracle.run(&["nix-store", "-r", &user]);
    assert_eq!(store.path_infos(&a, &[parse(&store, &user)]).unwrap().len(), 1);
    // The same again is fine; another path for the same output is refused by both.
    store.register_realisations(&a, &[one], &WriteOptions::default()).unwrap();
    let other = Realisation { id, out_path: parse(&store, &user), signatures: BTreeSet::new() };
    let error = store.register_realisations(&a, &[other], &WriteOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("Trying to register a realisation of "), "{error}");
    oracle.verify();
}
