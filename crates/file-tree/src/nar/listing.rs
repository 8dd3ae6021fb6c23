//! What an archive holds, and where: the `.ls` files of binary caches.
//!
//! JSON: `{"version":1,"root":{"type":"directory","entries":{...}}}`, regular files with `size`, `narOffset` and, if so,
//! `executable`. Made by reading the archive once; contents are skipped, not kept.

use super::read_nar;
use crate::{Error, FileType, TreeEvent, TreePath, TreeSink};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// An object in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NarListing {
    /// A file.
    Regular {
        /// Whether it is executable.
        executable: bool,
        /// Its bytes.
        size: u64,
        /// Where they begin in the archive.
        offset: u64,
    },
    /// A folder.
    Directory(BTreeMap<Vec<u8>, NarListing>),
    /// A link.
    Symlink(Vec<u8>),
}

impl NarListing {
    /// The whole `.ls` file. Names that are not UTF-8 are shown with replacement characters.
    pub fn to_json(&self) -> Value {
        json!({ "root": self.node_to_json(), "version": 1 })
    }

    /// The object at a path.
    pub fn find(&self, path: &TreePath) -> Option<&NarListing> {
        path.components().try_fold(self, |node, name| match node {
            NarListing::Directory(entries) => entries.get(name),
            _ => None,
        })
    }

    /// The object's type.
    pub fn file_type(&self) -> FileType {
        match self {
            NarListing::Regular { .. } => FileType::Regular,
            NarListing::Directory(_) => FileType::Directory,
            NarListing::Symlink(_) => FileType::Symlink,
        }
    }

    fn node_to_json(&self) -> Value {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            NarListing::Regular { executable, size, offset } => {
                let mut value = json!({ "narOffset": offset, "size": size, "type": "regular" });
                if *executable {
                    value["executable"] = Value::Bool(true);
                }
                value
            }
            NarListing::Directory(entries) => {
                let entries: Map<String, Value> =
                    entries.iter().map(|(name, node)| (text(name), node.node_to_json())).collect();
                json!({ "entries": entries, "type": "directory" })
            }
            NarListing::Symlink(target) => json!({ "target": text(target), "type": "symlink" }),
        }
    }
}

/// Reads an archive and lists it.
pub fn listing_of(input: &mut dyn Read) -> Result<NarListing, Error> {
    let position = std::cell::Cell::new(0);
    let mut lister = Lister { position: &position, done: None, folders: Vec::new() };
    read_nar(&mut Counted { input, position: &position }, &mut lister)?;
    lister.done.ok_or_else(|| Error::Archive(crate::ArchiveError::Truncated))
}

/// Counts the bytes read.
struct Counted<'a> {
    input: &'a mut dyn Read,
    position: &'a std::cell::Cell<u64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(buffer)?;
        self.position.set(self.position.get() + got as u64);
        Ok(got)
    }
}

type Entries = BTreeMap<Vec<u8>, NarListing>;

struct Lister<'a> {
    position: &'a std::cell::Cell<u64>,
    done: Option<NarListing>,
    folders: Vec<(Entries, Vec<u8>)>,
}

impl TreeSink for Lister<'_> {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), Error> {
        match event {
            TreeEvent::Directory => self.folders.push((BTreeMap::new(), Vec::new())),
            TreeEvent::Entry(name) => {
                if let Some((_, current)) = self.folders.last_mut() {
                    *current = name.to_vec();
                }
            }
            TreeEvent::EntryEnd => {
                if let (Some(node), Some((entries, name))) = (self.done.take(), self.folders.last_mut()) {
                    entries.insert(std::mem::take(name), node);
                }
            }
            TreeEvent::DirectoryEnd => {
                self.done = self.folders.pop().map(|(entries, _)| NarListing::Directory(entries))
            }
            TreeEvent::Symlink(target) => self.done = Some(NarListing::Symlink(target.to_vec())),
            TreeEvent::Regular { executable, size } => {
                self.done = Some(NarListing::Regular { executable, size, offset: self.position.get() });
            }
            TreeEvent::Contents(_) | TreeEvent::RegularEnd => {}
        }
        Ok(())
    }
}
