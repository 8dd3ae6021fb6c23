//! What can go wrong on the way to a source. Words follow C++ Nix, because users and tests read them.

use std::io;
use std::path::{Path, PathBuf};

use activity::Cancelled;
use transfer::TransferError;

/// The crate's one error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user asked for the end.
    #[error("interrupted by the user")]
    Cancelled(#[from] Cancelled),
    /// A text that is no URL, or names something that cannot be; where several readings are possible, another is tried.
    #[error("{0}")]
    BadUrl(String),
    /// Attributes or parameters that make no sense for their kind of input.
    #[error("{0}")]
    Input(String),
    /// A hash or revision that is none, or a name that no store path can have.
    #[error("{0}")]
    Model(#[from] store_model::Error),
    /// An experimental feature is needed.
    #[error("experimental Nix feature '{0}' is disabled; add '--extra-experimental-features {0}' to enable it")]
    Feature(&'static str),
    /// What was fetched is not what was promised.
    #[error("{0}")]
    Mismatch(String),
    /// Nothing is there.
    #[error("{0}")]
    NotFound(String),
    /// The settings forbid it.
    #[error("{0}")]
    Denied(String),
    /// Not there yet, and said plainly.
    #[error("{0}")]
    Unsupported(String),
    /// A download failed.
    #[error("{0}")]
    Transfer(#[from] TransferError),
    /// A download for an archive failed.
    #[error("Failed to open archive (Source threw exception: error: {})", indented(.0))]
    ArchiveTransfer(#[source] TransferError),
    /// An archive is broken, or none at all.
    #[error("{0}")]
    Archive(String),
    /// A Git repository cannot be read, or lacks something.
    #[error("{0}")]
    Git(String),
    /// A program that was started failed.
    #[error("{0}")]
    Program(String),
    /// A tree cannot be read.
    #[error("{0}")]
    Tree(#[from] file_tree::Error),
    /// The store refused.
    #[error("{source}")]
    Depot {
        /// What sort of failure it was.
        class: ErrorClass,
        /// Its own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system refused.
    #[error("{action} '{}': {}", path.display(), plain(source))]
    Io {
        /// What was being done, as in "reading".
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Any of these, on the way to an input.
    #[error("{source}")]
    While {
        /// The input as a URL.
        input: String,
        /// What went wrong.
        source: Box<Error>,
    },
}

/// The crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Another try may succeed.
    Transient,
    /// The thing is not there.
    NotFound,
    /// We may not have it.
    Denied,
    /// It is there, but not as promised.
    Corrupt,
    /// The request is wrong.
    Permanent,
    /// The user asked for the end.
    Cancelled,
}

impl Error {
    /// For `map_err`: a failed call to the system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    }

    /// What a caller decides by.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Cancelled(_) => ErrorClass::Cancelled,
            Error::Transfer(error) | Error::ArchiveTransfer(error) => match error.class() {
                transfer::ErrorClass::Transient => ErrorClass::Transient,
                transfer::ErrorClass::NotFound => ErrorClass::NotFound,
                transfer::ErrorClass::Denied => ErrorClass::Denied,
                transfer::ErrorClass::Permanent => ErrorClass::Permanent,
                transfer::ErrorClass::Cancelled => ErrorClass::Cancelled,
            },
            Error::NotFound(_) | Error::Tree(file_tree::Error::NotFound(_)) => ErrorClass::NotFound,
            Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorClass::NotFound,
            Error::Denied(_) | Error::Feature(_) => ErrorClass::Denied,
            Error::Mismatch(_) => ErrorClass::Corrupt,
            Error::Depot { class, .. } => *class,
            Error::While { source, .. } => source.class(),
            _ => ErrorClass::Permanent,
        }
    }

    /// The lines that say on the way to what it happened, outermost first.
    pub fn trace(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut error = self;
        while let Error::While { input, source } = error {
            lines.push(format!("while fetching the input '{input}'"));
            error = source;
        }
        lines
    }
}

/// An error's lines as they stand after `error: `, but for the first.
fn indented(error: &TransferError) -> String {
    let text = error.to_string();
    let lines = text.lines().enumerate();
    let indent = |(number, line): (usize, &str)| match (number, line) {
        (0, line) | (_, line @ "") => line.to_owned(),
        (_, line) => format!("       {line}"),
    };
    lines.map(indent).collect::<Vec<_>>().join("\n")
}

/// The system's words without Rust's `(os error N)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
