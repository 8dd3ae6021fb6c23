//! Derivations of every kind as C++ Nix 2.34.8 instantiated them from one expression: ATerm, JSON, paths, hash modulo.

use crate::store_dir;
use std::collections::BTreeMap;
use store_model::derivation::hash_modulo::hash_modulo;
use store_model::derivation::{DerivationOptions, HashModulo, aterm, json};
use store_model::{Derivation, DerivationKind, DerivationOutput, Error, SingleDerivedPath, StorePath};

/// Every recorded `.drv` file by its store path.
fn golden() -> BTreeMap<StorePath, Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let path = StorePath::parse(entry.file_name().to_str()?).ok()?;
            Some((path, std::fs::read(entry.path()).unwrap()))
        })
        .collect()
}

fn parsed() -> BTreeMap<StorePath, Derivation> {
    let parse = |(path, bytes): (StorePath, Vec<u8>)| {
        let drv = aterm::parse(&store_dir(), &bytes, path.derivation_name().unwrap()).unwrap();
        let outputs = aterm::parse_outputs(&store_dir(), &bytes, path.derivation_name().unwrap()).unwrap();
        assert_eq!(outputs, drv.outputs);
        (path, drv)
    };
    golden().into_iter().map(parse).collect()
}

fn named(name: &str) -> Derivation {
    parsed().into_values().find(|drv| drv.name == name).unwrap()
}

/// The hash modulo of a recorded derivation, computed through its inputs.
fn modulo(drvs: &BTreeMap<StorePath, Derivation>, path: &StorePath) -> Result<HashModulo, Error> {
    hash_modulo(&store_dir(), &drvs[path], false, &mut |input| modulo(drvs, input))
}

#[test]
fn printing_gives_the_same_bytes_and_path() {
    let drvs = golden();
    assert_eq!(drvs.len(), 14);
    for (path, bytes) in drvs {
        let drv = aterm::parse(&store_dir(), &bytes, path.derivation_name().unwrap()).unwrap();
        let object = drv.to_text_object(&store_dir()).unwrap();
        assert_eq!(String::from_utf8_lossy(&object.contents), String::from_utf8_lossy(&bytes));
        assert_eq!(object.path, path);
    }
}

#[test]
fn output_paths_are_found_again() {
    let drvs = parsed();
    for (path, drv) in &drvs {
        drv.check_output_paths(&store_dir(), &mut |input| modulo(&drvs, input)).unwrap();
        let mut blank = drv.clone();
        for (name, output) in &mut blank.outputs {
            if matches!(output, DerivationOutput::InputAddressed(_)) {
                *output = DerivationOutput::Deferred;
                blank.env.insert(name.clone().into_bytes(), Vec::new());
            }
        }
        blank.fill_in_output_paths(&store_dir(), &mut |input| modulo(&drvs, input)).unwrap();
        assert_eq!(&blank, drv, "{path}");
    }
}

#[test]
fn wrong_output_paths_are_refused() {
    let drvs = parsed();
    let mut drv = named("user");
    let lib = drv.outputs.get("lib").unwrap().clone();
    drv.outputs.insert("out".to_owned(), lib);
    let error = drv.check_output_paths(&store_dir(), &mut |input| modulo(&drvs, input)).unwrap_err();
    assert!(error.to_string().starts_with("derivation has incorrect output "), "{error}");
    let mut drv = named("user");
    drv.env.insert(b"out".to_vec(), b"elsewhere".to_vec());
    let error = drv.check_output_paths(&store_dir(), &mut |input| modulo(&drvs, input)).unwrap_err();
    assert!(error.to_string().starts_with("derivation has incorrect environment variable 'out'"), "{error}");
}

#[test]
fn kinds() {
    for (name, kind) in [
        ("user", DerivationKind::InputAddressed),
        ("fixed.tar.gz", DerivationKind::Fixed),
        ("floating", DerivationKind::Floating),
        ("deferred", DerivationKind::Deferred),
        ("dynamic", DerivationKind::Deferred),
        ("impure", DerivationKind::Impure),
    ] {
        assert_eq!(named(name).kind(), Ok(kind), "{name}");
    }
    let drvs = parsed();
    let deferred: Vec<&str> = drvs
        .iter()
        .filter(|(path, _)| modulo(&drvs, path).unwrap().is_deferred())
        .map(|(_, drv)| drv.name.as_str())
        .collect();
    assert_eq!(deferred, ["hello.drv", "impure", "deferred", "floating", "dynamic", "depends-impure"]);
}

/// Recorded: `nix derivation show` of them all.
#[test]
fn json_as_the_oracle_shows_it() {
    let shown: serde_json::Value = serde_json::from_str(include_str!("golden/show.json")).unwrap();
    assert_eq!(shown["version"], 4);
    for (path, drv) in parsed() {
        let expected = &shown["derivations"][path.as_str()];
        assert_eq!(&json::to_value(&drv).unwrap(), expected, "{path}");
        assert_eq!(json::from_value(expected), Ok(drv.clone()), "{path}");
        assert!(include_str!("golden/show.json").contains(&json::print(&drv).unwrap()), "{path}");
    }
}

#[test]
fn json_of_other_versions_is_refused() {
    let mut value = json::to_value(&named("user")).unwrap();
    value["version"] = 3.into();
    assert_eq!(json::from_value(&value), Err(Error::DerivationJsonVersion(3)));
}

#[test]
fn structured_attributes() {
    let drv = named("structured");
    assert_eq!(drv.structured_attrs.as_ref().unwrap().to_object()["attrs"]["f"], 1e30);
    let options = DerivationOptions::of(&store_dir(), &drv).unwrap();
    assert!(options.allow_substitutes && !options.prefer_local_build);
}

#[test]
fn options_of_plain_attributes() {
    let mut drv = named("input-a");
    let mut set = |name: &str, value: &str| drv.env.insert(name.into(), value.into());
    set("preferLocalBuild", "1");
    set("allowSubstitutes", "");
    set("passAsFile", " a\tb\n");
    set("impureEnvVars", "http_proxy https_proxy");
    set("requiredSystemFeatures", "kvm");
    set("exportReferencesGraph", "graph /nix/store/7fkyl4dcd4wp3va6qyfxz7c7gac4dwp4-src.txt/below");
    set("disallowedReferences", "out /nix/store/7fkyl4dcd4wp3va6qyfxz7c7gac4dwp4-src.txt");
    let options = DerivationOptions::of(&store_dir(), &drv).unwrap();
    assert!(options.prefer_local_build && !options.allow_substitutes);
    assert_eq!(options.pass_as_file, ["a".to_owned(), "b".to_owned()].into());
    assert_eq!(options.impure_env_vars.len(), 2);
    let graph: Vec<_> = options.export_references_graph["graph"].iter().map(|path| path.name()).collect();
    assert_eq!(graph, ["src.txt"]);
    let store_model::derivation::options::AllOutputChecks::ForAllOutputs(checks) = options.output_checks else {
        panic!("plain attributes give checks for all outputs");
    };
    assert_eq!(checks.disallowed_references.len(), 2);
    drv.env.insert(b"exportReferencesGraph".to_vec(), b"odd".to_vec());
    assert!(DerivationOptions::of(&store_dir(), &drv).is_err());
}

#[test]
fn mixed_outputs_are_refused() {
    let mut drv = named("floating");
    drv.outputs.insert("x".to_owned(), DerivationOutput::Deferred);
    assert_eq!(drv.kind(), Err(Error::MixedOutputs));
    drv.outputs.clear();
    assert_eq!(drv.kind(), Err(Error::NoOutputs));
    let mut drv = named("fixed-md5");
    let out = drv.outputs.remove("out").unwrap();
    drv.outputs.insert("dev".to_owned(), out);
    assert_eq!(drv.kind(), Err(Error::FixedOutputName));
}

#[test]
fn an_unknown_output_of_an_input_is_refused() {
    let drvs = parsed();
    let mut drv = named("user");
    for node in drv.input_drvs.iter_mut().map(|(_, value)| value) {
        node.outputs.insert("nothing".to_owned());
    }
    let error = hash_modulo(&store_dir(), &drv, true, &mut |input| modulo(&drvs, input)).unwrap_err();
    assert_eq!(error.to_string(), "no hash for output 'nothing' of derivation 'user'");
}

/// What C++ Nix resolved: placeholders of plain and dynamic outputs, and outputs that waited for that.
#[test]
fn resolving_gives_the_oracles_derivation() {
    let cases = [
        (
            "top",
            r#"Derive([("out","","r:sha256","")],[("/nix/store/blhqjl3cj0qwnngqn7sfm9yyknhwq649-multi.drv",["dev","out"]),("/nix/store/gxrwldaarh5kf3fp6j31nlb6pfq7li58-leaf.drv",["out"])],[],"x86_64-linux","/bin/sh",["-c","read x < /06w185c9dlpwx12gdabr5v0s4i4am31l2xv4zr2d9f4p9pqvbjla; read y < /0dhahrf6m4wgm383gyxjq6nxbz7xq4bmjpas3vhl93d9xhhq80by; echo $x $y /0wa7cbh5qb7i7l8pf1s9ncixv4i9jrg9g1va7jpcli8wj70s1h4c $out > $out"],[("builder","/bin/sh"),("name","top"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),("outputHashAlgo","sha256"),("outputHashMode","recursive"),("system","x86_64-linux")])"#,
            "5d7qjwvbcc9cgss4fp0a6fnkb3dns57j-top.drv",
            None,
        ),
        (
            "wrapper",
            r#"DrvWithVersion("xp-dyn-drv",[("out","","","")],[("/nix/store/l52nls80vgxmkp8kgzckx8fa1jl52a6v-inner.drv.drv",([],[("out",["out"])]))],[],"x86_64-linux","/bin/sh",["-c","read x < /1a7v69k6cj5jj1avlbrdyw7dzhjb5c77nh7gglnbrnk24z6dygrp; echo wraps $x > $out"],[("builder","/bin/sh"),("name","wrapper"),("out",""),("system","x86_64-linux")])"#,
            "3ijv6pnkm014q94s04cwvxfw23rrrmif-wrapper.drv",
            Some("6jjli3aahjdl6halcrla82pybyly27al-wrapper"),
        ),
    ];
    let became = |drv: &SingleDerivedPath, output: &String| {
        let path = match (drv.base().name(), output.as_str()) {
            ("multi.drv", "out") => "5cxcwpgh73g9anii5nq1qgyd91vw3sa2-multi",
            ("multi.drv", _) => "ki8x0pqpc70cynccf1yijh39dz08na8p-multi-dev",
            ("leaf.drv", _) => "bxmmr41x9c9n77x15xklpqwpv1rrma88-leaf",
            _ => "79gm9j7qvksrxpzmm6gpmsvazfqwr6dg-inner",
        };
        Some(StorePath::parse(path).unwrap())
    };
    for (name, text, resolved, output) in cases {
        let drv = aterm::parse(&store_dir(), text.as_bytes(), name).unwrap();
        assert!(drv.should_resolve(false).unwrap());
        let found = drv.resolve(&store_dir(), &mut |drv, output| became(drv, output)).unwrap().unwrap();
        assert_eq!(found.to_text_object(&store_dir()).unwrap().path.as_str(), resolved);
        let paths = found.output_paths(&store_dir()).unwrap();
        assert_eq!(paths.get("out").unwrap().as_ref().map(StorePath::as_str), output);
        assert!(!found.should_resolve(true).unwrap());
        assert_eq!(drv.resolve(&store_dir(), &mut |_, _| None).unwrap(), None);
    }
}
