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
