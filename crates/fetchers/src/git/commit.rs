//! A revision of a repository.

use std::collections::BTreeMap;
use std::path::PathBuf;

use activity::Activity;
use file_tree::SourceAccessor;
use gix::ObjectId;
use store_model::Hash;

use super::repository::{Repository, Submodule, object_id, submodules};
use super::tree::CommitTree;
use super::view::Mounted;
use super::{Place, Wishes};
use crate::cache::Key;
use crate::depot::{Depot, Kept};
use crate::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::syntax::attributes::Attributes;
use crate::syntax::input::InputRef;

/// A revision that is there.
pub(super) struct Revision {
    folder: PathBuf,
    rev: ObjectId,
    /// The branch or tag it was found by.
    reference: String,
    wishes: Wishes,
}

impl Fetcher {
    /// Finds the revision that an input means, fetching it if need be, and tells the input what is known of it.
    pub(super) fn revision(
        &self,
        activity: &Activity,
        place: &Place,
        input: &mut InputRef,
        wishes: Wishes,
    ) -> Result<Revision> {
        let given = input.text("ref")?.map(str::to_owned);
        let reference = match &given {
            Some(reference) => reference.clone(),
            None => self.default_ref(activity, place, wishes)?,
        };
        input.set("ref", reference.clone());
        let wanted = input.rev()?.map(|rev| object_id(&rev));
        let (folder, rev) = match place {
            Place::Local(folder) => {
                let rev = match wanted {
                    Some(rev) => rev,
                    None => Repository::open(folder)?.resolve(&reference)?,
                };
                (folder.clone(), rev)
            }
            Place::Remote(url) => {
                let named = (reference.as_str(), given.is_some());
                self.fetch_revision(activity, &url.print(), named, wanted, wishes)?
            }
        };
        input.set("rev", rev.to_string());
        let repository = Repository::open(&folder)?;
        if repository.is_shallow()? && !wishes.shallow {
            return Err(Error::Git(format!(
                "'{}' is a shallow Git repository, but shallow repositories are only allowed when \
                 `shallow = true;` is specified",
                place.shown()
            )));
        }
        input.set("lastModified", self.last_modified(&repository, rev)?);
        if !wishes.shallow {
            input.set("revCount", self.rev_count(activity, &repository, rev)?);
        }
        Ok(Revision { folder, rev, reference, wishes })
    }

    /// The branch to take where none is named.
    fn default_ref(&self, activity: &Activity, place: &Place, wishes: Wishes) -> Result<String> {
        let head = match place {
            Place::Local(folder) => Repository::open(folder)?.head_ref()?,
            Place::Remote(url) => self.remote_head(activity, &url.print(), wishes.shallow)?,
        };
        Ok(head.unwrap_or_else(|| {
            activity.warn(&format!("could not read HEAD ref from repo at '{}', using 'master'", place.shown()));
            "master".to_owned()
        }))
    }

    pub(super) fn last_modified(&self, repository: &Repository, rev: ObjectId) -> Result<u64> {
        self.remembered("gitLastModified", rev, || repository.last_modified(rev))
    }

    pub(super) fn rev_count(&self, activity: &Activity, repository: &Repository, rev: ObjectId) -> Result<u64> {
        self.remembered("gitRevCount", rev, || repository.rev_count(activity, rev))
    }

    /// A number that a revision has for ever.
    fn remembered(&self, what: &str, rev: ObjectId, find: impl FnOnce() -> Result<u64>) -> Result<u64> {
        let key = Key::new(what, &[&rev.to_string()]);
        if let Some(number) = self.cache.look_up(&key).and_then(|fact| fact.number("number")) {
            return Ok(number);
        }
        let number = find()?;
        self.cache.remember(&key, &[("number", Some(number.into()))])?;
        Ok(number)
    }

    /// The tree in the store, if it came before and is there.
    pub(super) fn known_tree(
        &self,
        activity: &Activity,
        depot: &dyn Depot,
        revision: &Revision,
        name: &str,
    ) -> Result<Option<Kept>> {
        let fact = self.cache.look_up(&revision.key());
        match fact.as_ref().and_then(|fact| Hash::parse_sri(fact.text("narHash")?).ok()) {
            Some(hash) => depot.find_tree(activity, name, &hash),
            None => Ok(None),
        }
    }

    pub(super) fn remember_tree(&self, revision: &Revision, kept: &Kept) -> Result<()> {
        self.cache.remember(&revision.key(), &[("narHash", Some(kept.nar_hash.to_sri().into()))])
    }

    /// The tree of a revision, with its submodules if they are wanted.
    pub(super) fn commit_tree(&self, activity: &Activity, revision: &Revision) -> Result<Box<dyn SourceAccessor>> {
        let repository = Repository::open(&revision.folder)?;
        let tree = CommitTree::read(activity, &repository, revision.rev, revision.wishes.export_ignore)?;
        if revision.wishes.lfs && tree.uses_lfs()? {
            return Err(Error::Unsupported("fetching Git LFS files is not there yet".to_owned()));
        }
        if !revision.wishes.submodules {
            return Ok(Box::new(tree));
        }
        let file = file_tree::TreePath::normalise(b".gitmodules");
        let named = match tree.stat(&file)? {
            Some(_) => submodules(&tree.read_file(&file)?)?,
            None => Vec::new(),
        };
        let mut mounts = BTreeMap::new();
        for submodule in named {
            // What the file names but the tree does not have is no submodule.
            let Some(rev) = tree.submodule(&submodule.path) else { continue };
            let mut input = self.submodule_input(&repository, &submodule, rev, revision)?;
            let mounted = self
                .git_tree(activity, &mut input)
                .map_err(|error| Error::While { input: input.print().unwrap_or_default(), source: Box::new(error) })?;
            mounts.insert(submodule.path, mounted);
        }
        Ok(Box::new(Mounted { root: Box::new(tree), mounts }))
    }

    fn submodule_input(
        &self,
        repository: &Repository,
        submodule: &Submodule,
        rev: ObjectId,
        around: &Revision,
    ) -> Result<InputRef> {
        let mut attributes = Attributes::new();
        let mut set = |name: &str, value| attributes.insert(name.to_owned(), value);
        set("type", "git".into());
        set("url", repository.submodule_url(&submodule.url)?.into());
        match submodule.branch.as_str() {
            "" => None,
            "." => set("ref", around.reference.as_str().into()),
            branch => set("ref", branch.into()),
        };
        set("rev", rev.to_string().into());
        set("exportIgnore", around.wishes.export_ignore.into());
        set("submodules", true.into());
        set("allRefs", true.into());
        InputRef::from_attributes(attributes, self.options.rules)
    }
}

impl Revision {
    /// What fixes the tree.
    fn key(&self) -> Key {
        let Wishes { submodules, export_ignore, lfs, .. } = self.wishes;
        // Attributes of a work tree may hide files of a commit, so such a tree is not fixed by its revision alone.
        let place = if export_ignore { self.folder.to_string_lossy().into_owned() } else { String::new() };
        Key::new("gitTree", &[&self.rev.to_string(), &format!("{submodules} {export_ignore} {lfs}"), &place])
    }
}
