//! What evaluation asked of the world and was told: one [`Seen`] per question.
//!
//! Answers are kept as little as checking them needs: types as they are, contents as digests with a stamp beside them.
//! Values of variables are kept only as digests, since they may be secrets.

use evaluator::PathType;
use store_model::{ContentAddressMethod, StorePath};

use super::bytes::{Digest, Put as _, Take};
use super::stamp::Stamp;

/// A question and its answer. Paths are logical and absolute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    /// What lies at a path, links not followed; `None` for nothing.
    Kind(Vec<u8>, Option<PathType>),
    /// The bytes of a file.
    File(Vec<u8>, Contents),
    /// The names and types in a folder.
    Listing(Vec<u8>, Contents),
    /// The target of a link.
    Link(Vec<u8>, Digest),
    /// A question of these kinds that failed.
    Failed(Asked, Vec<u8>),
    /// An environment variable.
    Variable(Vec<u8>, Option<Digest>),
    /// A source copied to the store.
    Copy(Box<Copied>),
    /// The store has this path (and it is never another's).
    Valid(StorePath),
}

/// Something read: the digest of its bytes, and a firm stamp if it had one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Contents {
    /// Of the bytes.
    pub(super) digest: Digest,
    /// As long as this is the same, so are the bytes.
    pub(super) stamp: Option<Stamp>,
}

/// Which question failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The type.
    Kind,
    /// The bytes.
    File,
    /// The entries.
    Listing,
    /// The target.
    Link,
}

/// A source copied to the store.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Copied {
    /// From where.
    pub(super) path: Vec<u8>,
    /// The name it got.
    pub(super) name: String,
    /// How it was hashed.
    pub(super) method: ContentAddressMethod,
    /// What a filter left out, below `path`, sorted; `None` without a filter.
    pub(super) refused: Option<Vec<Vec<u8>>>,
    /// Of names, types, links.
    pub(super) shape: Digest,
    /// Of the stamps of all files, if they were firm.
    pub(super) stamps: Option<Digest>,
    /// What it became.
    pub(super) result: StorePath,
}

const METHODS: [ContentAddressMethod; 4] = [
    ContentAddressMethod::Flat,
    ContentAddressMethod::NixArchive,
    ContentAddressMethod::Text,
    ContentAddressMethod::Git,
];

const TYPES: [PathType; 4] = [PathType::Regular, PathType::Directory, PathType::Symlink, PathType::Other];

/// The number of a type, from 1; 0 is nothing.
pub(super) fn type_number(kind: Option<PathType>) -> u8 {
    kind.and_then(|kind| TYPES.iter().position(|known| *known == kind)).map_or(0, |at| at as u8 + 1)
}

fn type_of(number: u8) -> Option<Option<PathType>> {
    match number {
        0 => Some(None),
        number => TYPES.get(usize::from(number) - 1).map(|kind| Some(*kind)),
    }
}

impl Contents {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.digest);
        out.push(u8::from(self.stamp.is_some()));
        if let Some(stamp) = &self.stamp {
            stamp.put(out);
        }
    }

    fn take(take: &mut Take<'_>) -> Option<Self> {
        let digest = take.digest()?;
        let stamp = if take.byte()? == 1 { Some(Stamp::take(take)?) } else { None };
        Some(Self { digest, stamp })
    }
}

fn put_digest(out: &mut Vec<u8>, digest: Option<&Digest>) {
    out.push(u8::from(digest.is_some()));
    out.extend_from_slice(digest.map_or(&[][..], |digest| digest));
}

fn take_digest(take: &mut Take<'_>) -> Option<Option<Digest>> {
    Some(if take.byte()? == 1 { Some(take.digest()?) } else { None })
}

impl Seen {
    /// Appends it.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Seen::Kind(path, kind) => {
                out.extend_from_slice(&[0, type_number(*kind)]);
                out.string(path);
            }
            Seen::File(path, contents) => {
                out.push(1);
                out.string(path);
                contents.put(out);
            }
            Seen::Listing(path, contents) => {
                out.push(2);
                out.string(path);
                contents.put(out);
            }
            Seen::Link(path, digest) => {
                out.push(3);
                out.string(path);
                out.extend_from_slice(digest);
            }
            Seen::Failed(asked, path) => {
                out.extend_from_slice(&[4, *asked as u8]);
                out.string(path);
            }
            Seen::Variable(name, value) => {
                out.push(5);
                out.string(name);
                put_digest(out, value.as_ref());
            }
            Seen::Copy(copied) => {
                out.push(6);
                copied.put(out);
            }
            Seen::Valid(path) => {
                out.push(7);
                out.string(path.as_str().as_bytes());
            }
        }
    }

    /// Reads it.
    pub(super) fn take(take: &mut Take<'_>) -> Option<Self> {
        Some(match take.byte()? {
            0 => {
                let kind = type_of(take.byte()?)?;
                Seen::Kind(take.string()?.to_vec(), kind)
            }
            1 => Seen::File(take.string()?.to_vec(), Contents::take(take)?),
            2 => Seen::Listing(take.string()?.to_vec(), Contents::take(take)?),
            3 => Seen::Link(take.string()?.to_vec(), take.digest()?),
            4 => {
                let asked = *[Asked::Kind, Asked::File, Asked::Listing, Asked::Link].get(usize::from(take.byte()?))?;
                Seen::Failed(asked, take.string()?.to_vec())
            }
            5 => Seen::Variable(take.string()?.to_vec(), take_digest(take)?),
            6 => Seen::Copy(Box::new(Copied::take(take)?)),
            7 => Seen::Valid(take.store_path()?),
            _ => return None,
        })
    }
}

impl Copied {
    fn put(&self, out: &mut Vec<u8>) {
        out.string(&self.path);
        out.string(self.name.as_bytes());
        out.push(METHODS.iter().position(|known| *known == self.method).unwrap_or_default() as u8);
        out.push(u8::from(self.refused.is_some()));
        if let Some(refused) = &self.refused {
            out.number(refused.len() as u64);
            refused.iter().for_each(|path| out.string(path));
        }
        out.extend_from_slice(&self.shape);
        put_digest(out, self.stamps.as_ref());
        out.string(self.result.as_str().as_bytes());
    }

    fn take(take: &mut Take<'_>) -> Option<Self> {
        let path = take.string()?.to_vec();
        let name = take.text()?;
        let method = *METHODS.get(usize::from(take.byte()?))?;
        let refused = if take.byte()? == 1 { Some(take.many(|take| Some(take.string()?.to_vec()))?) } else { None };
        let (shape, stamps) = (take.digest()?, take_digest(take)?);
        Some(Self { path, name, method, refused, shape, stamps, result: take.store_path()? })
    }
}

/// The digest of a folder's entries, in any order.
pub(super) fn listing_digest(mut entries: Vec<(&[u8], PathType)>) -> Digest {
    entries.sort_unstable_by_key(|(name, _)| *name);
    let mut bytes = Vec::new();
    for (name, kind) in entries {
        bytes.string(name);
        bytes.push(type_number(Some(kind)));
    }
    super::bytes::digest(&bytes)
}
