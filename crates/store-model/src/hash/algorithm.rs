//! The hash algorithms and digit systems that Nix names.

use crate::Error;
use std::fmt;

/// Nix's hash algorithms, in C++ Nix's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// 16 bytes; broken, for old sources only.
    Md5,
    /// 20 bytes; broken, for old sources and git.
    Sha1,
    /// 32 bytes; the store's own.
    Sha256,
    /// 64 bytes.
    Sha512,
    /// 32 bytes; where users name it, the experimental feature `blake3-hashes` must be on ([`HashAlgorithm::permitted`]).
    Blake3,
}

impl HashAlgorithm {
    /// Every algorithm.
    pub const ALL: [HashAlgorithm; 5] =
        [HashAlgorithm::Md5, HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha512, HashAlgorithm::Blake3];

    /// Bytes in a digest.
    pub const fn size(self) -> usize {
        match self {
            HashAlgorithm::Md5 => 16,
            HashAlgorithm::Sha1 => 20,
            HashAlgorithm::Sha256 | HashAlgorithm::Blake3 => 32,
            HashAlgorithm::Sha512 => 64,
        }
    }

    /// The name that expressions and paths use: `md5`, `sha1`, `sha256`, `sha512`, `blake3`.
    pub const fn name(self) -> &'static str {
        match self {
            HashAlgorithm::Md5 => "md5",
            HashAlgorithm::Sha1 => "sha1",
            HashAlgorithm::Sha256 => "sha256",
            HashAlgorithm::Sha512 => "sha512",
            HashAlgorithm::Blake3 => "blake3",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Result<HashAlgorithm, Error> {
        match name {
            "md5" => Ok(HashAlgorithm::Md5),
            "sha1" => Ok(HashAlgorithm::Sha1),
            "sha256" => Ok(HashAlgorithm::Sha256),
            "sha512" => Ok(HashAlgorithm::Sha512),
            "blake3" => Ok(HashAlgorithm::Blake3),
            other => Err(Error::UnknownHashAlgorithm(other.to_owned())),
        }
    }

    /// The algorithm that a hash begins with (`sha256:…`, `sha256-…`), if it is one.
    pub fn of_prefix(hash: &str) -> Option<HashAlgorithm> {
        let (name, _) = hash.split_once(':').or_else(|| hash.split_once('-'))?;
        HashAlgorithm::parse(name).ok()
    }

    /// The algorithm itself, or an error if it is experimental and `enabled` does not know its feature.
    pub fn permitted(self, enabled: impl FnOnce(&str) -> bool) -> Result<HashAlgorithm, Error> {
        if self == HashAlgorithm::Blake3 && !enabled("blake3-hashes") { Err(Error::Blake3Disabled) } else { Ok(self) }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a digest is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFormat {
    /// Padded base64 (RFC 4648).
    Base64,
    /// Nix's base 32: least significant digit last, alphabet without e, o, u, t.
    Nix32,
    /// Lower-case hexadecimal.
    Base16,
    /// `<algorithm>-<base64>`.
    Sri,
}

impl HashFormat {
    /// Reads `base16`, `nix32`, its old name `base32`, `base64` or `sri`.
    pub fn parse(name: &str) -> Result<HashFormat, Error> {
        match name {
            "base16" => Ok(HashFormat::Base16),
            "nix32" | "base32" => Ok(HashFormat::Nix32),
            "base64" => Ok(HashFormat::Base64),
            "sri" => Ok(HashFormat::Sri),
            other => Err(Error::UnknownHashFormat(other.to_owned())),
        }
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            HashFormat::Base64 => "base64",
            HashFormat::Nix32 => "nix32",
            HashFormat::Base16 => "base16",
            HashFormat::Sri => "sri",
        }
    }
}
