//! What evaluation made and is to be written together.
//!
//! Derivations, what they refer to, and small sources wait here with their bytes until somebody needs them in the store.
//! Whether a path waits is asked for every path that evaluation looks at, so paths are kept by hash. What is being written
//! still waits, until it is known to be there; what could not be written waits on. Absent on purpose: writing.

use rustc_hash::FxHashMap;
use store::TreeObject;
use store_model::derivation::TextObject;
use store_model::{Hash, HashAlgorithm, StorePath};

/// A text that waits; hashed only when it is written.
pub(crate) struct PendingText {
    /// Its path, which follows from the rest.
    pub(crate) path: StorePath,
    /// Its bytes.
    pub(crate) contents: Vec<u8>,
    /// What it refers to.
    pub(crate) references: Vec<StorePath>,
}

/// Objects on their way into the store.
pub(crate) struct Batch {
    /// Sources.
    pub(crate) trees: Vec<TreeObject>,
    /// Derivations and other texts.
    pub(crate) texts: Vec<TextObject>,
}

/// Where something is that waits.
enum Place {
    Text(usize),
    Tree,
    /// In the batch that is being written.
    Leaving,
    /// Nowhere: it is never written.
    Mentioned,
}

/// What waits, in the order in which it came, which puts references first.
#[derive(Default)]
pub(crate) struct PendingObjects {
    texts: Vec<PendingText>,
    trees: Vec<TreeObject>,
    /// Bytes of the trees.
    size: usize,
    places: FxHashMap<StorePath, Place>,
}

impl PendingObjects {
    /// Adds a text, once.
    pub(crate) fn add_text(&mut self, text: PendingText) {
        if !self.holds(&text.path) {
            self.places.insert(text.path.clone(), Place::Text(self.texts.len()));
            self.texts.push(text);
        }
    }

    /// Adds a tree, once; tells how many bytes of trees wait now.
    pub(crate) fn add_tree(&mut self, tree: TreeObject) -> usize {
        if !self.holds(&tree.path) {
            self.places.insert(tree.path.clone(), Place::Tree);
            self.size += tree.archive.len();
            self.trees.push(tree);
        }
        self.size
    }

    /// Notes a path that is never written, where nothing may be: its text is not kept, as nobody can read it.
    pub(crate) fn mention(&mut self, path: StorePath) {
        self.places.entry(path).or_insert(Place::Mentioned);
    }

    /// Whether a path waits, or would.
    pub(crate) fn holds(&self, path: &StorePath) -> bool {
        self.places.contains_key(path)
    }

    /// The bytes of a text that waits and is not being written.
    pub(crate) fn text(&self, path: &StorePath) -> Option<&[u8]> {
        match self.places.get(path)? {
            Place::Text(at) => Some(&self.texts[*at].contents),
            Place::Tree | Place::Leaving | Place::Mentioned => None,
        }
    }

    /// Takes everything out, to be written by one thread at a time; `None` if nothing waits.
    pub(crate) fn begin(&mut self) -> Option<Batch> {
        if self.places.is_empty() {
            return None;
        }
        self.places.values_mut().for_each(|place| *place = Place::Leaving);
        self.size = 0;
        let texts = std::mem::take(&mut self.texts).into_iter().map(PendingText::into_object).collect();
        Some(Batch { trees: std::mem::take(&mut self.trees), texts })
    }

    /// The batch is in the store: nothing of it waits any more.
    pub(crate) fn written(&mut self) {
        self.places.retain(|_, place| !matches!(place, Place::Leaving));
    }

    /// The batch could not be written: it waits again, before what has come since.
    pub(crate) fn put_back(&mut self, batch: Batch) {
        self.written();
        let since = std::mem::take(self);
        for object in batch.texts {
            let TextObject { path, contents, references, .. } = object;
            self.add_text(PendingText { path, contents, references: references.into_iter().collect() });
        }
        batch.trees.into_iter().chain(since.trees).for_each(|tree| {
            self.add_tree(tree);
        });
        since.texts.into_iter().for_each(|text| self.add_text(text));
    }
}

impl PendingText {
    fn into_object(self) -> TextObject {
        let PendingText { path, contents, references } = self;
        let hash = Hash::of(HashAlgorithm::Sha256, &contents);
        TextObject { path, contents, references: references.into_iter().collect(), hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store_model::{ContentAddress, ContentAddressMethod};

    fn path(n: u8) -> StorePath {
        StorePath::from_parts([n; 20], "x").unwrap()
    }

    fn text(n: u8) -> PendingText {
        PendingText { path: path(n), contents: vec![n], references: vec![path(n + 1)] }
    }

    fn tree(n: u8, size: usize) -> TreeObject {
        let hash = Hash::of(HashAlgorithm::Sha256, b"x");
        let address = ContentAddress { method: ContentAddressMethod::NixArchive, hash };
        TreeObject { path: path(n), address, archive: vec![n; size] }
    }

    #[test]
    fn what_is_being_written_still_waits() {
        let mut pending = PendingObjects::default();
        assert!(pending.begin().is_none());
        pending.add_text(text(1));
        pending.add_text(text(1));
        assert_eq!(
            (pending.add_tree(tree(2, 10)), pending.add_tree(tree(2, 10)), pending.add_tree(tree(3, 1))),
            (10, 10, 11)
        );
        assert_eq!(pending.text(&path(1)), Some(&[1][..]));
        let batch = pending.begin().unwrap();
        assert_eq!((batch.texts.len(), batch.trees.len()), (1, 2));
        assert!((1..4).all(|n| pending.holds(&path(n))) && pending.text(&path(1)).is_none());
        assert_eq!(pending.add_tree(tree(4, 5)), 5);
        pending.written();
        assert!((1..4).all(|n| !pending.holds(&path(n))) && pending.holds(&path(4)));
    }

    #[test]
    fn what_could_not_be_written_waits_on() {
        let mut pending = PendingObjects::default();
        pending.add_text(text(1));
        pending.add_tree(tree(2, 10));
        let batch = pending.begin().unwrap();
        pending.add_text(text(5));
        pending.put_back(batch);
        assert_eq!((pending.text(&path(1)), pending.text(&path(5))), (Some(&[1][..]), Some(&[5][..])));
        assert_eq!(pending.add_tree(tree(2, 10)), 10);
        let batch = pending.begin().unwrap();
        assert_eq!(batch.texts.iter().map(|text| text.path.clone()).collect::<Vec<_>>(), [path(1), path(5)]);
        assert_eq!((batch.texts[0].references.len(), batch.trees.len()), (1, 1));
    }
}
