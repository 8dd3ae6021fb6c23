//! The hash algorithms and digit systems that Nix names.

use crate::Error;
use std::fmt;

/// Nix's hash algorithms, in C++ Nix's order. blake3 is experimental there and not offered here.
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
}

impl HashAlgorithm {
    /// Every algorithm.
    pub const ALL: [HashAlgorithm; 4] =
        [HashAlgorithm::Md5, HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha512];

    /// Bytes in a digest.
    pub const fn size(self) -> usize {
        match self {
            HashAlgorithm::Md5 => 16,
            HashAlgorithm::Sha1 => 20,
            HashAlgorithm::Sha256 => 32,
            HashAlgorithm::Sha512 => 64,
        }
    }

    /// The name that expressions and paths use: `md5`, `sha1`, `sha256`, `sha512`.
    pub const fn name(self) -> &'static str {
        match self {
            HashAlgorithm::Md5 => "md5",
            HashAlgorithm::Sha1 => "sha1",
            HashAlgorithm::Sha256 => "sha256",
            HashAlgorithm::Sha512 => "sha512",
        }
    }

    /// Reads a name; `blake3` is an error of its own.
    pub fn parse(name: &str) -> Result<HashAlgorithm, Error> {
        match name {
            "md5" => Ok(HashAlgorithm::Md5),
            "sha1" => Ok(HashAlgorithm::Sha1),
            "sha256" => Ok(HashAlgorithm::Sha256),
            "sha512" => Ok(HashAlgorithm::Sha512),
            "blake3" => Err(Error::Blake3Disabled),
            other => Err(Error::UnknownHashAlgorithm(other.to_owned())),
        }
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
