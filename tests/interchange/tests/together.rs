//! One store, both at work at once.

use activity::Activity;
use interchange::Oracle;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use store::{LocalStore, Store, TemporaryRoots, WritableStore, WriteOptions};
use store_model::StorePath;
use store_model::derivation::TextObject;

fn text(store: &LocalStore, name: &str, contents: &str, references: &[StorePath]) -> TextObject {
    TextObject::new(store.store_dir(), name, contents.into(), references.iter().cloned().collect()).unwrap()
}

/// A collection that has read all roots is held still; what we root then must survive it all the same.
#[test]
fn a_root_that_comes_during_a_collection() {
    let Some(oracle) = Oracle::for_test("a_root_that_comes_during_a_collection") else { return };
    let a = Activity::silent();
    let (saved, lost) = {
        let store = oracle.ours();
        let saved = text(&store, "saved", "x", &[]);
        let lost = text(&store, "lost", "y", &[]);
        for object in [&saved, &lost] {
            store.add_text(&a, object, &WriteOptions::default()).unwrap();
        }
        (saved.path, lost.path)
    };
    let gate = oracle.scratch().join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let mut collection = oracle.start(oracle.command(&["nix-store", "--gc"]).env("_NIX_TEST_GC_SYNC_2", &gate));
    // Opening the gate for writing succeeds once the collection waits at it.
    let gate = OpenOptions::new().write(true).open(&gate).unwrap();
    let store = oracle.ours();
    let many: Vec<StorePath> = (0..1000u32)
        .map(|n| {
            let mut hash = [1; 20];
            hash[..4].copy_from_slice(&n.to_le_bytes());
            StorePath::from_parts(hash, "not-there").unwrap()
        })
        .chain([saved.clone()])
        .collect();
    store.add_temp_roots(&a, &many).unwrap();
    assert_eq!(store.valid_paths(&a, std::slice::from_ref(&saved)).unwrap().len(), 1);
    drop(gate);
    assert!(collection.wait().unwrap().success());
    assert_eq!(store.all_valid_paths(&a).unwrap(), BTreeSet::from([saved.clone()]));
    assert!(store.real_path(&saved).exists() && !store.real_path(&lost).exists());
    oracle.verify();
}

/// Several processes and threads add the same and different things while collections run.
#[test]
fn adding_and_collecting_at_once() {
    let Some(oracle) = Oracle::for_test("adding_and_collecting_at_once") else { return };
    let a = Activity::silent();
    let files: Vec<String> = (0..12).map(|n| format!("file{n}")).collect();
    for name in &files {
        let mut file = std::fs::File::create(oracle.scratch().join(name)).unwrap();
        file.write_all(name.as_bytes()).unwrap();
    }
    let store = oracle.ours();
    let rooted = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| {
            for name in &files {
                oracle.run(&["nix-store", "--add", name]);
            }
        });
        let collections = scope.spawn(|| {
            for _ in 0..8 {
                oracle.run(&["nix-store", "--gc"]);
            }
        });
        let writers: Vec<_> = (0..3)
            .map(|thread| {
                let (store, oracle, files) = (&store, &oracle, &files);
                scope.spawn(move || {
                    let a = Activity::silent();
                    let mut previous: Vec<StorePath> = Vec::new();
                    for n in 0..60 {
                        // Every third text is the same in all threads.
                        let contents = if n % 3 == 0 { format!("{n}") } else { format!("{thread}-{n}") };
                        let references =
                            if n % 3 == 0 { &[] } else { previous.get(previous.len() - 1..).unwrap_or(&[]) };
                        let object = text(store, "text", &contents, references);
                        store.add_text(&a, &object, &WriteOptions::default()).unwrap();
                        previous.push(object.path);
                        // The same file that the other side is adding.
                        let file = file_tree::DiskAccessor::new(oracle.scratch().join(&files[n % files.len()]));
                        let mut request = store::AddTree {
                            name: &files[n % files.len()],
                            accessor: &file,
                            path: &file_tree::TreePath::root(),
                            method: store_model::ContentAddressMethod::NixArchive,
                            algorithm: store_model::HashAlgorithm::Sha256,
                            references: Default::default(),
                            filter: &mut |_, _| Ok(true),
                        };
                        let info = store.add_tree(&a, &mut request, &WriteOptions::default()).unwrap();
                        previous.push(info.path);
                    }
                    previous
                })
            })
            .collect();
        theirs.join().unwrap();
        collections.join().unwrap();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect::<BTreeSet<_>>()
    });
    let valid = store.all_valid_paths(&a).unwrap();
    let missing: Vec<_> = rooted.difference(&valid).collect();
    assert!(missing.is_empty(), "collected although rooted: {missing:?}");
    assert!(!store.verify(&a, true).unwrap().has_errors());
    oracle.verify();
}
