//! Files and archives from a server: what is remembered, what is asked again, what is refused.

use fetchers::{Attribute, Error, ErrorClass};

use crate::depot::Rig;
use crate::server::{Answer, Server};

/// A tar with the given members: path, kind, contents or target.
fn tar_of(members: &[(&str, char, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for &(path, kind, data) in members {
        let mut header = tar::Header::new_gnu();
        let kind = match kind {
            'd' => tar::EntryType::Directory,
            'l' => tar::EntryType::Symlink,
            'h' => tar::EntryType::Link,
            'c' => tar::EntryType::Char,
            kind => {
                header.set_mode(if kind == 'x' { 0o755 } else { 0o644 });
                tar::EntryType::Regular
            }
        };
        header.set_entry_type(kind);
        header.set_mtime(1_600_000_000);
        // Written raw, so that names which the crate refuses get in.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        let contents = if kind.is_file() { data } else { "" };
        if !kind.is_file() {
            header.as_old_mut().linkname[..data.len()].copy_from_slice(data.as_bytes());
        }
        header.set_size(contents.len() as u64);
        header.set_cksum();
        builder.append(&header, contents.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

const GOOD: &[(&str, char, &str)] = &[
    ("top", 'd', ""),
    ("top/a", 'f', "hello"),
    ("top/bin/x", 'x', "#!"),
    ("top/l", 'l', "a"),
    ("top/abs", 'l', "/etc/passwd"),
    ("top/up", 'l', "../../x"),
    ("top/empty", 'd', ""),
    ("top/h", 'h', "top/a"),
];

fn tarball(url: &str) -> [(&'static str, Attribute); 2] {
    [("type", "tarball".into()), ("url", url.into())]
}

#[test]
fn an_archive_is_unpacked_as_cpp_nix_does_it() {
    let (rig, server) = (Rig::new(), Server::start());
    let fetched = rig.fetch(0, &tarball(&server.put("good.tar", Answer::Bytes(tar_of(GOOD), 1)))).unwrap();
    // The hash that C++ Nix 2.34.8 has for this tree.
    assert_eq!(fetched.kept.nar_hash.to_sri(), "sha256-Q05ddAUP6It3c5sIAVyF/ZmZduTRfECTKTIuHakUbIA=");
    assert_eq!(fetched.kept.path.as_str(), "19rnk08rn7iyi07f29ll2dcl6hrkxjjq-source");
    assert_eq!(fetched.locked.number("lastModified").unwrap(), Some(1_600_000_000));
    let expected = ["a", "abs -> /etc/passwd", "bin/", "bin/x*", "empty/", "h", "l -> a", "up -> ../../x"];
    assert_eq!(rig.listing(&fetched.kept), expected);
}

#[test]
fn names_never_lead_out_of_the_tree() {
    let (rig, server) = (Rig::new(), Server::start());
    let members = [("../../evil", 'f', "x"), ("/abs/y", 'f', "y"), ("a/../b", 'f', "z")];
    let fetched = rig.fetch(0, &tarball(&server.put("up.tar", Answer::Bytes(tar_of(&members), 1)))).unwrap();
    assert_eq!(fetched.kept.path.as_str(), "8yxmypsad6av4b83dn467i4ky4pfa93c-source");
    assert_eq!(rig.listing(&fetched.kept), ["abs/", "abs/y", "b", "evil"]);
    for (members, words) in [
        (&[("t/.git/config", 'f', "x")][..], "invalid name for a tree entry - .git"),
        (&[("t/dev", 'c', "")], "file 't/dev' in tarball has unsupported file type 8192"),
        (&[("t/h", 'h', "t/none")], "path '/t/none' does not exist"),
        (&[("t/f", 'f', "x"), ("t/f/g", 'f', "x")], "has a non-directory parent"),
        (&[("t/l", 'l', "")], "has an invalid target"),
    ] {
        let url = server.put("bad.tar", Answer::Bytes(tar_of(members), 2));
        let error = rig.fetch(0, &tarball(&url)).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.trace(), [format!("while fetching the input '{url}'")]);
    }
    let url = server.put("junk", Answer::Bytes(b"no archive".repeat(100), 3));
    let words = "Failed to open archive (Unrecognized archive format)";
    assert_eq!(rig.fetch(0, &tarball(&url)).unwrap_err().to_string(), words);
}

#[test]
fn what_is_fresh_is_not_asked_for_and_what_is_old_is_asked_whether_it_changed() {
    let (rig, server) = (Rig::new(), Server::start());
    let url = server.put("a.tar", Answer::Bytes(tar_of(GOOD), 1));
    let first = rig.fetch(1000, &tarball(&url)).unwrap();
    assert_eq!(rig.fetch(1000, &tarball(&url)).unwrap(), first);
    assert_eq!(server.asked(), ["a.tar 200"]);
    assert_eq!(rig.fetch(0, &tarball(&url)).unwrap(), first);
    assert_eq!(server.asked(), ["a.tar 304"]);
    // Under another name it is the same thing, and the server need not be asked for it.
    let fetcher = rig.fetcher(1000);
    let input = first.locked.clone();
    let named = fetcher.fetch(&rig.activity, &rig.depot, &input, Some("other")).unwrap();
    assert_eq!((named.kept.nar_hash, named.kept.path.name()), (first.kept.nar_hash, "other"));
    assert!(server.asked().is_empty());
    server.put("a.tar", Answer::Bytes(tar_of(&GOOD[..2]), 2));
    let second = rig.fetch(0, &tarball(&url)).unwrap();
    assert_ne!(second.kept, first.kept);
    assert_eq!(server.asked(), ["a.tar 200"]);
    // What the store does not have any more is fetched anew, whatever is remembered.
    rig.depot.collect();
    assert_eq!(rig.fetch(1000, &tarball(&url)).unwrap().kept, second.kept);
    assert_eq!(server.asked(), ["a.tar 200"]);
}

#[test]
fn every_url_on_the_way_is_remembered() {
    let (rig, server) = (Rig::new(), Server::start());
    let real = server.put("real", Answer::Bytes(b"text".to_vec(), 1));
    let url = server.put("moved", Answer::Redirect("real".into()));
    let fetcher = rig.fetcher(1000);
    let kept = fetcher.file(&rig.activity, &rig.depot, &url, "name").unwrap();
    assert_eq!(server.asked(), ["moved 302", "real 200"]);
    assert_eq!(rig.fetcher(1000).file(&rig.activity, &rig.depot, &real, "name").unwrap(), kept);
    assert!(server.asked().is_empty());
    assert_eq!(std::fs::read(rig.folder.path().join("store").join(kept.path.as_str())).unwrap(), b"text");
}

#[test]
fn a_server_that_is_gone_leaves_what_is_known_of_files() {
    let (rig, server) = (Rig::new(), Server::start());
    let url = server.put("file", Answer::Bytes(b"text".to_vec(), 1));
    let kept = rig.fetcher(0).file(&rig.activity, &rig.depot, &url, "file").unwrap();
    server.remove("file");
    assert_eq!(rig.fetcher(0).file(&rig.activity, &rig.depot, &url, "file").unwrap(), kept);
    let words = format!("unable to download '{url}': HTTP error 404\n\nresponse body:\n\nnothing here");
    assert_eq!(rig.warnings(), [format!("{words}; using cached version")]);
    let error = rig.fetcher(0).file(&rig.activity, &rig.depot, &url, "other").unwrap_err();
    assert_eq!((error.class(), error.to_string()), (ErrorClass::NotFound, words.clone()));
    let error = rig.fetch(0, &tarball(&url)).unwrap_err();
    let words = words.replace("\nresponse", "\n       response").replace("\nnothing", "\n       nothing");
    assert_eq!(error.to_string(), format!("Failed to open archive (Source threw exception: error: {words})"));
}

#[test]
fn a_link_that_is_immutable_is_the_locked_input() {
    let (rig, server) = (Rig::new(), Server::start());
    let for_ever = format!("{}/v1.tar?rev={}&revCount=7", server.base, "01".repeat(20));
    let url = server.put("latest.tar", Answer::Immutable(tar_of(GOOD), for_ever));
    let fetched = rig.fetch(0, &tarball(&url)).unwrap();
    let text = |name: &str| fetched.locked.text(name).unwrap().map(str::to_owned);
    assert_eq!(text("url"), Some(format!("{}/v1.tar", server.base)));
    assert_eq!((text("rev"), fetched.locked.number("revCount").unwrap()), (Some("01".repeat(20)), Some(7)));
    let other = format!("git+{}/x", server.base);
    let url = server.put("odd.tar", Answer::Immutable(tar_of(GOOD), other));
    let error = rig.fetch(0, &tarball(&url)).unwrap_err();
    assert!(error.to_string().contains("redirect to non-tarball URLs are not supported"), "{error}");
}

#[test]
fn promises_are_held_against_what_came() {
    let (rig, server) = (Rig::new(), Server::start());
    let url = server.put("good.tar", Answer::Bytes(tar_of(GOOD), 1));
    let with = |name: &'static str, value: Attribute| {
        let mut attributes = tarball(&url).to_vec();
        attributes.push((name, value));
        rig.fetch(1000, &attributes)
    };
    let zeros = format!("sha256-{}=", "A".repeat(43));
    let error = with("narHash", zeros.as_str().into()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Corrupt);
    let words = format!("expected '{zeros}' but got 'sha256-Q05ddAUP6It3c5sIAVyF/ZmZduTRfECTKTIuHakUbIA='");
    assert!(error.to_string().starts_with("NAR hash mismatch in input") && error.to_string().ends_with(&words));
    // Times are believed.
    assert_eq!(with("lastModified", 3.into()).unwrap().locked.number("lastModified").unwrap(), Some(3));
    let error = with("rev", "01".repeat(20).into());
    assert!(error.is_ok(), "{error:?}");
    let wrong = rig.fetch(0, &[("type", "tarball".into()), ("url", "file:///".into())]).unwrap_err();
    assert_eq!(wrong.to_string(), "tarball \"/\" is a directory, not a file.");
    assert!(matches!(rig.fetch(0, &tarball("nonsense")), Err(Error::While { .. } | Error::BadUrl(_))));
}

#[test]
fn threads_that_want_the_same_fetch_it_once() {
    let (rig, server) = (Rig::new(), Server::start());
    let url = server.put("good.tar", Answer::Bytes(tar_of(GOOD), 1));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            // Each with a fetcher of its own, as processes have.
            scope.spawn(|| rig.fetch(1000, &tarball(&url)).unwrap());
        }
    });
    assert_eq!(server.asked(), ["good.tar 200"]);
}

#[test]
fn a_wish_to_stop_is_heard_while_unpacking() {
    let rig = Rig::new();
    let file = rig.path("large.tar");
    let zeros = "\0".repeat(1 << 20);
    std::fs::write(&file, tar_of(&[("t/a", 'f', &zeros), ("t/b", 'f', &zeros)])).unwrap();
    let url = format!("file://{}", file.display());
    let fetcher = rig.fetcher(0);
    let rules = fetcher.options().rules;
    let given = tarball(&url).map(|(name, value)| (name.to_owned(), value)).into();
    let input = fetchers::InputRef::from_attributes(given, rules).unwrap();
    let token = activity::CancelToken::new();
    // The first thing that is said is that unpacking begins.
    let reporter = StopAtFirst(token.clone());
    let activity = activity::Activity::root(std::sync::Arc::new(reporter), token);
    let error = fetcher.fetch(&activity, &rig.depot, &input, None).unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error}");
    // The next one finds no trace of it.
    assert!(rig.fetch(0, &tarball(&url)).is_ok());
}

struct StopAtFirst(activity::CancelToken);

impl activity::Reporter for StopAtFirst {
    fn report(&self, _: &activity::Event<'_>) {
        self.0.cancel();
    }
}
