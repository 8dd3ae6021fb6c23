//! Names of outputs, and what is known by output. Nearly every derivation has one, and a plan holds many derivations, so
//! both are sorted lists: the first leaf of a tree would take the room of eleven.

use litemap::LiteMap;

/// The name of an output of a derivation, such as `out` or `dev`.
pub type OutputName = String;

/// What is known by output, in the order of names.
pub type OutputMap<V> = LiteMap<OutputName, V>;

/// A map of these entries in just the room that they need; of entries with the same key the last one stays.
pub(crate) fn compact<K: Ord, V>(entries: Vec<(K, V)>) -> LiteMap<K, V> {
    let mut entries = LiteMap::<K, V>::from_iter(entries).into_tuple_vec();
    entries.shrink_to_fit();
    LiteMap::from_sorted_store_unchecked(entries)
}

/// Names of outputs in order, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputNames(Vec<OutputName>);

impl OutputNames {
    /// Whether it has this name.
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_ok()
    }

    /// Adds a name that is not there yet.
    pub fn insert(&mut self, name: OutputName) {
        if let Err(place) = self.position(&name) {
            self.0.insert(place, name);
        }
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|one| one.as_str().cmp(name))
    }
}

impl std::ops::Deref for OutputNames {
    type Target = [OutputName];

    fn deref(&self) -> &[OutputName] {
        &self.0
    }
}

impl Extend<OutputName> for OutputNames {
    fn extend<I: IntoIterator<Item = OutputName>>(&mut self, names: I) {
        names.into_iter().for_each(|name| self.insert(name));
    }
}

impl FromIterator<OutputName> for OutputNames {
    fn from_iter<I: IntoIterator<Item = OutputName>>(names: I) -> Self {
        let mut sorted: Vec<OutputName> = names.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.shrink_to_fit();
        Self(sorted)
    }
}

impl<const N: usize> From<[OutputName; N]> for OutputNames {
    fn from(names: [OutputName; N]) -> Self {
        names.into_iter().collect()
    }
}

impl IntoIterator for OutputNames {
    type Item = OutputName;
    type IntoIter = std::vec::IntoIter<OutputName>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a OutputNames {
    type Item = &'a OutputName;
    type IntoIter = std::slice::Iter<'a, OutputName>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
