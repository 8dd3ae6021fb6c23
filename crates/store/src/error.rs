//! What can go wrong in a store, and what that means for whoever asked.

use crate::render_size;
use activity::Cancelled;
use std::io;
use std::path::{Path, PathBuf};
use store_model::Hash;

/// The result of store operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// May pass: no space, too many open files, the database is busy.
    Transient,
    /// A path or thing is not there.
    NotFound,
    /// Not allowed.
    Denied,
    /// Data are not what they claim to be.
    Corrupt,
    /// A build failed.
    BuildFailure,
    /// The user asked for the end.
    Cancelled,
    /// The question itself makes no sense, or the store is not usable.
    Permanent,
}

/// A failure of a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user asked for the end.
    #[error("{0}")]
    Cancelled(#[from] Cancelled),
    /// The system refused.
    #[error("{action} '{}': {source}", path.display())]
    Io {
        /// What was being done, as in "creating directory".
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something large does not fit on the disk. Nothing of it was written.
    #[error(
        "not enough space in '{}' for {what}: {} are needed, {} are free",
        folder.display(), render_size(signed(*needed), 0), render_size(signed(*free), 0)
    )]
    NoSpace {
        /// The folder with the objects.
        folder: PathBuf,
        /// What was to be written.
        what: String,
        /// Its size in bytes.
        needed: u64,
        /// The bytes that there are.
        free: u64,
    },
    /// A stream of the caller's failed.
    #[error("reading or writing a stream: {0}")]
    Stream(io::Error),
    /// A tree or archive is not acceptable.
    #[error("{0}")]
    Tree(file_tree::Error),
    /// A noun is malformed.
    #[error("{0}")]
    Model(#[from] store_model::Error),
    /// The database failed.
    #[error("SQLite database '{}': {source}", path.display())]
    Database {
        /// Its file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A row of the database holds something malformed.
    #[error("the database entry for '{path}' is malformed: {source}")]
    Row {
        /// Whose entry.
        path: String,
        /// What is wrong.
        source: store_model::Error,
    },
    /// The schema of the store is another.
    #[error("current Nix store schema is version {0}, but I only support 10")]
    Schema(String),
    /// The schema of the store is so old that another program has to upgrade it first.
    #[error(
        "Your Nix store has a database in {format} format,\nwhich is no longer supported. To convert to the new format,\nplease upgrade Nix to version {version} first."
    )]
    AncientSchema {
        /// What its database was.
        format: &'static str,
        /// Which Nix upgrades it.
        version: &'static str,
    },
    /// The schema of the store is older, and the store may not be written to.
    #[error("database schema needs migrating, but this cannot be done in read-only mode")]
    NeedsMigration,
    /// Writing was asked of a store that is opened for reading only.
    #[error("attempt to write a readonly database: the store at '{}' is opened for reading only", .0.display())]
    ReadOnly(PathBuf),
    /// The user may not write to the store's state.
    #[error(
        "opening lock file '{}': {source}\nThis command may have been run as non-root in a single-user Nix installation,\nor the Nix daemon may have crashed.",
        path.display()
    )]
    NotPermitted {
        /// The lock of the whole store.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no database, and none may be made.
    #[error("database does not exist, and cannot be created in read-only mode")]
    NoDatabase,
    /// A path that should be valid is not.
    #[error("path '{0}' is not valid")]
    InvalidPath(String),
    /// The store path exists in the database but not on the disk.
    #[error("path '{0}' is registered, but its object is missing")]
    MissingObject(String),
    /// Some paths refer to each other in a circle.
    #[error("cycle detected in the references of '{path}' from '{parent}'")]
    Cycle {
        /// Where the circle closes.
        path: String,
        /// Who refers to it.
        parent: String,
    },
    /// The NAR of an object has another hash than its metadata say.
    #[error("hash mismatch importing path '{path}';\n  specified: {specified}\n  got:       {got}")]
    HashMismatch {
        /// Whose.
        path: String,
        /// What the metadata say.
        specified: Box<Hash>,
        /// What the bytes give.
        got: Box<Hash>,
    },
    /// The NAR of an object has another size than its metadata say.
    #[error("size mismatch importing path '{path}';\n  specified: {specified}\n  got:       {got}")]
    SizeMismatch {
        /// Whose.
        path: String,
        /// What the metadata say, bytes.
        specified: u64,
        /// What came, bytes.
        got: u64,
    },
    /// The bytes do not give the content address.
    #[error("ca hash mismatch importing path '{path}';\n  specified: {specified}\n  got:       {got}")]
    AddressMismatch {
        /// Whose.
        path: String,
        /// What the content address says.
        specified: Box<Hash>,
        /// What the bytes give.
        got: Box<Hash>,
    },
    /// The content address does not give the path.
    #[error("cannot add path '{0}' to the Nix store because it claims to be content-addressed but isn't")]
    NotContentAddressed(String),
    /// Nobody trusted vouches for a path.
    #[error("cannot add path '{0}' because it lacks a signature by a trusted key")]
    Untrusted(String),
    /// Nobody trusted vouches for what an output became.
    #[error("cannot register realisation '{0}' because it lacks a signature by a trusted key")]
    UntrustedRealisation(String),
    /// An output became something else here.
    #[error(
        "Trying to register a realisation of '{id}', but we already have another one locally.\nLocal:  {local}\nRemote: {remote}"
    )]
    OtherRealisation {
        /// The output.
        id: String,
        /// What it became here.
        local: String,
        /// What it is said to have become.
        remote: String,
    },
    /// Hashing by git is not offered.
    #[error(
        "experimental Nix feature 'git-hashing' is disabled; add '--extra-experimental-features git-hashing' to enable it"
    )]
    GitHashing,
    /// A file of an output belongs to somebody else than its builder.
    #[error("invalid ownership on file '{}'", .0.display())]
    Ownership(PathBuf),
    /// A link that should become a root is something else already.
    #[error("cannot create symlink '{}'; already exists", .0.display())]
    LinkExists(PathBuf),
    /// A root inside the store.
    #[error("creating a garbage collector root ('{}') in the Nix store is forbidden (are you running nix-build inside the store?)", .0.display())]
    RootInStore(PathBuf),
    /// The collector's socket answered something else than its protocol says.
    #[error("the garbage collector at '{}' did not acknowledge a root", .0.display())]
    RootNotAcknowledged(PathBuf),
    /// A path that was to be deleted is needed.
    #[error(
        "Cannot delete path '{0}' since it is still alive. To find out why, use: nix-store --query --roots and nix-store --query --referrers"
    )]
    StillAlive(String),
    /// The text of `--load-db` or `--register-validity` is malformed.
    #[error("the list of valid paths is malformed in line {line}: {reason}")]
    ValidityList {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A profile has no such generation, or not that one may go.
    #[error("{0}")]
    Profile(String),
    /// A fault was injected by a test.
    #[error("fault injected at '{0}'")]
    Fault(&'static str),
    /// A store that is no folder of this machine failed.
    #[error("{message}")]
    Remote {
        /// For people.
        message: String,
        /// For programs.
        class: ErrorClass,
    },
    /// What building goes through failed; whether it is transient is the builder's to say.
    #[error("{message}")]
    Builder {
        /// For people.
        message: String,
        /// For programs.
        class: ErrorClass,
        /// The builder's own error.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl Error {
    /// What a caller decides by.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Cancelled(_) => ErrorClass::Cancelled,
            Error::Io { source, .. } | Error::Stream(source) => class_of_io(source),
            Error::Tree(error) => match error {
                file_tree::Error::Io { source, .. } | file_tree::Error::Stream(source) => class_of_io(source),
                file_tree::Error::NotFound(_) => ErrorClass::NotFound,
                file_tree::Error::Archive(_) => ErrorClass::Corrupt,
                _ => ErrorClass::Permanent,
            },
            Error::Database { source, .. } => class_of_database(source),
            Error::NoSpace { .. } => ErrorClass::Transient,
            Error::InvalidPath(_) | Error::MissingObject(_) | Error::NoDatabase => ErrorClass::NotFound,
            Error::Row { .. }
            | Error::HashMismatch { .. }
            | Error::SizeMismatch { .. }
            | Error::AddressMismatch { .. }
            | Error::NotContentAddressed(_) => ErrorClass::Corrupt,
            Error::Untrusted(_)
            | Error::UntrustedRealisation(_)
            | Error::ReadOnly(_)
            | Error::Ownership(_)
            | Error::NotPermitted { .. } => ErrorClass::Denied,
            Error::Builder { class, .. } | Error::Remote { class, .. } => *class,
            _ => ErrorClass::Permanent,
        }
    }

    /// Whether there is no space left.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Error::Database { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Error::NoSpace { .. } => true,
            Error::Io { source, .. }
            | Error::Stream(source)
            | Error::Tree(file_tree::Error::Io { source, .. } | file_tree::Error::Stream(source)) => {
                source.kind() == io::ErrorKind::StorageFull
            }
            _ => false,
        }
    }

    /// For `map_err`: a failed call to the system about a path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    }

    /// For `map_err`: a stream that failed, or was stopped because the user asked for it.
    pub fn stream(error: io::Error) -> Error {
        file_tree::Error::Stream(error).into()
    }

    /// For `map_err`: the same for rustix's error numbers.
    pub(crate) fn system(action: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> Error {
        let failed = Error::io(action, path);
        move |errno| failed(errno.into())
    }
}

impl From<file_tree::Error> for Error {
    /// A cancellation that travelled through a tree walk is a cancellation again, and likewise an error of a store.
    fn from(error: file_tree::Error) -> Error {
        match error {
            file_tree::Error::Caller(inner) => match inner.downcast::<Cancelled>() {
                Ok(cancelled) => Error::Cancelled(*cancelled),
                Err(inner) => match inner.downcast::<Error>() {
                    Ok(error) => *error,
                    Err(inner) => Error::Tree(file_tree::Error::Caller(inner)),
                },
            },
            file_tree::Error::Stream(inner) | file_tree::Error::Io { source: inner, .. } if was_cancelled(&inner) => {
                Error::Cancelled(Cancelled)
            }
            error => Error::Tree(error),
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Whether a stream stopped because the user asked for it.
fn was_cancelled(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Cancelled>())
}

fn class_of_io(error: &io::Error) -> ErrorClass {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => ErrorClass::NotFound,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => ErrorClass::Denied,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::OutOfMemory | ErrorKind::TimedOut => {
            ErrorClass::Transient
        }
        _ => match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::EAGAIN) => ErrorClass::Transient,
            _ => ErrorClass::Permanent,
        },
    }
}

fn class_of_database(error: &rusqlite::Error) -> ErrorClass {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => ErrorClass::Transient,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorClass::Corrupt,
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied) => {
            ErrorClass::Denied
        }
        _ => ErrorClass::Permanent,
    }
}
