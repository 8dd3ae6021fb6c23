//! What can go wrong on a stream between stores.

use std::io;
use store::ErrorClass;
use store_model::Hash;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The stream ended early or failed.
    #[error("reading or writing a stream of store paths: {0}")]
    Stream(#[from] io::Error),
    /// A noun is malformed.
    #[error("{0}")]
    Model(#[from] store_model::Error),
    /// This is something else.
    #[error("input doesn't look like something created by 'nix-store --export'")]
    NotExported,
    /// What follows an archive is something else.
    #[error("Nix archive cannot be imported; wrong format")]
    WrongMagic,
    /// A string that is longer than any store has.
    #[error("the stream holds a string of {length} bytes where at most {longest} are allowed")]
    TooLong {
        /// How long it says it is.
        length: u64,
        /// How long it may be.
        longest: u64,
    },
    /// A message that is longer than anybody needs.
    #[error("a message on the stream is longer than {0} bytes")]
    MessageTooLong(u64),
    /// A number that does not fit where it stands.
    #[error("serialised integer {0} is too large")]
    NumberTooLarge(u64),
    /// A string that must be text and is not.
    #[error("the stream holds '{0}', which is not UTF-8")]
    NotText(String),
    /// Whoever speaks on the stream does not speak this protocol.
    #[error("protocol mismatch")]
    Protocol,
    /// A request that no server knows.
    #[error("unknown serve command {0}")]
    UnknownCommand(u64),
    /// A change that was not allowed when the server was started.
    #[error("{0} paths is not allowed; start 'nix-store --serve' with '--write'")]
    NotAllowed(&'static str),
    /// Nobody builds several times and compares.
    #[error("client requested repeating builds, but this is not currently implemented")]
    Repeats,
    /// An object is sent without its size.
    #[error("narInfo of '{0}' is too old and missing the narSize field")]
    NoSize(String),
    /// An object is shorter than it was said to be.
    #[error("the archive of '{path}' ends {missing} bytes before its size")]
    Short {
        /// Which.
        path: String,
        /// How many bytes did not come.
        missing: u64,
    },
    /// The zero bytes that fill a string up are others.
    #[error("the stream has bytes other than zero behind a string")]
    Padding,
    /// What would be exported is not what was registered.
    #[error("hash of path '{path}' has changed from '{registered}' to '{found}'!")]
    Changed {
        /// Which.
        path: String,
        /// Its hash when it was registered.
        registered: Box<Hash>,
        /// Its hash now.
        found: Box<Hash>,
    },
}

impl Error {
    /// What a caller decides by.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Store(error) => error.class(),
            Error::Changed { .. } => ErrorClass::Corrupt,
            _ => ErrorClass::Permanent,
        }
    }
}

impl From<file_tree::Error> for Error {
    fn from(error: file_tree::Error) -> Error {
        Error::Store(error.into())
    }
}
