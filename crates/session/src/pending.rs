//! Texts that evaluation made and that are to be written together.
//!
//! Derivations and what they refer to wait here until somebody needs them in the store. Whether a path waits is asked for
//! every path that evaluation looks at, so paths are kept by hash. Absent on purpose: writing.

use std::collections::HashMap;

use store_model::derivation::TextObject;
use store_model::{Hash, HashAlgorithm, StorePath};

/// A text that waits; hashed only when it is written.
pub(crate) struct Pending {
    /// Its path, which follows from the rest.
    pub(crate) path: StorePath,
    /// Its bytes.
    pub(crate) contents: Vec<u8>,
    /// What it refers to.
    pub(crate) references: Vec<StorePath>,
}

/// What waits, in the order in which it came, which puts references first.
#[derive(Default)]
pub(crate) struct PendingTexts {
    texts: Vec<Pending>,
    places: HashMap<StorePath, usize>,
}

impl PendingTexts {
    /// Adds a text, once.
    pub(crate) fn add(&mut self, text: Pending) {
        if let std::collections::hash_map::Entry::Vacant(place) = self.places.entry(text.path.clone()) {
            place.insert(self.texts.len());
            self.texts.push(text);
        }
    }

    /// Whether a path waits.
    pub(crate) fn holds(&self, path: &StorePath) -> bool {
        self.places.contains_key(path)
    }

    /// The bytes of a path that waits.
    pub(crate) fn contents(&self, path: &StorePath) -> Option<&[u8]> {
        self.places.get(path).map(|at| &*self.texts[*at].contents)
    }

    /// Takes everything out, to be written.
    pub(crate) fn take(&mut self) -> Vec<TextObject> {
        self.places.clear();
        std::mem::take(&mut self.texts).into_iter().map(Pending::into_object).collect()
    }
}

impl Pending {
    fn into_object(self) -> TextObject {
        let Pending { path, contents, references } = self;
        let hash = Hash::of(HashAlgorithm::Sha256, &contents);
        TextObject { path, contents, references: references.into_iter().collect(), hash }
    }
}
