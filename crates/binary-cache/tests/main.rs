//! Caches through the public API.

use activity::Activity;
use binary_cache::{BinaryCache, CacheOptions, Compression, DirectoryBucket};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use store::copy::{Destination, Place, copy_paths};
use store::{BuildLogs, Error, MemoryStore, Store, WritableStore, WriteOptions};
use store_model::derivation::TextObject;
use store_model::{SecretKey, StoreDir, StorePath};

fn dir() -> StoreDir {
    StoreDir::new("/nix/store").unwrap()
}

fn cache(folder: &Path, change: impl FnOnce(&mut CacheOptions)) -> BinaryCache {
    let mut options = CacheOptions::new(dir());
    change(&mut options);
    BinaryCache::new(Box::new(DirectoryBucket::new(folder, true)), options)
}

/// A store with two texts, of which the second refers to the first.
fn source() -> (Place<dyn Store>, Vec<StorePath>) {
    let store = MemoryStore::new(dir());
    let first = TextObject::new(&dir(), "first", b"hello".to_vec(), BTreeSet::new()).unwrap();
    let references = BTreeSet::from([first.path.clone()]);
    let second = TextObject::new(&dir(), "second", vec![b'x'; 700_000], references).unwrap();
    for text in [&first, &second] {
        store.add_text(&Activity::silent(), text, &WriteOptions::default()).unwrap();
    }
    (Place { store: Arc::new(store), uri: "memory".into() }, vec![first.path, second.path])
}

fn to(store: Arc<dyn WritableStore>) -> Destination<'static> {
    let place = Place { store, uri: "there".into() };
    Destination { place, roots: None, options: WriteOptions::default(), jobs: 2 }
}

#[test]
fn objects_go_into_a_cache_and_back_in_every_compression() {
    let (from, paths) = source();
    let a = Activity::silent();
    for compression in Compression::ALL {
        let folder = tempfile::tempdir().unwrap();
        let made = cache(folder.path(), |options| (options.compression, options.listings) = (compression, true));
        copy_paths(&a, &from, &to(Arc::new(made)), &paths).unwrap();
        let url = cache(folder.path(), |_| {}).nar_info(&a, &paths[1]).unwrap().unwrap().url;
        assert!(folder.path().join(&url).is_file() && url.ends_with(compression.extension()), "{url}");
        let again = Place { store: Arc::new(cache(folder.path(), |_| {})) as Arc<dyn Store>, uri: "cache".into() };
        let back = Arc::new(MemoryStore::new(dir()));
        copy_paths(&a, &again, &to(back.clone()), &paths).unwrap();
        for (old, new) in from.store.path_infos(&a, &paths).unwrap().iter().zip(back.path_infos(&a, &paths).unwrap()) {
            let (old, new) = (old.as_ref().unwrap(), new.unwrap());
            assert_eq!((old.nar_hash, &old.references), (new.nar_hash, &new.references), "{compression:?}");
        }
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{left:?}");
    }
}

#[test]
fn what_is_in_the_folder_has_the_known_form() {
    let (from, paths) = source();
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::from_seed("test-1", [7; 32]);
    let public = key.to_public();
    let made = cache(folder.path(), |options| {
        (options.compression, options.listings, options.keys) = (Compression::None, true, vec![key]);
    });
    copy_paths(&Activity::silent(), &from, &to(Arc::new(made)), &paths).unwrap();
    let read = |name: String| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("nix-cache-info".into()), "StoreDir: /nix/store\n");
    let narinfo = read(format!("{}.narinfo", paths[0].hash_part()));
    let lines: Vec<&str> = narinfo.lines().map(|line| line.split(':').next().unwrap()).collect();
    let all =
        ["StorePath", "URL", "Compression", "FileHash", "FileSize", "NarHash", "NarSize", "References", "Sig", "CA"];
    assert_eq!(lines, all);
    let listing = read(format!("{}.ls", paths[0].hash_part()));
    assert_eq!(listing, r#"{"root":{"narOffset":96,"size":5,"type":"regular"},"version":1}"#);
    let keys = [public].into_iter().collect();
    let opened = cache(folder.path(), |_| {});
    let mut info = opened.path_infos(&Activity::silent(), &paths).unwrap()[1].clone().unwrap();
    info.content_address = None;
    assert_eq!(info.good_signatures(&dir(), &keys), 1);
    assert_eq!(opened.all_valid_paths(&Activity::silent()).unwrap(), paths.iter().cloned().collect());
}

#[test]
fn references_come_first_and_hashes_must_match() {
    let (from, paths) = source();
    let a = Activity::silent();
    let folder = tempfile::tempdir().unwrap();
    let made = cache(folder.path(), |_| {});
    let infos = from.store.path_infos(&a, &paths).unwrap();
    let (first, second) = (infos[0].clone().unwrap(), infos[1].clone().unwrap());
    let mut nar = Vec::new();
    from.store.nar(&a, &paths[0], &mut nar).unwrap();
    let add = |info, nar: &[u8]| made.add_nar(&a, info, &mut &*nar, &WriteOptions::default());
    assert!(add(&second, &nar).unwrap_err().to_string().contains("is not valid"));
    nar[100] ^= 1;
    assert!(matches!(add(&first, &nar), Err(Error::HashMismatch { .. })));
    assert!(made.all_valid_paths(&a).unwrap().is_empty());
    nar[100] ^= 1;
    add(&first, &nar).unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("nar")).unwrap().count(), 1);
}

#[test]
fn hostile_files_are_errors_that_name_them() {
    let (from, paths) = source();
    let a = Activity::silent();
    let folder = tempfile::tempdir().unwrap();
    copy_paths(&a, &from, &to(Arc::new(cache(folder.path(), |_| {}))), &paths).unwrap();
    let name = format!("{}.narinfo", paths[0].hash_part());
    let place = folder.path().join(&name);
    let good = std::fs::read_to_string(&place).unwrap();
    let url = good.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
    let fails = |text: &str, words: &str| {
        std::fs::write(&place, text).unwrap();
        let opened = cache(folder.path(), |_| {});
        let error = opened.nar(&a, &paths[0], &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    fails("nonsense", &name);
    fails(&good.replace(url, "../../etc/passwd"), "../../etc/passwd");
    fails(&good.replace(url, "/etc/passwd"), "/etc/passwd");
    fails(&good.replace(url, "nar/missing"), "nar/missing");
    fails(&good.replace("Compression: xz", "Compression: rot13"), "rot13");
    fails(&good.replace("Compression: xz", "Compression: zstd"), "the archive of");
    let other = std::fs::read_to_string(folder.path().join(format!("{}.narinfo", paths[1].hash_part()))).unwrap();
    std::fs::write(&place, other).unwrap();
    assert!(cache(folder.path(), |_| {}).path_infos(&a, &paths[..1]).unwrap_err().to_string().contains("is about"));
    std::fs::write(folder.path().join("nix-cache-info"), "StoreDir: /other\n").unwrap();
    let error = cache(folder.path(), |_| {}).path_infos(&a, &paths[1..]).unwrap_err().to_string();
    assert!(error.contains("is for Nix stores with prefix '/other', not '/nix/store'"), "{error}");
}

#[test]
fn logs_are_found_also_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let a = Activity::silent();
    let drv = StorePath::from_parts([3; 20], "x.drv").unwrap();
    let opened = cache(folder.path(), |_| {});
    assert!(opened.build_log(&a, &drv).unwrap().is_none());
    opened.add_build_log(&a, &drv, b"line\n").unwrap();
    assert_eq!(opened.build_log(&a, &drv).unwrap().as_deref(), Some(&b"line\n"[..]));
    let mut encoder = Compression::Bzip2.encoder(Vec::new(), None, 1).unwrap();
    encoder.write_all(b"packed\n").unwrap();
    std::fs::write(folder.path().join(format!("log/{drv}")), encoder.finish().unwrap()).unwrap();
    assert_eq!(opened.build_log(&a, &drv).unwrap().as_deref(), Some(&b"packed\n"[..]));
}

proptest! {
    #[test]
    fn any_bytes_go_through_every_compression(data in proptest::collection::vec(any::<u8>(), 0..5000), threads in 1..3u32) {
        for compression in Compression::ALL {
            let mut encoder = compression.encoder(Vec::new(), None, threads).unwrap();
            encoder.write_all(&data).unwrap();
            let packed = encoder.finish().unwrap();
            let mut back = Vec::new();
            compression.decoder(packed.as_slice()).unwrap().read_to_end(&mut back).unwrap();
            prop_assert!(back == data, "{compression:?}");
        }
    }

    #[test]
    fn decoders_take_any_bytes(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for compression in Compression::ALL {
            // Whether they are bytes of the format or not, there is an end.
            if let Ok(mut decoder) = compression.decoder(data.as_slice()) {
                let _ = decoder.read_to_end(&mut Vec::new());
            }
        }
    }
}
