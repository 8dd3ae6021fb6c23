//! What can go wrong between a wanted path and a registered output.

use std::io;
use std::path::{Path, PathBuf};

use activity::Cancelled;
use store_model::BuildStatus;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The crate's one error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine does not give us the isolation asked for, now or later.
    #[error(
        "this system does not support the kernel namespaces that are required for sandboxing ({step}: {source}); use '--no-sandbox' to disable sandboxing"
    )]
    IsolationRefused {
        /// What was refused.
        step: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Something failed before the builder ran.
    #[error("setting up the build environment: {step}: {source}")]
    Setup {
        /// What was being done.
        step: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A file of the host could not be handled.
    #[error("{action} '{path}': {source}", path = path.display())]
    Io {
        /// What was tried, a word like `creating`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// `build-users-group` names no group, and without isolation nothing can stand in for it.
    #[error("the group '{group}' specified in 'build-users-group' does not exist")]
    NoBuildUsersGroup {
        /// The setting's value.
        group: String,
    },
    /// `build-users-group` has no members.
    #[error("the build users group '{group}' has no members")]
    EmptyBuildUsersGroup {
        /// The setting's value.
        group: String,
    },
    /// A member of `build-users-group` has no account.
    #[error("the user '{user}' in the group '{group}' does not exist")]
    NoBuildUser {
        /// The setting's value.
        group: String,
        /// The member.
        user: String,
    },
    /// Root is a member of `build-users-group`.
    #[error("the Nix user should not be a member of '{group}'")]
    PrivilegedBuildUser {
        /// The setting's value.
        group: String,
    },
    /// The build users' group is root's own, so that builders could write to what is root's.
    #[error("the build users group '{group}' has the id 0, which is root's; name another one in 'build-users-group'")]
    RootBuildUsersGroup {
        /// The setting's value.
        group: String,
    },
    /// A tree cannot be read, hashed or restored.
    #[error("{0}")]
    Tree(file_tree::Error),
    /// The store refused or failed.
    #[error("{0}")]
    Store(store::Error),
    /// A noun is not one.
    #[error("{0}")]
    Model(#[from] store_model::Error),
    /// Settings or derivation ask for what is not done.
    #[error("{0}")]
    Refused(String),
    /// A part of the builder itself failed.
    #[error("a thread of the builder ended in an unexpected way")]
    Panicked,
    /// A build ended without its outputs: a result for whoever wanted them, not a fault of ours.
    #[error("{message}")]
    Build {
        /// The kind of end.
        status: BuildStatus,
        /// For the user.
        message: String,
    },
    /// The user asked for the end.
    #[error("{0}")]
    Cancelled(Cancelled),
}

impl From<Cancelled> for Error {
    fn from(cancelled: Cancelled) -> Self {
        Self::Cancelled(cancelled)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Cancelled(cancelled) => Self::Cancelled(cancelled),
            other => Self::Store(other),
        }
    }
}

/// Names the file in an error of the system.
pub(crate) trait IoContext<T> {
    /// `action` is a word like `creating`.
    fn io(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn io(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source })
    }
}

/// A source that came out with another hash than its author wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongHash {
    /// The derivation.
    pub derivation: store_model::StorePath,
    /// What was written.
    pub specified: store_model::Hash,
    /// What it is.
    pub got: store_model::Hash,
    /// Where it came from, if that is known.
    pub url: Option<String>,
}
