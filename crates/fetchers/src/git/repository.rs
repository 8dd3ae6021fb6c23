//! One repository, read: references, commits, submodules.

use std::collections::HashSet;
use std::path::Path;
use std::str::FromStr as _;

use activity::Activity;
use gix::ObjectId;
use gix::bstr::{BStr, BString, ByteSlice as _};
use gix::objs::Kind;
use store_model::Hash;

use crate::error::{Error, Result};

/// A submodule as `.gitmodules` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submodule {
    /// Its place in the tree.
    pub(super) path: Vec<u8>,
    pub(super) url: String,
    /// Empty where none is named; `.` is that of the tree around it.
    pub(super) branch: String,
}

/// A repository.
pub(super) struct Repository {
    pub(super) inner: gix::Repository,
}

impl Repository {
    pub(super) fn open(path: &Path) -> Result<Repository> {
        if !path.exists() {
            return Err(Error::Git(format!("Git repository \"{}\" does not exist.", path.display())));
        }
        let shown = path.display();
        let opened = gix::open_opts(path, gix::open::Options::default());
        let inner = opened.map_err(|error| Error::Git(format!("opening Git repository \"{shown}\": {error}")))?;
        // Its configuration could make us do what its owner wants (`safe.directory` says otherwise).
        if inner.git_dir_trust() != gix::sec::Trust::Full {
            return Err(Error::Denied(format!(
                "opening Git repository \"{shown}\": repository path '{shown}' is not owned by current user \
                 (libgit2 error code = 7)"
            )));
        }
        Ok(Repository { inner })
    }

    /// The branch that `HEAD` names, whether it has commits or not; `None` if it names a commit.
    pub(super) fn head_ref(&self) -> Result<Option<String>> {
        let head = self.inner.head().map_err(|error| Error::Git(format!("looking up HEAD: {error}")))?;
        Ok(head.referent_name().map(|name| name.as_bstr().to_str_lossy().into_owned()))
    }

    /// The commit that is checked out, if there is one.
    pub(super) fn head_id(&self) -> Result<Option<ObjectId>> {
        let head = self.inner.head().map_err(|error| Error::Git(format!("resolving HEAD: {error}")))?;
        Ok(head.id().map(|id| id.detach()))
    }

    /// The commit that a branch, tag or other reference leads to.
    pub(super) fn resolve(&self, name: &str) -> Result<ObjectId> {
        let spec = format!("{name}^{{commit}}");
        let found = self.inner.rev_parse_single(BStr::new(spec.as_bytes()));
        found.map(|id| id.detach()).map_err(|_| {
            let message = "(libgit2 error code = 4)";
            Error::Git(format!("resolving Git reference '{name}': revspec '{name}' not found {message}"))
        })
    }

    pub(super) fn has(&self, id: ObjectId) -> bool {
        self.inner.has_object(id)
    }

    pub(super) fn is_shallow(&self) -> Result<bool> {
        self.inner.is_shallow().map_err(git_error)
    }

    fn commit(&self, id: ObjectId) -> Result<gix::Commit<'_>> {
        let object = self.inner.find_object(id).map_err(|_| {
            Error::Git(format!(
                "getting Git object '{id}': object not found - no match for id ({id}) (libgit2 error code = 9)"
            ))
        })?;
        let commit = object.peel_to_kind(Kind::Commit).map_err(git_error)?;
        Ok(commit.into_commit())
    }

    /// When a commit was made, in seconds since 1970.
    pub(super) fn last_modified(&self, id: ObjectId) -> Result<u64> {
        let time = self.commit(id)?.time().map_err(git_error)?;
        Ok(u64::try_from(time.seconds).unwrap_or(0))
    }

    /// How many commits there are up to this one.
    pub(super) fn rev_count(&self, activity: &Activity, id: ObjectId) -> Result<u64> {
        let start = self.commit(id)?.id;
        let mut seen = HashSet::from([start]);
        let mut open = vec![start];
        while let Some(next) = open.pop() {
            activity.check()?;
            for parent in self.commit(next)?.parent_ids() {
                let parent = parent.detach();
                if seen.insert(parent) {
                    open.push(parent);
                }
            }
        }
        Ok(seen.len() as u64)
    }

    /// The tree of a commit.
    pub(super) fn tree_of(&self, id: ObjectId) -> Result<gix::Tree<'_>> {
        self.commit(id)?.tree().map_err(git_error)
    }

    /// A submodule's URL, if it is relative seen from where this repository came from.
    pub(super) fn submodule_url(&self, url: &str) -> Result<String> {
        if !url.starts_with("./") && !url.starts_with("../") {
            if url.contains(':') || url.starts_with('/') {
                return Ok(url.to_owned());
            }
            return Err(Error::Git(format!("resolving Git submodule URL '{url}'")));
        }
        let origin = self.inner.config_snapshot().string("remote.origin.url").map(|url| url.to_string());
        let own = || self.inner.workdir().unwrap_or(self.inner.git_dir()).to_string_lossy().into_owned();
        let base = origin.unwrap_or_else(own);
        let mut base = base.trim_end_matches('/');
        let mut rest = url;
        loop {
            if let Some(next) = rest.strip_prefix("./") {
                rest = next;
            } else if let Some(next) = rest.strip_prefix("../") {
                rest = next;
                base = base.rfind(['/', ':']).map_or("", |at| &base[..at]);
            } else {
                return Ok(format!("{base}/{rest}"));
            }
        }
    }
}

/// The submodules of a `.gitmodules` file. A name without path is none.
pub(super) fn submodules(text: &[u8]) -> Result<Vec<Submodule>> {
    let text = String::from_utf8_lossy(text);
    let file =
        gix::config::File::from_str(&text).map_err(|error| Error::Git(format!("parsing .gitmodules file: {error}")))?;
    let mut found = Vec::new();
    let Some(sections) = file.sections_by_name("submodule") else { return Ok(found) };
    for section in sections {
        let value = |name: &str| section.value(name).map(|value: BString| value.to_string());
        let Some(path) = value("path") else { continue };
        found.push(Submodule {
            path: file_tree::TreePath::normalise(path.as_bytes()).as_bytes().to_vec(),
            url: value("url").unwrap_or_default(),
            branch: value("branch").unwrap_or_default(),
        });
    }
    Ok(found)
}

/// What `gix` says.
pub(super) fn git_error(error: impl std::fmt::Display) -> Error {
    Error::Git(format!("reading a Git repository: {error}"))
}

/// A revision as `gix` has it.
pub(super) fn object_id(rev: &Hash) -> ObjectId {
    ObjectId::try_from(rev.digest()).unwrap_or(ObjectId::null(gix::hash::Kind::Sha1))
}
