//! Any bytes, and bytes that are nearly right, through every entry point.

use proptest::prelude::*;

/// Pieces that expressions are made of, so that soups of them get past the first token.
const WORDS: &[&str] = &[
    "let",
    "in",
    "rec",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "inherit",
    "with",
    "assert",
    "if",
    "then",
    "else",
    "or",
    "x",
    "y",
    ":",
    ";",
    "=",
    ".",
    "...",
    "@",
    "?",
    "\"",
    "''",
    "${",
    "1",
    "2.5",
    "./a",
    "<n>",
    "a:b",
    "+",
    "-",
    "*",
    "/",
    "++",
    "//",
    "==",
    "!",
    "&&",
    "||",
    "->",
    "|>",
    "<",
    ">=",
    "builtins.",
    "map",
    "toString",
    "derivation",
    "throw",
    "tryEval",
    "\\",
    "$",
    "null",
    "true",
    "#c\n",
    "/*c*/",
    " ",
];

/// A small archive and a small derivation, to be damaged.
fn nar() -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in [
        "nix-archive-1",
        "(",
        "type",
        "directory",
        "entry",
        "(",
        "name",
        "a",
        "node",
        "(",
        "type",
        "regular",
        "executable",
        "",
        "contents",
        "hello",
        ")",
        ")",
        "entry",
        "(",
        "name",
        "b",
        "node",
        "(",
        "type",
        "symlink",
        "target",
        "a",
        ")",
        ")",
        ")",
    ] {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

const DRV: &[u8] = br#"Derive([("out","/nix/store/0hm2f1psjpcwg8fijsmr4wwxrx59s092-x","","")],[("/nix/store/7fc12qwlzmrcc8swwsl28nz1yjf4xkkx-a.drv",["out"])],["/nix/store/0hm2f1psjpcwg8fijsmr4wwxrx59s092-s"],"x86_64-linux","/bin/sh",["-c","echo \"hi\"\n"],[("name","x"),("out","/nix/store/0hm2f1psjpcwg8fijsmr4wwxrx59s092-x")])"#;

fn damaged(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let places = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (Just(good), places, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(mut bytes, places, end, cut)| {
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_no_trouble(bytes: Vec<u8>) {
        hostile::archive(&bytes);
        hostile::derivation(&bytes);
        hostile::derivation_json(&bytes);
        hostile::texts(&bytes);
        hostile::expression(&bytes);
    }

    #[test]
    fn damaged_archives(bytes in damaged(nar())) {
        hostile::archive(&bytes);
    }

    #[test]
    fn damaged_derivations(bytes in damaged(DRV.to_vec())) {
        hostile::derivation(&bytes);
    }

    #[test]
    fn soups_of_words(words in prop::collection::vec(prop::sample::select(WORDS), 0..40)) {
        hostile::expression(words.join(" ").as_bytes());
        hostile::expression(words.concat().as_bytes());
    }
}

#[test]
fn the_undamaged_are_understood() {
    // The assertions on printing mean nothing unless parsing succeeds.
    hostile::archive(&nar());
    let mut tree = file_tree::MemoryTree::default();
    assert!(file_tree::read_nar(&mut nar().as_slice(), &mut tree).is_ok());
    let dir = store_model::StoreDir::new("/nix/store").unwrap();
    assert!(store_model::derivation::aterm::parse(&dir, DRV, "x").is_ok());
}
