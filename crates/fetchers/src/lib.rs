//! Sources from where they live: files, archives, repositories.
//!
//! An [`InputRef`] says what is meant, as attributes or a URL (`syntax/`). A [`Fetcher`] brings it into a [`Depot`], a store
//! as this crate sees it, and answers with the input locked: revision, times, hash. `cache.rs` remembers what came before.
//!
//! Absent: the store itself, settings, the restrictions of pure evaluation (the evaluator's), lock files of flakes.

mod cache;
mod depot;
mod download;
mod error;
mod fetch;
mod git;
mod mercurial;
mod options;
mod path;
mod program;
mod registry;
mod syntax;
mod tarball;

pub use cache::FetchCache;
pub use depot::{Depot, Kept};
pub use error::{Error, ErrorClass, Result};
pub use fetch::{Fetched, Fetcher};
pub use options::FetchOptions;
pub use registry::{Asked, Registries, Registry};
pub use syntax::attributes::{Attribute, Attributes};
pub use syntax::input::{InputRef, InputRules, Scheme};
pub use syntax::reference::FlakeRef;
pub use syntax::url::{Authority, Url, git_url};
pub use tarball::PlainFile;
