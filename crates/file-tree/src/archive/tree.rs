//! A tree read out of an archive: names in memory, the bytes of all files one after another in one file of the caller's.
//!
//! Names are made those of C++ Nix: rooted, `.` and `..` resolved without leaving the root, so that nothing an archive
//! names can lie outside, wherever links point. A later file takes the place of an earlier object; a folder or link does
//! not. Hard links are resolved when all members have come. The source of these rules: `src/libfetchers/git-utils.cc`
//! (`GitFileSystemObjectSinkImpl`) and `unpackTarfileToSink`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::{ArchiveSink, bad};
use crate::accessor::Contents;
use crate::{Error, FileType, MAX_DEPTH, Metadata, SourceAccessor, TreePath};

/// The most members.
const MOST_MEMBERS: u64 = 4 << 20;
/// Bytes that any archive may unpack to, however small it is.
const FREE_BYTES: u64 = 1 << 30;
/// Beyond that, how many times the archive's own size.
const MOST_RATIO: u64 = 1000;

#[derive(Clone, Debug)]
enum Node {
    File { executable: bool, start: u64, size: u64 },
    Link(Vec<u8>),
    Folder(BTreeMap<Vec<u8>, Node>),
}

/// A tree read out of an archive.
#[derive(Debug)]
pub struct ArchiveTree {
    root: Node,
    bytes: File,
    written: u64,
    most_bytes: u64,
    members: u64,
    twins: BTreeMap<TreePath, TreePath>,
    last_modified: u64,
}

impl ArchiveTree {
    /// An empty tree. `bytes` is an empty file, open for reading and writing, that will hold the files' contents; an
    /// archive of `archive_size` bytes may unpack to a thousand times as much, any archive to a gibibyte.
    pub fn new(bytes: File, archive_size: u64) -> Self {
        Self {
            root: Node::Folder(BTreeMap::new()),
            bytes,
            written: 0,
            most_bytes: archive_size.saturating_mul(MOST_RATIO).max(FREE_BYTES),
            members: 0,
            twins: BTreeMap::new(),
            last_modified: 0,
        }
    }

    /// The latest time of change of any member, in seconds since 1970.
    pub fn last_modified(&self) -> u64 {
        self.last_modified
    }

    /// [`ArchiveTree::complete`]; a single folder at the top, if there is nothing else, is the tree itself then.
    ///
    /// # Errors
    /// A hard link to what did not come.
    pub fn finish(self) -> io::Result<Self> {
        let mut tree = self.complete()?;
        if let Node::Folder(entries) = &mut tree.root
            && entries.len() == 1
            && let Some(only @ Node::Folder(_)) = entries.values().next()
        {
            tree.root = only.clone();
        }
        Ok(tree)
    }

    /// Resolves hard links: all members have come.
    ///
    /// # Errors
    /// A hard link to what did not come.
    pub fn complete(mut self) -> io::Result<Self> {
        for (path, original) in std::mem::take(&mut self.twins) {
            if original.is_root() {
                continue;
            }
            let node = match self.find(&original) {
                Some(Node::Folder(_)) => return Err(bad("cannot create a hard link to a directory")),
                Some(node) => node.clone(),
                None => return Err(bad(format!("path '{original}' does not exist"))),
            };
            self.put(&path, node)?;
        }
        Ok(self)
    }

    fn find(&self, path: &TreePath) -> Option<&Node> {
        path.components().try_fold(&self.root, |node, name| match node {
            Node::Folder(entries) => entries.get(name),
            _ => None,
        })
    }

    fn get(&self, path: &TreePath) -> Result<&Node, Error> {
        self.find(path).ok_or_else(|| Error::NotFound(self.show(path)))
    }

    /// Puts an object at its place; a file also where another object is.
    fn put(&mut self, path: &TreePath, node: Node) -> io::Result<()> {
        let names: Vec<&[u8]> = path.components().collect();
        if names.len() >= MAX_DEPTH {
            return Err(bad(format!("the member '{path}' lies too deep")));
        }
        let Some((last, parents)) = names.split_last() else {
            return match node {
                Node::Folder(_) => Ok(()),
                _ => Err(bad("the archive's root is not a folder")),
            };
        };
        let mut folder = &mut self.root;
        for name in parents {
            let Node::Folder(entries) = folder else { break };
            folder = entries.entry(name.to_vec()).or_insert_with(|| Node::Folder(BTreeMap::new()));
        }
        let Node::Folder(entries) = folder else {
            return Err(bad(format!("path '{path}' has a non-directory parent")));
        };
        if matches!(node, Node::File { .. }) || !entries.contains_key(*last) {
            entries.insert(last.to_vec(), node);
        }
        Ok(())
    }
}

impl ArchiveSink for ArchiveTree {
    fn wants(&mut self, _: &[u8]) -> io::Result<bool> {
        self.members += 1;
        if self.members > MOST_MEMBERS { Err(bad("too many members")) } else { Ok(true) }
    }

    fn changed(&mut self, seconds: u64) {
        self.last_modified = self.last_modified.max(seconds);
    }

    fn folder(&mut self, path: &[u8]) -> io::Result<()> {
        self.put(&named(path)?, Node::Folder(BTreeMap::new()))
    }

    fn file(&mut self, path: &[u8], executable: bool, contents: &mut dyn Read) -> io::Result<()> {
        let path = named(path)?;
        let start = self.written;
        let mut buffer = vec![0; 1 << 17];
        loop {
            let length = match contents.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            self.written += length as u64;
            if self.written > self.most_bytes {
                return Err(bad(format!("larger than {} bytes when unpacked", self.most_bytes)));
            }
            self.bytes.write_all(&buffer[..length])?;
        }
        self.put(&path, Node::File { executable, start, size: self.written - start })
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        if target.is_empty() || target.contains(&0) {
            return Err(bad(format!("the link '{}' has an invalid target", String::from_utf8_lossy(path))));
        }
        self.put(&named(path)?, Node::Link(target.to_vec()))
    }

    fn twin(&mut self, path: &[u8], original: &[u8]) -> io::Result<()> {
        self.twins.insert(named(path)?, named(original)?);
        Ok(())
    }
}

/// The place that a member's name means.
fn named(path: &[u8]) -> io::Result<TreePath> {
    if path.contains(&0) {
        return Err(bad(format!("the member '{}' has a NUL in its name", String::from_utf8_lossy(path))));
    }
    Ok(TreePath::normalise(path))
}

fn type_of(node: &Node) -> FileType {
    match node {
        Node::File { .. } => FileType::Regular,
        Node::Link(_) => FileType::Symlink,
        Node::Folder(_) => FileType::Directory,
    }
}

/// A part of the file with the bytes.
struct Part<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..length], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl SourceAccessor for ArchiveTree {
    fn stat(&self, path: &TreePath) -> Result<Option<Metadata>, Error> {
        Ok(self.find(path).map(|node| match node {
            Node::File { executable, size, .. } => {
                Metadata { file_type: FileType::Regular, executable: *executable, size: *size }
            }
            other => Metadata { file_type: type_of(other), executable: false, size: 0 },
        }))
    }

    fn open(&self, path: &TreePath) -> Result<Contents<'_>, Error> {
        match self.get(path)? {
            Node::File { executable, start, size } => Ok(Contents {
                size: *size,
                executable: *executable,
                reader: Box::new(Part { file: &self.bytes, at: *start, end: start + size }),
            }),
            _ => Err(Error::WrongType { path: self.show(path), expected: "regular file" }),
        }
    }

    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>, Error> {
        match self.get(path)? {
            Node::Folder(entries) => Ok(entries.iter().map(|(name, node)| (name.clone(), type_of(node))).collect()),
            _ => Err(Error::WrongType { path: self.show(path), expected: "directory" }),
        }
    }

    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>, Error> {
        match self.get(path)? {
            Node::Link(target) => Ok(target.clone()),
            _ => Err(Error::WrongType { path: self.show(path), expected: "symbolic link" }),
        }
    }

    fn show(&self, path: &TreePath) -> String {
        path.to_string()
    }
}
