//! The tree of a commit, read from the repository's objects. Submodules are empty folders.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Mutex, MutexGuard, PoisonError};

use activity::Activity;
use file_tree::{Contents, FileType, Metadata, SourceAccessor, TreePath};
use gix::ObjectId;
use gix::objs::tree::EntryKind;

use super::ignore::ExportIgnore;
use super::repository::{Repository, git_error};
use crate::error::{Error, Result};

#[derive(Debug)]
enum Node {
    File { id: ObjectId, executable: bool },
    Link(ObjectId),
    Folder(BTreeMap<Vec<u8>, Node>),
    Submodule(ObjectId),
}

/// The tree of a commit.
pub(super) struct CommitTree {
    repository: Mutex<gix::Repository>,
    root: Node,
}

impl CommitTree {
    /// Reads the names; contents are read when they are asked for. What is marked `export-ignore` is left out, if that
    /// is wanted.
    pub(super) fn read(activity: &Activity, repository: &Repository, rev: ObjectId, ignore: bool) -> Result<Self> {
        let tree = repository.tree_of(rev)?;
        let mut ignore = ignore.then(|| ExportIgnore::of_commit(repository, tree.id)).transpose()?;
        let root = read(activity, &repository.inner, tree.id, &mut Vec::new(), &mut ignore)?;
        Ok(Self { repository: Mutex::new(repository.inner.clone()), root })
    }

    /// The revision of the submodule at a path, if there is one.
    pub(super) fn submodule(&self, path: &[u8]) -> Option<ObjectId> {
        match self.find(&TreePath::normalise(path)) {
            Some(Node::Submodule(id)) => Some(*id),
            _ => None,
        }
    }

    /// Whether files of the tree are kept elsewhere by Git LFS.
    pub(super) fn uses_lfs(&self) -> Result<bool> {
        let mut open = vec![&self.root];
        while let Some(node) = open.pop() {
            let Node::Folder(entries) = node else { continue };
            open.extend(entries.values());
            if let Some(Node::File { id, .. }) = entries.get(b".gitattributes".as_slice())
                && self.blob(*id)?.windows(10).any(|part| part == b"filter=lfs")
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn find(&self, path: &TreePath) -> Option<&Node> {
        path.components().try_fold(&self.root, |node, name| match node {
            Node::Folder(entries) => entries.get(name),
            _ => None,
        })
    }

    fn get(&self, path: &TreePath) -> Result<&Node, file_tree::Error> {
        self.find(path).ok_or_else(|| file_tree::Error::NotFound(self.show(path)))
    }

    fn repository(&self) -> MutexGuard<'_, gix::Repository> {
        self.repository.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blob(&self, id: ObjectId) -> Result<Vec<u8>, file_tree::Error> {
        let repository = self.repository();
        let mut object = repository.find_blob(id).map_err(caller)?;
        Ok(object.take_data())
    }
}

fn caller(error: impl std::fmt::Display) -> file_tree::Error {
    file_tree::Error::Caller(Box::new(git_error(error)))
}

fn read(
    activity: &Activity,
    repository: &gix::Repository,
    id: ObjectId,
    path: &mut Vec<u8>,
    ignore: &mut Option<ExportIgnore<'_>>,
) -> Result<Node> {
    activity.check()?;
    let depth = path.iter().filter(|byte| **byte == b'/').count();
    if depth >= file_tree::MAX_DEPTH {
        return Err(Error::Tree(file_tree::Error::TooDeep(String::from_utf8_lossy(path).into_owned())));
    }
    let tree = repository.find_tree(id).map_err(git_error)?;
    let mut entries = BTreeMap::new();
    for entry in tree.iter() {
        let entry = entry.map_err(git_error)?;
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(entry.filename());
        let kind = entry.mode().kind();
        let hidden = match ignore {
            Some(ignore) => ignore.hides(path, kind == EntryKind::Tree)?,
            None => false,
        };
        if !hidden {
            let node = match kind {
                EntryKind::Tree => read(activity, repository, entry.object_id(), path, ignore)?,
                EntryKind::Blob => Node::File { id: entry.object_id(), executable: false },
                EntryKind::BlobExecutable => Node::File { id: entry.object_id(), executable: true },
                EntryKind::Link => Node::Link(entry.object_id()),
                EntryKind::Commit => Node::Submodule(entry.object_id()),
            };
            entries.insert(entry.filename().to_vec(), node);
        }
        path.truncate(length);
    }
    Ok(Node::Folder(entries))
}

fn type_of(node: &Node) -> FileType {
    match node {
        Node::File { .. } => FileType::Regular,
        Node::Link(_) => FileType::Symlink,
        Node::Folder(_) | Node::Submodule(_) => FileType::Directory,
    }
}

impl SourceAccessor for CommitTree {
    fn stat(&self, path: &TreePath) -> Result<Option<Metadata>, file_tree::Error> {
        let Some(node) = self.find(path) else { return Ok(None) };
        let (executable, size) = match node {
            Node::File { id, executable } => (*executable, self.repository().find_header(*id).map_err(caller)?.size()),
            _ => (false, 0),
        };
        Ok(Some(Metadata { file_type: type_of(node), executable, size }))
    }

    fn open(&self, path: &TreePath) -> Result<Contents<'_>, file_tree::Error> {
        let Node::File { id, executable } = self.get(path)? else {
            return Err(file_tree::Error::WrongType { path: self.show(path), expected: "regular file" });
        };
        let bytes = self.blob(*id)?;
        Ok(Contents { size: bytes.len() as u64, executable: *executable, reader: Box::new(Cursor::new(bytes)) })
    }

    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>, file_tree::Error> {
        match self.get(path)? {
            Node::Folder(entries) => Ok(entries.iter().map(|(name, node)| (name.clone(), type_of(node))).collect()),
            Node::Submodule(_) => Ok(Vec::new()),
            _ => Err(file_tree::Error::WrongType { path: self.show(path), expected: "directory" }),
        }
    }

    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>, file_tree::Error> {
        match self.get(path)? {
            Node::Link(id) => self.blob(*id),
            _ => Err(file_tree::Error::WrongType { path: self.show(path), expected: "symbolic link" }),
        }
    }

    fn show(&self, path: &TreePath) -> String {
        path.to_string()
    }
}
