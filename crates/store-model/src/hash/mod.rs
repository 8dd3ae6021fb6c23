//! Hashes: an algorithm and its digest, inline and `Copy`.
//!
//! `algorithm.rs` names the five algorithms, `encoding.rs` holds the digit systems, `hasher.rs` computes, `parse.rs`
//! reads every form that C++ Nix reads. Rules: the Nix manual, "protocols/store-path", and `nix hash`.

mod algorithm;
pub mod encoding;
mod hasher;
mod parse;

pub use algorithm::{HashAlgorithm, HashFormat};
pub use hasher::Hasher;

use crate::Error;
use std::fmt;

/// The longest digest of any algorithm, in bytes.
pub const MAX_DIGEST: usize = 64;

/// An algorithm and a digest made with it.
#[derive(Clone, Copy)]
pub struct Hash {
    algorithm: HashAlgorithm,
    bytes: [u8; MAX_DIGEST],
}

impl Hash {
    /// The hash of `data`.
    pub fn of(algorithm: HashAlgorithm, data: &[u8]) -> Hash {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(data);
        hasher.finish()
    }

    /// A hash from its digest; an error when the algorithm's digests have another size.
    pub fn from_digest(algorithm: HashAlgorithm, digest: &[u8]) -> Result<Hash, Error> {
        if digest.len() != algorithm.size() {
            return Err(Error::DigestLength { algorithm, got: digest.len() });
        }
        let mut bytes = [0; MAX_DIGEST];
        bytes[..digest.len()].copy_from_slice(digest);
        Ok(Hash { algorithm, bytes })
    }

    /// A sha256 hash from its 32 bytes.
    pub fn sha256(digest: [u8; 32]) -> Hash {
        let mut bytes = [0; MAX_DIGEST];
        bytes[..32].copy_from_slice(&digest);
        Hash { algorithm: HashAlgorithm::Sha256, bytes }
    }

    /// The hash whose digest is all zeros: what an empty hash in an expression stands for.
    pub fn zero(algorithm: HashAlgorithm) -> Hash {
        Hash { algorithm, bytes: [0; MAX_DIGEST] }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The digest, [`HashAlgorithm::size`] bytes.
    pub fn digest(&self) -> &[u8] {
        &self.bytes[..self.algorithm.size()]
    }

    /// The digest in lower-case base16, without the algorithm.
    pub fn to_base16(&self) -> String {
        encoding::base16_encode(self.digest())
    }

    /// The digest in Nix's base 32, without the algorithm.
    pub fn to_nix32(&self) -> String {
        encoding::nix32_encode(self.digest())
    }

    /// The digest in padded base64, without the algorithm.
    pub fn to_base64(&self) -> String {
        encoding::base64_encode(self.digest())
    }

    /// `<algorithm>-<base64>` (W3C Subresource Integrity).
    pub fn to_sri(&self) -> String {
        self.format(HashFormat::Sri, true)
    }

    /// The digest in any form, with `<algorithm>:` before it if wanted (SRI always has its own prefix).
    pub fn format(&self, format: HashFormat, with_algorithm: bool) -> String {
        let digits = match format {
            HashFormat::Base16 => self.to_base16(),
            HashFormat::Nix32 => self.to_nix32(),
            HashFormat::Base64 => self.to_base64(),
            HashFormat::Sri => return format!("{}-{}", self.algorithm, self.to_base64()),
        };
        if with_algorithm { format!("{}:{digits}", self.algorithm) } else { digits }
    }
}

/// The first `N` bytes' worth of a digest, folded by exclusive or: how store paths shorten sha256 to 20 bytes.
pub fn compress<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (i, byte) in digest.iter().enumerate() {
        out[i % N] ^= byte;
    }
    out
}

impl PartialEq for Hash {
    fn eq(&self, other: &Hash) -> bool {
        self.algorithm == other.algorithm && self.bytes == other.bytes
    }
}

impl Eq for Hash {}

impl std::hash::Hash for Hash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.digest().hash(state);
    }
}

impl PartialOrd for Hash {
    fn partial_cmp(&self, other: &Hash) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Hash {
    fn cmp(&self, other: &Hash) -> std::cmp::Ordering {
        self.algorithm.cmp(&other.algorithm).then_with(|| self.digest().cmp(other.digest()))
    }
}

/// `<algorithm>:<nix32>`, the form that databases, narinfo files and messages of C++ Nix use most.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.to_nix32())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        // FIPS 180-4 and RFC 1321 test vectors for "abc".
        let hex = |a| Hash::of(a, b"abc").to_base16();
        assert_eq!(hex(HashAlgorithm::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hex(HashAlgorithm::Sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(HashAlgorithm::Sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(
            hex(HashAlgorithm::Sha512),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
        assert_eq!(hex(HashAlgorithm::Blake3), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    }

    #[test]
    fn folding() {
        assert_eq!(compress::<2>(&[1, 2, 4, 8, 16]), [1 ^ 4 ^ 16, 2 ^ 8]);
    }
}
