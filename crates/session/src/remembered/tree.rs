//! A source tree as it looks without reading its files: names, types, links, and stamps.

use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use evaluator::{PathType, WorldError};
use file_tree::MAX_DEPTH;
use store_model::{HashAlgorithm, Hasher};

use super::bytes::{Digest, of_hash};
use super::seen::type_number;
use super::stamp::{Clock, Stamp, now};
use crate::world::path_type_of;

/// How a tree looks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    /// The digest of names, types, links, and of what was left out.
    pub(super) shape: Digest,
    /// The digest of the files' stamps, if all were firm.
    pub(super) stamps: Option<Digest>,
    /// The files' bytes, all together.
    pub(super) size: u64,
    /// What was left out, below the root, sorted as met.
    pub(super) refused: Vec<Vec<u8>>,
}

/// Decides about a path below the root.
pub(super) type Takes<'a> = dyn FnMut(&[u8], PathType) -> Result<bool, WorldError> + 'a;

/// Looks at a tree. `None` if it cannot be looked at as a whole.
///
/// # Errors
/// What `takes` says.
pub(super) fn look(root: &Path, clock: &Clock, takes: &mut Takes<'_>) -> Result<Option<Look>, WorldError> {
    let hasher = || Hasher::new(HashAlgorithm::Sha256);
    let mut walk =
        Walk { clock, takes, shape: hasher(), stamps: Some(hasher()), started: now(), size: 0, refused: Vec::new() };
    let Ok(found) = fs::symlink_metadata(root) else { return Ok(None) };
    if walk.object(root, &mut Vec::new(), &found, 0)?.is_none() {
        return Ok(None);
    }
    let shape = of_hash(&walk.shape.finish());
    let stamps = walk.stamps.map(|stamps| of_hash(&stamps.finish()));
    Ok(Some(Look { shape, stamps, size: walk.size, refused: walk.refused }))
}

struct Walk<'a, 'f> {
    clock: &'a Clock,
    takes: &'a mut Takes<'f>,
    shape: Hasher,
    stamps: Option<Hasher>,
    started: i128,
    size: u64,
    refused: Vec<Vec<u8>>,
}

impl Walk<'_, '_> {
    fn note(&mut self, kind: u8, bytes: &[u8]) {
        self.shape.update(&[kind]);
        self.shape.update(&(bytes.len() as u64).to_le_bytes());
        self.shape.update(bytes);
    }

    /// `Ok(None)` where something cannot be looked at.
    fn object(
        &mut self,
        place: &Path,
        below: &mut Vec<u8>,
        found: &fs::Metadata,
        depth: usize,
    ) -> Result<Option<()>, WorldError> {
        let kind = path_type_of(found.file_type());
        match kind {
            PathType::Regular => {
                self.note(type_number(Some(kind)), &[u8::from(found.mode() & 0o100 != 0)]);
                self.size += found.len();
                let firm = self.clock.firm(Stamp::of(found), place, self.started);
                match (firm, &mut self.stamps) {
                    (Some(stamp), Some(stamps)) => {
                        let mut bytes = Vec::new();
                        stamp.put(&mut bytes);
                        stamps.update(&bytes);
                    }
                    _ => self.stamps = None,
                }
            }
            PathType::Symlink => {
                let Ok(target) = fs::read_link(place) else { return Ok(None) };
                self.note(type_number(Some(kind)), target.as_os_str().as_bytes());
            }
            PathType::Directory => return self.folder(place, below, depth),
            PathType::Other => self.note(type_number(Some(kind)), b""),
        }
        Ok(Some(()))
    }

    fn folder(&mut self, place: &Path, below: &mut Vec<u8>, depth: usize) -> Result<Option<()>, WorldError> {
        const LEFT_OUT: u8 = 100;
        const ENTRY: u8 = 101;
        const END: u8 = 102;
        if depth >= MAX_DEPTH {
            return Ok(None);
        }
        let Ok(entries) = fs::read_dir(place) else { return Ok(None) };
        let named = entries.map(|entry| entry.map(|entry| (entry.file_name().into_vec(), entry)));
        let Ok(mut entries) = named.collect::<Result<Vec<_>, _>>() else { return Ok(None) };
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.note(type_number(Some(PathType::Directory)), b"");
        for (name, entry) in entries {
            let Ok(found) = entry.metadata() else { return Ok(None) };
            let place = entry.path();
            let length = below.len();
            if length > 0 {
                below.push(b'/');
            }
            below.extend_from_slice(&name);
            let kind = path_type_of(found.file_type());
            if (self.takes)(below, kind)? {
                self.note(ENTRY, &name);
                if self.object(&place, below, &found, depth + 1)?.is_none() {
                    return Ok(None);
                }
            } else {
                self.note(LEFT_OUT, &name);
                self.note(type_number(Some(kind)), b"");
                self.refused.push(below.clone());
            }
            below.truncate(length);
        }
        self.note(END, b"");
        Ok(Some(()))
    }
}
