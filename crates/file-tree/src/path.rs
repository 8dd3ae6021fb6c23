//! Paths inside a tree: components joined by slashes, as bytes, never leaving the tree.

use crate::Error;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A normalised path below the root of a tree; the root itself is empty.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// The root of the tree.
    pub fn root() -> TreePath {
        TreePath::default()
    }

    /// Normalises: empty components and `.` vanish, `..` goes up, but not above the root.
    pub fn normalise(path: &[u8]) -> TreePath {
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in path.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        TreePath(parts.join(&b'/'))
    }

    /// Goes down to an entry; an error when the name is no file name.
    pub fn push(&mut self, name: &[u8]) -> Result<(), Error> {
        if !is_file_name(name) {
            return Err(Error::BadName(String::from_utf8_lossy(name).into_owned()));
        }
        if !self.0.is_empty() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
        Ok(())
    }

    /// Goes up; the root stays.
    pub fn pop(&mut self) {
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        self.0.truncate(end);
    }

    /// The path of an entry; an error when the name is no file name.
    pub fn join(&self, name: &[u8]) -> Result<TreePath, Error> {
        let mut path = self.clone();
        path.push(name)?;
        Ok(path)
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components, from the root down.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|part| !part.is_empty())
    }

    /// The bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a relative path of the host.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a directory can have an entry of this name.
pub(crate) fn is_file_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|b| matches!(b, b'/' | 0))
}
