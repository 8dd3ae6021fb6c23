//! The world as one evaluation sees it, with everything it asks written down.
//!
//! Every question goes on to the session's world; what comes back is kept as a [`Seen`], its number noted in the log that
//! the evaluator follows. A file that changed while it was read, a question answered in two ways, or an answer that cannot
//! be checked later spoils the recording: the evaluation goes on, but is not remembered.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use activity::Activity;
use evaluator::{
    CopyRequest, FetchRequest, Fetched, PathFilter, PathType, ReadLog, World, WorldError, WorldErrorClass,
};
use store_model::{Derivation, DerivationKind, DerivedPath, SingleDerivedPath, StoreDir, StorePath};

use super::bytes::{digest, digest_of};
use super::folder::{Folder, Kept};
use super::seen::{Asked, Contents, Copied, Seen, listing_digest};
use super::stamp::{Clock, Stamp, now};
use super::tree::{Look, look};
use crate::session::Session;
use crate::world::SessionWorld;

/// Sources smaller than this are read again rather than looked up.
const SMALL_SOURCE: u64 = 64 << 10;

/// What a recording came to.
#[derive(Default)]
pub(super) struct Recording {
    /// Every question once, in the order of their first asking.
    pub(super) reads: Vec<Seen>,
    index: HashMap<(u8, Vec<u8>), u32>,
    /// It must not be remembered.
    pub(super) spoiled: bool,
    written: Vec<(StorePath, Vec<StorePath>)>,
    own: HashSet<StorePath>,
}

/// A world that writes down what it is asked.
pub(super) struct Recorder {
    world: Arc<SessionWorld>,
    session: Arc<Session>,
    /// For what the world itself has to say: that is no part of the answer.
    plain: Activity,
    log: Arc<ReadLog>,
    clock: Arc<Clock>,
    folder: Arc<Folder>,
    contents_read: AtomicU64,
    recording: Mutex<Recording>,
}

impl Recorder {
    /// Records what is asked of a world.
    pub(super) fn new(session: &Arc<Session>, plain: Activity, clock: Arc<Clock>, folder: Arc<Folder>) -> Self {
        Self {
            world: Arc::new(SessionWorld::new(Arc::clone(session))),
            session: Arc::clone(session),
            plain,
            log: Arc::new(ReadLog::default()),
            clock,
            folder,
            contents_read: AtomicU64::new(0),
            recording: Mutex::default(),
        }
    }

    /// Where numbers of questions are noted.
    pub(super) fn log(&self) -> &Arc<ReadLog> {
        &self.log
    }

    /// How many files were opened to read their contents.
    pub(super) fn contents_read(&self) -> u64 {
        self.contents_read.load(Ordering::Relaxed)
    }

    /// How many questions there were so far.
    pub(super) fn questions(&self) -> usize {
        self.kept().reads.len()
    }

    /// What was written down.
    pub(super) fn take(&self) -> Recording {
        let mut recording = std::mem::take(&mut *self.kept());
        recording.spoiled |= self.log.time_was_asked();
        recording
    }

    fn kept(&self) -> MutexGuard<'_, Recording> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spoil(&self) {
        self.kept().spoiled = true;
    }

    fn note(&self, seen: Seen) {
        let number = self.kept().add(seen);
        self.log.note(number);
    }

    /// What a failed question is noted as.
    fn failed<T>(&self, asked: Asked, path: &[u8], result: Result<T, WorldError>) -> Result<T, WorldError> {
        match &result {
            Ok(_) => self.spoil(),
            Err(_) => self.note(Seen::Failed(asked, path.to_vec())),
        }
        result
    }

    /// The store has a path: asked, and answered with yes.
    fn needs(&self, path: &StorePath) {
        // What this evaluation writes itself is there again whenever it is evaluated.
        if !self.kept().own.contains(path) {
            self.note(Seen::Valid(path.clone()));
        }
    }

    fn is_valid(&self, path: &StorePath) -> Result<bool, WorldError> {
        self.world.ensure_path(&self.plain, path)
    }

    /// Copies a source that was looked at before; looks again afterwards.
    fn copy(
        &self,
        request: CopyRequest<'_>,
        place: &Path,
        before: &Look,
        key: Option<super::bytes::Digest>,
    ) -> Result<StorePath, WorldError> {
        // The key does not tell references.
        let key = key.filter(|_| request.references.is_empty());
        if let Some(known) = key.and_then(|key| self.folder.read(Kept::Sources, &key))
            && let Ok(path) = StorePath::parse_bytes(&known)
            && (self.session.read_only() || self.is_valid(&path)?)
        {
            return Ok(path);
        }
        self.contents_read.fetch_add(1, Ordering::Relaxed);
        let refused: HashSet<&[u8]> = before.refused.iter().map(Vec::as_slice).collect();
        let left_out = |below: &[u8]| refused.contains(below);
        let start = request.path.len() + 1;
        let mut decide = |path: &[u8], _: PathType| Ok(!path.get(start..).is_some_and(left_out));
        let filter: Option<&mut PathFilter<'_>> = if request.filter.is_some() { Some(&mut decide) } else { None };
        let again = CopyRequest {
            path: request.path,
            name: request.name,
            method: request.method,
            filter,
            expected: request.expected,
            references: request.references,
        };
        let result = self.world.copy_to_store(&self.plain, again)?;
        let after = look(place, &self.clock, &mut |below, _| Ok(!left_out(below)))?;
        let same = after.is_some_and(|after| {
            after.shape == before.shape && (after.stamps == before.stamps || before.stamps.is_none())
        });
        if !same {
            self.spoil();
        } else if let Some(key) = key {
            self.folder.write(Kept::Sources, &key, result.as_str().as_bytes());
        }
        Ok(result)
    }
}

impl Recording {
    /// Writes a question down unless it is there; gives its number.
    pub(super) fn add(&mut self, seen: Seen) -> u32 {
        let number = self.reads.len() as u32;
        let key = match &seen {
            Seen::Kind(path, _) => (0, path.clone()),
            Seen::File(path, _) => (1, path.clone()),
            Seen::Listing(path, _) => (2, path.clone()),
            Seen::Link(path, _) => (3, path.clone()),
            Seen::Failed(asked, path) => (*asked as u8, path.clone()),
            Seen::Variable(name, _) => (4, name.clone()),
            Seen::Valid(path) => (5, path.as_str().as_bytes().to_vec()),
            // Two filters may say different things of one path.
            Seen::Copy(_) => {
                self.reads.push(seen);
                return number;
            }
        };
        match self.index.get(&key) {
            Some(known) => {
                let same = match (&self.reads[*known as usize], &seen) {
                    (Seen::File(_, old), Seen::File(_, new)) | (Seen::Listing(_, old), Seen::Listing(_, new)) => {
                        old.digest == new.digest
                    }
                    (old, new) => old == new,
                };
                self.spoiled |= !same;
                *known
            }
            None => {
                self.index.insert(key, number);
                self.reads.push(seen);
                number
            }
        }
    }

    fn write(&mut self, path: StorePath, references: Vec<StorePath>) {
        self.own.insert(path.clone());
        self.written.push((path, references));
    }

    /// What was put into the store and is not part of something else that was.
    pub(super) fn uppermost(&self) -> Vec<StorePath> {
        let inside: BTreeSet<&StorePath> = self.written.iter().flat_map(|(_, references)| references).collect();
        let paths: BTreeSet<&StorePath> = self.written.iter().map(|(path, _)| path).collect();
        paths.difference(&inside).map(|path| (*path).clone()).collect()
    }
}

/// The key under which a source's store path is kept.
fn source_key(store_dir: &StoreDir, request: &CopyRequest<'_>, look: &Look) -> Option<super::bytes::Digest> {
    let stamps = look.stamps.filter(|_| look.size >= SMALL_SOURCE)?;
    let words = [store_dir.as_str(), request.name, request.method.name()];
    Some(digest_of(words.iter().map(|word| word.as_bytes()).chain([&look.shape[..], &stamps[..]])))
}

impl World for Recorder {
    fn store_dir(&self) -> &StoreDir {
        self.world.store_dir()
    }

    fn stat(&self, path: &[u8]) -> Result<Option<PathType>, WorldError> {
        let result = self.world.stat(path);
        match &result {
            Ok(kind) => self.note(Seen::Kind(path.to_vec(), *kind)),
            Err(_) => self.note(Seen::Failed(Asked::Kind, path.to_vec())),
        }
        result
    }

    fn read_file(&self, path: &[u8]) -> Result<Vec<u8>, WorldError> {
        let place = self.world.real(path, true)?;
        match self.clock.read(&Activity::silent(), &place) {
            Some((bytes, stamp)) => {
                self.contents_read.fetch_add(1, Ordering::Relaxed);
                self.note(Seen::File(path.to_vec(), Contents { digest: digest(&bytes), stamp }));
                Ok(bytes)
            }
            None => self.failed(Asked::File, path, self.world.read_file(path)),
        }
    }

    fn read_directory(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, PathType)>, WorldError> {
        let place = self.world.real(path, true)?;
        let started = now();
        let before = std::fs::metadata(&place).map(|found| Stamp::of(&found));
        let result = self.world.read_directory(path);
        match (&result, before) {
            (Ok(entries), Ok(before)) => {
                let after = std::fs::metadata(&place).map(|found| Stamp::of(&found));
                if !after.is_ok_and(|after| after == before) {
                    self.spoil();
                }
                let digest = listing_digest(entries.iter().map(|(name, kind)| (name.as_slice(), *kind)).collect());
                let stamp = self.clock.firm(before, &place, started);
                self.note(Seen::Listing(path.to_vec(), Contents { digest, stamp }));
                result
            }
            _ => self.failed(Asked::Listing, path, result),
        }
    }

    fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, WorldError> {
        let result = self.world.read_link(path);
        match &result {
            Ok(target) => self.note(Seen::Link(path.to_vec(), digest(target))),
            Err(_) => self.note(Seen::Failed(Asked::Link, path.to_vec())),
        }
        result
    }

    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>> {
        let value = self.world.env_var(name);
        self.note(Seen::Variable(name.to_vec(), value.as_deref().map(digest)));
        value
    }

    fn current_time(&self) -> i64 {
        // The evaluator asks at its start and tells the log if somebody looks.
        self.world.current_time()
    }

    fn resolve_search_path(&self, activity: &Activity, value: &[u8]) -> Result<Option<Vec<u8>>, WorldError> {
        self.spoil();
        self.world.resolve_search_path(activity, value)
    }

    fn copy_to_store(&self, _: &Activity, mut request: CopyRequest<'_>) -> Result<StorePath, WorldError> {
        // With a hash nobody need look at the files, if the store has the path.
        if let Some(expected) = &request.expected
            && !self.session.read_only()
        {
            let path = self.store_dir().fixed_output_path(request.method, expected, request.name, &Default::default());
            let path = path.map_err(|error| WorldError::new(WorldErrorClass::Other, error.to_string()))?;
            if self.is_valid(&path)? {
                self.needs(&path);
                return Ok(path);
            }
        }
        let place = self.world.real(request.path, false)?;
        let root = [request.path, b"/"].concat();
        let filter = &mut request.filter;
        let before = look(&place, &self.clock, &mut |below, kind| match filter {
            Some(filter) => filter(&[&root, below].concat(), kind),
            None => Ok(true),
        })?;
        let Some(before) = before else {
            self.spoil();
            return self.world.copy_to_store(&self.plain, request);
        };
        let key = source_key(self.store_dir(), &request, &before);
        let refused = request.filter.is_some().then(|| before.refused.clone());
        let (path, name, method) = (request.path.to_vec(), request.name.to_owned(), request.method);
        let result = self.copy(request, &place, &before, key)?;
        self.kept().write(result.clone(), Vec::new());
        let Look { shape, stamps, .. } = before;
        let copied = Copied { path, name, method, refused, shape, stamps, result: result.clone() };
        self.note(Seen::Copy(Box::new(copied)));
        Ok(result)
    }

    fn add_text(
        &self,
        _: &Activity,
        path: &StorePath,
        text: &[u8],
        references: &[StorePath],
    ) -> Result<(), WorldError> {
        self.kept().write(path.clone(), references.to_vec());
        self.world.add_text(&self.plain, path, text, references)
    }

    fn add_derivation(&self, path: StorePath, text: &[u8], references: &[&StorePath]) -> Result<(), WorldError> {
        self.kept().write(path.clone(), references.iter().copied().cloned().collect());
        self.world.add_derivation(path, text, references)
    }

    fn flush(&self, _: &Activity) -> Result<(), WorldError> {
        self.world.flush(&self.plain)
    }

    fn read_derivation(&self, path: &StorePath) -> Result<Arc<Derivation>, WorldError> {
        let derivation = self.world.read_derivation(path)?;
        // Its path is the digest of its bytes: there is nothing else to check.
        self.needs(path);
        Ok(derivation)
    }

    fn ensure_path(&self, _: &Activity, path: &StorePath) -> Result<bool, WorldError> {
        let there = self.world.ensure_path(&self.plain, path)?;
        match there {
            true if self.session.read_only() => {}
            true => self.needs(path),
            false => self.spoil(),
        }
        Ok(there)
    }

    fn realise(
        &self,
        _: &Activity,
        wanted: &[DerivedPath],
    ) -> Result<Vec<(DerivedPath, String, StorePath)>, WorldError> {
        let results = self.world.realise(&self.plain, wanted)?;
        // An impure derivation is built anew each time, and who makes a derivation may make another one.
        let lasting = |path: &DerivedPath| match path {
            DerivedPath::Opaque(_) => true,
            DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), .. } => {
                let kind = self.world.read_derivation(drv).map(|derivation| derivation.kind());
                matches!(kind, Ok(Ok(kind)) if kind != DerivationKind::Impure)
            }
            DerivedPath::Built { .. } => false,
        };
        if !wanted.iter().all(lasting) {
            self.spoil();
        }
        results.iter().for_each(|(_, _, path)| self.note(Seen::Valid(path.clone())));
        Ok(results)
    }

    fn references(&self, path: &StorePath) -> Result<Vec<StorePath>, WorldError> {
        let result = self.world.references(path);
        match &result {
            Ok(_) => self.needs(path),
            Err(_) => self.spoil(),
        }
        result
    }

    fn fetch(&self, _: &Activity, request: &FetchRequest) -> Result<Fetched, WorldError> {
        let fetched = self.world.fetch(&self.plain, request)?;
        if request.is_locked() {
            self.note(Seen::Valid(fetched.path.clone()))
        } else {
            self.spoil()
        }
        Ok(fetched)
    }
}
