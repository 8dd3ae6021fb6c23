//! Computing a hash from a stream of bytes.
//!
//! A [`Hasher`] is an `io::Write`, so archives and files flow into it; it also counts the bytes, as every store record
//! needs both. Absent: buffering (the writers above send large blocks).

use super::{Hash, HashAlgorithm};
use sha2::Digest;
use std::io;

#[derive(Clone)]
enum State {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    // Much larger than the others.
    Blake3(Box<blake3::Hasher>),
}

/// A hash being computed.
#[derive(Clone)]
pub struct Hasher {
    state: State,
    bytes: u64,
}

impl Hasher {
    /// Begins with nothing read.
    pub fn new(algorithm: HashAlgorithm) -> Hasher {
        let state = match algorithm {
            HashAlgorithm::Md5 => State::Md5(md5::Md5::new()),
            HashAlgorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            HashAlgorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            HashAlgorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            HashAlgorithm::Blake3 => State::Blake3(Box::default()),
        };
        Hasher { state, bytes: 0 }
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        match &mut self.state {
            State::Md5(s) => s.update(data),
            State::Sha1(s) => s.update(data),
            State::Sha256(s) => s.update(data),
            State::Sha512(s) => s.update(data),
            State::Blake3(s) => _ = s.update(data),
        }
    }

    /// How many bytes were added.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The hash of all bytes added.
    pub fn finish(self) -> Hash {
        let (algorithm, digest): (_, &[u8]) = match self.state {
            State::Md5(s) => (HashAlgorithm::Md5, &s.finalize()),
            State::Sha1(s) => (HashAlgorithm::Sha1, &s.finalize()),
            State::Sha256(s) => (HashAlgorithm::Sha256, &s.finalize()),
            State::Sha512(s) => (HashAlgorithm::Sha512, &s.finalize()),
            State::Blake3(s) => (HashAlgorithm::Blake3, &<[u8; 32]>::from(s.finalize())),
        };
        let mut bytes = [0; super::MAX_DIGEST];
        bytes[..digest.len()].copy_from_slice(digest);
        Hash { algorithm, bytes }
    }
}

impl io::Write for Hasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
