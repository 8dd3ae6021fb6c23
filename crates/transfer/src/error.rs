//! What can go wrong on the way to a file, and whether to ask again.

use activity::Cancelled;

/// The crate's one error. Every variant names the URL.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The user asked for the end.
    #[error("{0}")]
    Cancelled(Cancelled),
    /// The text is no URL, or not one of http and https.
    #[error("'{url}' is not a valid URL: {reason}")]
    BadUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL names a mirror that is not known.
    #[error("'{url}' names the mirror '{name}', for which no place is known")]
    UnknownMirror {
        /// As it was given.
        url: String,
        /// The mirror's name.
        name: String,
    },
    /// The server answered with an error.
    #[error("unable to download '{url}': HTTP error {status}{}", shown(body.as_deref()))]
    Status {
        /// The URL that was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the server said, if it is short or a page for people.
        body: Option<String>,
    },
    /// No answer, or one that broke off.
    #[error("unable to download '{url}': {reason}")]
    Network {
        /// The URL that was asked.
        url: String,
        /// All that is known, from the outermost cause to the innermost.
        reason: String,
        /// Another try may succeed.
        transient: bool,
    },
    /// The receiver could not take the bytes.
    #[error("unable to store what came from '{url}': {source}")]
    Receiver {
        /// The URL.
        url: String,
        /// Its error.
        source: std::io::Error,
    },
    /// The runtime or the TLS roots could not be set up.
    #[error("unable to start transfers: {reason}")]
    Start {
        /// Why.
        reason: String,
    },
}

/// What a caller decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Another try may succeed.
    Transient,
    /// The thing is not there.
    NotFound,
    /// We may not have it.
    Denied,
    /// The request or the local side is wrong.
    Permanent,
    /// The user asked for the end.
    Cancelled,
}

impl TransferError {
    /// What a caller decides by.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Cancelled(_) => ErrorClass::Cancelled,
            Self::Status { status: 404 | 410, .. } => ErrorClass::NotFound,
            Self::Status { status: 401 | 403 | 407, .. } => ErrorClass::Denied,
            // Not implemented, version not supported, and authentication of the network stay as they are.
            Self::Status { status: 501 | 505 | 511, .. } => ErrorClass::Permanent,
            Self::Status { status: 408 | 425 | 429 | 500..=599, .. } => ErrorClass::Transient,
            Self::Network { transient: true, .. } => ErrorClass::Transient,
            _ => ErrorClass::Permanent,
        }
    }
}

fn shown(body: Option<&str>) -> String {
    body.map(|body| format!("\n\nresponse body:\n\n{}", body.trim_end_matches(['\n', '\r']))).unwrap_or_default()
}

impl From<Cancelled> for TransferError {
    fn from(cancelled: Cancelled) -> Self {
        Self::Cancelled(cancelled)
    }
}
