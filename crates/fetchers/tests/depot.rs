//! A store for tests: objects in a folder, found by name and hash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use activity::{Activity, CancelToken, Recorded, Recorder, Verbosity};
use fetchers::{Attribute, Depot, FetchOptions, Fetched, Fetcher, InputRef, InputRules, Kept};
use file_tree::{Filter, FlatContents, RestoreOptions, Restorer, SourceAccessor, TreePath};
use store_model::{ContentAddressMethod, Hash, HashAlgorithm, Hasher, References, StoreDir, StorePath};
use transfer::{Transfer, TransferOptions};

/// A store in a folder.
pub struct TestDepot {
    dir: StoreDir,
    folder: PathBuf,
    kept: Mutex<BTreeMap<StorePath, Hash>>,
}

impl TestDepot {
    pub fn collect(&self) {
        self.kept.lock().unwrap().clear();
        std::fs::remove_dir_all(&self.folder).unwrap();
        std::fs::create_dir(&self.folder).unwrap();
    }
}

impl Depot for TestDepot {
    fn store_dir(&self) -> &StoreDir {
        &self.dir
    }

    fn find(&self, _: &Activity, path: &StorePath) -> fetchers::Result<Option<Kept>> {
        let kept = self.kept.lock().unwrap();
        Ok(kept.get(path).map(|hash| Kept { path: path.clone(), nar_hash: *hash }))
    }

    fn add(
        &self,
        _: &Activity,
        name: &str,
        method: ContentAddressMethod,
        accessor: &dyn SourceAccessor,
        filter: &mut Filter<'_>,
    ) -> fetchers::Result<Kept> {
        let root = TreePath::root();
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        file_tree::nar::dump(accessor, &root, filter, &mut hasher)?;
        let nar_hash = hasher.finish();
        let mut flat = Hasher::new(HashAlgorithm::Sha256);
        let hash = match method {
            ContentAddressMethod::Flat => {
                file_tree::walk(accessor, &root, &mut |_, _| Ok(true), &mut FlatContents(&mut flat))?;
                flat.finish()
            }
            _ => nar_hash,
        };
        let path = self.dir.fixed_output_path(method, &hash, name, &References::default())?;
        let mut kept = self.kept.lock().unwrap();
        if !kept.contains_key(&path) {
            let mut restorer = Restorer::new(self.folder.join(path.as_str()), RestoreOptions::default());
            file_tree::walk(accessor, &root, filter, &mut restorer)?;
            kept.insert(path.clone(), nar_hash);
        }
        Ok(Kept { path, nar_hash })
    }

    fn real_path(&self, path: &StorePath) -> PathBuf {
        self.folder.join(path.as_str())
    }
}

/// A fetcher with a store and folders of its own.
pub struct Rig {
    pub depot: TestDepot,
    pub folder: tempfile::TempDir,
    recorder: Arc<Recorder>,
    pub activity: Activity,
}

impl Rig {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let depot = TestDepot { dir: StoreDir::new("/nix/store").unwrap(), folder: store, kept: Mutex::default() };
        let recorder = Arc::new(Recorder::default());
        let activity = Activity::root(recorder.clone(), CancelToken::new());
        Self { depot, folder, recorder, activity }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A process of its own: nothing remembered but what is in the cache folder.
    pub fn fetcher(&self, time_to_live: u64) -> Fetcher {
        let mut options = FetchOptions::new(self.path("cache"));
        options.time_to_live = time_to_live;
        options.rules = InputRules { flakes: true, verified_fetches: false, trust_forges: true };
        options.variables =
            std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("GIT_")).collect();
        options.variables.insert("HOME".into(), self.folder.path().into());
        let transfer = TransferOptions { attempts: 1, ..TransferOptions::default() };
        Fetcher::new(options, Arc::new(Transfer::new(transfer)))
    }

    pub fn fetch(&self, time_to_live: u64, attributes: &[(&str, Attribute)]) -> fetchers::Result<Fetched> {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let fetcher = self.fetcher(time_to_live);
        let input = InputRef::from_attributes(attributes, fetcher.options().rules)?;
        fetcher.fetch(&self.activity, &self.depot, &input, None)
    }

    /// The warnings since the last question.
    pub fn warnings(&self) -> Vec<String> {
        let messages = self.recorder.take().into_iter().filter_map(|event| match event {
            Recorded::Message(Verbosity::Warn, text) => Some(text),
            _ => None,
        });
        messages.collect()
    }

    /// The paths below a store object, folders with a slash, executables with a star, links with their target.
    pub fn listing(&self, kept: &Kept) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.depot.real_path(&kept.path), "", &mut found);
        found.sort();
        found
    }
}

fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = entry.metadata().unwrap();
        if metadata.is_symlink() {
            found.push(format!("{name} -> {}", std::fs::read_link(entry.path()).unwrap().display()));
        } else if metadata.is_dir() {
            found.push(format!("{name}/"));
            list(&entry.path(), &format!("{name}/"), found);
        } else if metadata.permissions().mode() & 0o100 != 0 {
            found.push(format!("{name}*"));
        } else {
            found.push(name);
        }
    }
}
