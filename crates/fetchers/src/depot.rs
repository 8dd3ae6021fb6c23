//! Where fetched things are kept: what this crate needs of a store, and no more.

use std::path::PathBuf;

use activity::Activity;
use file_tree::{Filter, SourceAccessor};
use store_model::{ContentAddressMethod, Hash, References, StoreDir, StorePath};

use crate::error::Result;

/// A thing in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where.
    pub path: StorePath,
    /// The hash of its archive.
    pub nar_hash: Hash,
}

/// A store that keeps what is fetched.
pub trait Depot: Send + Sync {
    /// The store's logical folder.
    fn store_dir(&self) -> &StoreDir;

    /// What is at a path, which is rooted before it is looked at; `None` if nothing valid is.
    ///
    /// # Errors
    /// What the store says.
    fn find(&self, activity: &Activity, path: &StorePath) -> Result<Option<Kept>>;

    /// Puts the object at the root of an accessor into the store, by SHA-256.
    ///
    /// # Errors
    /// What the store, the accessor and the filter say.
    fn add(
        &self,
        activity: &Activity,
        name: &str,
        method: ContentAddressMethod,
        accessor: &dyn SourceAccessor,
        filter: &mut Filter<'_>,
    ) -> Result<Kept>;

    /// Where a store object lies on the disk.
    fn real_path(&self, path: &StorePath) -> PathBuf;

    /// The thing of this name and hash, if it is there.
    ///
    /// # Errors
    /// As [`Depot::find`], and for a name that no store path can have.
    fn find_tree(&self, activity: &Activity, name: &str, nar_hash: &Hash) -> Result<Option<Kept>> {
        let method = ContentAddressMethod::NixArchive;
        let path = self.store_dir().fixed_output_path(method, nar_hash, name, &References::default())?;
        self.find(activity, &path)
    }
}
