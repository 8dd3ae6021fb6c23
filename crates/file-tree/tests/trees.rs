//! Packing, unpacking, restoring, listing.

use crate::{pack, recorded};
use file_tree::{
    DiskAccessor, Error, FileType, FlatContents, MemoryNode, MemoryTree, RestoreOptions, Restorer, SourceAccessor,
    TreeEvent, TreePath, TreeSink, nar, read_nar, walk,
};
use proptest::prelude::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// Recorded: `nix nar pack`.
const NAR: &[u8] = include_bytes!("golden/tree.nar");
/// Recorded: `nix nar ls --json --recursive`.
const LISTING: &str = include_str!("golden/tree.ls.json");

#[test]
fn the_oracles_archive() {
    assert_eq!(pack(&recorded()), NAR);
    let mut tree = MemoryTree::default();
    read_nar(&mut &NAR[..], &mut tree).unwrap();
    assert_eq!(tree, recorded());
}

#[test]
fn the_oracles_listing() {
    let expected: serde_json::Value = serde_json::from_str(LISTING).unwrap();
    let listing = nar::listing_of(&mut &NAR[..]).unwrap().to_json();
    assert_eq!(listing["root"], expected);
    assert_eq!(listing["version"], 1);
}

#[test]
fn onto_the_disk_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("tree");
    read_nar(&mut &NAR[..], &mut Restorer::new(&place, RestoreOptions { canonical: true })).unwrap();
    let mut bytes = Vec::new();
    nar::dump_path(&place, &mut bytes).unwrap();
    assert_eq!(bytes, NAR);
    for (name, mode) in [("run", 0o555), ("file", 0o444), ("dir", 0o555)] {
        let found = std::fs::symlink_metadata(place.join(name)).unwrap();
        assert_eq!((found.permissions().mode() & 0o7777, found.mtime()), (mode, 1), "{name}");
    }
    assert_eq!(std::fs::symlink_metadata(place.join("dangling")).unwrap().mtime(), 1);
    // What is there already is neither overwritten nor followed.
    let again = read_nar(&mut &NAR[..], &mut Restorer::new(&place, RestoreOptions::default()));
    assert!(matches!(again, Err(Error::Exists(_))));
    for part in ["dir/empty", "dir/sub", "dir", ""] {
        std::fs::set_permissions(place.join(part), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// A large tree: folders in folders, small and large files, links.
fn large() -> MemoryNode {
    let file = |n: u32| match n % 40 {
        0 => MemoryNode::file(vec![n as u8; 100_000]),
        1 => MemoryNode::symlink(format!("../{n}")),
        2 => MemoryNode::executable(format!("run {n}")),
        _ => MemoryNode::file(format!("file {n}")),
    };
    let files = |first: u32| (first..first + 100).map(move |n| (format!("f{n:05}"), file(n)));
    let inner = |first: u32| MemoryNode::directory(files(first));
    let outer = |first: u32| {
        MemoryNode::directory((0..3).map(|n| (format!("d{n}"), inner(first + n * 100))).chain(files(first + 300)))
    };
    MemoryNode::directory((0..4).map(|n| (format!("{n}"), outer(n * 400))))
}

#[test]
fn a_large_tree_onto_the_disk_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("tree");
    let archive = pack(&MemoryTree::new(large()));
    read_nar(&mut archive.as_slice(), &mut Restorer::new(&place, RestoreOptions { canonical: true })).unwrap();
    let mut bytes = Vec::new();
    nar::dump_path(&place, &mut bytes).unwrap();
    assert!(bytes == archive);
    let mut folders = vec![place];
    while let Some(folder) = folders.pop() {
        let found = std::fs::symlink_metadata(&folder).unwrap();
        let mode = found.permissions().mode() & 0o7777;
        assert_eq!(found.mtime(), 1, "{}", folder.display());
        if found.is_dir() {
            assert_eq!(mode, 0o555);
            folders.extend(std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()));
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        } else if !found.is_symlink() {
            assert!(matches!(mode, 0o444 | 0o555));
        }
    }
}

#[test]
fn a_file_of_many_that_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut restorer = Restorer::new(folder.path().join("tree"), RestoreOptions { canonical: true });
    // Straight into the sink: readers refuse a name that comes twice.
    let names: Vec<String> = (0..200).chain([150]).chain(200..300).map(|n| format!("f{n}")).collect();
    let file = [TreeEvent::Regular { executable: false, size: 1 }, TreeEvent::Contents(b"x"), TreeEvent::RegularEnd];
    let files = names.iter().flat_map(|name| {
        let name = [TreeEvent::Entry(name.as_bytes())];
        name.into_iter().chain(file).chain([TreeEvent::EntryEnd])
    });
    let mut events = [TreeEvent::Directory].into_iter().chain(files).chain([TreeEvent::DirectoryEnd]);
    let error = events.try_for_each(|event| restorer.event(event)).unwrap_err().to_string();
    assert!(error.contains("tree/f150"), "{error}");
}

#[test]
fn the_filter_leaves_out() {
    let mut bytes = Vec::new();
    let mut filter = |path: &TreePath, kind: FileType| Ok(path.as_bytes() != b"dir" && kind != FileType::Symlink);
    nar::dump(&recorded(), &TreePath::root(), &mut filter, &mut bytes).unwrap();
    let mut tree = MemoryTree::default();
    read_nar(&mut bytes.as_slice(), &mut tree).unwrap();
    let names: Vec<_> = tree.read_dir(&TreePath::root()).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&b"Upper"[..], b"empty", b"file", b"run", "ümlaut".as_bytes()]);
}

#[test]
fn the_callers_error_comes_back() {
    let mut filter = |_: &TreePath, _| Err(Error::Caller("enough".into()));
    let error = nar::dump(&recorded(), &TreePath::root(), &mut filter, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "enough");
}

#[test]
fn flat_contents_are_of_files_only() {
    let mut bytes = Vec::new();
    let file = TreePath::normalise(b"file");
    walk(&recorded(), &file, &mut |_, _| Ok(true), &mut FlatContents(&mut bytes)).unwrap();
    assert_eq!(bytes, b"hello\n");
    assert!(walk(&recorded(), &TreePath::root(), &mut |_, _| Ok(true), &mut FlatContents(&mut bytes)).is_err());
}

#[test]
fn the_disk_does_not_follow_links() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    std::os::unix::fs::symlink("file", folder.path().join("link")).unwrap();
    let accessor = DiskAccessor::new(folder.path());
    let link = TreePath::normalise(b"link");
    assert_eq!(accessor.stat(&link).unwrap().unwrap().file_type, FileType::Symlink);
    assert!(accessor.open(&link).is_err());
    assert_eq!(accessor.read_link(&link).unwrap(), b"file");
    assert_eq!(accessor.read_file(&TreePath::normalise(b"file")).unwrap(), b"x");
    assert_eq!(accessor.stat(&TreePath::normalise(b"file/below")).unwrap(), None);
    assert_eq!(accessor.stat(&TreePath::normalise(b"absent")).unwrap(), None);
}

#[test]
fn sockets_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    let error = nar::dump_path(folder.path(), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().ends_with("has an unsupported type"), "{error}");
}

#[test]
fn paths_stay_inside() {
    assert_eq!(TreePath::normalise(b"/a//b/./../c/").as_bytes(), b"a/c");
    assert_eq!(TreePath::normalise(b"../../x").as_bytes(), b"x");
    let mut path = TreePath::normalise(b"a/b");
    path.pop();
    path.pop();
    path.pop();
    assert!(path.is_root());
    for name in [&b""[..], b".", b"..", b"a/b", b"a\0"] {
        assert!(path.join(name).is_err());
    }
}

fn node() -> impl Strategy<Value = MemoryNode> {
    let leaf = prop_oneof![
        (any::<bool>(), any::<Vec<u8>>())
            .prop_map(|(executable, contents)| MemoryNode::Regular { executable, contents }),
        "[a-z./]{1,12}".prop_map(|target| MemoryNode::symlink(target.into_bytes())),
    ];
    let name = "[a-zA-Z0-9é ]{1,6}";
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop::collection::btree_map(name.prop_map(String::into_bytes), inner, 0..5).prop_map(MemoryNode::Directory)
    })
}

proptest! {
    #[test]
    fn packing_and_unpacking(root in node()) {
        let tree = MemoryTree::new(root);
        let bytes = pack(&tree);
        let mut copy = MemoryTree::default();
        read_nar(&mut bytes.as_slice(), &mut copy).unwrap();
        prop_assert_eq!(&copy, &tree);
        // Exactly the archive is read, and not a byte more.
        let mut longer = bytes.clone();
        longer.extend_from_slice(b"behind");
        let mut rest = longer.as_slice();
        read_nar(&mut rest, &mut MemoryTree::default()).unwrap();
        prop_assert_eq!(rest, b"behind");
    }

    #[test]
    fn disk_and_memory_agree(root in node()) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x");
        let bytes = pack(&MemoryTree::new(root));
        read_nar(&mut bytes.as_slice(), &mut Restorer::new(&place, RestoreOptions::default())).unwrap();
        let mut again = Vec::new();
        nar::dump_path(&place, &mut again).unwrap();
        prop_assert_eq!(again, bytes);
    }
}
