//! Content addresses: how an object was hashed and the hash; and what a content-addressed object refers to.
//!
//! Text forms: in databases and narinfo files `text:sha256:<nix32>` or `fixed:[r:|git:]<algorithm>:<nix32>`; in
//! derivations the shorter `[r:|git:|text:]<algorithm>`. Absent: hashing itself, and the gate of experimental features.

use crate::Error;
use crate::hash::{Hash, HashAlgorithm};
use crate::store_path::StorePath;
use std::collections::BTreeSet;
use std::fmt;

/// How the bytes of a file system object become a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentAddressMethod {
    /// The bytes of one regular file.
    Flat,
    /// The NAR of the tree ("recursive").
    NixArchive,
    /// The bytes of one file that may refer to other objects (`toFile`, `.drv`).
    Text,
    /// The git tree hash.
    Git,
}

impl ContentAddressMethod {
    /// The prefix in derivations: empty, `r:`, `text:` or `git:`.
    pub const fn prefix(self) -> &'static str {
        match self {
            ContentAddressMethod::Flat => "",
            ContentAddressMethod::NixArchive => "r:",
            ContentAddressMethod::Text => "text:",
            ContentAddressMethod::Git => "git:",
        }
    }

    /// The name in JSON and on command lines: `flat`, `nar`, `text`, `git`.
    pub const fn name(self) -> &'static str {
        match self {
            ContentAddressMethod::Flat => "flat",
            ContentAddressMethod::NixArchive => "nar",
            ContentAddressMethod::Text => "text",
            ContentAddressMethod::Git => "git",
        }
    }

    /// Reads [`ContentAddressMethod::name`].
    pub fn parse(name: &str) -> Result<ContentAddressMethod, Error> {
        match name {
            "flat" => Ok(ContentAddressMethod::Flat),
            "nar" => Ok(ContentAddressMethod::NixArchive),
            "text" => Ok(ContentAddressMethod::Text),
            "git" => Ok(ContentAddressMethod::Git),
            other => Err(Error::UnknownMethod(other.to_owned())),
        }
    }

    /// Splits the prefix of a derivation's `[r:|git:|text:]<algorithm>` from the rest.
    pub fn split_prefix(text: &str) -> (ContentAddressMethod, &str) {
        for method in [ContentAddressMethod::NixArchive, ContentAddressMethod::Git, ContentAddressMethod::Text] {
            if let Some(rest) = text.strip_prefix(method.prefix()) {
                return (method, rest);
            }
        }
        (ContentAddressMethod::Flat, text)
    }

    /// Reads `[r:|git:|text:]<algorithm>`.
    pub fn parse_with_algorithm(text: &str) -> Result<(ContentAddressMethod, HashAlgorithm), Error> {
        let (method, name) = Self::split_prefix(text);
        Ok((method, HashAlgorithm::parse(name)?))
    }

    /// Prints `[r:|git:|text:]<algorithm>`.
    pub fn with_algorithm(self, algorithm: HashAlgorithm) -> String {
        format!("{}{algorithm}", self.prefix())
    }
}

/// A method and the hash it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentAddress {
    /// How the object was hashed.
    pub method: ContentAddressMethod,
    /// The result.
    pub hash: Hash,
}

impl ContentAddress {
    /// Reads `text:<algorithm>:<digits>` or `fixed:[r:|git:]<algorithm>:<digits>`.
    pub fn parse(text: &str) -> Result<ContentAddress, Error> {
        let (prefix, rest) = text.split_once(':').ok_or_else(|| Error::ContentAddressForm(text.to_owned()))?;
        let (method, rest) = match prefix {
            "text" => (ContentAddressMethod::Text, rest),
            "fixed" => match (rest.strip_prefix("r:"), rest.strip_prefix("git:")) {
                (Some(rest), _) => (ContentAddressMethod::NixArchive, rest),
                (None, Some(rest)) => (ContentAddressMethod::Git, rest),
                (None, None) => (ContentAddressMethod::Flat, rest),
            },
            other => return Err(Error::ContentAddressPrefix(other.to_owned())),
        };
        let (name, digits) = rest.split_once(':').ok_or_else(|| Error::ContentAddressHash(text.to_owned()))?;
        Ok(ContentAddress { method, hash: Hash::parse_unprefixed(digits, HashAlgorithm::parse(name)?)? })
    }
}

impl fmt::Display for ContentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.method {
            ContentAddressMethod::Text => write!(f, "text:{}", self.hash),
            method => write!(f, "fixed:{}{}", method.prefix(), self.hash),
        }
    }
}

/// What a content-addressed object refers to. Its own path is not known while it is being computed, hence a flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Other objects.
    pub others: BTreeSet<StorePath>,
    /// Whether it refers to itself.
    pub self_reference: bool,
}

impl References {
    /// Whether it refers to nothing.
    pub fn is_empty(&self) -> bool {
        self.others.is_empty() && !self.self_reference
    }
}
