//! Fetches that succeed: what is asked for, what comes of it, what may be read then.

use super::{A, eval, eval_all, plain, pure, restricted, with_features};
use evaluator::{
    EvalOptions, FetchAttribute, FetchRequest, Fetched, Input, InputAttributes, InputSyntax, TestWorld, WorldError,
    WorldErrorClass,
};
use std::sync::Arc;
use store_model::{Hash, HashAlgorithm, StoreDir};

const REV: &str = "0123456789012345678901234567890123456789";

/// A grammar in which everything is as it was written; what has a revision is locked.
#[derive(Debug)]
struct Plain;

fn refused() -> WorldError {
    WorldError::new(WorldErrorClass::Other, "not in this grammar")
}

impl InputSyntax for Plain {
    fn parse_flake_ref(&self, _: &str) -> Result<InputAttributes, WorldError> {
        Err(refused())
    }

    fn print_flake_ref(&self, _: InputAttributes) -> Result<String, WorldError> {
        Err(refused())
    }

    fn input_of_url(&self, url: &str) -> Result<Input, WorldError> {
        self.input_of_attributes([("url".to_owned(), FetchAttribute::String(url.to_owned()))].into())
    }

    fn input_of_attributes(&self, attributes: InputAttributes) -> Result<Input, WorldError> {
        let Some(FetchAttribute::String(url)) = attributes.get("url") else { return Err(refused()) };
        let (url, has) = (url.clone(), |name| attributes.contains_key(name));
        Ok(Input { url, is_locked: has("rev"), has_nar_hash: has("narHash"), attributes })
    }

    fn git_url(&self, text: &str) -> Result<String, WorldError> {
        Ok(format!("git:{text}"))
    }
}

fn string(text: &str) -> FetchAttribute {
    FetchAttribute::String(text.to_owned())
}

fn named<const N: usize>(attributes: [(&str, FetchAttribute); N]) -> InputAttributes {
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

fn fetched<const N: usize>(attributes: [(&str, FetchAttribute); N]) -> TestWorld {
    let path = StoreDir::new("/nix/store").unwrap().parse_bytes(A.as_bytes()).unwrap();
    TestWorld::new().object(A, b"text", &[]).fetches(Fetched { path, attributes: named(attributes) })
}

fn options(base: EvalOptions) -> EvalOptions {
    let experimental_features = with_features(&["fetch-tree", "flakes"]).experimental_features;
    EvalOptions { experimental_features, inputs: Some(Arc::new(Plain)), ..base }
}

/// Evaluates; the printed value and the attributes that were asked for.
fn tree(world: TestWorld, options: &EvalOptions, text: &str) -> (Result<String, String>, Vec<InputAttributes>) {
    let world = Arc::new(world);
    let printed = eval_all(&world, options, &[text]).remove(0);
    let asked = world.fetch_requests().into_iter().map(|request| match request {
        FetchRequest::Tree { attributes, is_locked } => {
            assert_eq!(is_locked, attributes.contains_key("rev"));
            attributes
        }
        request => panic!("{request:?}"),
    });
    (printed, asked.collect())
}

#[test]
fn files_and_archives() {
    let hash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let expected = Some(Hash::of(HashAlgorithm::Sha256, b""));
    let file = |url: &str, name: &str, expected: &Option<Hash>| FetchRequest::File {
        url: url.into(),
        name: name.into(),
        expected: *expected,
    };
    let tarball = |url: &str, name: &str, expected: &Option<Hash>| FetchRequest::Tarball {
        url: url.into(),
        name: name.into(),
        expected: *expected,
    };
    for (text, request) in [
        ("builtins.fetchurl \"https://h/x\"", file("https://h/x", "x", &None)),
        ("builtins.fetchurl \"https://h/x///\"", file("https://h/x///", "x", &None)),
        ("builtins.fetchurl { url = \"https://h/x\"; name = \"n\"; }", file("https://h/x", "n", &None)),
        ("builtins.fetchurl { url = \"https://h/x\"; sha256 = \"HASH\"; }", file("https://h/x", "x", &expected)),
        ("fetchTarball \"https://h/x\"", tarball("https://h/x", "source", &None)),
        ("fetchTarball \"channel:c\"", tarball("https://channels.nixos.org/c/nixexprs.tar.xz", "source", &None)),
        ("fetchTarball { url = \"https://h/x\"; name = \"\"; }", tarball("https://h/x", "x", &None)),
        ("fetchTarball { url = \"u\"; name = \"n\"; sha256 = \"HASH\"; }", tarball("u", "n", &expected)),
    ] {
        let world = Arc::new(fetched([]));
        let text = text.replace("HASH", hash);
        let given = eval_all(&world, &plain(), &[&text, &format!("builtins.getContext ({text})")]);
        assert_eq!(given[0], Ok(format!("\"{A}\"")), "{text}");
        assert_eq!(given[1], Ok(format!("{{ \"{A}\" = {{ path = true; }}; }}")), "{text}");
        assert_eq!(world.fetch_requests(), [request.clone(), request], "{text}");
    }
    // What was fetched may be read, and only that.
    let text = format!("builtins.readFile (builtins.fetchurl {{ url = \"u\"; sha256 = \"{hash}\"; }})");
    assert_eq!(eval(fetched([]), pure(), &text), Ok("\"text\"".into()));
    let allowed = EvalOptions { allowed_uris: vec!["https://h".into()], ..restricted() };
    let text = "builtins.readFile (builtins.fetchurl \"https://h/x\")";
    assert_eq!(eval(fetched([]), allowed, text), Ok("\"text\"".into()));
    assert!(eval(fetched([]), restricted(), text).is_err());
    let near = EvalOptions { allowed_paths: vec![b"/a".into()], ..restricted() };
    for (url, is_allowed) in [("/a", true), ("file:///a/b", true), ("/ab", false), ("file:///b", false)] {
        assert_eq!(
            eval(fetched([]), near.clone(), &format!("builtins.fetchurl \"{url}\"")).is_ok(),
            is_allowed,
            "{url}"
        );
    }
}

#[test]
fn git_inputs_get_their_defaults() {
    let yes = || FetchAttribute::Bool(true);
    let git = |url: &str| vec![("type", string("git")), ("url", string(url))];
    let with = |mut all: Vec<(&'static str, FetchAttribute)>, more: Vec<(&'static str, FetchAttribute)>| {
        all.extend(more);
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<InputAttributes>()
    };
    let none = || FetchAttribute::Bool(false);
    for (text, asked) in [
        ("fetchGit \"u\"", with(git("git:u"), vec![("exportIgnore", yes())])),
        ("fetchGit /u", with(git("git:/u"), vec![("exportIgnore", yes())])),
        ("fetchGit { url = \"u\"; }", with(git("git:u"), vec![("exportIgnore", yes())])),
        ("fetchGit { url = /u; ref = /r; }", with(git("git:/u"), vec![("ref", string("/r")), ("exportIgnore", yes())])),
        ("fetchGit { url = \"u\"; name = \"n\"; revCount = 0; }", {
            with(
                git("git:u"),
                vec![("name", string("n")), ("revCount", FetchAttribute::Int(0)), ("exportIgnore", yes())],
            )
        }),
        ("fetchGit { url = \"u\"; submodules = true; }", with(git("git:u"), vec![("submodules", yes())])),
        ("fetchGit { url = \"u\"; submodules = false; }", {
            with(git("git:u"), vec![("submodules", none()), ("exportIgnore", yes())])
        }),
        ("fetchGit { url = \"u\"; exportIgnore = false; }", with(git("git:u"), vec![("exportIgnore", none())])),
        ("builtins.fetchTree { type = \"git\"; url = \"u\"; }", with(git("u"), vec![("shallow", yes())])),
        (
            "builtins.fetchTree { type = \"git\"; url = \"u\"; shallow = false; }",
            with(git("u"), vec![("shallow", none())]),
        ),
        (
            "builtins.fetchTree { type = \"hg\"; url = \"u\"; }",
            with(vec![], vec![("type", string("hg")), ("url", string("u"))]),
        ),
        ("builtins.fetchTree \"u\"", with(vec![], vec![("url", string("u"))])),
        ("builtins.fetchMercurial \"u\"", {
            with(vec![("type", string("hg"))], vec![("name", string("source")), ("url", string("file://u"))])
        }),
        ("builtins.fetchMercurial { url = \"h://u\"; name = \"n\"; rev = \"tip\"; }", {
            with(
                vec![("type", string("hg"))],
                vec![("name", string("n")), ("ref", string("tip")), ("url", string("h://u"))],
            )
        }),
        ("builtins.fetchMercurial { url = \"h://u\"; rev = \"g123456789012345678901234567890123456789\"; }", {
            let rev = string("g123456789012345678901234567890123456789");
            with(vec![("type", string("hg"))], vec![("name", string("source")), ("ref", rev), ("url", string("h://u"))])
        }),
        ("builtins.fetchMercurial { url = \"h://u\"; rev = \"0123456789012345678901234567890123456789\"; }", {
            with(
                vec![("type", string("hg"))],
                vec![("name", string("source")), ("rev", string(REV)), ("url", string("h://u"))],
            )
        }),
        ("builtins.fetchMercurial { url = \"h://u\"; rev = \"012345678901234567890123456789012345678\"; }", {
            let rev = string("012345678901234567890123456789012345678");
            with(vec![("type", string("hg"))], vec![("name", string("source")), ("ref", rev), ("url", string("h://u"))])
        }),
    ] {
        let (given, requests) = tree(fetched([]), &options(plain()), &format!("({text}).outPath"));
        assert_eq!(given, Ok(format!("\"{A}\"")), "{text}");
        assert_eq!(requests, [asked], "{text}");
    }
    for text in ["builtins.fetchTree \"u\"", "builtins.fetchTree { type = \"path\"; }"] {
        let without = EvalOptions { experimental_features: ["fetch-tree".to_owned()].into(), ..options(plain()) };
        assert!(eval(fetched([]), without, text).is_err(), "{text}");
    }
}

#[test]
fn trees_tell_what_is_known_of_them() {
    let tree = |world: TestWorld, text: &str| tree(world, &options(plain()), text).0.unwrap();
    let git = "fetchGit \"u\"";
    let other = "builtins.fetchTree { type = \"x\"; url = \"u\"; }";
    let hg = "builtins.fetchMercurial \"u\"";
    let zeros = "0".repeat(40);
    let nothing = format!("{{ outPath = \"{A}\"; rev = \"{zeros}\"; revCount = 0; shortRev = \"0000000\"; }}");
    assert_eq!(tree(fetched([]), git), nothing);
    assert_eq!(tree(fetched([]), other), format!("{{ outPath = \"{A}\"; }}"));
    let nothing = format!("{{ outPath = \"{A}\"; rev = \"{zeros}\"; shortRev = \"000000000000\"; }}");
    assert_eq!(tree(fetched([]), hg), nothing);
    let all = || {
        fetched([
            ("type", string("git")),
            ("rev", string(REV)),
            ("ref", string("main")),
            ("revCount", FetchAttribute::Int(7)),
            ("lastModified", FetchAttribute::Int(951_827_696)),
            ("narHash", string("sha256-x")),
            ("submodules", FetchAttribute::Bool(true)),
            ("dirtyRev", string("d-dirty")),
            ("dirtyShortRev", string("s-dirty")),
        ])
    };
    let set = format!(
        "{{ dirtyRev = \"d-dirty\"; dirtyShortRev = \"s-dirty\"; lastModified = 951827696; \
         lastModifiedDate = \"20000229123456\"; narHash = \"sha256-x\"; outPath = \"{A}\"; rev = \"{REV}\"; revCount = 7; \
         shortRev = \"0123456\"; submodules = true; }}"
    );
    assert_eq!(tree(all(), git), set);
    assert_eq!(tree(all(), other), set);
    let set = format!(
        "{{ branch = \"main\"; outPath = \"{A}\"; rev = \"{REV}\"; revCount = 7; shortRev = \"012345678901\"; }}"
    );
    assert_eq!(tree(all(), hg), set);
    // Attributes of another kind count for nothing.
    let odd = || {
        fetched([
            ("type", string("git")),
            ("rev", FetchAttribute::Int(1)),
            ("revCount", string("7")),
            ("lastModified", FetchAttribute::Bool(true)),
            ("submodules", string("true")),
            ("dirtyShortRev", string("s-dirty")),
        ])
    };
    assert_eq!(tree(odd(), other), format!("{{ outPath = \"{A}\"; submodules = false; }}"));
    assert_eq!(tree(odd(), hg), nothing);
    let context = format!("{{ \"{A}\" = {{ path = true; }}; }}");
    for text in [git, other, hg] {
        assert_eq!(tree(all(), &format!("builtins.getContext ({text}).outPath")), context);
    }
}

#[test]
fn keys_that_sign_are_an_experiment() {
    let text = "(fetchGit { url = \"u\"; publicKeys = [ { key = \"k\"; } ]; }).outPath";
    let words = "experimental Nix feature 'verified-fetches' is disabled; \
                 add '--extra-experimental-features verified-fetches' to enable it";
    assert_eq!(eval(fetched([]), options(plain()), text), Err(words.into()));
    let mut enabled = options(plain());
    enabled.experimental_features.insert("verified-fetches".to_owned());
    let (given, requests) = tree(fetched([]), &enabled, text);
    assert_eq!(given, Ok(format!("\"{A}\"")));
    assert_eq!(requests[0].get("publicKeys"), Some(&string("[{\"key\":\"k\"}]")));
}

#[test]
fn pure_evaluation_fetches_what_is_locked() {
    let options = options(pure());
    let tree = |text: &str| tree(fetched([]), &options, &format!("builtins.readFile ({text}).outPath"));
    let refused =
        |who: &str, url: &str| Err(format!("in pure evaluation mode, '{who}' doesn't fetch unlocked input '{url}'"));
    for text in [
        format!("fetchGit {{ url = \"u\"; rev = \"{REV}\"; }}"),
        format!("builtins.fetchTree {{ type = \"x\"; url = \"u\"; rev = \"{REV}\"; }}"),
        "builtins.fetchTree { type = \"x\"; url = \"u\"; narHash = \"h\"; }".to_owned(),
        format!("builtins.fetchMercurial {{ url = \"u\"; rev = \"{REV}\"; }}"),
    ] {
        let (given, requests) = tree(&text);
        assert_eq!((given, requests.len()), (Ok("\"text\"".into()), 1), "{text}");
    }
    assert_eq!(tree("fetchGit \"u\""), (refused("fetchGit", "git:u"), vec![]));
    assert_eq!(tree("builtins.fetchTree \"u\""), (refused("fetchTree", "u"), vec![]));
    let words = "in pure evaluation mode, 'fetchMercurial' requires a Mercurial revision";
    assert_eq!(tree("builtins.fetchMercurial { url = \"u\"; rev = \"tip\"; }"), (Err(words.into()), vec![]));
}

#[test]
fn restricted_evaluation_fetches_what_is_allowed() {
    let allowed = EvalOptions { allowed_uris: vec!["https://h/".into(), "git:u".into()], ..options(restricted()) };
    for (text, is_allowed) in [
        ("fetchGit \"u\"", true),
        ("fetchGit \"v\"", false),
        ("builtins.fetchTree { type = \"x\"; url = \"https://h/x\"; }", true),
        ("builtins.fetchTree { type = \"x\"; url = \"https://g/x\"; }", false),
        ("builtins.fetchMercurial \"https://h/x\"", true),
        ("builtins.fetchMercurial \"https://g/x\"", false),
    ] {
        let (given, requests) = tree(fetched([]), &allowed, &format!("builtins.readFile ({text}).outPath"));
        assert_eq!(given.is_ok(), is_allowed, "{text}: {given:?}");
        assert_eq!(requests.len(), usize::from(is_allowed), "{text}");
    }
    let last = "builtins.fetchTree { type = \"x\"; url = \"u\"; __final = true; }";
    let words = "input 'u' is not allowed to use the '__final' attribute";
    assert_eq!(eval(fetched([]), options(plain()), last), Err(words.into()));
    let last = "(builtins.fetchTree { type = \"x\"; url = \"u\"; __final = false; }).outPath";
    assert_eq!(eval(fetched([]), options(plain()), last), Ok(format!("\"{A}\"")));
}
