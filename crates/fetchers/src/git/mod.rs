//! Git repositories: a revision of one, or the work tree of one on this machine as it lies there.
//!
//! ```text
//! input ── place ──┬── work tree, nothing asked for: worktree.rs (what is tracked, what changed)
//!                  ├── repository on this machine:   commit.rs over repository.rs
//!                  └── anything else: remote.rs (a clone of our own, fetched by the git program), then commit.rs
//! ```
//!
//! What comes out is a tree to read (`tree.rs`, `view.rs`), with `export-ignore` applied (`ignore.rs`) and submodules
//! mounted. Objects, references, index and attributes are read by `gix`. Source: `src/libfetchers/git.cc`,
//! `git-utils.cc`. Absent: files kept by Git LFS and the check of signatures, which are
//! refused.

mod commit;
mod ignore;
mod remote;
mod repository;
mod tree;
mod view;
mod worktree;

use std::path::PathBuf;

use activity::Activity;
use file_tree::SourceAccessor;
use store_model::{ContentAddressMethod, HashAlgorithm};

use crate::depot::{Depot, Kept};
use crate::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::syntax::attributes;
use crate::syntax::git::public_keys;
use crate::syntax::input::InputRef;
use crate::syntax::url::Url;

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// On this machine, with a work tree.
    Local(PathBuf),
    /// Anywhere else, by URL.
    Remote(Url),
}

impl Place {
    fn of(activity: &Activity, input: &InputRef) -> Result<Place> {
        let mut url = Url::parse(attributes::string(input.attributes(), "url")?)?;
        if url.scheme == "file" {
            let path = url.file_path()?;
            let path = std::path::Path::new(&path);
            // A bare repository is fetched from, like one that is far away.
            if !path.exists() || path.join(".git").exists() {
                if !path.is_absolute() {
                    activity.warn(&format!(
                        "Fetching Git repository '{}', which uses a path relative to the current directory. \
                         This is not supported and will stop working in a future release. \
                         See https://github.com/NixOS/nix/issues/12281 for details.",
                        url.print()
                    ));
                }
                return Ok(Place::Local(std::path::absolute(path).map_err(Error::io("finding", path))?));
            }
            url.query.clear();
        }
        // Old lock files name the folder of the flake here too.
        url.query.remove("dir");
        Ok(Place::Remote(url))
    }

    /// As messages and the git program name it.
    fn shown(&self) -> String {
        match self {
            Place::Local(path) => path.display().to_string(),
            Place::Remote(url) => url.print(),
        }
    }
}

/// What of a tree is wanted besides its files.
#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    shallow: bool,
    submodules: bool,
    export_ignore: bool,
    all_refs: bool,
    lfs: bool,
}

impl Wishes {
    fn of(input: &InputRef) -> Result<Wishes> {
        if input.flag("verifyCommit")? || !public_keys(input.attributes())?.is_empty() {
            return Err(Error::Unsupported("verifying the signatures of Git commits is not there yet".to_owned()));
        }
        let wishes = Wishes {
            shallow: input.flag("shallow")?,
            submodules: input.flag("submodules")?,
            export_ignore: input.flag("exportIgnore")?,
            all_refs: input.flag("allRefs")?,
            lfs: input.flag("lfs")?,
        };
        if wishes.export_ignore && wishes.submodules {
            let message = "exportIgnore and submodules are not supported together yet";
            return Err(Error::Unsupported(message.to_owned()));
        }
        Ok(wishes)
    }
}

impl Fetcher {
    /// A tree of a Git repository, in the store; the input gets what is known of it.
    pub(crate) fn git(&self, activity: &Activity, depot: &dyn Depot, input: &mut InputRef, name: &str) -> Result<Kept> {
        let (place, wishes) = prepare(activity, input)?;
        let tree = if is_work_tree(&place, input)? {
            self.work_tree(activity, &place, input, wishes)?.0
        } else {
            let found = self.revision(activity, &place, input, wishes)?;
            if let Some(kept) = self.known_tree(activity, depot, &found, name)? {
                return Ok(kept);
            }
            let tree = self.commit_tree(activity, &found)?;
            let kept = add(activity, depot, name, &*tree)?;
            self.remember_tree(&found, &kept)?;
            return Ok(kept);
        };
        add(activity, depot, name, &*tree)
    }

    /// The same without a store, for a submodule. Whether the tree is that of a revision shows in the input.
    fn git_tree(&self, activity: &Activity, input: &mut InputRef) -> Result<Box<dyn SourceAccessor>> {
        let (place, wishes) = prepare(activity, input)?;
        if is_work_tree(&place, input)? {
            return Ok(self.work_tree(activity, &place, input, wishes)?.0);
        }
        let found = self.revision(activity, &place, input, wishes)?;
        self.commit_tree(activity, &found)
    }
}

fn prepare(activity: &Activity, input: &InputRef) -> Result<(Place, Wishes)> {
    if let Some(rev) = input.rev()?
        && rev.algorithm() != HashAlgorithm::Sha1
    {
        let message = format!(
            "Hash '{}:{}' is not supported by Git. Supported types are sha1 and sha256.",
            rev.algorithm(),
            rev.to_base16()
        );
        return Err(Error::Git(message));
    }
    let place = Place::of(activity, input)?;
    Ok((place, Wishes::of(input)?))
}

fn is_work_tree(place: &Place, input: &InputRef) -> Result<bool> {
    let nothing_asked = input.text("ref")?.is_none() && input.text("rev")?.is_none();
    Ok(nothing_asked && matches!(place, Place::Local(_)))
}

fn add(activity: &Activity, depot: &dyn Depot, name: &str, tree: &dyn SourceAccessor) -> Result<Kept> {
    depot.add(activity, name, ContentAddressMethod::NixArchive, tree, &mut |_, _| Ok(true))
}
