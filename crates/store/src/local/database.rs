//! Nix's database: connections, the schema, and every statement.
//!
//! Schema 10 as C++ Nix makes it, in WAL mode; both implementations have it open at the same time. There is one connection
//! for writing, which also answers questions while nobody writes, and more for reading when several threads ask. Writing
//! begins with `BEGIN IMMEDIATE` and is tried without end, but can be cancelled. Nothing is opened before the first question.
//!
//! Absent: objects on the disk; this file knows rows only.

use super::lock::{Pauses, open_lock_file, try_flock, wait_flock};
use super::{schema, sync_path};
use crate::{Error, Result};
use activity::{Activity, Verbosity};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// Schema 10. C++ Nix compares nothing but the version in `db/schema`.
const SCHEMA: &str = "
create table if not exists ValidPaths (
    id               integer primary key autoincrement not null,
    path             text unique not null,
    hash             text not null,
    registrationTime integer not null,
    deriver          text,
    narSize          integer,
    ultimate         integer,
    sigs             text,
    ca               text
);
create table if not exists Refs (
    referrer  integer not null,
    reference integer not null,
    primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
);
create index if not exists IndexReferrer on Refs(referrer);
create index if not exists IndexReference on Refs(reference);
create trigger if not exists DeleteSelfRefs before delete on ValidPaths
  begin
    delete from Refs where referrer = old.id and reference = old.id;
  end;
create table if not exists DerivationOutputs (
    drv  integer not null,
    id   text not null,
    path text not null,
    primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
);
create index if not exists IndexDerivationOutputs on DerivationOutputs(path);
create table if not exists SchemaMigrations (migration text primary key not null);
";

const SCHEMA_VERSION: &str = "10";
/// Pages in the WAL before it is written back on the way: as many as C++ Nix allows.
const AUTO_CHECKPOINT: i64 = 40_000;
/// A WAL larger than this is written back and emptied when the store closes; a smaller one is left to a later process, as
/// writing it back costs more than reading it again when the database is next opened.
const WAL_KEPT: u64 = 1 << 20;

/// How the database is opened.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseOptions {
    pub(crate) folder: PathBuf,
    pub(crate) read_only: bool,
    pub(crate) wal: bool,
    pub(crate) sync: bool,
    pub(crate) reserved_size: u64,
}

pub(crate) struct Database {
    options: DatabaseOptions,
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
    big_lock: OnceLock<File>,
    /// Something was committed that the disk may not have yet.
    unsynced: AtomicBool,
}

impl Database {
    /// Nothing is opened yet.
    pub(crate) fn new(options: DatabaseOptions) -> Database {
        let (writer, readers) = (Mutex::new(None), Mutex::new(Vec::new()));
        Database { options, writer, readers, big_lock: OnceLock::new(), unsynced: AtomicBool::new(false) }
    }

    fn file(&self) -> PathBuf {
        self.options.folder.join("db.sqlite")
    }

    /// For `map_err`.
    pub(crate) fn failed(&self) -> impl Fn(rusqlite::Error) -> Error {
        let path = self.file();
        move |source| Error::Database { path: path.clone(), source }
    }

    /// Makes the database, unless it is there; an error when its schema is another.
    pub(crate) fn create_if_missing(&self, activity: &Activity) -> Result<()> {
        let schema = self.options.folder.join("schema");
        match fs::read_to_string(&schema) {
            Ok(version) if version.trim() == SCHEMA_VERSION => Ok(()),
            Ok(version) => self.upgrade(activity, &schema, version.trim()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.options.read_only => {
                Err(Error::NoDatabase)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.create(activity, &schema),
            Err(error) => Err(Error::io("reading", &schema)(error)),
        }
    }

    /// Brings an older database to the schema of today, alone.
    fn upgrade(&self, activity: &Activity, schema: &Path, version: &str) -> Result<()> {
        schema::upgradable(version, SCHEMA_VERSION)?;
        if self.options.read_only {
            return Err(Error::NeedsMigration);
        }
        let path = self.options.folder.join("big-lock");
        let lock = open_lock_file(&path)?;
        if !try_flock(&lock, &path, true)? {
            activity.message(Verbosity::Info, "waiting for exclusive access to the Nix store...");
            wait_flock(activity, &lock, &path, true)?;
        }
        // Another process may have been faster.
        let version = fs::read_to_string(schema).map_err(Error::io("reading", schema))?;
        if version.trim() == SCHEMA_VERSION {
            return Ok(());
        }
        schema::upgradable(version.trim(), SCHEMA_VERSION)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = self.retry(activity, || self.open(flags))?;
        self.set_up(&connection)?;
        schema::upgrade(&connection, &self.file())?;
        connection.execute_batch(SCHEMA).map_err(self.failed())?;
        self.write_version(schema)
    }

    fn create(&self, activity: &Activity, schema: &Path) -> Result<()> {
        self.hold_big_lock(activity)?;
        self.reserve();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = self.retry(activity, || self.open(flags))?;
        self.set_up(&connection)?;
        let mode = if self.options.wal { "wal" } else { "truncate" };
        self.retry(activity, || connection.pragma_update(None, "journal_mode", mode))?;
        // Two processes may be at it at once; every statement says "if not exists".
        let transaction = self.begin(activity, &mut connection)?;
        transaction.execute_batch(SCHEMA).and_then(|()| transaction.commit()).map_err(self.failed())?;
        self.write_version(schema)?;
        *self.writer() = Some(connection);
        Ok(())
    }

    /// Tells others that the tables are there, once they are on the disk. The file is there with its number or not at all.
    fn write_version(&self, schema: &Path) -> Result<()> {
        self.sync()?;
        file_tree::replace_file(schema, SCHEMA_VERSION.as_bytes()).map_err(Error::io("writing", schema))?;
        if self.options.sync { sync_path(&self.options.folder) } else { Ok(()) }
    }

    /// Sets space aside that a collector frees when the disk is full. Failing is no harm.
    pub(crate) fn reserve(&self) {
        let path = self.options.folder.join("reserved");
        if let Ok(file) = open_lock_file(&path) {
            let flags = rustix::fs::FallocateFlags::empty();
            let _ = rustix::fs::fallocate(&file, flags, 0, self.options.reserved_size);
        }
    }

    /// Gives back the space set aside.
    pub(crate) fn free_reserve(&self) {
        let _ = fs::remove_file(self.options.folder.join("reserved"));
    }

    /// Keeps the pages of large transactions in memory until they are committed, instead of writing them again and again.
    pub(crate) fn expect_many_changes(&self, activity: &Activity) -> Result<()> {
        const KIBIBYTES: i64 = 8 << 10;
        let mut writer = self.writer();
        let connection = match &mut *writer {
            Some(connection) => connection,
            none => none.insert(self.connect(activity)?),
        };
        connection.pragma_update(None, "cache_size", -KIBIBYTES).map_err(self.failed())?;
        // So that what a statement could have to take back is not written to a file either.
        connection.pragma_update(None, "temp_store", "memory").map_err(self.failed())
    }

    /// Lets the log be used from its beginning again, so that it need not grow, if nobody reads what it holds.
    pub(crate) fn make_room(&self) {
        if let Some(connection) = &*self.writer() {
            // If others are at work, the next try may still find space.
            let _ = connection.query_row("pragma wal_checkpoint(restart)", [], |_| Ok(()));
        }
    }

    /// Holds off upgrades of the schema, for as long as the store is open.
    fn hold_big_lock(&self, activity: &Activity) -> Result<()> {
        if self.options.read_only || self.big_lock.get().is_some() {
            return Ok(());
        }
        let path = self.options.folder.join("big-lock");
        let file = open_lock_file(&path).map_err(|error| match error {
            Error::Io { source, path, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Error::NotPermitted { path, source }
            }
            other => other,
        })?;
        if !try_flock(&file, &path, false)? {
            activity.message(Verbosity::Info, "waiting for the big Nix store lock...");
            wait_flock(activity, &file, &path, false)?;
        }
        // Another thread may have been faster; its lock serves as well.
        let _ = self.big_lock.set(file);
        Ok(())
    }

    /// Without a WAL the database may lie on a file system whose locks do not work: C++ Nix then uses lock files, and who
    /// shares a database must lock alike.
    fn open(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        if self.options.read_only
            && let Some(uri) = self.unchanging()
        {
            return Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI);
        }
        if self.options.wal {
            Connection::open_with_flags(self.file(), flags)
        } else {
            Connection::open_with_flags_and_vfs(self.file(), flags, c"unix-dotfile")
        }
    }

    /// A database whose folder we cannot write to has no log that could be shared with others; without anything in the log it
    /// can be read as a file that does not change.
    fn unchanging(&self) -> Option<String> {
        let folder = &self.options.folder;
        let writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok();
        let logged = fs::metadata(folder.join("db.sqlite-wal")).is_ok_and(|found| found.len() > 0);
        if writable || logged {
            return None;
        }
        let mut uri = "file:".to_owned();
        for byte in self.file().as_os_str().as_encoded_bytes() {
            match byte {
                b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
                other => uri.push_str(&format!("%{other:02x}")),
            }
        }
        Some(uri + "?immutable=1")
    }

    fn connect(&self, activity: &Activity) -> Result<Connection> {
        self.hold_big_lock(activity)?;
        let access =
            if self.options.read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = self.retry(activity, || self.open(flags))?;
        self.set_up(&connection)?;
        Ok(connection)
    }

    fn set_up(&self, connection: &Connection) -> Result<()> {
        let set = || {
            connection.busy_timeout(Duration::from_millis(200))?;
            connection.set_prepared_statement_cache_capacity(32);
            // Otherwise SQLite plans every statement anew for every path it is asked about.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            if !self.options.read_only {
                connection.pragma_update(None, "foreign_keys", 1)?;
                connection.pragma_update(None, "synchronous", if self.options.sync { "normal" } else { "off" })?;
                connection.pragma_update(None, "wal_autocheckpoint", AUTO_CHECKPOINT)?;
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            }
            Ok(())
        };
        set().map_err(self.failed())
    }

    fn writer(&self) -> MutexGuard<'_, Option<Connection>> {
        // A panic in a statement leaves a transaction that is rolled back; the connection is fine.
        self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Asks within one snapshot of the database.
    pub(crate) fn read<T>(&self, activity: &Activity, mut question: impl FnMut(&Connection) -> Result<T>) -> Result<T> {
        activity.check()?;
        if let Ok(mut writer) = self.writer.try_lock() {
            let connection = match &mut *writer {
                Some(connection) => connection,
                none => none.insert(self.connect(activity)?),
            };
            return self.snapshot(activity, connection, &mut question);
        }
        let pooled = self.readers.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => self.connect(activity)?,
        };
        let answer = self.snapshot(activity, &connection, &mut question);
        self.readers.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(connection);
        answer
    }

    fn snapshot<T>(
        &self,
        activity: &Activity,
        connection: &Connection,
        question: &mut dyn FnMut(&Connection) -> Result<T>,
    ) -> Result<T> {
        let mut pauses = Pauses::new();
        loop {
            let attempt = match connection.unchecked_transaction() {
                Ok(transaction) => question(&transaction),
                Err(source) => Err(self.failed()(source)),
            };
            match attempt {
                Err(Error::Database { source, .. }) if is_busy(&source) => pauses.pause(activity)?,
                done => return done,
            }
        }
    }

    /// Writes in one transaction: all of it or, on an error, nothing.
    pub(crate) fn write<T>(&self, activity: &Activity, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        if self.options.read_only {
            return Err(Error::ReadOnly(self.options.folder.clone()));
        }
        let mut writer = self.writer();
        let connection = match &mut *writer {
            Some(connection) => connection,
            none => none.insert(self.connect(activity)?),
        };
        let transaction = self.begin(activity, connection)?;
        let value = work(&transaction)?;
        // Once begun, a commit is not given up: in WAL mode nobody can be in its way.
        transaction.commit().map_err(self.failed())?;
        self.unsynced.store(true, Ordering::Release);
        Ok(value)
    }

    fn begin<'c>(&self, activity: &Activity, connection: &'c mut Connection) -> Result<Transaction<'c>> {
        let connection: &'c Connection = connection;
        self.retry(activity, || Transaction::new_unchecked(connection, TransactionBehavior::Immediate))
    }

    fn retry<T>(&self, activity: &Activity, mut step: impl FnMut() -> rusqlite::Result<T>) -> Result<T> {
        let mut pauses = Pauses::new();
        loop {
            match step() {
                Err(error) if is_busy(&error) => pauses.pause(activity)?,
                done => return done.map_err(self.failed()),
            }
        }
    }

    /// Makes durable what was committed here and is not yet.
    pub(crate) fn settle(&self) -> Result<()> {
        if self.unsynced.load(Ordering::Acquire) { self.sync() } else { Ok(()) }
    }

    /// Makes what was committed durable, by others too: the WAL is synced.
    pub(crate) fn sync(&self) -> Result<()> {
        self.unsynced.store(false, Ordering::Release);
        let path = self.options.folder.join("db.sqlite-wal");
        match File::open(&path) {
            Ok(file) if self.options.sync => file.sync_all().map_err(Error::io("syncing", &path)),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("opening", &path)(error)),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let wal = self.options.folder.join("db.sqlite-wal");
        if let Some(connection) = self.writer.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner())
            && !self.options.read_only
            && fs::metadata(wal).is_ok_and(|found| found.len() > WAL_KEPT)
        {
            // If others are at work, one of them will do it.
            let _ = connection.busy_timeout(Duration::ZERO);
            let _ = connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()));
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, FileLockingProtocolFailed};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked | FileLockingProtocolFailed))
}

/// A row of `ValidPaths`, still as text.
pub(crate) struct PathRow {
    pub(crate) id: i64,
    pub(crate) hash: String,
    pub(crate) registration_time: i64,
    pub(crate) deriver: Option<String>,
    pub(crate) nar_size: Option<i64>,
    pub(crate) ultimate: Option<i64>,
    pub(crate) signatures: Option<String>,
    pub(crate) content_address: Option<String>,
}

/// The number of a valid path.
pub(crate) fn path_id(connection: &Connection, path: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("select id from ValidPaths where path = ?")?
        .query_row([path], |row| row.get(0))
        .optional()
}

/// The row of a valid path.
pub(crate) fn path_row(connection: &Connection, path: &str) -> rusqlite::Result<Option<PathRow>> {
    connection
        .prepare_cached(
            "select id, hash, registrationTime, deriver, narSize, ultimate, sigs, ca from ValidPaths where path = ?",
        )?
        .query_row([path], |row| {
            Ok(PathRow {
                id: row.get(0)?,
                hash: row.get(1)?,
                registration_time: row.get(2)?,
                deriver: row.get(3)?,
                nar_size: row.get(4)?,
                ultimate: row.get(5)?,
                signatures: row.get(6)?,
                content_address: row.get(7)?,
            })
        })
        .optional()
}

/// One column of text, for every row of a statement with one parameter.
pub(crate) fn texts<P: rusqlite::ToSql>(
    connection: &Connection,
    statement: &str,
    parameter: P,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(statement)?;
    let rows = statement.query_map([parameter], |row| row.get(0))?;
    rows.collect()
}

/// By number: what a path refers to.
pub(crate) const REFERENCES_OF: &str = "select path from Refs join ValidPaths on reference = id where referrer = ?";

/// By path: what refers to it.
pub(crate) const REFERRERS_OF: &str = "select path from Refs join ValidPaths on referrer = id \
     where reference = (select id from ValidPaths where path = ?)";

/// By path of an output: the derivations that have it.
pub(crate) const DERIVERS_OF: &str =
    "select v.path from DerivationOutputs d join ValidPaths v on d.drv = v.id where d.path = ?";

/// By a JSON list of paths: their closure.
pub(crate) const CLOSURE_OF: &str = "with recursive closure(id) as (
       select id from ValidPaths where path in (select value from json_each(?))
       union select reference from Refs join closure on referrer = closure.id)
     select path from ValidPaths join closure using (id)";

/// By a JSON list of paths: everything that leads to them.
pub(crate) const REFERRERS_CLOSURE_OF: &str = "with recursive closure(id) as (
       select id from ValidPaths where path in (select value from json_each(?))
       union select referrer from Refs join closure on reference = closure.id)
     select path from ValidPaths join closure using (id)";
