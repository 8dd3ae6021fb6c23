//! An archive that lies in a file, as a tree: it is read once for its listing, then each file's bytes where they lie.

use super::{NarListing, listing_of};
use crate::accessor::Contents;
use crate::{Error, FileType, Metadata, SourceAccessor, TreePath};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

/// A tree in an archive on the disk.
pub struct NarAccessor {
    listing: NarListing,
    file: File,
}

impl NarAccessor {
    /// Reads the archive that a file holds, from its beginning. The file must be seekable: contents are read later.
    pub fn open(file: File) -> Result<NarAccessor, Error> {
        let listing = listing_of(&mut BufReader::with_capacity(256 << 10, &file))?;
        Ok(NarAccessor { listing, file })
    }

    /// What the archive holds.
    pub fn listing(&self) -> &NarListing {
        &self.listing
    }

    fn find(&self, path: &TreePath) -> Result<&NarListing, Error> {
        self.listing.find(path).ok_or_else(|| Error::NotFound(self.show(path)))
    }

    fn wrong(&self, path: &TreePath, expected: &'static str) -> Error {
        Error::WrongType { path: self.show(path), expected }
    }
}

impl SourceAccessor for NarAccessor {
    fn stat(&self, path: &TreePath) -> Result<Option<Metadata>, Error> {
        Ok(self.listing.find(path).map(|node| match node {
            NarListing::Regular { executable, size, .. } => {
                Metadata { file_type: FileType::Regular, executable: *executable, size: *size }
            }
            other => Metadata { file_type: other.file_type(), executable: false, size: 0 },
        }))
    }

    fn open(&self, path: &TreePath) -> Result<Contents<'_>, Error> {
        match self.find(path)? {
            NarListing::Regular { executable, size, offset } => {
                let reader = Box::new(Part { file: &self.file, at: *offset, left: *size });
                Ok(Contents { size: *size, executable: *executable, reader })
            }
            _ => Err(self.wrong(path, "regular file")),
        }
    }

    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>, Error> {
        match self.find(path)? {
            NarListing::Directory(entries) => {
                Ok(entries.iter().map(|(name, node)| (name.clone(), node.file_type())).collect())
            }
            _ => Err(self.wrong(path, "directory")),
        }
    }

    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>, Error> {
        match self.find(path)? {
            NarListing::Symlink(target) => Ok(target.clone()),
            _ => Err(self.wrong(path, "symbolic link")),
        }
    }

    fn show(&self, path: &TreePath) -> String {
        path.to_string()
    }
}

/// A part of a file.
struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}
