//! Store paths: how they are computed, read, and refused.

use crate::store_dir;
use std::collections::BTreeSet;
use store_model::derived_path::{DownstreamPlaceholder, hash_placeholder};
use store_model::{
    ContentAddressMethod, DerivedPath, Hash, HashAlgorithm, OutputsSpec, References, SingleDerivedPath, StorePath,
};

/// Recorded: `nix-store --print-fixed-path`.
const FIXED: &str = include_str!("golden/fixed-paths.txt");

#[test]
fn fixed_paths() {
    for line in FIXED.lines() {
        let [algorithm, mode, digest, expected] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let algorithm = HashAlgorithm::parse(algorithm).unwrap();
        let method = if mode == "--recursive" { ContentAddressMethod::NixArchive } else { ContentAddressMethod::Flat };
        let hash = Hash::parse_unprefixed(digest, algorithm).unwrap();
        let path = store_dir().fixed_output_path(method, &hash, "name-1.0", &References::default()).unwrap();
        assert_eq!(store_dir().print(&path), expected);
        assert_eq!(store_dir().parse(expected), Ok(path));
    }
    assert_eq!(FIXED.lines().count(), 8);
}

/// Recorded: `builtins.toFile` with and without a reference.
#[test]
fn text_paths() {
    let text = |name: &str, contents: &str, references: &BTreeSet<StorePath>| {
        let hash = Hash::of(HashAlgorithm::Sha256, contents.as_bytes());
        store_dir().text_path(name, &hash, references).unwrap()
    };
    let first = text("src.txt", "hello", &BTreeSet::new());
    assert_eq!(first.as_str(), "7fkyl4dcd4wp3va6qyfxz7c7gac4dwp4-src.txt");
    let second = text("src2.txt", &format!("ref {}", store_dir().print(&first)), &BTreeSet::from([first]));
    assert_eq!(second.as_str(), "jh0b1qqkv7j6891p6in1b2cjxkvybls8-src2.txt");
}

#[test]
fn references_change_source_paths() {
    let hash = Hash::of(HashAlgorithm::Sha256, b"x");
    let other = StorePath::parse("7fkyl4dcd4wp3va6qyfxz7c7gac4dwp4-src.txt").unwrap();
    let all: BTreeSet<StorePath> = [(false, false), (true, false), (false, true), (true, true)]
        .into_iter()
        .map(|(refers, self_reference)| {
            let others = if refers { BTreeSet::from([other.clone()]) } else { BTreeSet::new() };
            store_dir().source_path("n", &hash, &References { others, self_reference }).unwrap()
        })
        .collect();
    assert_eq!(all.len(), 4);
    let references = References { others: BTreeSet::new(), self_reference: true };
    let flat = store_dir().fixed_output_path(ContentAddressMethod::Flat, &hash, "n", &references);
    assert!(flat.unwrap_err().to_string().starts_with("fixed output derivation 'n' is not allowed to refer"));
    let text = store_dir().fixed_output_path(ContentAddressMethod::Text, &hash, "n", &references);
    assert_eq!(text.unwrap_err().to_string(), "self-reference not allowed with text hashing");
}

/// Recorded from `nix-store -q --references`.
#[test]
fn refusals_in_the_oracles_words() {
    let parse = |text: &str| store_dir().parse(text).unwrap_err().to_string();
    assert_eq!(parse("/foo"), "path \"/foo\" is not in the Nix store");
    assert_eq!(parse("/nix/store/abc"), "'abc' is too short to be a valid store path");
    let e = "e".repeat(32);
    assert_eq!(
        parse(&format!("/nix/store/{e}-x")),
        format!("store path '{e}-x' contains illegal base-32 character 'e'")
    );
    let zeros = "0".repeat(32);
    assert_eq!(
        parse(&format!("/nix/store/{zeros}-x~")),
        format!("path '{zeros}-x~' is not a valid store path: name 'x~' contains illegal character '~'")
    );
    for name in ["", ".", "..", ".-x", "..-x", "a/b", "ü", &"x".repeat(212)] {
        assert!(StorePath::parse(&format!("{zeros}-{name}")).is_err(), "{name}");
    }
    for name in [".x", "...", "..x", "a.drv", "+-._?=", &"x".repeat(211)] {
        assert!(StorePath::parse(&format!("{zeros}-{name}")).is_ok(), "{name}");
    }
}

#[test]
fn paths_inside() {
    let path = StorePath::parse(&format!("{}-x", "0".repeat(32))).unwrap();
    let printed = store_dir().print(&path);
    for (text, rest) in [
        (printed.clone(), ""),
        (format!("{printed}/bin/sh"), "/bin/sh"),
        (format!("{printed}//bin/../lib/"), "/lib"),
        (format!("/nix/./store/{path}"), ""),
    ] {
        assert_eq!(store_dir().parse_inside(&text), Ok((path.clone(), rest.to_owned())));
    }
    assert!(store_dir().parse_inside("/nix/store").is_err());
    assert!(store_dir().parse_inside(&format!("{printed}/../../etc")).is_err());
    assert!(store_dir().parse_inside("nix/store").is_err());
}

#[test]
fn order_is_that_of_the_printed_form() {
    let path = |hash: &str, name: &str| StorePath::parse(&format!("{}{hash}-{name}", "0".repeat(31))).unwrap();
    let mut paths = [path("a", "a"), path("9", "z"), path("9", "a"), path("z", "a")];
    paths.sort();
    let mut printed: Vec<String> = paths.iter().map(ToString::to_string).collect();
    printed.sort();
    assert_eq!(printed, paths.iter().map(ToString::to_string).collect::<Vec<_>>());
}

/// Recorded out of the `.drv` files in `golden/`.
#[test]
fn placeholders() {
    assert_eq!(hash_placeholder("out"), "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9");
    assert_eq!(hash_placeholder("lib"), "/0sra2y18lr3h6j58qjm0w46yv36h1wjmilb09n8aimdpivdymscx");
    let floating = StorePath::parse("k1bm01z80g35wj4glrkbrr9flqhncxfr-floating.drv").unwrap();
    let placeholder = DownstreamPlaceholder::of_output(&floating, "out").unwrap();
    assert_eq!(placeholder.render(), "/1kz4aq6w8pn2p07acy0z40936niycbiip7d44b8i3909p270c31q");
    let producing = StorePath::parse("22b3a1wlhfv2h9ln7432hgg3iv66g0xz-hello.drv.drv").unwrap();
    let chain = SingleDerivedPath::Built { drv: Box::new(SingleDerivedPath::Opaque(producing)), output: "out".into() };
    let placeholder = DownstreamPlaceholder::of_chain(&chain, "out").unwrap();
    assert_eq!(placeholder.render(), "/0880vwhkvzp2rps2sk9508yyy334p1zkv40nlbn920bv439s6bav");
}

#[test]
fn derived_paths() {
    let drv = format!("/nix/store/{}-x.drv", "0".repeat(32));
    for text in [drv.clone(), format!("{drv}^*"), format!("{drv}^dev,out"), format!("{drv}^out^*")] {
        assert_eq!(DerivedPath::parse(&store_dir(), &text).unwrap().print(&store_dir()), text);
    }
    let legacy = DerivedPath::parse_legacy(&store_dir(), &format!("{drv}!out,dev")).unwrap();
    assert_eq!(legacy.print(&store_dir()), format!("{drv}^dev,out"));
    assert!(OutputsSpec::parse("out,,dev").is_err());
    assert!(DerivedPath::parse(&store_dir(), &format!("{drv}{}", "^out".repeat(100_000))).is_err());
}
