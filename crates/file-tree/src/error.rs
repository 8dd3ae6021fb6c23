//! What can go wrong with trees and archives.
//!
//! Every failed call to the system names the path and what was being done.

use std::io;
use std::path::{Path, PathBuf};

/// A failure to read, write or understand a tree.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder that was to be made is there.
    #[error("path '{}' already exists", .0.display())]
    Exists(std::path::PathBuf),
    /// Two names of a folder are one without the endings of the case hack.
    #[error("file name collision between entries that are '{0}' without the ending of the case hack")]
    NameCollision(String),
    /// The system refused.
    #[error("{action} '{}': {source}", path.display())]
    Io {
        /// What was being done, as in "reading".
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The stream that an archive is read from or written to failed.
    #[error("archive stream: {0}")]
    Stream(#[from] io::Error),
    /// The archive is malformed.
    #[error("bad archive: {0}")]
    Archive(#[from] ArchiveError),
    /// Nothing is there.
    #[error("path '{0}' does not exist")]
    NotFound(String),
    /// A device, socket or pipe.
    #[error("file '{0}' has an unsupported type")]
    UnsupportedType(String),
    /// The tree is nested too deeply.
    #[error("path '{0}' exceeds maximum NAR directory depth of 64")]
    TooDeep(String),
    /// A file became longer or shorter while it was read.
    #[error("file '{0}' changed while it was being read")]
    Changed(String),
    /// Something other than what the caller wants.
    #[error("'{path}' is not a {expected}")]
    WrongType {
        /// Where.
        path: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A component that no file name can be.
    #[error("'{0}' is not a file name")]
    BadName(String),
    /// The caller's own filter or sink ended the walk.
    #[error("{0}")]
    Caller(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// For `map_err`: a failed call to the system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    }
}

/// What is malformed about an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// A name is the one that the case hack has to give to another.
    #[error("NAR contains file name '{name}' that collides with case-hacked file name '{other}'")]
    CaseCollision {
        /// The name that needs an ending.
        name: String,
        /// The name that has it.
        other: String,
    },
    /// The first bytes are wrong.
    #[error("input doesn't look like a Nix archive")]
    NotAnArchive,
    /// The bytes end inside the archive.
    #[error("unexpected end of the archive")]
    Truncated,
    /// Another word than the format wants.
    #[error("expected tag '{expected}', got '{got}'")]
    Tag {
        /// The word that should be here.
        expected: &'static str,
        /// The word that is here.
        got: String,
    },
    /// A string longer than the format allows at that place.
    #[error("a string of {length} bytes is longer than the {limit} that are allowed here")]
    TooLong {
        /// Its length.
        length: u64,
        /// The longest allowed.
        limit: usize,
    },
    /// Padding that is not zeros.
    #[error("non-zero padding")]
    Padding,
    /// The marker of executables has a value.
    #[error("executable marker has non-empty value")]
    ExecutableMarker,
    /// Not `regular`, `directory` or `symlink`.
    #[error("unknown file type '{0}'")]
    FileType(String),
    /// Empty, `.`, `..`, or with a slash or zero byte.
    #[error("NAR contains invalid file name '{0}'")]
    FileName(String),
    /// Empty, or with a zero byte.
    #[error("NAR contains invalid symlink target")]
    SymlinkTarget,
    /// Entries out of order, or twice the same.
    #[error("NAR directory is not sorted")]
    NotSorted,
    /// Nested too deeply.
    #[error("NAR directory nesting exceeds maximum depth of 64")]
    TooDeep,
    /// The archive holds something else than one regular file.
    #[error("NAR does not hold a regular file")]
    NotRegular,
}
