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

/// Pieces that references to inputs are made of.
const PARTS: &[&str] = &[
    "github:",
    "git+",
    "https://",
    "file:",
    "path:",
    "flake:",
    "hg+",
    "tarball+",
    "a",
    "b.c",
    "/",
    "//",
    "..",
    "?",
    "&",
    "=",
    "ref",
    "rev",
    "dir",
    "narHash",
    "#",
    "%",
    "%2f",
    "%00",
    "@",
    ":",
    "0123456789012345678901234567890123456789",
    " ",
    "~",
    "[::1]",
    "sha256-",
    ".zip",
];

/// Pieces that JSON and TOML are made of.
const MARKS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    ":",
    ",",
    "=",
    ".",
    "\"",
    "\"a\"",
    "'",
    "\"\"\"",
    "'''",
    "a",
    "b.c",
    "true",
    "null",
    "inf",
    "nan",
    "1",
    "-0",
    "1.5e3",
    "0x1f",
    "1_0",
    "07:32:00",
    "1979-05-27",
    "T",
    "Z",
    "\\u0041",
    "\\ud800",
    "\\",
    "\n",
    "\r\n",
    " ",
    "#c\n",
    "\0",
];

/// A tar of a folder, a file and a link.
fn tar() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, target, contents) in [("d/", b'5', "", ""), ("d/f", b'0', "", "hello"), ("d/l", b'2', "f", "")] {
        let mut block = vec![0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..108].copy_from_slice(b"0000644\0");
        block[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
        block[136..148].copy_from_slice(b"00000000001\0");
        block[156] = kind;
        block[157..157 + target.len()].copy_from_slice(target.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(block);
        bytes.extend(contents.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

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

const LINES: &[&str] = &[
    "cores = 3\n",
    "cores = -1\n",
    "max-jobs = auto\n",
    "max-jobs",
    " = ",
    "keep-going = true\n",
    "extra-substituters = a b\n",
    "substituters =\n",
    "include nix.conf\n",
    "include 1\n!include 1\n",
    "!include absent\n",
    "include absent\n",
    "experimental-features = flakes nonsense\n",
    "extra-experimental-features = ca-derivations\n",
    "system-features = a b # c\n",
    "access-tokens = a=b\n",
    "sandbox = relaxed\n",
    "colour = red\n",
    "min-free = 1G\n",
    "\u{0}",
    "#",
    "\n",
    "  ",
];

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
        hostile::configuration(&bytes);
        hostile::database(&bytes);
        hostile::derivation(&bytes);
        hostile::export(&bytes);
        hostile::manifest(&bytes);
        hostile::registrations(&bytes);
        hostile::serve(&bytes);
        hostile::derivation_json(&bytes);
        hostile::packed(&bytes);
        hostile::references(&bytes);
        hostile::texts(&bytes);
        hostile::tokens(&bytes);
        hostile::tree(&bytes);
        hostile::json_text(&bytes);
        hostile::toml_text(&bytes);
        hostile::expression(&bytes);
    }

    #[test]
    fn damaged_archives(bytes in damaged(nar())) {
        hostile::archive(&bytes);
    }

    #[test]
    fn damaged_databases(bytes in prop::collection::vec(any::<u8>(), 1..60)) {
        hostile::database(&bytes);
    }

    #[test]
    fn damaged_streams(bytes in damaged(hostile::exported())) {
        hostile::export(&bytes);
    }

    #[test]
    fn damaged_requests(bytes in damaged(hostile::requests())) {
        hostile::serve(&bytes);
    }

    #[test]
    fn damaged_registrations(bytes in damaged(hostile::registered())) {
        hostile::registrations(&bytes);
    }

    #[test]
    fn soups_of_settings(lines in prop::collection::vec(prop::sample::select(LINES), 0..12)) {
        hostile::configuration(lines.concat().as_bytes());
    }

    #[test]
    fn damaged_tars(bytes in damaged(tar())) {
        hostile::packed(&bytes);
    }

    #[test]
    fn soups_of_references(words in prop::collection::vec(prop::sample::select(PARTS), 0..10)) {
        hostile::references(words.concat().as_bytes());
    }

    #[test]
    fn damaged_derivations(bytes in damaged(DRV.to_vec())) {
        hostile::derivation(&bytes);
    }

    #[test]
    fn soups_of_words(words in prop::collection::vec(prop::sample::select(WORDS), 0..40)) {
        for text in [words.join(" "), words.concat()] {
            hostile::tokens(text.as_bytes());
            hostile::tree(text.as_bytes());
            hostile::expression(text.as_bytes());
        }
    }

    #[test]
    fn soups_of_data(words in prop::collection::vec(prop::sample::select(MARKS), 0..30)) {
        hostile::json_text(words.concat().as_bytes());
        hostile::toml_text(words.concat().as_bytes());
    }
}

/// Found by fuzzing: what went on for ever, or as long as there was stack.
#[test]
fn what_once_did_not_end_ends() {
    // A pattern that can be taken apart in a great many ways.
    hostile::expression(format!("builtins.match \"a{}a* \" \"a\"", "*".repeat(82)).as_bytes());
    hostile::expression(
        b"builtins.match \"(a|aa)*b\" (builtins.concatStringsSep \"\" (builtins.genList (_: \"a\") 99))",
    );
    // What doubles on the way out of calls.
    hostile::expression(b"let f = n: if n == 0 then \"0123456789abcdef\" else let s = f (n - 1); in builtins.concatStringsSep \"\" [ s s s s s s s s s s s s s s s s ]; in f 40");
    hostile::expression(
        b"let f = n: if n == 0 then \"0123456789abcdef\" else let s = f (n - 1); in \"${s}${s}${s}${s}\"; in f 40",
    );
    hostile::expression(
        b"let f = n: if n == 0 then \"0123456789abcdef\" else let s = f (n - 1); in s + s + s + s; in f 40",
    );
    hostile::expression(b"let f = n: if n == 0 then [ 1 ] else let s = f (n - 1); in s ++ s ++ s ++ s; in f 40");
    // Passing over what is wrong leads back to the start of the line.
    hostile::toml_text(b"c=[{a,}{\xff\xfftr[\xed\x00=\xed# \x02\n[t.u\xed\xff 00");
    hostile::toml_text(&b"c=[{a,}{x[y=".repeat(50));
    hostile::toml_text(b"J=[[1],[2[[1],[2[\xff[\xff\n[\xff=[[1],[2[\xff\n1=07:304\n");
}

/// Found by fuzzing: nothing appended to a list leaves no blank at its end.
#[test]
fn lists_to_which_nothing_is_added_stay() {
    hostile::configuration(b"extra-substituters = a\nextra-substituters =\n");
}

/// Found by fuzzing: names of outputs are printed as they are.
#[test]
fn names_of_outputs_have_no_quotes() {
    let damaged = String::from_utf8_lossy(DRV).replace(r#"["out"])]"#, r#"["a\",\"b"])]"#);
    assert!(damaged.as_bytes() != DRV);
    hostile::derivation(damaged.as_bytes());
    let damaged = String::from_utf8_lossy(DRV).replace("\"x86_64-linux\"", "\"x86_64\\\\-linux\"");
    assert!(damaged.as_bytes() != DRV);
    hostile::derivation(damaged.as_bytes());
}

/// Found by fuzzing: a float of structured attributes is the nearest one, and stays so.
#[test]
fn floats_of_structured_attributes_stay() {
    let attrs = store_model::derivation::StructuredAttrs::parse(br#"{"b":1e-84,"a":9.999999999999999e-85}"#).unwrap();
    assert_eq!(attrs.as_str(), r#"{"a":9.999999999999999e-85,"b":1e-84}"#);
}

#[test]
fn the_undamaged_are_understood() {
    // The assertions on printing mean nothing unless parsing succeeds.
    hostile::archive(&nar());
    let mut tree = file_tree::MemoryTree::default();
    assert!(file_tree::read_nar(&mut nar().as_slice(), &mut tree).is_ok());
    let unnamed = || tempfile::tempfile().unwrap();
    let mut tree = file_tree::archive::ArchiveTree::new(unnamed(), 1);
    let mut tar = tar();
    file_tree::archive::read_archive_stream(&mut tar.as_slice(), file_tree::archive::Forms::Usual, &mut tree).unwrap();
    let file = file_tree::TreePath::normalise(b"f");
    assert_eq!(file_tree::SourceAccessor::read_file(&tree.finish().unwrap(), &file).unwrap(), b"hello");
    tar.truncate(700);
    let mut tree = file_tree::archive::ArchiveTree::new(unnamed(), 1);
    let cut = file_tree::archive::read_archive_stream(&mut tar.as_slice(), file_tree::archive::Forms::Usual, &mut tree);
    assert!(cut.is_err());
    let dir = store_model::StoreDir::new("/nix/store").unwrap();
    assert!(store_model::derivation::aterm::parse(&dir, DRV, "x").is_ok());
}

/// Where a fuzzer asks for them, the good bytes that it starts from.
fn seeds(bytes: &[u8]) {
    if let Some(folder) = std::env::var_os("FIRN_SEEDS") {
        std::fs::write(std::path::Path::new(&folder).join("good"), bytes).unwrap();
    }
}

#[test]
fn seeds_of_archive() {
    seeds(&nar());
}

#[test]
fn seeds_of_export() {
    let stream = hostile::exported();
    hostile::export(&stream);
    seeds(&stream);
}

#[test]
fn seeds_of_serve() {
    let requests = hostile::requests();
    hostile::serve(&requests);
    seeds(&requests);
}

#[test]
fn seeds_of_registrations() {
    let text = hostile::registered();
    hostile::registrations(&text);
    seeds(&text);
}

#[test]
fn seeds_of_texts() {
    const NARINFO: &str = "StorePath: /nix/store/0hm2f1psjpcwg8fijsmr4wwxrx59s092-x\nURL: nar/x.nar.xz\nCompression: xz\n\
        FileHash: sha256:0000000000000000000000000000000000000000000000000000\nFileSize: 1\n\
        NarHash: sha256:0000000000000000000000000000000000000000000000000000\nNarSize: 2\n\
        References: 0hm2f1psjpcwg8fijsmr4wwxrx59s092-x\nDeriver: 7fc12qwlzmrcc8swwsl28nz1yjf4xkkx-a.drv\n\
        Sig: key:AAAA\nCA: text:sha256:0000000000000000000000000000000000000000000000000000\n";
    hostile::texts(NARINFO.as_bytes());
    seeds(NARINFO.as_bytes());
}
