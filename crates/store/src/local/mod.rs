//! The store on this machine's disk, shared with C++ Nix.
//!
//! [`LocalStore`] is cheap to open: it looks at one file, and opens database, locks and roots when they are first needed. Its
//! folders are values ([`LocalStoreOptions`]); the objects may lie elsewhere than their paths say (`local?root=DIR`).
//!
//! `database.rs` and `rows.rs` hold what is known, `schema.rs` upgrades what older programs made, `add.rs` brings objects in through `source.rs` and `stream.rs`, `batch.rs` many at once, `files.rs` and `sync.rs` are the way to
//! the disk, `lock.rs` and `temp_roots.rs` the agreement with other processes, `canonicalise.rs` the metadata of objects,
//! `roots.rs` permanent roots, `last_use.rs` when paths were used, `derivations.rs` reads `.drv` files, `realisations.rs` knows what outputs became, `logs.rs` keeps build logs, `space.rs` asks whether things fit, `optimise.rs` links equal files, `verify.rs` checks.

mod add;
mod batch;
mod canonicalise;
mod copying;
pub(crate) mod database;
mod derivations;
pub(crate) mod files;
pub(crate) mod last_use;
pub(crate) mod lock;
mod logs;
mod optimise;
mod realisations;
mod roots;
mod rows;
mod schema;
mod source;
mod space;
mod stream;
mod sync;
mod temp_roots;
mod verify;

pub use add::Scratch;
pub use canonicalise::Canonicaliser;
pub use files::FaultPoints;
pub(crate) use files::Files;
pub use lock::PathLocks;
pub use optimise::OptimiseStats;
pub use source::{address_of_tree, describe_tree};
pub(crate) use sync::sync_path;
pub use verify::{LoadOptions, Verification};

use crate::{AutoCollection, Error, Result, Store, TemporaryRoots};
use activity::{Activity, CancelToken};
use database::{Database, DatabaseOptions, path_id, texts};
use file_tree::{DiskAccessor, SourceAccessor};
use rusqlite::Connection;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use store_model::derivation::HashModulo;
use store_model::{Derivation, OutputMap, PathInfo, StoreDir, StorePath};
use temp_roots::TempRoots;

/// Where a local store lies, and how it writes.
#[derive(Clone)]
pub struct LocalStoreOptions {
    /// The directory that paths of the store begin with.
    pub store_dir: StoreDir,
    /// Where the objects really lie.
    pub real_dir: PathBuf,
    /// Database, roots, locks (`/nix/var/nix`).
    pub state_dir: PathBuf,
    /// Build logs (`/nix/var/log/nix`).
    pub log_dir: PathBuf,
    /// Write nothing, make nothing.
    pub read_only: bool,
    /// Make objects durable before they are registered (`fsync-store-paths`; on by default, unlike in C++ Nix).
    pub fsync_store_paths: bool,
    /// Let SQLite sync (`fsync-metadata`).
    pub fsync_metadata: bool,
    /// Use SQLite's WAL (`use-sqlite-wal`).
    pub use_wal: bool,
    /// Extended attributes that objects may keep (`ignored-acls`).
    pub ignored_acls: BTreeSet<String>,
    /// Bytes set aside for the collector (`gc-reserved-space`).
    pub reserved_size: u64,
    /// Collecting keeps the outputs of living derivations (`keep-outputs`).
    pub keep_outputs: bool,
    /// Collecting keeps the derivations of living outputs (`keep-derivations`).
    pub keep_derivations: bool,
    /// Outputs may follow from what is built (experimental feature `ca-derivations`): only then is asked what they became.
    pub ca_derivations: bool,
    /// Link equal files to one another when paths are added (`auto-optimise-store`).
    pub auto_optimise: bool,
    /// When garbage is collected without being asked.
    pub auto: AutoCollection,
    /// The group of the build users; a store made by root then belongs to it, mode 1775.
    pub build_group: Option<u32>,
    /// Hooks for tests.
    pub faults: FaultPoints,
}

impl LocalStoreOptions {
    /// A store in these folders, with the default settings.
    pub fn new(
        store_dir: StoreDir,
        real_dir: impl Into<PathBuf>,
        state_dir: impl Into<PathBuf>,
        log_dir: impl Into<PathBuf>,
    ) -> LocalStoreOptions {
        LocalStoreOptions {
            store_dir,
            real_dir: real_dir.into(),
            state_dir: state_dir.into(),
            log_dir: log_dir.into(),
            read_only: false,
            fsync_store_paths: true,
            fsync_metadata: true,
            use_wal: true,
            ignored_acls: ["security.csm", "security.selinux", "system.nfs4_acl"].map(str::to_owned).into(),
            reserved_size: 8 << 20,
            keep_outputs: false,
            keep_derivations: true,
            ca_derivations: false,
            auto_optimise: false,
            auto: AutoCollection::default(),
            build_group: None,
            faults: FaultPoints::default(),
        }
    }

    /// A store whose folders lie below `root` as they would below `/`, as `local?root=DIR` means it.
    pub fn rooted(store_dir: StoreDir, root: &Path) -> LocalStoreOptions {
        let real_dir = root.join("nix/store");
        Self::new(store_dir, real_dir, root.join("nix/var/nix"), root.join("nix/var/log/nix"))
    }
}

/// A store on this machine's disk.
pub struct LocalStore {
    pub(crate) options: LocalStoreOptions,
    pub(crate) database: Database,
    temp_roots: TempRoots,
    pub(crate) files: Files,
    modulo: Mutex<FxHashMap<StorePath, HashModulo>>,
    pub(crate) auto: Mutex<crate::gc::auto::State>,
    /// Of who opened it: hears what goes wrong when it is closed.
    opener: Activity,
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        if let Err(error) = self.settle() {
            self.opener.error(&error.to_string());
        }
    }
}

impl LocalStore {
    /// Opens a store, making its folders and database if they are not there. Without `activity` there is no way to stop
    /// waiting for another process that is making it too.
    pub fn open(activity: &Activity, options: LocalStoreOptions) -> Result<LocalStore> {
        let files = Files { faults: options.faults.clone() };
        let database = Database::new(DatabaseOptions {
            folder: options.state_dir.join("db"),
            read_only: options.read_only,
            wal: options.use_wal,
            sync: options.fsync_metadata,
            reserved_size: options.reserved_size,
        });
        let temp_roots = TempRoots::new(&options.state_dir, files.clone());
        let (modulo, auto, opener) = (Mutex::default(), Mutex::default(), activity.with_token(CancelToken::new()));
        let store = LocalStore { options, database, temp_roots, files, modulo, auto, opener };
        if !store.options.read_only && !store.options.state_dir.join("db/schema").exists() {
            store.create_folders()?;
        }
        store.database.create_if_missing(activity)?;
        Ok(store)
    }

    /// The folders that C++ Nix makes.
    fn create_folders(&self) -> Result<()> {
        let state = &self.options.state_dir;
        self.files.create_dirs(&self.options.real_dir)?;
        for folder in ["db", "gcroots/per-user", "profiles/per-user", "temproots"] {
            self.files.create_dirs(&state.join(folder))?;
        }
        self.files.create_dirs(&self.options.real_dir.join(".links"))?;
        if let Some(group) = self.options.build_group
            && rustix::process::geteuid().is_root()
        {
            let real = &self.options.real_dir;
            std::os::unix::fs::chown(real, Some(0), Some(group)).map_err(Error::io("changing owner of", real))?;
            fs::set_permissions(real, fs::Permissions::from_mode(0o1775))
                .map_err(Error::io("changing mode of", real))?;
        }
        Ok(())
    }

    /// Makes durable what was registered through this store and is not yet. A commit alone does not wait for the disk: who
    /// announces something to others while the store stays open asks for this first. Closing the store does it too. Where
    /// objects are not synced nothing is: rows must not be on the disk before what they speak of.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn settle(&self) -> Result<()> {
        if self.options.fsync_store_paths { self.database.settle() } else { Ok(()) }
    }

    /// The options it was opened with.
    pub fn options(&self) -> &LocalStoreOptions {
        &self.options
    }

    /// Where the objects really lie.
    pub fn real_dir(&self) -> &Path {
        &self.options.real_dir
    }

    /// Database, roots, locks.
    pub fn state_dir(&self) -> &Path {
        &self.options.state_dir
    }

    /// Build logs.
    pub fn log_dir(&self) -> &Path {
        &self.options.log_dir
    }

    /// Where an object really lies, or would.
    pub fn real_path(&self, path: &StorePath) -> PathBuf {
        self.options.real_dir.join(path.as_str())
    }

    /// Whether objects lie at the paths that name them.
    pub fn is_at_logical_path(&self) -> bool {
        self.options.real_dir == Path::new(self.options.store_dir.as_str())
    }

    /// Everything that the paths refer to, themselves included; paths that are not valid are an error.
    pub fn closure(&self, activity: &Activity, paths: &[StorePath]) -> Result<BTreeSet<StorePath>> {
        let found = self.walk(activity, database::CLOSURE_OF, paths)?;
        match paths.iter().find(|path| !found.contains(*path)) {
            Some(path) => Err(Error::InvalidPath(self.options.store_dir.print(path))),
            None => Ok(found),
        }
    }

    /// Everything that refers to the paths, directly or not, themselves included where they are valid.
    pub fn referrers_closure(&self, activity: &Activity, paths: &[StorePath]) -> Result<BTreeSet<StorePath>> {
        self.walk(activity, database::REFERRERS_CLOSURE_OF, paths)
    }

    fn walk(&self, activity: &Activity, statement: &str, paths: &[StorePath]) -> Result<BTreeSet<StorePath>> {
        if paths.is_empty() {
            return Ok(BTreeSet::new());
        }
        // Store paths need no escapes in JSON.
        let list: Vec<String> =
            paths.iter().map(|path| format!("\"{}\"", self.options.store_dir.print(path))).collect();
        let list = format!("[{}]", list.join(","));
        self.database.read(activity, |connection| self.paths(connection, statement, &list))
    }

    /// Valid paths in an order in which each comes after what it refers to (C++ Nix's order).
    pub fn topological_order(&self, activity: &Activity, paths: &BTreeSet<StorePath>) -> Result<Vec<StorePath>> {
        crate::closure::references_first(self, activity, paths)
    }

    /// Waits until the paths are ours to write. Root them first: a collector removes what it does not know.
    pub fn lock_paths(&self, activity: &Activity, paths: &[StorePath]) -> Result<PathLocks> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| self.real_path(path)).collect();
        PathLocks::lock(activity, &paths, &self.files.faults)
    }

    /// Takes all the locks, or none if another process or thread holds one.
    pub fn try_lock_paths(&self, paths: &[StorePath]) -> Result<Option<PathLocks>> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| self.real_path(path)).collect();
        PathLocks::try_lock(&paths, &self.files.faults)
    }

    /// The same for other names in the store's folder, each of which stands for itself.
    pub fn try_lock_files(&self, files: &[PathBuf]) -> Result<Option<PathLocks>> {
        PathLocks::try_lock(files, &self.files.faults)
    }

    /// Gives trees the metadata of store objects. `uid_range`: the users, first and last, whose files are acceptable.
    pub fn canonicaliser(&self, uid_range: Option<(u32, u32)>) -> Canonicaliser {
        Canonicaliser::new(self.options.ignored_acls.clone(), uid_range)
    }

    /// Removes the object at a path of the host, read-only folders included; nothing there is fine.
    pub fn remove_tree(&self, path: &Path) -> Result<()> {
        self.files.remove_tree(path)
    }

    /// Fails where nothing may be written, before anything is.
    pub(crate) fn refuse_if_read_only(&self) -> Result<()> {
        if !self.options.read_only {
            return Ok(());
        }
        let folder = &self.options.real_dir;
        rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).map_err(Error::system("writing to", folder))?;
        Err(Error::ReadOnly(self.options.state_dir.clone()))
    }

    fn paths<P: rusqlite::ToSql>(
        &self,
        connection: &Connection,
        statement: &str,
        parameter: P,
    ) -> Result<BTreeSet<StorePath>> {
        let found = texts(connection, statement, parameter).map_err(self.database.failed())?;
        found
            .iter()
            .map(|text| self.options.store_dir.parse(text).map_err(|source| Error::Row { path: text.clone(), source }))
            .collect()
    }
}

impl Store for LocalStore {
    fn store_dir(&self) -> &StoreDir {
        &self.options.store_dir
    }

    fn valid_paths(&self, activity: &Activity, paths: &[StorePath]) -> Result<BTreeSet<StorePath>> {
        self.database.read(activity, |connection| {
            let mut valid = BTreeSet::new();
            for path in paths {
                let printed = self.options.store_dir.print(path);
                if path_id(connection, &printed).map_err(self.database.failed())?.is_some() {
                    valid.insert(path.clone());
                }
            }
            Ok(valid)
        })
    }

    fn path_infos(&self, activity: &Activity, paths: &[StorePath]) -> Result<Vec<Option<PathInfo>>> {
        self.database.read(activity, |connection| paths.iter().map(|path| self.read_info(connection, path)).collect())
    }

    fn referrers(&self, activity: &Activity, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        let printed = self.options.store_dir.print(path);
        self.database.read(activity, |connection| self.paths(connection, database::REFERRERS_OF, &printed))
    }

    fn valid_derivers(&self, activity: &Activity, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        let printed = self.options.store_dir.print(path);
        self.database.read(activity, |connection| self.paths(connection, database::DERIVERS_OF, &printed))
    }

    fn derivation_outputs(&self, activity: &Activity, drv: &StorePath) -> Result<OutputMap<Option<StorePath>>> {
        self.outputs_by_now(activity, &Store::read_derivation(self, activity, drv)?)
    }

    fn all_valid_paths(&self, activity: &Activity) -> Result<BTreeSet<StorePath>> {
        const EVERY: &str = "select path from ValidPaths where ? is null";
        self.database.read(activity, |connection| self.paths(connection, EVERY, rusqlite::types::Null))
    }

    fn path_from_hash_part(&self, activity: &Activity, hash_part: &str) -> Result<Option<StorePath>> {
        if !store_model::store_path::is_hash_part(hash_part) {
            return Ok(None);
        }
        const FROM: &str = "select path from ValidPaths where path >= ? limit 1";
        let prefix = format!("{}/{hash_part}-", self.options.store_dir);
        self.database.read(activity, |connection| {
            let found = self.paths(connection, FROM, &prefix)?;
            Ok(found.into_iter().find(|path| path.hash_part() == hash_part))
        })
    }

    fn nar(&self, activity: &Activity, path: &StorePath, out: &mut dyn Write) -> Result<()> {
        let mut out = activity::Watched::new(activity, out);
        Ok(file_tree::nar::dump_path(&self.real_path(path), &mut out)?)
    }

    fn accessor(&self, activity: &Activity, path: &StorePath) -> Result<Box<dyn SourceAccessor>> {
        match self.valid_paths(activity, std::slice::from_ref(path))?.is_empty() {
            true => Err(Error::InvalidPath(self.options.store_dir.print(path))),
            false => Ok(Box::new(DiskAccessor::new(self.real_path(path)))),
        }
    }

    fn read_derivation(&self, _activity: &Activity, path: &StorePath) -> Result<Derivation> {
        self.load_derivation(path)
    }
}

impl TemporaryRoots for LocalStore {
    fn add_temp_roots(&self, activity: &Activity, paths: &[StorePath]) -> Result<()> {
        // Nothing can be collected from a store that nobody can write to.
        if self.options.read_only {
            return Ok(());
        }
        self.temp_roots.add(activity, &self.options.store_dir, paths)
    }
}
