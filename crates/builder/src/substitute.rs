//! Where outputs may come from instead of being built: declared here, without a source yet.
//!
//! A substituter is asked in bulk before anything is planned to be built, and copies one path at a time, whose references
//! are valid by then. The binary cache's client and other stores will implement it.

use activity::Activity;
use store_model::{PathInfo, StorePath};

use crate::error::Result;

/// A store that holds what others built.
pub trait Substituter: Send + Sync {
    /// What it knows about each path, in the order of the question, with the bytes that fetching it takes.
    ///
    /// # Errors
    /// An answer that cannot be had now; the path is then built.
    fn query(&self, activity: &Activity, paths: &[StorePath]) -> Result<Vec<Option<(PathInfo, u64)>>>;

    /// Makes one path valid here. Its references are valid.
    ///
    /// # Errors
    /// A path that could not be fetched or does not prove itself.
    fn substitute(&self, activity: &Activity, info: &PathInfo) -> Result<()>;
}
