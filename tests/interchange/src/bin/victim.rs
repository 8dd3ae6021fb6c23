//! A process that works in a store and is killed when it passes a named point for the Nth time, or not at all:
//! `victim ROOT POINT N`, and with `collect` behind it one that collects garbage.

use activity::Activity;
use file_tree::{MemoryNode, MemoryTree, TreePath, nar};
use rustix::process::{Signal, getpid, kill_process};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use store::{
    AddTree, FaultPoints, GarbageCollector, GcOptions, GcResults, LocalStore, LocalStoreOptions, Result, Store,
    TreeObject, WritableStore, WriteOptions,
};
use store_model::derivation::TextObject;
use store_model::{ContentAddress, ContentAddressMethod, Hash, HashAlgorithm, PathInfo, StoreDir, StorePath};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let root = PathBuf::from(arguments.next().unwrap_or_default());
    let point = arguments.next().unwrap_or_default().into_string().unwrap_or_default();
    let times: u32 = arguments.next().and_then(|n| n.to_str()?.parse().ok()).unwrap_or(1);
    let mut options = LocalStoreOptions::rooted(StoreDir::new("/nix/store")?, &root);
    let passed = AtomicU32::new(0);
    options.faults = FaultPoints::new(move |name| {
        if name == point && passed.fetch_add(1, Ordering::SeqCst) + 1 == times {
            let _ = kill_process(getpid(), Signal::KILL);
        }
        false
    });
    let activity = Activity::silent();
    let store = LocalStore::open(&activity, options)?;
    if arguments.next().is_some_and(|word| word == "collect") {
        return store.collect_garbage(&activity, &GcOptions::default(), &mut GcResults::default());
    }
    work(&activity, &store, &root)
}

/// A text, a tree, an archive, a batch of trees and texts, and a root.
fn work(activity: &Activity, store: &LocalStore, root: &std::path::Path) -> Result<()> {
    let options = WriteOptions::default();
    let text = TextObject::new(store.store_dir(), "text", b"x".to_vec(), Default::default())?;
    store.add_text(activity, &text, &options)?;
    let file = MemoryNode::executable(vec![7; 100_000]);
    let tree = MemoryTree::new(MemoryNode::directory([("dir", MemoryNode::directory([("file", file)]))]));
    let mut request = AddTree {
        name: "tree",
        accessor: &tree,
        path: &TreePath::root(),
        method: ContentAddressMethod::NixArchive,
        algorithm: HashAlgorithm::Sha256,
        references: Default::default(),
        filter: &mut |_, _| Ok(true),
    };
    store.add_tree(activity, &mut request, &options)?;
    let mut archive = Vec::new();
    nar::dump(&tree, &TreePath::root(), &mut |_, _| Ok(true), &mut archive)?;
    let hash = Hash::of(HashAlgorithm::Sha256, &archive);
    let mut info = PathInfo::new(StorePath::from_parts([5; 20], "archive")?, hash, archive.len() as u64);
    info.references.insert(text.path.clone());
    store.add_nar(activity, &info, &mut archive.as_slice(), &options)?;
    let mut many: Vec<TextObject> = (0..20)
        .map(|n| {
            let references = [text.path.clone()].into();
            TextObject::new(store.store_dir(), &format!("text{n}"), format!("{n}").into_bytes(), references)
        })
        .collect::<std::result::Result<_, _>>()?;
    let file = |contents: &[u8]| -> Result<TreeObject> {
        let mut archive = Vec::new();
        nar::dump_bytes(contents, &mut archive)?;
        let address = ContentAddress {
            method: ContentAddressMethod::NixArchive,
            hash: Hash::of(HashAlgorithm::Sha256, &archive),
        };
        let path = store.store_dir().content_addressed_path("file", &address, &Default::default())?;
        Ok(TreeObject { path, address, archive })
    };
    let trees = [file(b"one")?, file(b"two")?];
    let references = trees.iter().map(|tree| tree.path.clone()).collect();
    many.push(TextObject::new(store.store_dir(), "of-trees", b"of trees".to_vec(), references)?);
    store.write_batch(activity, &trees, &many)?;
    store.add_permanent_root(activity, &root.join("result"), &info.path)
}
