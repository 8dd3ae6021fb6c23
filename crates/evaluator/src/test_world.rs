//! A world of its own: files in memory, a store that remembers what was put into it; builds and fetches give what was
//! said beforehand, or fail.
//!
//! For tests of the evaluator and of what stands on it. Derivations and texts are kept; a source is hashed as the real
//! store would, so store paths are the true ones.

use crate::world::{CopyRequest, FetchRequest, Fetched, PathFilter, PathType, World, WorldError, WorldErrorClass};
use activity::Activity;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use store_model::derivation::aterm;
use store_model::{
    ContentAddressMethod, Derivation, DerivedPath, Hash, HashAlgorithm, Hasher, OutputsSpec, References, StoreDir,
    StorePath,
};

/// One thing in the tree.
#[derive(Clone, Debug)]
enum Entry {
    File(Vec<u8>, bool),
    Directory,
    Symlink(Vec<u8>),
}

#[derive(Default)]
struct Objects {
    texts: HashMap<StorePath, Vec<u8>>,
    references: HashMap<StorePath, Vec<StorePath>>,
    requests: Vec<FetchRequest>,
}

/// Files in memory and a store in memory.
pub struct TestWorld {
    store_dir: StoreDir,
    entries: BTreeMap<Vec<u8>, Entry>,
    variables: HashMap<Vec<u8>, Vec<u8>>,
    objects: Mutex<Objects>,
    built: HashMap<String, StorePath>,
    fetched: Option<Fetched>,
    search_entries: HashMap<Vec<u8>, Vec<u8>>,
    read_only: bool,
}

impl Default for TestWorld {
    fn default() -> Self {
        TestWorld::new()
    }
}

impl TestWorld {
    /// An empty tree and an empty store whose folder is `/nix/store`, as tests of store paths expect.
    pub fn new() -> TestWorld {
        let store_dir = StoreDir::new("/nix/store").expect("a plain absolute path is a store folder");
        let entries = BTreeMap::from([(b"/".to_vec(), Entry::Directory)]);
        TestWorld {
            store_dir,
            entries,
            variables: HashMap::new(),
            objects: Mutex::default(),
            built: HashMap::new(),
            fetched: None,
            search_entries: HashMap::new(),
            read_only: false,
        }
    }

    fn add(&mut self, path: &str, entry: Entry) {
        let mut parent = path.rfind('/').map_or("", |at| &path[..at]);
        while !parent.is_empty() {
            self.entries.insert(parent.as_bytes().to_vec(), Entry::Directory);
            parent = parent.rfind('/').map_or("", |at| &parent[..at]);
        }
        self.entries.insert(path.as_bytes().to_vec(), entry);
    }

    /// Adds a file, with the folders above it.
    pub fn file(mut self, path: &str, text: &[u8]) -> Self {
        self.add(path, Entry::File(text.to_vec(), false));
        self
    }

    /// Adds an executable file.
    pub fn executable(mut self, path: &str, text: &[u8]) -> Self {
        self.add(path, Entry::File(text.to_vec(), true));
        self
    }

    /// Keeps nothing: texts and derivations get their paths and are forgotten.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Adds a symbolic link.
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        self.add(path, Entry::Symlink(target.as_bytes().to_vec()));
        self
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Adds a valid store object: a file with references to others.
    ///
    /// # Panics
    /// If one of the paths is no store path.
    pub fn object(self, path: &str, text: &[u8], references: &[&str]) -> Self {
        let references = references.iter().map(|path| self.parse(path)).collect();
        self.keep(self.parse(path), text.to_vec(), references);
        self.file(path, text)
    }

    /// A build gives this path for every output of this name.
    ///
    /// # Panics
    /// If it is no store path.
    pub fn builds(mut self, output: &str, path: &str) -> Self {
        let path = self.parse(path);
        self.built.insert(output.to_owned(), path);
        self
    }

    /// Whatever is fetched, this comes of it.
    pub fn fetches(mut self, fetched: Fetched) -> Self {
        self.fetched = Some(fetched);
        self
    }

    /// What was to be fetched so far.
    pub fn fetch_requests(&self) -> Vec<FetchRequest> {
        self.lock().requests.clone()
    }

    /// An entry of the search path that is no plain path means this one.
    pub fn search_entry(mut self, entry: &str, path: &str) -> Self {
        self.search_entries.insert(entry.into(), path.into());
        self
    }

    fn parse(&self, path: &str) -> StorePath {
        self.store_dir.parse_bytes(path.as_bytes()).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The `.drv` files and texts put into the store so far.
    pub fn texts(&self) -> BTreeMap<StorePath, Vec<u8>> {
        self.lock().texts.iter().map(|(path, text)| (path.clone(), text.clone())).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, path: StorePath, text: Vec<u8>, references: Vec<StorePath>) {
        if self.read_only {
            return;
        }
        let mut objects = self.lock();
        objects.references.insert(path.clone(), references);
        objects.texts.insert(path, text);
    }

    /// The path without the links in it, the last one left if `last` says so; `None` if a folder of it is not there.
    fn real(&self, path: &[u8], last: bool) -> Result<Option<Vec<u8>>, WorldError> {
        let parts = |path: &[u8]| {
            let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
            parts.map(<[u8]>::to_vec).rev().collect::<Vec<_>>()
        };
        let (mut done, mut rest, mut links) = (Vec::new(), parts(path), 0);
        while let Some(part) = rest.pop() {
            if part == b".." {
                done.truncate(parent(&done).len());
                continue;
            }
            let folder = done.len();
            done.extend_from_slice(&[b"/", &part[..]].concat());
            match self.entries.get(&done) {
                Some(Entry::Symlink(target)) if last || !rest.is_empty() => {
                    links += 1;
                    if links > 40 {
                        let path = String::from_utf8_lossy(path);
                        let message = format!("getting status of '{path}': Too many levels of symbolic links");
                        return Err(WorldError::new(WorldErrorClass::Other, message));
                    }
                    done.truncate(if target.starts_with(b"/") { 0 } else { folder });
                    rest.extend(parts(target));
                }
                Some(Entry::File(..)) | None if !rest.is_empty() => return Ok(None),
                _ => {}
            }
        }
        Ok(Some(if done.is_empty() { b"/".to_vec() } else { done }))
    }

    /// Follows links; `None` if nothing is there.
    fn resolve(&self, path: &[u8]) -> Result<Option<(Vec<u8>, &Entry)>, WorldError> {
        let Some(path) = self.real(path, true)? else { return Ok(None) };
        Ok(self.entries.get(&path).map(|entry| (path, entry)))
    }

    fn children(&self, path: &[u8]) -> Vec<(Vec<u8>, PathType)> {
        let prefix = if path == b"/" { b"/".to_vec() } else { [path, b"/"].concat() };
        let below = self.entries.range(prefix.clone()..);
        below
            .take_while(|(name, _)| name.starts_with(&prefix))
            .map(|(name, entry)| (name[prefix.len()..].to_vec(), kind(entry)))
            .filter(|(name, _)| !name.is_empty() && !name.contains(&b'/'))
            .collect()
    }

    /// Writes the NAR form of a tree.
    fn nar(&self, path: &[u8], filter: &mut Option<&mut PathFilter<'_>>, out: &mut Hasher) -> Result<(), WorldError> {
        let entry = self.entries.get(path).ok_or_else(|| missing(path))?;
        token(out, b"(");
        token(out, b"type");
        match entry {
            Entry::File(text, executable) => {
                token(out, b"regular");
                if *executable {
                    token(out, b"executable");
                    token(out, b"");
                }
                token(out, b"contents");
                token(out, text);
            }
            Entry::Symlink(target) => {
                for part in [&b"symlink"[..], b"target", target] {
                    token(out, part);
                }
            }
            Entry::Directory => {
                token(out, b"directory");
                for (name, kind) in self.children(path) {
                    let child = [path, b"/", &name].concat();
                    if let Some(filter) = filter
                        && !filter(&child, kind)?
                    {
                        continue;
                    }
                    for part in [&b"entry"[..], b"(", b"name", &name, b"node"] {
                        token(out, part);
                    }
                    self.nar(&child, filter, out)?;
                    token(out, b")");
                }
            }
        }
        token(out, b")");
        Ok(())
    }
}

fn token(out: &mut Hasher, bytes: &[u8]) {
    const PADDING: [u8; 8] = [0; 8];
    out.update(&(bytes.len() as u64).to_le_bytes());
    out.update(bytes);
    out.update(&PADDING[..bytes.len().next_multiple_of(8) - bytes.len()]);
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |at| &path[..at])
}

fn kind(entry: &Entry) -> PathType {
    match entry {
        Entry::File(..) => PathType::Regular,
        Entry::Directory => PathType::Directory,
        Entry::Symlink(_) => PathType::Symlink,
    }
}

fn not_valid(path: &str) -> WorldError {
    WorldError::new(WorldErrorClass::NotFound, format!("path '{path}' is not valid"))
}

fn missing(path: &[u8]) -> WorldError {
    let path = String::from_utf8_lossy(path);
    WorldError::new(WorldErrorClass::NotFound, format!("path '{path}' does not exist"))
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> WorldError {
    WorldError::new(WorldErrorClass::Other, error.to_string()).with_source(error)
}

impl World for TestWorld {
    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    fn stat(&self, path: &[u8]) -> Result<Option<PathType>, WorldError> {
        let path = self.real(path, false)?;
        Ok(path.and_then(|path| self.entries.get(&path)).map(kind))
    }

    fn read_file(&self, path: &[u8]) -> Result<Vec<u8>, WorldError> {
        match self.resolve(path)? {
            Some((_, Entry::File(text, _))) => Ok(text.clone()),
            Some(_) => {
                // As the system says it of a file that is read in pieces.
                Err(WorldError::new(WorldErrorClass::Other, "read of 4096 bytes: Is a directory"))
            }
            None => Err(missing(path)),
        }
    }

    fn read_directory(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, PathType)>, WorldError> {
        match self.resolve(path)? {
            Some((path, Entry::Directory)) => Ok(self.children(&path)),
            Some((path, _)) => {
                let path = String::from_utf8_lossy(&path);
                let message = format!("cannot read directory \"{path}\": Not a directory");
                Err(WorldError::new(WorldErrorClass::Other, message))
            }
            None => Err(missing(path)),
        }
    }

    fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, WorldError> {
        let real = self.real(path, false)?.unwrap_or_default();
        match self.entries.get(&real) {
            Some(Entry::Symlink(target)) => Ok(target.clone()),
            _ => Err(missing(path)),
        }
    }

    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.variables.get(name).cloned()
    }

    fn current_time(&self) -> i64 {
        1_700_000_000
    }

    fn resolve_search_path(&self, _: &Activity, entry: &[u8]) -> Result<Option<Vec<u8>>, WorldError> {
        Ok(self.search_entries.get(entry).cloned())
    }

    fn copy_to_store(&self, _: &Activity, request: CopyRequest<'_>) -> Result<StorePath, WorldError> {
        let hash = match request.method {
            ContentAddressMethod::Flat => Hash::of(HashAlgorithm::Sha256, &self.read_file(request.path)?),
            _ => {
                let mut hasher = Hasher::new(HashAlgorithm::Sha256);
                token(&mut hasher, b"nix-archive-1");
                let path = self.real(request.path, false)?.ok_or_else(|| missing(request.path))?;
                let mut filter = request.filter;
                self.nar(&path, &mut filter, &mut hasher)?;
                hasher.flush().map_err(other)?;
                hasher.finish()
            }
        };
        let none = References::default();
        self.store_dir.fixed_output_path(request.method, &hash, request.name, &none).map_err(other)
    }

    fn add_text(
        &self,
        _: &Activity,
        path: &StorePath,
        text: &[u8],
        references: &[StorePath],
    ) -> Result<(), WorldError> {
        self.keep(path.clone(), text.to_vec(), references.to_vec());
        Ok(())
    }

    fn add_derivation(&self, path: StorePath, text: &[u8], references: &[&StorePath]) -> Result<(), WorldError> {
        self.keep(path, text.to_vec(), references.iter().copied().cloned().collect());
        Ok(())
    }

    fn flush(&self, _: &Activity) -> Result<(), WorldError> {
        Ok(())
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Arc<Derivation>, WorldError> {
        let printed = self.store_dir.print(path);
        let text = self.lock().texts.get(path).cloned().ok_or_else(|| not_valid(&printed))?;
        let name = path.derivation_name().map_err(other)?;
        aterm::parse(&self.store_dir, &text, name).map(Arc::new).map_err(other)
    }

    fn ensure_path(&self, _: &Activity, path: &StorePath) -> Result<bool, WorldError> {
        Ok(self.lock().texts.contains_key(path))
    }

    fn realise(
        &self,
        _: &Activity,
        wanted: &[DerivedPath],
    ) -> Result<Vec<(DerivedPath, String, StorePath)>, WorldError> {
        if let (true, Some(DerivedPath::Built { drv, .. })) = (self.read_only, wanted.first()) {
            // There is no derivation to build; the store names it without its folder.
            let printed = drv.print(&self.store_dir);
            return Err(not_valid(printed.rsplit('/').next().unwrap_or(&printed)));
        }
        let mut built = Vec::new();
        for path in wanted {
            let DerivedPath::Built { outputs: OutputsSpec::Names(names), .. } = path else { continue };
            for name in names {
                let Some(output) = self.built.get(name) else {
                    let message = format!("cannot build '{}' here", path.print(&self.store_dir));
                    return Err(WorldError::new(WorldErrorClass::BuildFailure, message));
                };
                built.push((path.clone(), name.clone(), output.clone()));
            }
        }
        Ok(built)
    }

    fn references(&self, path: &StorePath) -> Result<Vec<StorePath>, WorldError> {
        match self.lock().references.get(path) {
            Some(references) => Ok(references.clone()),
            None if self.read_only => Err(not_valid(&self.store_dir.print(path))),
            None => Ok(Vec::new()),
        }
    }

    fn fetch(&self, _: &Activity, request: &FetchRequest) -> Result<Fetched, WorldError> {
        self.lock().requests.push(request.clone());
        if let Some(fetched) = &self.fetched {
            return Ok(fetched.clone());
        }
        let what = match request {
            FetchRequest::File { url, .. } | FetchRequest::Tarball { url, .. } => url.clone(),
            FetchRequest::Tree { attributes, .. } => format!("{attributes:?}"),
        };
        Err(WorldError::new(WorldErrorClass::Denied, format!("cannot fetch '{what}' here")))
    }
}
