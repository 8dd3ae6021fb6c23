//! The traits of stores: what may be asked, what may be written, and the capabilities beside it.
//!
//! Everything is asked in bulk, because a store may be far away. The order of use is always the same: root a path
//! ([`TemporaryRoots`]), then ask whether it is valid ([`Store`]), then use or write it ([`WritableStore`]): so no collector
//! can take it in between. No trait hands out another; whoever opens a store gets each capability that it has.
//!
//! Absent: wire formats, caches, and how anything is built: [`Builder`] is only declared here.

use crate::{Error, Result};
use activity::Activity;
use file_tree::{Filter, SourceAccessor, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use store_model::derivation::TextObject;
use store_model::{
    BuildResult, ContentAddress, ContentAddressMethod, Derivation, DerivedPath, DrvOutput, HashAlgorithm, NarInfo,
    OutputMap, PathInfo, PublicKeys, Realisation, References, Signature, StoreDir, StorePath, derivation,
};

/// What every store answers.
pub trait Store: Send + Sync {
    /// The logical store directory.
    fn store_dir(&self) -> &StoreDir;

    /// Which of the paths are valid.
    fn valid_paths(&self, activity: &Activity, paths: &[StorePath]) -> Result<BTreeSet<StorePath>>;

    /// What is known about each path, in the order of the question; `None` for paths that are not valid.
    fn path_infos(&self, activity: &Activity, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>>;

    /// The valid paths that refer to the path, itself included if it does.
    fn referrers(&self, activity: &Activity, path: &StorePath) -> Result<BTreeSet<StorePath>>;

    /// The valid derivations that have the path among their outputs.
    fn valid_derivers(&self, activity: &Activity, path: &StorePath) -> Result<BTreeSet<StorePath>>;

    /// The outputs of a valid derivation and their paths, where these are known.
    fn derivation_outputs(&self, activity: &Activity, drv: &StorePath) -> Result<OutputMap<Option<StorePath>>>;

    /// Every valid path.
    fn all_valid_paths(&self, activity: &Activity) -> Result<BTreeSet<StorePath>>;

    /// The valid path with this hash part (32 digits), if there is one.
    fn path_from_hash_part(&self, activity: &Activity, hash_part: &str) -> Result<Option<StorePath>>;

    /// Writes the NAR of a valid path.
    fn nar(&self, activity: &Activity, path: &StorePath, out: &mut dyn Write) -> Result<()>;

    /// The object of a valid path as a tree.
    fn accessor(&self, activity: &Activity, path: &StorePath) -> Result<Box<dyn SourceAccessor>> {
        let (mut tree, mut nar) = (file_tree::MemoryTree::default(), Vec::new());
        self.nar(activity, path, &mut nar)?;
        file_tree::read_nar(&mut nar.as_slice(), &mut tree)?;
        Ok(Box::new(tree))
    }

    /// How a valid path lies in a binary cache; `None` from stores that are none.
    fn nar_info(&self, _activity: &Activity, _path: &StorePath) -> Result<Option<NarInfo>> {
        Ok(None)
    }

    /// Reads a derivation; it need not be registered, but must be there.
    fn read_derivation(&self, activity: &Activity, path: &StorePath) -> Result<Derivation> {
        let mut contents = Vec::new();
        let mut nar = Vec::new();
        self.nar(activity, path, &mut nar)?;
        file_tree::read_nar(&mut nar.as_slice(), &mut file_tree::FlatContents(&mut contents))?;
        Ok(derivation::aterm::parse(self.store_dir(), &contents, path.derivation_name()?)?)
    }
}

/// How to write.
#[derive(Clone, Default)]
pub struct WriteOptions {
    /// Replace what is there, even if it is valid.
    pub repair: bool,
    /// Refuse paths that neither prove themselves nor are signed by one of these keys. `None` trusts the caller.
    pub trusted_keys: Option<Arc<PublicKeys>>,
}

/// A tree that is to be added.
pub struct AddTree<'a, 'f> {
    /// The name that the store path gets.
    pub name: &'a str,
    /// Where the tree lies.
    pub accessor: &'a dyn SourceAccessor,
    /// Which object of it.
    pub path: &'a TreePath,
    /// How it is hashed.
    pub method: ContentAddressMethod,
    /// With which algorithm.
    pub algorithm: HashAlgorithm,
    /// What it refers to (only for `NixArchive` by sha256, and `Text`).
    pub references: References,
    /// Which entries of directories are taken.
    pub filter: &'a mut Filter<'f>,
}

/// An object with all its bytes at hand, to be written together with others. It refers to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeObject {
    /// Its path, which follows from the name and the address.
    pub path: StorePath,
    /// How it was hashed, and the hash: of the archive, or of the contents of the one file.
    pub address: ContentAddress,
    /// Its archive.
    pub archive: Vec<u8>,
}

/// A store that can be written to. Every method roots what it writes, and answers only when the data are as safe as the
/// store's options say.
pub trait WritableStore: Store {
    /// Adds text (`toFile`, one `.drv`); nothing happens when it is valid already.
    fn add_text(&self, activity: &Activity, object: &TextObject, options: &WriteOptions) -> Result<()>;

    /// Adds a tree; nothing is written when it is valid already. Answers what the store knows about it.
    fn add_tree(&self, activity: &Activity, tree: &mut AddTree<'_, '_>, options: &WriteOptions) -> Result<PathInfo>;

    /// Adds an object from its NAR, which is read to its end (not more than `info.nar_size` bytes) also when the object is
    /// valid already. References must be valid. A hash or size that differs from the info's is an error, and nothing is
    /// registered.
    fn add_nar(&self, activity: &Activity, info: &PathInfo, nar: &mut dyn Read, options: &WriteOptions) -> Result<()>;

    /// Adds many objects at once: trees, and derivations and other texts in any order, those they refer to included or valid
    /// already. The caller has computed addresses and the derivations' output paths from the same bytes; these are not
    /// checked again. What is valid already is left as it is.
    fn write_batch(&self, activity: &Activity, trees: &[TreeObject], texts: &[TextObject]) -> Result<()>;

    /// Makes paths valid whose objects are in place already: all of them or none. Their references must be valid or
    /// among them. A path that is valid already gets the new metadata.
    fn register(&self, activity: &Activity, infos: &[PathInfo]) -> Result<()>;

    /// Adds signatures to those that valid paths have; tells how many were new.
    fn add_signatures(&self, activity: &Activity, more: &[(StorePath, BTreeSet<Signature>)]) -> Result<usize>;
}

/// Knowing what outputs became whose paths follow from what is built.
pub trait Realisations: Send + Sync {
    /// What each output became, in the order of the question; `None` where that is not known.
    fn realisations(&self, activity: &Activity, ids: &[DrvOutput]) -> Result<Vec<Option<Realisation>>>;

    /// Notes what outputs became. The paths are valid; of an output that is known already only signatures are added.
    ///
    /// # Errors
    /// An output that became something else here; with trusted keys, a realisation that none of them signed.
    fn register_realisations(&self, activity: &Activity, all: &[Realisation], options: &WriteOptions) -> Result<()>;
}

/// Keeping paths from being collected for as long as the store is open.
pub trait TemporaryRoots: Send + Sync {
    /// Roots the paths, whether they exist or not. When this returns, no collection that is running or will begin takes
    /// them.
    fn add_temp_roots(&self, activity: &Activity, paths: &[StorePath]) -> Result<()>;
}

/// What keeps paths from being collected: by path, where it is said. Links are named by their place, temporary roots as
/// `{temp:PID}`, what processes use as the file of `/proc` that tells.
pub type Roots = BTreeMap<StorePath, BTreeSet<PathBuf>>;

/// What a collection is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum GcAction {
    /// Tell what lives.
    ReturnLive,
    /// Tell what could be deleted.
    ReturnDead,
    /// Delete what could be.
    #[default]
    DeleteDead,
    /// Delete these paths; an error if one of them is needed by a root or by a path that is not among them.
    DeleteSpecific(BTreeSet<StorePath>),
}

/// How to collect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcOptions {
    /// What to do.
    pub action: GcAction,
    /// With [`GcAction::DeleteSpecific`]: ask no roots, only who refers to the paths.
    pub ignore_liveness: bool,
    /// End once more bytes than this were freed.
    pub max_freed: u64,
    /// Leave what was used or added after this time, in seconds since 1970, and all it refers to.
    pub keep_since: Option<i64>,
    /// Delete no more than is needed for the store's archives to be this large, what was not used for longest first.
    pub max_size: Option<u64>,
}

impl Default for GcOptions {
    fn default() -> GcOptions {
        GcOptions {
            action: GcAction::default(),
            ignore_liveness: false,
            max_freed: u64::MAX,
            keep_since: None,
            max_size: None,
        }
    }
}

/// What a collection found or did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcResults {
    /// Paths that live or could be deleted, sorted; or were deleted, in that order. Names in the store's folder that are no
    /// store paths are among those that were deleted.
    pub paths: Vec<PathBuf>,
    /// Bytes that deleting gave back, or would give back at most.
    pub bytes_freed: u64,
}

/// Deleting what nobody needs.
pub trait GarbageCollector: Send + Sync {
    /// What keeps paths alive; only valid paths, but for temporary roots. With `censor` nobody learns where the roots of
    /// processes and other users are: all places are `{censored}`.
    fn find_roots(&self, activity: &Activity, censor: bool) -> Result<Roots>;

    /// Collects. `results` say what was done also when the end is an error.
    fn collect_garbage(&self, activity: &Activity, options: &GcOptions, results: &mut GcResults) -> Result<()>;
}

/// Keeping and finding what builders printed.
pub trait BuildLogs: Send + Sync {
    /// The log of the derivation's last build here, decompressed; `None` when there is none.
    fn build_log(&self, activity: &Activity, drv: &StorePath) -> Result<Option<Vec<u8>>>;

    /// Begins the log of a build, replacing an older one when it is finished.
    fn create_log(&self, drv: &StorePath) -> Result<Box<dyn LogWriter>>;
}

/// Where a builder's output goes. Dropping it finishes it as well, ignoring errors.
pub trait LogWriter: Write + Send {
    /// Completes the log and puts it in its place.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// What a build is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BuildMode {
    /// Make outputs that are missing.
    #[default]
    Normal,
    /// Make broken outputs anew.
    Repair,
    /// Build again and compare.
    Check,
}

/// What would have to be done for some wanted paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingPaths {
    /// Derivations to build.
    pub will_build: BTreeSet<StorePath>,
    /// Paths to copy from other stores.
    pub will_substitute: BTreeSet<StorePath>,
    /// Paths that nobody can make.
    pub unknown: BTreeSet<StorePath>,
    /// Bytes to download.
    pub download_size: u64,
    /// Bytes that the downloads unpack to.
    pub nar_size: u64,
}

/// Making wanted paths valid.
pub trait Builder: Send + Sync {
    /// Builds or substitutes; one result per wanted path, in order. A build that fails is a result, not an error.
    fn build(&self, activity: &Activity, wanted: &[DerivedPath], mode: BuildMode) -> Result<Vec<BuildResult>, Error>;

    /// What [`Builder::build`] would do.
    fn plan(&self, activity: &Activity, wanted: &[DerivedPath]) -> Result<MissingPaths, Error>;
}
