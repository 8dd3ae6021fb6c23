//! The bytes of what is kept: numbers, strings, and the seal around a file.
//!
//! Numbers take seven bits a byte, low ones first; strings stand behind their length. Reading trusts nothing: every length
//! is held against what is left, and a file whose seal does not fit its contents is not there at all.

use store_model::{Hash, HashAlgorithm, Hasher, StorePath};

/// A sha256 digest.
pub(super) type Digest = [u8; 32];

/// Grows with each change of any format kept in the folder.
const VERSION: u8 = 1;
const MAGIC: &[u8; 7] = b"firn-ev";

/// The digest of some bytes.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    of_hash(&Hash::of(HashAlgorithm::Sha256, bytes))
}

/// A sha256 hash as its bytes.
pub(super) fn of_hash(hash: &Hash) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(hash.digest());
    digest
}

/// The digest of strings, told apart by their lengths.
pub(super) fn digest_of<'a>(strings: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    for string in strings {
        hasher.update(&(string.len() as u64).to_le_bytes());
        hasher.update(string);
    }
    of_hash(&hasher.finish())
}

/// A file's bytes: magic, version, digest, body.
pub(super) fn seal(body: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &[VERSION], &digest(body), body].concat()
}

/// The body of a sealed file, if it is one and whole.
pub(super) fn unseal(file: &[u8]) -> Option<&[u8]> {
    let rest = file.strip_prefix(MAGIC)?.strip_prefix(&[VERSION])?;
    let (stored, body) = rest.split_first_chunk::<32>()?;
    (*stored == digest(body)).then_some(body)
}

/// Appends to a body.
pub(super) trait Put {
    /// A number.
    fn number(&mut self, number: u64);
    /// A string behind its length.
    fn string(&mut self, string: &[u8]);
}

impl Put for Vec<u8> {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }

    fn string(&mut self, string: &[u8]) {
        self.number(string.len() as u64);
        self.extend_from_slice(string);
    }
}

/// Reads a body. `None` is the end of trust: the bytes are not what was written.
pub(super) struct Take<'a>(
    /// What is left.
    pub(super) &'a [u8],
);

impl<'a> Take<'a> {
    /// One byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A number of things to come, each of at least one byte.
    pub(super) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len())
    }

    /// Things behind their number.
    pub(super) fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.count()?).map(|_| one(self)).collect()
    }

    /// A string.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    /// A string that is text.
    pub(super) fn text(&mut self) -> Option<String> {
        Some(std::str::from_utf8(self.string()?).ok()?.to_owned())
    }

    /// A digest.
    pub(super) fn digest(&mut self) -> Option<Digest> {
        let (digest, rest) = self.0.split_first_chunk::<32>()?;
        self.0 = rest;
        Some(*digest)
    }

    /// A store path.
    pub(super) fn store_path(&mut self) -> Option<StorePath> {
        StorePath::parse_bytes(self.string()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken_and_nothing_else() {
        let mut body = Vec::new();
        for number in [0, 127, 128, u64::MAX] {
            body.number(number);
        }
        body.string(b"abc");
        let mut take = Take(&body);
        assert_eq!([0, 127, 128, u64::MAX].map(Some), [(); 4].map(|()| take.number()));
        assert_eq!((take.string(), take.byte()), (Some(&b"abc"[..]), None));
        // A length beyond the end, a number without end.
        assert_eq!(Take(&[200, 1, 7]).string(), None);
        assert_eq!(Take(&[0xff; 20]).number(), None);
    }

    #[test]
    fn a_seal_breaks_with_any_byte() {
        let sealed = seal(b"body");
        assert_eq!(unseal(&sealed), Some(&b"body"[..]));
        for at in 0..sealed.len() {
            let mut broken = sealed.clone();
            broken[at] ^= 1;
            assert_eq!(unseal(&broken), None, "{at}");
            assert_eq!(unseal(&sealed[..at]), None, "{at}");
        }
    }
}
