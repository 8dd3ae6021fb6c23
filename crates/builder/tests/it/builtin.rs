//! `builtin:fetchurl` and `builtin:unpack`, as derivations.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use store::{AddTree, BuildMode, WritableStore, WriteOptions};
use store_model::{BuildStatus, ContentAddressMethod, Hash, HashAlgorithm, References, StorePath};

use crate::build::results;
use crate::rig::Rig;
use crate::{Test, Verdict};

pub const TESTS: &[Test] = &[
    ("builtin::files_are_fetched_and_checked", files_are_fetched_and_checked),
    ("builtin::several_places_are_tried", several_places_are_tried),
    ("builtin::local_files_are_copied", local_files_are_copied),
    ("builtin::fetched_archives_are_unpacked", fetched_archives_are_unpacked),
    ("builtin::an_archive_becomes_a_tree", || archive(&Rig::open())),
    ("builtin::an_archive_becomes_a_tree_shut_in", || archive(&Rig::boxed())),
    ("builtin::unknown_builtins_are_refused", unknown_builtins_are_refused),
];

/// Serves `/name` with fixed bytes, anything else not at all.
struct Server {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

fn serve(files: &[(&str, &[u8])]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let files: Vec<_> = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(&stream);
            let _ = reader.read_line(&mut line);
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {}
            let found = files.iter().find(|(name, _)| *name == path);
            log.lock().unwrap().push(path);
            let (status, body) = found.map_or(("404 Not Found", b"".as_slice()), |(_, body)| ("200 OK", body));
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(body));
        }
    });
    Server { base, asked }
}

fn sha256(bytes: &[u8]) -> Hash {
    Hash::of(HashAlgorithm::Sha256, bytes)
}

fn fetch(rig: &Rig, name: &str, url: &str, hash: Hash) -> StorePath {
    rig.builtin(name, "builtin:fetchurl").set("url", url).fixed(ContentAddressMethod::Flat, hash).write()
}

fn nar_of(executable: bool, bytes: &[u8]) -> Vec<u8> {
    let node = if executable { file_tree::MemoryNode::executable(bytes) } else { file_tree::MemoryNode::file(bytes) };
    let mut nar = Vec::new();
    let tree = file_tree::MemoryTree::new(node);
    file_tree::nar::dump(&tree, &file_tree::TreePath::root(), &mut |_, _| Ok(true), &mut nar).unwrap();
    nar
}

fn files_are_fetched_and_checked() -> Verdict {
    let rig = Rig::open();
    let server = serve(&[("/file", b"contents")]);
    let url = format!("{}/file", server.base);
    let good = fetch(&rig, "good", &url, sha256(b"contents"));
    assert_eq!(rig.made(&good), "contents");
    let tool = rig
        .builtin("tool", "builtin:fetchurl")
        .set("url", url.as_str())
        .set("executable", "1")
        .fixed(ContentAddressMethod::NixArchive, sha256(&nar_of(true, b"contents")))
        .write();
    assert!(rig.build(&tool).status.is_success());
    assert_eq!(rig.real(&rig.output(&tool, "out")).metadata().unwrap().permissions().mode() & 0o7777, 0o555);
    let wrong = fetch(&rig, "wrong", &url, sha256(b"other"));
    let results = rig.build_in(BuildMode::Normal, &[&wrong]).unwrap();
    assert_eq!(results[0].status, BuildStatus::HashMismatch);
    for part in [sha256(b"other").to_sri(), sha256(b"contents").to_sri(), url.clone()] {
        assert!(results[0].error_message.contains(&part), "{}", results[0].error_message);
    }
    assert!(!rig.is_valid(&rig.output(&wrong, "out")));
    let absent = fetch(&rig, "absent", &format!("{}/absent", server.base), sha256(b"x"));
    let results = rig.build_in(BuildMode::Normal, &[&absent]).unwrap();
    assert_eq!((results[0].status, rig.exit_status()), (BuildStatus::TransientFailure, 1));
    assert!(results[0].error_message.contains("HTTP error 404"), "{}", results[0].error_message);
    let open = rig.builtin("open", "builtin:fetchurl").set("url", url.as_str()).write();
    assert!(rig.build(&open).error_message.contains("must be a fixed-output"));
    rig.assert_clean();
    Verdict::Passed
}

fn several_places_are_tried() -> Verdict {
    let mut rig = Rig::open();
    let hash = sha256(b"contents");
    let by_hash = format!("/by/sha256/{}", hash.to_base16());
    let server = serve(&[("/second/pool/f", b"contents"), (&by_hash, b"hashed"), ("/list", b"contents")]);
    let place = |path: &str| format!("{}{path}", server.base);
    rig.options.mirrors.places.insert("m".into(), vec![place("/first/"), place("/second/")]);
    let drv = fetch(&rig, "mirrored", "mirror://m//pool/f", hash);
    assert_eq!(rig.made(&drv), "contents");
    assert_eq!(*server.asked.lock().unwrap(), ["/first/pool/f", "/second/pool/f"]);
    let unknown = fetch(&rig, "unknown", "mirror://none/f", hash);
    assert!(rig.build(&unknown).error_message.contains("names the mirror 'none'"));
    let listed = rig
        .builtin("listed", "builtin:fetchurl")
        .set("url", place("/nothing"))
        .set("urls", format!("{}  {}", place("/nowhere"), place("/list")))
        .fixed(ContentAddressMethod::Flat, hash)
        .write();
    assert_eq!(rig.made(&listed), "contents");
    // A mirror by hash is asked first, and its bytes are judged like any other's.
    rig.options.mirrors.hashed = vec![place("/by/")];
    let drv = fetch(&rig, "hashed", &place("/list"), hash);
    assert_eq!(rig.build(&drv).status, BuildStatus::HashMismatch);
    Verdict::Passed
}

fn local_files_are_copied() -> Verdict {
    let rig = Rig::open();
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "local").unwrap();
    let url = format!("file://{}", file.display());
    let drv = fetch(&rig, "local", &url, sha256(b"local"));
    assert_eq!(rig.made(&drv), "local");
    let wrong = fetch(&rig, "renamed", &url, sha256(b"other"));
    assert_eq!(rig.build(&wrong).status, BuildStatus::HashMismatch);
    // Bytes of this machine are not kept under their true hash.
    assert_eq!(
        rig.build(&fetch(&rig, "renamed", "file:///no/such/file", sha256(b"local"))).status,
        BuildStatus::TransientFailure
    );
    let device = fetch(&rig, "device", "file:///dev/zero", sha256(b""));
    assert!(rig.build(&device).error_message.contains("not a regular file"));
    let all_ids = std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|text| text.contains("4294967295"));
    if rustix::process::geteuid().is_root() && all_ids {
        // What root alone may read, a build may not.
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let secret = fetch(&rig, "secret", &url, sha256(b"local"));
        assert!(rig.build(&secret).error_message.contains("Permission denied"));
    }
    rig.assert_clean();
    Verdict::Passed
}

fn fetched_archives_are_unpacked() -> Verdict {
    let rig = Rig::open();
    let nar = nar_of(false, b"inside");
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(&nar).unwrap();
    let server = serve(&[("/a.nar", &nar), ("/a.nar.xz", &encoder.finish().unwrap()), ("/bad.nar", b"nonsense")]);
    let unpack = |name: &str| {
        rig.builtin(name, "builtin:fetchurl")
            .set("url", format!("{}/{name}", server.base))
            .set("unpack", "1")
            .fixed(ContentAddressMethod::NixArchive, sha256(&nar))
            .write()
    };
    for name in ["a.nar", "a.nar.xz"] {
        assert_eq!(rig.made(&unpack(name)), "inside");
    }
    assert_eq!(rig.build(&unpack("bad.nar")).status, BuildStatus::TransientFailure);
    rig.assert_clean();
    Verdict::Passed
}

fn archive(rig: &Rig) -> Verdict {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode, text) in [("./bin/tool", 0o755, "#!tool"), ("./doc/readme", 0o644, "read")] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    let bytes = tar.into_inner().unwrap();
    let tree = file_tree::MemoryTree::new(file_tree::MemoryNode::file(bytes));
    let source = rig
        .store
        .add_tree(
            &rig.activity,
            &mut AddTree {
                name: "a.tar",
                accessor: &tree,
                path: &file_tree::TreePath::root(),
                method: ContentAddressMethod::NixArchive,
                algorithm: HashAlgorithm::Sha256,
                references: References::default(),
                filter: &mut |_, _| Ok(true),
            },
            &WriteOptions::default(),
        )
        .unwrap()
        .path;
    let printed = store::Store::store_dir(&*rig.store).print(&source);
    let whole = rig.builtin("whole", "builtin:unpack").set("src", printed.as_str()).source(&source).write();
    let part = rig
        .builtin("part", "builtin:unpack")
        .set("src", printed.as_str())
        .set("select", "bin/tool")
        .source(&source)
        .write();
    let results = results!(rig, BuildMode::Normal, &[&whole, &part]);
    assert!(results.iter().all(|result| result.status == BuildStatus::Built), "{results:?}");
    let (whole, part) = (rig.real(&rig.output(&whole, "out")), rig.real(&rig.output(&part, "out")));
    assert_eq!(std::fs::read_to_string(whole.join("doc/readme")).unwrap(), "read");
    assert_eq!(part.join("bin/tool").metadata().unwrap().permissions().mode() & 0o7777, 0o555);
    assert!(!part.join("doc").exists());
    let missing = rig
        .builtin("missing", "builtin:unpack")
        .set("src", printed.as_str())
        .set("select", "bin/other")
        .source(&source)
        .write();
    let result = rig.build(&missing);
    assert_eq!(result.status, BuildStatus::PermanentFailure);
    assert!(result.error_message.contains("the archive has no member 'bin/other'"), "{}", result.error_message);
    rig.assert_clean();
    Verdict::Passed
}

fn unknown_builtins_are_refused() -> Verdict {
    let rig = Rig::open();
    let drv = rig.builtin("odd", "builtin:nonsense").write();
    assert_eq!(rig.build(&drv).error_message, "unsupported builtin builder 'nonsense'");
    let drv = rig.builtin("empty", "builtin:unpack").write();
    assert_eq!(rig.build(&drv).error_message, "'builtin:unpack' requires the attribute 'src'");
    Verdict::Passed
}
