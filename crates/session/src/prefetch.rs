//! Sources before they are built with: downloaded, added to the store, and hashed.
//!
//! Source of the rules: `src/nix/prefetch.cc`. Absent: what is fetched during evaluation (`fetching.rs`).

use std::path::Path;
use std::sync::Arc;

use activity::Activity;
use fetchers::{Fetcher, PlainFile, Url};
use file_tree::{SourceAccessor, TreePath};
use store::{AddTree, Store as _, WritableStore as _, WriteOptions};
use store_model::{ContentAddressMethod, Hash, HashAlgorithm, References, StorePath};

use crate::error::SessionError;
use crate::fetching::mismatch;
use crate::mirrors::mirrors_of_user;
use crate::session::Session;

/// What is to be fetched.
#[derive(Clone, Debug)]
pub struct Prefetch {
    /// Where it is; `mirror://NAME/PATH` at the first place of the mirror that has it.
    pub url: String,
    /// Its name in the store; the last part of the URL by default.
    pub name: Option<String>,
    /// How it is hashed.
    pub algorithm: HashAlgorithm,
    /// The hash that it must have. The object that has it already is not fetched.
    pub expected: Option<Hash>,
    /// It is an archive, whose contents are wanted.
    pub unpack: bool,
    /// It is to be executable.
    pub executable: bool,
}

impl Session {
    /// Brings a source into the store; tells its path, and the hash by which a derivation may demand it.
    ///
    /// # Errors
    /// A URL without a name, a download that fails, another hash than the expected one, and what the store says.
    pub fn prefetch(
        self: &Arc<Self>,
        activity: &Activity,
        request: &Prefetch,
    ) -> Result<(StorePath, Hash), SessionError> {
        let recursive = request.unpack || request.executable;
        let method = if recursive { ContentAddressMethod::NixArchive } else { ContentAddressMethod::Flat };
        let name = match &request.name {
            Some(name) => name.clone(),
            None => name_of(&request.url)?,
        };
        store_model::store_path::check_name(&name)?;
        let store = self.store(activity)?;
        let algorithm = request.expected.map_or(request.algorithm, |hash| hash.algorithm());
        if let Some(hash) = request.expected {
            let path = self.store_dir().fixed_output_path(method, &hash, &name, &References::default())?;
            if !store.valid_paths(activity, std::slice::from_ref(&path))?.is_empty() {
                return Ok((path, hash));
            }
        }
        let settings = &self.settings;
        let mirrors = mirrors_of_user(&settings.around, Path::new("/"), settings.list("hashed-mirrors"));
        let places = mirrors.expand(&request.url).map_err(fetchers::Error::from)?;
        let fetcher = Fetcher::new(crate::fetching::options(settings), self.transfer());
        let bytes = fetcher.download_anew(activity, &places)?;
        let add = |accessor: &dyn SourceAccessor, path: &TreePath| {
            let references = References::default();
            let filter = &mut |_: &TreePath, _| Ok(true);
            let mut tree = AddTree { name: &name, accessor, path, method, algorithm, references, filter };
            store.add_tree(activity, &mut tree, &WriteOptions::default())
        };
        let info = if request.unpack {
            let (tree, path) = fetcher.unpack_whole(activity, &request.url, bytes)?;
            add(&tree, &path)?
        } else {
            add(&PlainFile::new(bytes, request.executable)?, &TreePath::root())?
        };
        let hash = info.content_address.map_or(info.nar_hash, |address| address.hash);
        match request.expected {
            Some(expected) if expected != hash => Err(mismatch(&request.url, &expected, &hash).into()),
            _ => Ok((info.path, hash)),
        }
    }
}

/// The last part of a URL's path.
fn name_of(url: &str) -> Result<String, SessionError> {
    let parsed = Url::parse(url)?;
    let last = parsed.path.iter().rev().find(|part| !part.is_empty());
    last.cloned().ok_or_else(|| fetchers::Error::BadUrl(format!("cannot figure out file name for '{url}'")).into())
}
