//! A tree in memory: for tests, generated trees, and small archives.

use crate::accessor::Contents;
use crate::{Error, FileType, Metadata, SourceAccessor, TreeEvent, TreePath, TreeSink};
use std::collections::BTreeMap;

/// An object in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryNode {
    /// A file.
    Regular {
        /// Whether it is executable.
        executable: bool,
        /// Its bytes.
        contents: Vec<u8>,
    },
    /// A folder.
    Directory(BTreeMap<Vec<u8>, MemoryNode>),
    /// A link.
    Symlink(Vec<u8>),
}

impl MemoryNode {
    /// A plain file.
    pub fn file(contents: impl Into<Vec<u8>>) -> MemoryNode {
        MemoryNode::Regular { executable: false, contents: contents.into() }
    }

    /// An executable file.
    pub fn executable(contents: impl Into<Vec<u8>>) -> MemoryNode {
        MemoryNode::Regular { executable: true, contents: contents.into() }
    }

    /// A link.
    pub fn symlink(target: impl Into<Vec<u8>>) -> MemoryNode {
        MemoryNode::Symlink(target.into())
    }

    /// A folder.
    pub fn directory<N: Into<Vec<u8>>, I: IntoIterator<Item = (N, MemoryNode)>>(entries: I) -> MemoryNode {
        MemoryNode::Directory(entries.into_iter().map(|(name, node)| (name.into(), node)).collect())
    }
}

type Entries = BTreeMap<Vec<u8>, MemoryNode>;

/// A tree in memory; empty until something was put in. It is an accessor, and a sink that holds what it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryTree {
    root: Option<MemoryNode>,
    building: Vec<(Entries, Vec<u8>)>,
}

impl MemoryTree {
    /// A tree with this object at its root.
    pub fn new(root: MemoryNode) -> MemoryTree {
        MemoryTree { root: Some(root), building: Vec::new() }
    }

    /// The object at the root, once it is complete.
    pub fn root(&self) -> Option<&MemoryNode> {
        self.root.as_ref()
    }

    fn find(&self, path: &TreePath) -> Option<&MemoryNode> {
        path.components().try_fold(self.root.as_ref()?, |node, name| match node {
            MemoryNode::Directory(entries) => entries.get(name),
            _ => None,
        })
    }

    fn get(&self, path: &TreePath) -> Result<&MemoryNode, Error> {
        self.find(path).ok_or_else(|| Error::NotFound(self.show(path)))
    }

    fn wrong(&self, path: &TreePath, expected: &'static str) -> Error {
        Error::WrongType { path: self.show(path), expected }
    }

    fn file_being_built(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.root {
            Some(MemoryNode::Regular { contents, .. }) => Some(contents),
            _ => None,
        }
    }
}

fn type_of(node: &MemoryNode) -> FileType {
    match node {
        MemoryNode::Regular { .. } => FileType::Regular,
        MemoryNode::Directory(_) => FileType::Directory,
        MemoryNode::Symlink(_) => FileType::Symlink,
    }
}

impl SourceAccessor for MemoryTree {
    fn stat(&self, path: &TreePath) -> Result<Option<Metadata>, Error> {
        Ok(self.find(path).map(|node| match node {
            MemoryNode::Regular { executable, contents } => {
                Metadata { file_type: FileType::Regular, executable: *executable, size: contents.len() as u64 }
            }
            other => Metadata { file_type: type_of(other), executable: false, size: 0 },
        }))
    }

    fn open(&self, path: &TreePath) -> Result<Contents<'_>, Error> {
        match self.get(path)? {
            MemoryNode::Regular { executable, contents } => Ok(Contents {
                size: contents.len() as u64,
                executable: *executable,
                reader: Box::new(contents.as_slice()),
            }),
            _ => Err(self.wrong(path, "regular file")),
        }
    }

    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>, Error> {
        match self.get(path)? {
            MemoryNode::Directory(entries) => {
                Ok(entries.iter().map(|(name, node)| (name.clone(), type_of(node))).collect())
            }
            _ => Err(self.wrong(path, "directory")),
        }
    }

    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>, Error> {
        match self.get(path)? {
            MemoryNode::Symlink(target) => Ok(target.clone()),
            _ => Err(self.wrong(path, "symbolic link")),
        }
    }

    fn show(&self, path: &TreePath) -> String {
        path.to_string()
    }
}

/// While a tree is being taken, `root` is the object being built, and `building` the folders around it.
impl TreeSink for MemoryTree {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), Error> {
        match event {
            TreeEvent::Directory => self.building.push((BTreeMap::new(), Vec::new())),
            TreeEvent::Entry(name) => {
                if let Some((_, current)) = self.building.last_mut() {
                    *current = name.to_vec();
                }
            }
            TreeEvent::EntryEnd => {
                if let (Some(node), Some((entries, name))) = (self.root.take(), self.building.last_mut()) {
                    entries.insert(std::mem::take(name), node);
                }
            }
            TreeEvent::DirectoryEnd => {
                self.root = self.building.pop().map(|(entries, _)| MemoryNode::Directory(entries));
            }
            TreeEvent::Symlink(target) => self.root = Some(MemoryNode::Symlink(target.to_vec())),
            TreeEvent::Regular { executable, .. } => {
                self.root = Some(MemoryNode::Regular { executable, contents: Vec::new() });
            }
            TreeEvent::Contents(bytes) => {
                if let Some(contents) = self.file_being_built() {
                    contents.extend_from_slice(bytes);
                }
            }
            TreeEvent::RegularEnd => {}
        }
        Ok(())
    }
}
