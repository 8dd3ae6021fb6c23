//! Trees with names that differ only in case, on file systems that take such names for one (`use-case-hack`).
//!
//! When a tree is restored, the second of such names in a folder gets `~nix~case~hack~1` behind it, the third a 2, and so on;
//! when it is read, these endings are left out and the entries sorted as they then are. So archives stay what they were.
//! [`CaseHackSink`] stands before a restorer, [`CaseHackAccessor`] before the disk.
//!
//! Absent: which systems need it.

use crate::accessor::Contents;
use crate::{ArchiveError, DiskAccessor, Error, FileType, Metadata, SourceAccessor, TreeEvent, TreePath, TreeSink};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

const ENDING: &[u8] = b"~nix~case~hack~";

/// Writes the archive of an object of the host, with the endings of names left out if `hacked`.
pub fn dump_path(path: &Path, hacked: bool, out: &mut dyn Write) -> Result<(), Error> {
    if !hacked {
        return crate::nar::dump_path(path, out);
    }
    let accessor = CaseHackAccessor::new(DiskAccessor::new(path));
    crate::nar::dump(&accessor, &TreePath::root(), &mut |_, _| Ok(true), out)
}

/// By the name in lower case: the name as it came first, and how often it came in another case.
type Names = BTreeMap<Vec<u8>, (Vec<u8>, u32)>;

/// Gives names that differ only in case their endings.
pub struct CaseHackSink<S> {
    inner: S,
    /// Of each open folder.
    folders: Vec<Names>,
}

impl<S: TreeSink> CaseHackSink<S> {
    /// Passes on to another sink.
    pub fn new(inner: S) -> CaseHackSink<S> {
        CaseHackSink { inner, folders: Vec::new() }
    }

    fn name(&mut self, name: &[u8]) -> Result<Vec<u8>, Error> {
        let Some(names) = self.folders.last_mut() else { return Ok(name.to_vec()) };
        let Some((_, count)) = names.get_mut(&name.to_ascii_lowercase()) else {
            names.insert(name.to_ascii_lowercase(), (name.to_vec(), 0));
            return Ok(name.to_vec());
        };
        *count += 1;
        let hacked = [name, ENDING, count.to_string().as_bytes()].concat();
        match names.get(&hacked.to_ascii_lowercase()) {
            None => Ok(hacked),
            Some((other, _)) => {
                let [name, other] = [name, other].map(|name| String::from_utf8_lossy(name).into_owned());
                Err(ArchiveError::CaseCollision { name, other }.into())
            }
        }
    }
}

impl<S: TreeSink> TreeSink for CaseHackSink<S> {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), Error> {
        match event {
            TreeEvent::Entry(name) => {
                let name = self.name(name)?;
                return self.inner.event(TreeEvent::Entry(&name));
            }
            TreeEvent::Directory => self.folders.push(Names::new()),
            TreeEvent::DirectoryEnd => drop(self.folders.pop()),
            _ => {}
        }
        self.inner.event(event)
    }
}

/// Leaves the endings of names out. Folders are listed before what is in them is asked for, as a walk does.
pub struct CaseHackAccessor<A> {
    inner: A,
    /// By the path without endings: the last name with its ending.
    hacked: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl<A: SourceAccessor> CaseHackAccessor<A> {
    /// Reads from another accessor.
    pub fn new(inner: A) -> CaseHackAccessor<A> {
        CaseHackAccessor { inner, hacked: Mutex::default() }
    }

    /// Where the object of that path is.
    fn place(&self, path: &TreePath) -> Result<TreePath, Error> {
        let hacked = self.hacked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (mut shown, mut place) = (TreePath::root(), TreePath::root());
        for component in path.components() {
            shown.push(component)?;
            place.push(hacked.get(shown.as_bytes()).map_or(component, Vec::as_slice))?;
        }
        Ok(place)
    }
}

impl<A: SourceAccessor> SourceAccessor for CaseHackAccessor<A> {
    fn stat(&self, path: &TreePath) -> Result<Option<Metadata>, Error> {
        self.inner.stat(&self.place(path)?)
    }

    fn open(&self, path: &TreePath) -> Result<Contents<'_>, Error> {
        self.inner.open(&self.place(path)?)
    }

    fn host_file(&self, path: &TreePath) -> Result<Option<(File, Metadata)>, Error> {
        self.inner.host_file(&self.place(path)?)
    }

    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>, Error> {
        let mut entries: BTreeMap<Vec<u8>, FileType> = BTreeMap::new();
        for (name, kind) in self.inner.read_dir(&self.place(path)?)? {
            let at = name.windows(ENDING.len()).position(|part| part == ENDING);
            let shown = name[..at.unwrap_or(name.len())].to_vec();
            if entries.insert(shown.clone(), kind).is_some() {
                let shown = self.inner.show(&path.join(&shown)?);
                return Err(Error::NameCollision(shown));
            }
            if at.is_some() {
                let mut hacked = self.hacked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                hacked.insert(path.join(&shown)?.as_bytes().to_vec(), name);
            }
        }
        Ok(entries.into_iter().collect())
    }

    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>, Error> {
        self.inner.read_link(&self.place(path)?)
    }

    fn show(&self, path: &TreePath) -> String {
        self.inner.show(&self.place(path).unwrap_or_else(|_| path.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryNode, MemoryTree, RestoreOptions, Restorer, nar, walk};

    #[test]
    fn names_that_differ_in_case_travel_over_a_disk() {
        let file = || MemoryNode::Regular { executable: false, contents: b"x".to_vec() };
        let folder = MemoryNode::directory([("a", file()), ("A", file())]);
        let tree = MemoryTree::new(MemoryNode::directory([
            ("Foo", file()),
            ("foo", folder),
            ("FOO", file()),
            ("Foo2", file()),
        ]));
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("out");
        let all = &mut |_: &TreePath, _| Ok(true);
        let mut sink = CaseHackSink::new(Restorer::new(&root, RestoreOptions::default()));
        walk(&tree, &TreePath::root(), all, &mut sink).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["FOO", "Foo2", "Foo~nix~case~hack~1", "foo~nix~case~hack~2"]);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        nar::dump(&tree, &TreePath::root(), all, &mut before).unwrap();
        let accessor = CaseHackAccessor::new(DiskAccessor::new(&root));
        nar::dump(&accessor, &TreePath::root(), all, &mut after).unwrap();
        assert_eq!(before, after);
        std::fs::write(root.join("FOO~nix~case~hack~3"), "").unwrap();
        let again = nar::dump(&accessor, &TreePath::root(), all, &mut Vec::new());
        assert!(matches!(again, Err(Error::NameCollision(_))));
        // A tree may bring such an ending itself.
        let tree = MemoryTree::new(MemoryNode::directory([
            ("Test", file()),
            ("Test~nix~case~hack~1", file()),
            ("test", file()),
        ]));
        let mut sink = CaseHackSink::new(Restorer::new(place.path().join("two"), RestoreOptions::default()));
        let error = walk(&tree, &TreePath::root(), all, &mut sink).unwrap_err().to_string();
        assert!(error.contains("'test' that collides with case-hacked file name 'Test~nix~case~hack~1'"), "{error}");
    }
}
