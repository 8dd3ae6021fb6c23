//! The one window through which evaluation sees anything outside itself.
//!
//! Files, the store, builds and fetches are asked for through [`World`]; `session` implements it over real stores, the
//! crate's tests over [`TestWorld`](crate::TestWorld). Because nothing else leads outside, an implementation can record
//! every question with its answer.
//!
//! Paths are absolute, normalised byte strings in the *logical* view: a path below `store_dir()` means the store object
//! even where the store's files lie elsewhere; the implementation translates. Symlinks are followed as the operating
//! system does, except by [`World::stat`] and [`World::read_link`].
//!
//! Absent on purpose: search paths, settings and restrictions of pure evaluation (`EvalOptions` holds them; the evaluator
//! refuses before it asks), printing (messages go to the [`Activity`]), and derivation hashing (the evaluator's own).

use activity::{Activity, Cancelled};
use std::collections::BTreeMap;
use std::sync::Arc;
use store_model::{ContentAddressMethod, Derivation, DerivedPath, Hash, StoreDir, StorePath};

/// What kind of thing lies at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathType {
    /// A plain file.
    Regular,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

impl PathType {
    /// The name that `readDir`, `readFileType` and filters get.
    pub fn name(self) -> &'static str {
        match self {
            PathType::Regular => "regular",
            PathType::Directory => "directory",
            PathType::Symlink => "symlink",
            PathType::Other => "unknown",
        }
    }
}

/// What sort of failure it was; callers decide by this alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorldErrorClass {
    /// May succeed when tried again.
    Transient,
    /// The thing does not exist.
    NotFound,
    /// Not allowed (by the file system or by restricted evaluation).
    Denied,
    /// It exists but its bytes are not what they should be.
    Corrupt,
    /// What was fetched is not what the expression promised by a hash.
    HashMismatch,
    /// A build that evaluation needed failed.
    BuildFailure,
    /// The user asked to stop.
    Cancelled,
    /// The caller's filter function failed; the caller holds the reason.
    FilterFailed,
    /// Anything else.
    Other,
}

/// A failure outside the evaluator.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct WorldError {
    /// What sort.
    pub class: WorldErrorClass,
    /// C++ Nix's words, naming the path or URL.
    pub message: String,
    /// What was being done on the way, outermost first ("while fetching the input '…'").
    pub trace: Vec<String>,
    /// The error behind it, where there is one.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl WorldError {
    /// A failure with its words.
    pub fn new(class: WorldErrorClass, message: impl Into<String>) -> Self {
        WorldError { class, message: message.into(), trace: Vec::new(), source: None }
    }

    /// The same with what was being done on the way, outermost first.
    pub fn with_trace(mut self, trace: Vec<String>) -> Self {
        self.trace = trace;
        self
    }

    /// The same with the error behind it.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl From<Cancelled> for WorldError {
    fn from(_: Cancelled) -> Self {
        WorldError::new(WorldErrorClass::Cancelled, "interrupted by the user")
    }
}

/// Decides whether a path (absolute) goes along when a tree is copied; an error stops the copy with
/// [`WorldErrorClass::FilterFailed`].
pub type PathFilter<'a> = dyn FnMut(&[u8], PathType) -> Result<bool, WorldError> + 'a;

/// A file or tree to be put into the store.
pub struct CopyRequest<'a> {
    /// Where it lies.
    pub path: &'a [u8],
    /// The name of the store path.
    pub name: &'a str,
    /// How it is hashed.
    pub method: ContentAddressMethod,
    /// What goes along; `None` for everything.
    pub filter: Option<&'a mut PathFilter<'a>>,
    /// The hash it must have (sha256); then a valid path needs no copying.
    pub expected: Option<Hash>,
    /// What it refers to, where it comes out of a store object that refers to something.
    pub references: &'a [StorePath],
}

/// What to fetch, with C++ Nix's attribute names for trees.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchRequest {
    /// `builtins.fetchurl`: one file, as it is.
    File {
        /// From where.
        url: String,
        /// The name of the store path.
        name: String,
        /// Flat hash it must have.
        expected: Option<Hash>,
    },
    /// `builtins.fetchTarball`: an archive, unpacked, its single top folder removed.
    Tarball {
        /// From where.
        url: String,
        /// The name of the store path.
        name: String,
        /// NAR hash it must have.
        expected: Option<Hash>,
    },
    /// `fetchGit`, `fetchMercurial`, `fetchTree`.
    Tree {
        /// The input's attributes.
        attributes: BTreeMap<String, FetchAttribute>,
        /// They mean the same tree for ever.
        is_locked: bool,
    },
}

impl FetchRequest {
    /// Whether the answer is the same for ever, so that nothing need be asked again.
    pub fn is_locked(&self) -> bool {
        match self {
            FetchRequest::File { expected, .. } | FetchRequest::Tarball { expected, .. } => expected.is_some(),
            FetchRequest::Tree { is_locked, .. } => *is_locked,
        }
    }
}

/// An attribute of a fetched tree.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchAttribute {
    /// A string.
    String(String),
    /// An integer.
    Int(u64),
    /// A Boolean.
    Bool(bool),
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// Where it lies now.
    pub path: StorePath,
    /// The locked input's attributes (`type`, `rev`, `lastModified`, `narHash`, …), revisions in base 16; empty for files
    /// and tarballs.
    pub attributes: BTreeMap<String, FetchAttribute>,
}

/// All that evaluation may see.
///
/// Every call may come from any evaluating thread. Answers are expected to stay the same during one evaluation; the
/// evaluator caches parsed files and listings of nothing else.
pub trait World: Send + Sync {
    /// The store's logical folder.
    fn store_dir(&self) -> &StoreDir;

    /// The type of what lies at `path`, links not followed; `None` if there is nothing (also when a parent is no folder).
    fn stat(&self, path: &[u8]) -> Result<Option<PathType>, WorldError>;

    /// The bytes of a file.
    fn read_file(&self, path: &[u8]) -> Result<Vec<u8>, WorldError>;

    /// The entries of a folder, in any order.
    fn read_directory(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, PathType)>, WorldError>;

    /// The target of a symbolic link.
    fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, WorldError>;

    /// An environment variable.
    fn env_var(&self, name: &[u8]) -> Option<Vec<u8>>;

    /// Seconds since 1970, the same during the whole evaluation.
    fn current_time(&self) -> i64;

    /// Turns an entry of the search path that is no plain path (`channel:…`, `flake:…`, `https://…`) into a path; `None`
    /// if that fails, after a warning through `activity`.
    fn resolve_search_path(&self, activity: &Activity, value: &[u8]) -> Result<Option<Vec<u8>>, WorldError>;

    /// Takes a file or tree for the store (only computes the path in read-only mode). Large ones are put there at once,
    /// others with the next batch, as they are now; at once visible through every other question.
    fn copy_to_store(&self, activity: &Activity, request: CopyRequest<'_>) -> Result<StorePath, WorldError>;

    /// Puts a text into the store under `path` (computed by the caller), with its references.
    fn add_text(
        &self,
        activity: &Activity,
        path: &StorePath,
        text: &[u8],
        references: &[StorePath],
    ) -> Result<(), WorldError>;

    /// Takes a derivation to be written with the next batch; at once visible through [`World::read_derivation`], except in
    /// read-only mode, where it will never exist.
    fn add_derivation(&self, path: StorePath, text: &[u8], references: &[&StorePath]) -> Result<(), WorldError>;

    /// Writes pending derivations, texts and sources, rooted first. Called before a path is shown to anybody, and by the implementation
    /// itself before it realises. Does nothing in read-only mode.
    fn flush(&self, activity: &Activity) -> Result<(), WorldError>;

    /// A derivation, pending or in the store.
    fn read_derivation(&self, path: &StorePath) -> Result<Arc<Derivation>, WorldError>;

    /// Whether the store has `path`, making it so by substitution if it can.
    fn ensure_path(&self, activity: &Activity, path: &StorePath) -> Result<bool, WorldError>;

    /// Builds or substitutes; gives for every output asked for its path, in the order (wanted, output name).
    fn realise(
        &self,
        activity: &Activity,
        wanted: &[DerivedPath],
    ) -> Result<Vec<(DerivedPath, String, StorePath)>, WorldError>;

    /// The references of a valid store path (for the context of a file read from the store).
    fn references(&self, path: &StorePath) -> Result<Vec<StorePath>, WorldError>;

    /// Downloads.
    fn fetch(&self, activity: &Activity, request: &FetchRequest) -> Result<Fetched, WorldError>;
}
