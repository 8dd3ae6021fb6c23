//! Trees seen through others: only what is tracked, and trees mounted in a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use file_tree::{Contents, FileType, Metadata, SourceAccessor, TreePath};

type Result<T> = std::result::Result<T, file_tree::Error>;

/// A tree of which only some paths are seen: those listed, what is above them, and what is below them; but nothing that
/// is hidden, nor what is below it.
pub(super) struct Listed<A> {
    pub(super) inner: A,
    pub(super) paths: BTreeSet<Vec<u8>>,
    pub(super) hidden: BTreeSet<Vec<u8>>,
}

impl<A: SourceAccessor> Listed<A> {
    fn shows(&self, path: &TreePath) -> bool {
        let bytes = path.as_bytes();
        if self.hidden.contains(bytes) {
            return false;
        }
        if path.is_root() || self.paths.contains(bytes) {
            return true;
        }
        let below = [bytes, b"/"].concat();
        let mut after = self.paths.range::<[u8], _>((Bound::Included(below.as_slice()), Bound::Unbounded));
        if after.next().is_some_and(|next| next.starts_with(&below)) {
            return true;
        }
        let mut above = path.clone();
        loop {
            above.pop();
            if above.is_root() {
                return false;
            }
            if self.paths.contains(above.as_bytes()) {
                return true;
            }
        }
    }

    fn check(&self, path: &TreePath) -> Result<()> {
        if self.shows(path) { Ok(()) } else { Err(file_tree::Error::NotFound(self.show(path))) }
    }
}

impl<A: SourceAccessor> SourceAccessor for Listed<A> {
    fn stat(&self, path: &TreePath) -> Result<Option<Metadata>> {
        if self.shows(path) { self.inner.stat(path) } else { Ok(None) }
    }

    fn open(&self, path: &TreePath) -> Result<Contents<'_>> {
        self.check(path)?;
        self.inner.open(path)
    }

    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>> {
        self.check(path)?;
        let mut entries = self.inner.read_dir(path)?;
        entries.retain(|(name, _)| path.join(name).is_ok_and(|path| self.shows(&path)));
        Ok(entries)
    }

    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>> {
        self.check(path)?;
        self.inner.read_link(path)
    }

    fn show(&self, path: &TreePath) -> String {
        self.inner.show(path)
    }
}

/// A tree in whose folders other trees are mounted.
pub(super) struct Mounted {
    pub(super) root: Box<dyn SourceAccessor>,
    pub(super) mounts: BTreeMap<Vec<u8>, Box<dyn SourceAccessor>>,
}

impl Mounted {
    /// The tree that a path is in, and the path in it.
    fn at(&self, path: &TreePath) -> (&dyn SourceAccessor, TreePath) {
        let mut place = path.clone();
        while !place.is_root() {
            if let Some(mount) = self.mounts.get(place.as_bytes()) {
                return (&**mount, TreePath::normalise(&path.as_bytes()[place.as_bytes().len()..]));
            }
            place.pop();
        }
        (&*self.root, path.clone())
    }
}

impl SourceAccessor for Mounted {
    fn stat(&self, path: &TreePath) -> Result<Option<Metadata>> {
        let (tree, path) = self.at(path);
        tree.stat(&path)
    }

    fn open(&self, path: &TreePath) -> Result<Contents<'_>> {
        let (tree, path) = self.at(path);
        tree.open(&path)
    }

    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>> {
        let (tree, path) = self.at(path);
        tree.read_dir(&path)
    }

    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>> {
        let (tree, path) = self.at(path);
        tree.read_link(&path)
    }

    fn show(&self, path: &TreePath) -> String {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use file_tree::{MemoryNode, MemoryTree};

    fn names(tree: &dyn SourceAccessor, path: &str) -> Vec<String> {
        let entries = tree.read_dir(&TreePath::normalise(path.as_bytes())).unwrap();
        entries.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect()
    }

    fn tree() -> MemoryTree {
        let file = || MemoryNode::file("x");
        MemoryTree::new(MemoryNode::directory([
            ("a", MemoryNode::directory([("b", file()), ("c", file())])),
            ("a.b", file()),
            ("d", MemoryNode::directory([("e", file())])),
            ("f", file()),
        ]))
    }

    #[test]
    fn only_listed_paths_are_seen() {
        let (paths, hidden) = ([b"a/b".to_vec(), b"d".to_vec()].into(), BTreeSet::new());
        let mut listed = Listed { inner: tree(), paths, hidden };
        assert_eq!(names(&listed, ""), ["a", "d"]);
        assert_eq!(names(&listed, "a"), ["b"]);
        assert_eq!(names(&listed, "d"), ["e"]);
        assert!(listed.stat(&TreePath::normalise(b"a.b")).unwrap().is_none());
        assert!(listed.open(&TreePath::normalise(b"a/c")).is_err());
        listed.hidden = [b"a/b".to_vec(), b"d".to_vec()].into();
        assert_eq!(names(&listed, ""), ["a"]);
        assert!(names(&listed, "a").is_empty());
    }

    #[test]
    fn mounts_hide_what_they_stand_on() {
        let mounts = [(b"a".to_vec(), Box::new(tree()) as Box<dyn SourceAccessor>)].into();
        let mounted = Mounted { root: Box::new(tree()), mounts };
        assert_eq!(names(&mounted, "a"), ["a", "a.b", "d", "f"]);
        assert_eq!(names(&mounted, "a/d"), ["e"]);
        assert_eq!(names(&mounted, "d"), ["e"]);
    }
}
