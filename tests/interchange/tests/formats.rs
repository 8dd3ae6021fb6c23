//! Formats, compared live.

use file_tree::{RestoreOptions, Restorer, nar, read_nar};
use interchange::Oracle;
use std::os::unix::fs::{PermissionsExt, symlink};
use store_model::derivation::aterm;
use store_model::{Hash, HashAlgorithm, HashFormat, StoreDir, StorePath};

#[test]
fn archives() {
    let Some(oracle) = Oracle::for_test("archives") else { return };
    let tree = oracle.scratch().join("tree");
    std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
    for (name, size) in [("empty", 0), ("one", 1), ("eight", 8), ("a/large", 300_000), ("a/b/.hidden", 17)] {
        std::fs::write(tree.join(name), vec![7u8; size]).unwrap();
    }
    std::fs::set_permissions(tree.join("one"), std::fs::Permissions::from_mode(0o700)).unwrap();
    symlink("../nowhere", tree.join("a/link")).unwrap();
    let theirs = oracle.command(&["nix-store", "--dump", "tree"]).output().unwrap().stdout;
    let mut ours = Vec::new();
    nar::dump_path(&tree, &mut ours).unwrap();
    assert!(ours == theirs);
    read_nar(&mut theirs.as_slice(), &mut Restorer::new(oracle.scratch().join("copy"), RestoreOptions::default()))
        .unwrap();
    assert!(oracle.command(&["nix-store", "--dump", "copy"]).output().unwrap().stdout == theirs);
    let hash = oracle.run(&["nix-hash", "--type", "sha256", "--base32", "tree"]);
    assert_eq!(Hash::of(HashAlgorithm::Sha256, &ours).to_nix32(), hash);
}

#[test]
fn hashes() {
    let Some(oracle) = Oracle::for_test("hashes") else { return };
    for algorithm in HashAlgorithm::ALL {
        let hash = Hash::of(algorithm, algorithm.name().as_bytes());
        for format in [HashFormat::Base16, HashFormat::Nix32, HashFormat::Base64, HashFormat::Sri] {
            let words = ["nix", "hash", "convert", "--to", format.name(), &hash.format(HashFormat::Nix32, true)];
            assert_eq!(oracle.run(&words), hash.format(format, false));
        }
    }
}

/// Every `.drv` file that an expression gives is read and printed alike, and its path follows from it.
#[test]
fn derivations() {
    let Some(oracle) = Oracle::for_test("derivations") else { return };
    let expression = r#"
        let
          base = { system = "x86_64-linux"; builder = "/bin/sh"; args = [ "" "\"\\\n\r\t$" "ü" ]; };
          src = builtins.toFile "src" "x";
          many = builtins.genList (n: derivation (base // { name = "n${toString n}"; inherit src; outputs = [ "out" "a${toString n}" ]; })) 30;
          floating = derivation (base // { name = "f"; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; inherit many; });
          fixed = derivation (base // { name = "x"; outputHash = "d41d8cd98f00b204e9800998ecf8427e"; outputHashAlgo = "md5"; inherit floating; });
          structured = derivation (base // { name = "s"; __structuredAttrs = true; nested = { a = 1.5e-7; b = [ null true fixed ]; }; inherit many; });
        in [ structured floating (derivation (base // { name = "top"; all = map (x: x.drvPath) many; inherit fixed; })) ]
    "#;
    oracle.run(&["nix-instantiate", "-E", expression]);
    let store_dir = StoreDir::new("/nix/store").unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(oracle.root().join("nix/store")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let Some(path) = StorePath::parse(&name).ok().filter(StorePath::is_derivation) else { continue };
        let bytes = std::fs::read(entry.path()).unwrap();
        let drv = aterm::parse(&store_dir, &bytes, path.derivation_name().unwrap()).unwrap();
        let object = drv.to_text_object(&store_dir).unwrap();
        assert_eq!(String::from_utf8_lossy(&object.contents), String::from_utf8_lossy(&bytes));
        assert_eq!(object.path, path);
        let store = oracle.ours();
        let activity = activity::Activity::silent();
        drv.check_output_paths(&store_dir, &mut |input| store.hash_modulo(&activity, input)).unwrap();
        seen += 1;
    }
    assert_eq!(seen, 34);
}
