//! Stores through the public API.

mod garbage;
mod graphs;
mod local;
mod profile;
mod realisations;

use activity::Activity;
use std::path::Path;
use store::{LocalStore, LocalStoreOptions, MemoryStore, conformance};
use store_model::StoreDir;

fn store_dir() -> StoreDir {
    StoreDir::new("/nix/store").expect("an absolute path")
}

fn options(root: &Path) -> LocalStoreOptions {
    LocalStoreOptions::rooted(store_dir(), root)
}

fn open(root: &Path) -> LocalStore {
    LocalStore::open(&Activity::silent(), options(root)).expect("a store can be made in a fresh folder")
}

#[test]
fn the_memory_store_conforms() {
    conformance::check(&MemoryStore::new(store_dir())).unwrap();
}

#[test]
fn the_local_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(&open(folder.path())).unwrap();
}

#[test]
fn a_local_store_elsewhere_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StoreDir::new("/some/where").unwrap();
    let root = folder.path();
    let options = LocalStoreOptions {
        fsync_store_paths: false,
        use_wal: false,
        ..LocalStoreOptions::new(dir, root.join("real"), root.join("state"), root.join("log"))
    };
    conformance::check(&LocalStore::open(&Activity::silent(), options).unwrap()).unwrap();
}
