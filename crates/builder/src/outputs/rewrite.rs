//! Puts an output right that was written under another path than its own.
//!
//! Without isolation a path that is valid already cannot be written again, so such outputs are built under paths that only
//! this build knows, and every mention of those in the results is replaced afterwards. Both have the same length.

use std::io::{Seek, Write};
use std::path::Path;

use activity::{Activity, Watched};
use file_tree::{RestoreOptions, Restorer, read_nar};
use store_model::{HashRewriter, StorePath};

use crate::error::{Error, IoContext, Result};
use crate::remove::remove_tree;

/// Rewrites the tree at `path` in place, through a copy beside it.
pub(crate) fn rewrite(activity: &Activity, path: &Path, rewrites: &[(StorePath, StorePath)]) -> Result<()> {
    let mut archive = tempfile::tempfile().io("creating a temporary file beside", path)?;
    let rewriter = HashRewriter::new(rewrites.iter().map(|(from, to)| (from, to)), &mut archive);
    let mut watched = Watched::new(activity, rewriter);
    file_tree::nar::dump_path(path, &mut watched).map_err(Error::from)?;
    watched.into_inner().finish().and_then(|file| file.flush()).io("rewriting", path)?;
    archive.rewind().io("rewriting", path)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let copy = Path::new(&name);
    remove_tree(copy).io("removing", copy)?;
    let mut restorer = Restorer::new(copy, RestoreOptions { canonical: true });
    read_nar(&mut std::io::BufReader::new(archive), &mut restorer).map_err(Error::from)?;
    remove_tree(path).io("removing", path)?;
    std::fs::rename(copy, path).io("renaming", copy)
}

/// The path that an output is written to whose own path follows from what is written.
pub(crate) fn unknown_path(derivation: &StorePath, drv_name: &str, output: &str) -> Result<StorePath> {
    let text = format!("firn-rewrite:{}:name:{output}", derivation.as_str());
    let hash = store_model::Hash::of(store_model::HashAlgorithm::Sha256, text.as_bytes());
    let name = store_model::store_dir::output_path_name(drv_name, output);
    Ok(StorePath::from_parts(store_model::hash::compress(hash.digest()), &name)?)
}

/// A path that only this build knows, of the same form as `path`.
pub(crate) fn scratch_path(derivation: &StorePath, path: &StorePath) -> StorePath {
    let text = format!("firn-rewrite:{}:{}", derivation.as_str(), path.as_str());
    let hash = store_model::Hash::of(store_model::HashAlgorithm::Sha256, text.as_bytes());
    // The name is that of a path, so it is valid.
    StorePath::from_parts(store_model::hash::compress(hash.digest()), path.name()).unwrap_or_else(|_| path.clone())
}
