//! Sources that evaluation copies wait with their bytes, are found by whoever needs them, and are written together.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use activity::Activity;
use evaluator::{CopyRequest, FetchRequest, PathFilter, PathType, World as _, WorldErrorClass};
use session::settings::Surroundings;
use session::{Session, SessionWorld, Settings};
use store::Store as _;
use store_model::{ContentAddressMethod, StorePath};

/// A session over a store in a throw-away folder, and its world.
struct Rig {
    folder: tempfile::TempDir,
    session: Arc<Session>,
    world: SessionWorld,
    activity: Activity,
}

impl Rig {
    fn new() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let mut around = Surroundings::default();
        around.variables.insert("HOME".into(), folder.path().into());
        around.variables.insert("NIX_REMOTE".into(), format!("local?root={}/store", folder.path().display()).into());
        let session = Session::open(Settings::defaults(around), false).unwrap();
        let world = SessionWorld::new(Arc::clone(&session));
        Rig { folder, session, world, activity: Activity::silent() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        std::fs::write(self.at(name), contents).unwrap();
    }

    /// Copies all but what `left_out` ends.
    fn copy_as(&self, name: &str, method: ContentAddressMethod, left_out: Option<&[u8]>) -> StorePath {
        let path = self.at(name);
        let mut decide = |path: &[u8], _: PathType| Ok(!left_out.is_some_and(|end| path.ends_with(end)));
        let filter: Option<&mut PathFilter<'_>> = if left_out.is_some() { Some(&mut decide) } else { None };
        let request =
            CopyRequest { path: bytes(&path), name: "source", method, filter, expected: None, references: &[] };
        self.world.copy_to_store(&self.activity, request).unwrap()
    }

    fn copy(&self, name: &str) -> StorePath {
        self.copy_as(name, ContentAddressMethod::NixArchive, None)
    }

    fn flush(&self) {
        self.world.flush(&self.activity).unwrap();
    }

    /// How many paths the store has.
    fn valid(&self) -> usize {
        self.session.store(&self.activity).unwrap().all_valid_paths(&self.activity).unwrap().len()
    }

    fn read(&self, path: &StorePath, below: &str) -> String {
        let path = format!("{}{below}", self.session.store_dir().print(path));
        String::from_utf8(self.world.read_file(path.as_bytes()).unwrap()).unwrap()
    }

    /// The store is whole, contents and all.
    fn verify(&self) {
        let store = self.session.store(&self.activity).unwrap();
        assert!(!store.verify(&self.activity, true).unwrap().has_errors());
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.to_str().unwrap().as_bytes()
}

#[test]
fn sources_are_written_together() {
    let rig = Rig::new();
    rig.write("file", "one");
    rig.write("folder/run", "#!x");
    std::fs::set_permissions(rig.at("folder/run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink("run", rig.at("folder/link")).unwrap();
    rig.write("folder/left-out", "x");
    let file = rig.copy("file");
    assert_eq!(rig.copy("file"), file);
    let folder = rig.copy_as("folder", ContentAddressMethod::NixArchive, Some(b"left-out"));
    let flat = rig.copy_as("file", ContentAddressMethod::Flat, None);
    let text = rig.session.store_dir().text_path(
        "text",
        &store_model::Hash::of(store_model::HashAlgorithm::Sha256, b"text"),
        &[file.clone(), flat.clone()].into(),
    );
    let text = text.unwrap();
    rig.world.add_text(&rig.activity, &text, b"text", &[file.clone(), flat.clone()]).unwrap();
    assert_eq!(rig.valid(), 0);
    for path in [&file, &folder, &flat, &text] {
        assert!(rig.world.ensure_path(&rig.activity, path).unwrap());
    }
    assert_eq!(rig.valid(), 0);
    rig.flush();
    assert_eq!(rig.valid(), 4);
    let real = rig.session.real_path(&folder);
    assert_eq!(std::fs::metadata(real.join("link")).unwrap().permissions().mode() & 0o777, 0o555);
    assert_eq!(std::fs::read_dir(&real).unwrap().count(), 2);
    rig.verify();
    // What is valid already is left as it is.
    rig.copy_as("file", ContentAddressMethod::Flat, None);
    rig.flush();
    assert_eq!(rig.valid(), 4);
}

#[test]
fn whoever_needs_a_source_finds_it() {
    let rig = Rig::new();
    for (n, need) in ["file", "stat", "list", "link", "references", "fetch"].into_iter().enumerate() {
        rig.write(&format!("{need}/inner"), need);
        symlink("inner", rig.at(&format!("{need}/link"))).unwrap();
        let path = rig.copy(need);
        assert_eq!(rig.valid(), n);
        let printed = rig.session.store_dir().print(&path);
        match need {
            "file" => assert_eq!(rig.read(&path, "/inner"), need),
            "stat" => assert_eq!(rig.world.stat(printed.as_bytes()).unwrap(), Some(PathType::Directory)),
            "list" => assert_eq!(rig.world.read_directory(printed.as_bytes()).unwrap().len(), 2),
            "link" => assert_eq!(rig.world.read_link(format!("{printed}/link").as_bytes()).unwrap(), b"inner"),
            "references" => assert_eq!(rig.world.references(&path).unwrap(), []),
            _ => {
                let url = format!("file://{}/inner", rig.session.real_path(&path).display());
                let request = FetchRequest::File { url, name: "fetched".to_owned(), expected: None };
                let fetched = rig.world.fetch(&rig.activity, &request).unwrap();
                assert_eq!(rig.read(&fetched.path, ""), need);
                continue;
            }
        }
        assert_eq!(rig.valid(), n + 1, "{need}");
    }
    rig.verify();
}

#[test]
fn what_is_written_is_what_was_hashed() {
    let rig = Rig::new();
    rig.write("file", "before");
    let before = rig.copy_as("file", ContentAddressMethod::Flat, None);
    rig.write("file", "after");
    let after = rig.copy_as("file", ContentAddressMethod::Flat, None);
    std::fs::remove_file(rig.at("file")).unwrap();
    rig.flush();
    assert_eq!((rig.read(&before, "").as_str(), rig.read(&after, "").as_str()), ("before", "after"));
    rig.verify();
}

#[test]
fn large_sources_do_not_wait() {
    let rig = Rig::new();
    rig.write("large", vec![7; 70_000]);
    rig.copy("large");
    assert_eq!(rig.valid(), 1);
    // Many small ones wait only as long as they are few bytes together.
    for n in 0..300 {
        rig.write("small", [vec![7; 60_000], vec![n as u8, 1, (n >> 8) as u8]].concat());
        rig.copy_as("small", ContentAddressMethod::Flat, None);
    }
    assert!(rig.valid() > 200, "{}", rig.valid());
    rig.flush();
    assert_eq!(rig.valid(), 301);
    rig.verify();
}

#[test]
fn what_cannot_be_written_is_not_forgotten() {
    let rig = Rig::new();
    rig.write("file", "one");
    rig.copy("file");
    let broken = StorePath::from_parts([1; 20], "broken.drv").unwrap();
    rig.world.add_derivation(broken, b"Derive(", &[]).unwrap();
    for _ in 0..2 {
        assert_ne!(rig.world.flush(&rig.activity).unwrap_err().class, WorldErrorClass::NotFound);
        assert_eq!(rig.valid(), 0);
    }
}
