//! The evaluator's world over real files and a real store.
//!
//! Paths come in the logical view: a path below the store directory means the store object, wherever the store's files
//! lie. The store is opened when the first question needs it, so that plain evaluation never touches it. Derivations and
//! small sources are kept pending and written in one batch; whoever needs them on disk flushes first.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use activity::Activity;
use evaluator::{CopyRequest, FetchRequest, Fetched, PathFilter, PathType, World, WorldError, WorldErrorClass};
use file_tree::{DiskAccessor, FileType, TreePath};
use store::{
    AddTree, BuildMode, Builder as _, LocalStore, Store as _, TemporaryRoots as _, TreeObject, WritableStore as _,
    WriteOptions,
};
use store_model::derivation::aterm;
use store_model::{
    ContentAddress, ContentAddressMethod, Derivation, DerivedPath, Hash, HashAlgorithm, PathInfo, References,
    SingleDerivedPath, StoreDir, StorePath,
};

use crate::error::SessionError;
use crate::fetching::Fetching;
use crate::pending::{Batch, PendingObjects, PendingText};
use crate::session::Session;
use crate::source::read_source;

/// What evaluation sees of one session.
pub struct SessionWorld {
    session: Arc<Session>,
    store_dir: StoreDir,
    time: OnceLock<i64>,
    pending: Mutex<PendingObjects>,
    /// Held by who writes what was pending: whoever needs some of it waits here.
    flushing: Mutex<()>,
    derivations: Mutex<HashMap<StorePath, Arc<Derivation>>>,
    sources: Mutex<HashMap<(Vec<u8>, String), StorePath>>,
    fetching: Fetching,
    search_path: Mutex<HashMap<String, Option<Vec<u8>>>>,
}

/// A source of at most so many bytes waits with its bytes to be written together with others.
const SMALL_SOURCE: usize = 64 << 10;

/// When sources of more bytes than this wait, all that waits is written.
const MOST_WAITING: usize = 16 << 20;

impl SessionWorld {
    /// The world of a session.
    pub fn new(session: Arc<Session>) -> Self {
        Self {
            store_dir: session.store_dir().clone(),
            fetching: Fetching::new(Arc::clone(&session)),
            search_path: Mutex::default(),
            session,
            time: OnceLock::new(),
            pending: Mutex::default(),
            flushing: Mutex::default(),
            derivations: Mutex::default(),
            sources: Mutex::default(),
        }
    }

    /// Where a logical path lies. Links below the store are followed here, because they hold logical paths.
    pub(crate) fn real(&self, path: &[u8], follow_last: bool) -> Result<PathBuf, WorldError> {
        let logical = PathBuf::from(OsStr::from_bytes(path));
        if !logical.starts_with(self.store_dir.as_str()) {
            return Ok(logical);
        }
        self.write_if_pending(&logical)?;
        if !self.session.place().is_elsewhere() {
            return Ok(logical);
        }
        let followed = self.session.follow(&logical, follow_last);
        let followed = followed.map_err(|error| WorldError::new(WorldErrorClass::Other, error.to_string()))?;
        Ok(self.session.on_disk(&followed))
    }

    /// What is about to be read must be there.
    fn write_if_pending(&self, logical: &Path) -> Result<(), WorldError> {
        let read = logical.to_str().and_then(|text| self.store_dir.parse_inside(text).ok());
        match read {
            Some((path, _)) => self.write_pending(&path),
            None => Ok(()),
        }
    }

    fn write_pending(&self, path: &StorePath) -> Result<(), WorldError> {
        if Self::kept(&self.pending).holds(path) {
            self.flush(&Activity::silent())?;
        }
        Ok(())
    }

    fn kept<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(
        &self,
        activity: &Activity,
        request: &mut Copying<'_, '_>,
        references: References,
    ) -> Result<StorePath, WorldError> {
        let store = self.session.store(activity).map_err(session_error)?;
        let (name, method, accessor) = (request.name, request.method, DiskAccessor::new(&request.real));
        let info = store.add_tree(
            activity,
            &mut AddTree {
                name,
                accessor: &accessor,
                path: &TreePath::root(),
                method,
                algorithm: HashAlgorithm::Sha256,
                references,
                filter: &mut |path, kind| request.takes(path, kind),
            },
            &WriteOptions { repair: self.session.mends(), ..WriteOptions::default() },
        );
        Ok(info.map_err(store_error)?.path)
    }

    fn is_to_be_mended(&self, activity: &Activity, path: &StorePath) -> Result<bool, WorldError> {
        if !self.session.mends() {
            return Ok(false);
        }
        let store = self.session.store(activity).map_err(session_error)?;
        Ok(!store.check_contents(activity, std::slice::from_ref(path)).map_err(store_error)?.is_empty())
    }

    /// Writes what is not there, and where that is wanted what is broken.
    fn write(&self, store: &LocalStore, activity: &Activity, batch: &Batch) -> store::Result<()> {
        store.write_batch(activity, &batch.trees, &batch.texts)?;
        if !self.session.mends() {
            return Ok(());
        }
        let trees = batch.trees.iter().map(|tree| &tree.path);
        let all: Vec<StorePath> = trees.chain(batch.texts.iter().map(|text| &text.path)).cloned().collect();
        let broken = store.check_contents(activity, &all)?;
        let options = WriteOptions { repair: true, ..WriteOptions::default() };
        for tree in batch.trees.iter().filter(|tree| broken.contains(&tree.path)) {
            let found = (Hash::of(HashAlgorithm::Sha256, &tree.archive), tree.archive.len() as u64);
            let info = PathInfo::addressed(tree.path.clone(), found, tree.address, References::default());
            store.add_nar(activity, &info, &mut tree.archive.as_slice(), &options)?;
        }
        for text in batch.texts.iter().filter(|text| broken.contains(&text.path)) {
            store.add_text(activity, text, &options)?;
        }
        Ok(())
    }
}

/// One source on its way into the store. A filter is asked once for each path: its answers are kept for a second walk.
struct Copying<'a, 'f> {
    logical: &'a [u8],
    real: PathBuf,
    name: &'a str,
    method: ContentAddressMethod,
    filter: Option<&'a mut PathFilter<'f>>,
    refused: BTreeSet<TreePath>,
    asked: bool,
}

impl Copying<'_, '_> {
    fn takes(&mut self, path: &TreePath, kind: FileType) -> Result<bool, file_tree::Error> {
        if self.asked {
            return Ok(!self.refused.contains(path));
        }
        let Some(filter) = &mut self.filter else { return Ok(true) };
        let whole = [self.logical, b"/", path.as_bytes()].concat();
        let taken = filter(&whole, path_type(kind)).map_err(|error| file_tree::Error::Caller(Box::new(error)))?;
        if !taken {
            self.refused.insert(path.clone());
        }
        Ok(taken)
    }

    /// Its hash, and its archive if it is small.
    fn read(&mut self, activity: &Activity) -> Result<(Hash, Option<Vec<u8>>), WorldError> {
        let (real, method) = (self.real.clone(), self.method);
        let read = read_source(activity, &real, method, &mut |path, kind| self.takes(path, kind), SMALL_SOURCE);
        activity.check().map_err(|wish| WorldError::new(WorldErrorClass::Cancelled, wish.to_string()))?;
        let read = read.map_err(|error| tree_error(error, self.logical))?;
        self.asked = true;
        Ok(read)
    }
}

impl SessionWorld {
    /// The name of a derivation that is wanted and was never written.
    fn unwritten(&self, wanted: &DerivedPath) -> Option<String> {
        let DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), .. } = wanted else { return None };
        Self::kept(&self.pending).holds(drv).then(|| drv.to_string())
    }
}

impl World for SessionWorld {
    fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    fn stat(&self, path: &[u8]) -> Result<Option<PathType>, WorldError> {
        match std::fs::symlink_metadata(self.real(path, false)?) {
            Ok(found) => Ok(Some(path_type_of(found.file_type()))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(io_error("getting status of", path, &error)),
        }
    }

    fn read_file(&self, path: &[u8]) -> Result<Vec<u8>, WorldError> {
        std::fs::read(self.real(path, true)?).map_err(|error| match error.kind() {
            ErrorKind::IsADirectory => WorldError::new(WorldErrorClass::Other, "read of 4096 bytes: Is a directory"),
            _ => io_error("opening file", path, &error),
        })
    }

    fn read_directory(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, PathType)>, WorldError> {
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => io_error("", path, &error),
            _ => {
                // Links were followed; the message names where they led.
                let same = self.real(path, true).ok().filter(|real| real.as_os_str().as_bytes() == path);
                let led_to = same.and_then(|real| std::fs::canonicalize(real).ok());
                let shown = led_to.map_or_else(|| text(path).into_owned(), |real| real.to_string_lossy().into_owned());
                WorldError::new(class(&error), format!("cannot read directory \"{shown}\": {}", plain(&error)))
            }
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.real(path, true)?).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            found.push((entry.file_name().into_vec(), path_type_of(kind)));
        }
        Ok(found)
    }

    fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, WorldError> {
        let target = std::fs::read_link(self.real(path, false)?);
        Ok(target.map_err(|error| io_error("reading symbolic link", path, &error))?.into_os_string().into_vec())
    }

    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>> {
        let value = self.session.settings.around.variables.get(OsStr::from_bytes(name))?;
        Some(value.as_bytes().to_vec())
    }

    fn current_time(&self) -> i64 {
        *self.time.get_or_init(|| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
    }

    fn resolve_search_path(&self, activity: &Activity, value: &[u8]) -> Result<Option<Vec<u8>>, WorldError> {
        let value = text(value);
        if let Some(known) = Self::kept(&self.search_path).get(&*value) {
            return Ok(known.clone());
        }
        self.flush(activity)?;
        let found = self.fetching.search_path(activity, &value)?;
        Self::kept(&self.search_path).insert(value.into_owned(), found.clone());
        Ok(found)
    }

    fn copy_to_store(&self, activity: &Activity, request: CopyRequest<'_>) -> Result<StorePath, WorldError> {
        let key = (request.path.to_vec(), request.name.to_owned());
        let references = References { others: request.references.iter().cloned().collect(), self_reference: false };
        let plain = request.filter.is_none()
            && request.method == ContentAddressMethod::NixArchive
            && request.references.is_empty();
        if plain && let Some(known) = Self::kept(&self.sources).get(&key) {
            return Ok(known.clone());
        }
        let real = self.real(request.path, false)?;
        let mut copying = Copying {
            logical: request.path,
            real,
            name: request.name,
            method: request.method,
            filter: request.filter,
            refused: BTreeSet::new(),
            asked: false,
        };
        let store_path = |hash: &Hash| {
            self.store_dir
                .fixed_output_path(request.method, hash, request.name, &references)
                .map_err(|error| WorldError::new(WorldErrorClass::Other, error.to_string()))
        };
        let valid = |path: &StorePath| -> Result<bool, WorldError> {
            let store = self.session.store(activity).map_err(session_error)?;
            let one = std::slice::from_ref(path);
            store.add_temp_roots(activity, one).map_err(store_error)?;
            Ok(!store.valid_paths(activity, one).map_err(store_error)?.is_empty())
        };
        if let Some(expected) = &request.expected
            && !self.session.read_only()
        {
            let path = store_path(expected)?;
            if valid(&path)? {
                return Ok(path);
            }
        }
        let (hash, small) = copying.read(activity)?;
        let path = store_path(&hash)?;
        if self.session.read_only() || Self::kept(&self.pending).holds(&path) {
            // Nothing is to be written, or it will be.
        } else if let Some(archive) = small.filter(|_| references.is_empty()) {
            // Written with the derivations that use it; whether it is there already is asked for all of them.
            let address = ContentAddress { method: request.method, hash };
            let waiting = Self::kept(&self.pending).add_tree(TreeObject { path: path.clone(), address, archive });
            if waiting > MOST_WAITING {
                self.flush(activity)?;
            }
        } else if !valid(&path)? || self.is_to_be_mended(activity, &path)? {
            // Reading twice costs little beside copying what is there already.
            let added = self.add(activity, &mut copying, references.clone())?;
            if added != path {
                let message = format!("path '{}' changed while it was copied to the store", text(request.path));
                return Err(WorldError::new(WorldErrorClass::Transient, message));
            }
        }
        if plain {
            Self::kept(&self.sources).insert(key, path.clone());
        }
        Ok(path)
    }

    fn add_text(
        &self,
        _: &Activity,
        path: &StorePath,
        text: &[u8],
        references: &[StorePath],
    ) -> Result<(), WorldError> {
        // Written with the derivations that use it: one transaction for all.
        let references: Vec<&StorePath> = references.iter().collect();
        self.add_derivation(path.clone(), text, &references)
    }

    fn add_derivation(&self, path: StorePath, text: &[u8], references: &[&StorePath]) -> Result<(), WorldError> {
        let mut pending = Self::kept(&self.pending);
        if self.session.read_only() {
            pending.mention(path);
        } else {
            let references = references.iter().copied().cloned().collect();
            pending.add_text(PendingText { path, contents: text.to_vec(), references });
        }
        Ok(())
    }

    fn flush(&self, activity: &Activity) -> Result<(), WorldError> {
        // What would have been written in read-only mode was only mentioned.
        if self.session.read_only() {
            return Ok(());
        }
        let _alone = Self::kept(&self.flushing);
        let Some(batch) = Self::kept(&self.pending).begin() else { return Ok(()) };
        let store = self.session.store(activity).map_err(session_error);
        let written = store.and_then(|store| self.write(&store, activity, &batch).map_err(store_error));
        let mut pending = Self::kept(&self.pending);
        match &written {
            Ok(()) => pending.written(),
            Err(_) => pending.put_back(batch),
        }
        written
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Arc<Derivation>, WorldError> {
        if let Some(known) = Self::kept(&self.derivations).get(path) {
            return Ok(Arc::clone(known));
        }
        let pending = Self::kept(&self.pending).text(path).map(<[u8]>::to_vec);
        let derivation = match pending {
            Some(contents) => path
                .derivation_name()
                .and_then(|name| aterm::parse(&self.store_dir, &contents, name))
                .map_err(|error| WorldError::new(WorldErrorClass::Corrupt, error.to_string()))?,
            None => {
                let activity = Activity::silent();
                self.write_pending(path)?;
                let store = self.session.store(&activity).map_err(session_error)?;
                store.read_derivation(&activity, path).map_err(store_error)?
            }
        };
        let derivation = Arc::new(derivation);
        Self::kept(&self.derivations).insert(path.clone(), Arc::clone(&derivation));
        Ok(derivation)
    }

    fn ensure_path(&self, activity: &Activity, path: &StorePath) -> Result<bool, WorldError> {
        if self.session.read_only() || Self::kept(&self.pending).holds(path) {
            return Ok(true);
        }
        let store = self.session.store(activity).map_err(session_error)?;
        let one = std::slice::from_ref(path);
        store.add_temp_roots(activity, one).map_err(store_error)?;
        Ok(!store.valid_paths(activity, one).map_err(store_error)?.is_empty())
    }

    fn realise(
        &self,
        activity: &Activity,
        wanted: &[DerivedPath],
    ) -> Result<Vec<(DerivedPath, String, StorePath)>, WorldError> {
        self.flush(activity)?;
        if self.session.read_only()
            && let Some(drv) = wanted.iter().find_map(|path| self.unwritten(path))
        {
            return Err(not_valid(&drv));
        }
        let builder = self.session.builder(activity).map_err(session_error)?;
        let results = builder.build(activity, wanted, BuildMode::Normal).map_err(store_error)?;
        if let Some(failed) = results.iter().find(|result| !result.status.is_success()) {
            return Err(WorldError::new(WorldErrorClass::BuildFailure, failed.error_message.clone()));
        }
        let mut found = Vec::new();
        for (path, result) in wanted.iter().zip(results) {
            let built = result.built_outputs.into_iter();
            found.extend(built.map(|(name, became)| (path.clone(), name, became.out_path)));
        }
        Ok(found)
    }

    fn references(&self, path: &StorePath) -> Result<Vec<StorePath>, WorldError> {
        let activity = Activity::silent();
        let printed = self.store_dir.print(path);
        if self.session.read_only() && Self::kept(&self.pending).holds(path) {
            return Err(not_valid(&printed));
        }
        self.write_pending(path)?;
        let store = self.session.store(&activity).map_err(session_error)?;
        let infos = store.path_infos(&activity, std::slice::from_ref(path)).map_err(store_error)?;
        Ok(infos.into_iter().flatten().flat_map(|info| info.references).collect())
    }

    fn fetch(&self, activity: &Activity, request: &FetchRequest) -> Result<Fetched, WorldError> {
        // What is fetched may be something that was copied: a URL is text that may name any path.
        self.flush(activity)?;
        self.fetching.fetch(activity, request)
    }
}

fn not_valid(path: &str) -> WorldError {
    WorldError::new(WorldErrorClass::NotFound, format!("path '{path}' is not valid"))
}

fn text(path: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(path)
}

/// The system's words without Rust's `(os error N)`.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn class(error: &std::io::Error) -> WorldErrorClass {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => WorldErrorClass::NotFound,
        ErrorKind::PermissionDenied => WorldErrorClass::Denied,
        ErrorKind::StorageFull | ErrorKind::Interrupted | ErrorKind::WouldBlock => WorldErrorClass::Transient,
        _ => WorldErrorClass::Other,
    }
}

fn io_error(action: &str, path: &[u8], error: &std::io::Error) -> WorldError {
    let message = match class(error) {
        WorldErrorClass::NotFound => format!("path '{}' does not exist", text(path)),
        _ => format!("{action} '{}': {}", text(path), plain(error)),
    };
    WorldError::new(class(error), message)
}

fn tree_error(error: file_tree::Error, path: &[u8]) -> WorldError {
    match error {
        file_tree::Error::Caller(inner) => match inner.downcast::<WorldError>() {
            Ok(own) => *own,
            Err(other) => WorldError::new(WorldErrorClass::Other, other.to_string()),
        },
        file_tree::Error::NotFound(_) => {
            WorldError::new(WorldErrorClass::NotFound, format!("path '{}' does not exist", text(path)))
        }
        other => WorldError::new(WorldErrorClass::Other, other.to_string()),
    }
}

fn store_error(error: store::Error) -> WorldError {
    let class = match error.class() {
        store::ErrorClass::Transient => WorldErrorClass::Transient,
        store::ErrorClass::NotFound => WorldErrorClass::NotFound,
        store::ErrorClass::Denied => WorldErrorClass::Denied,
        store::ErrorClass::Corrupt => WorldErrorClass::Corrupt,
        store::ErrorClass::BuildFailure => WorldErrorClass::BuildFailure,
        store::ErrorClass::Cancelled => WorldErrorClass::Cancelled,
        store::ErrorClass::Permanent => WorldErrorClass::Other,
    };
    match error {
        store::Error::Tree(inner @ file_tree::Error::Caller(_)) => tree_error(inner, b""),
        other => WorldError::new(class, other.to_string()),
    }
}

pub(crate) fn session_error(error: SessionError) -> WorldError {
    match error {
        SessionError::Store(inner) => store_error(inner),
        other => WorldError::new(WorldErrorClass::Other, other.to_string()),
    }
}

fn path_type(kind: FileType) -> PathType {
    match kind {
        FileType::Regular => PathType::Regular,
        FileType::Directory => PathType::Directory,
        FileType::Symlink => PathType::Symlink,
        FileType::Other => PathType::Other,
    }
}

pub(crate) fn path_type_of(kind: std::fs::FileType) -> PathType {
    if kind.is_file() {
        PathType::Regular
    } else if kind.is_dir() {
        PathType::Directory
    } else if kind.is_symlink() {
        PathType::Symlink
    } else {
        PathType::Other
    }
}
