//! What `export-ignore` in `.gitattributes` leaves out of a tree.
//!
//! For a commit the attributes in the work tree and the index count before those in the commit itself, as libgit2 looks
//! them up for C++ Nix; for a work tree those in the index.

use gix::ObjectId;
use gix::bstr::BStr;
use gix::index::entry::Mode;
use gix::worktree::stack::state::attributes::Source;

use super::repository::{Repository, git_error};
use crate::error::Result;

const NAME: &str = "export-ignore";

/// Tells which paths are left out.
pub(super) struct ExportIgnore<'a> {
    /// Asked in their order; the first that says anything decides.
    stacks: Vec<gix::AttributeStack<'a>>,
}

impl<'a> ExportIgnore<'a> {
    /// For the tree of a commit.
    pub(super) fn of_commit(repository: &'a Repository, tree: ObjectId) -> Result<Self> {
        let repository = &repository.inner;
        let mut stacks = Vec::new();
        if repository.workdir().is_some() {
            let index = repository.index_or_empty().map_err(git_error)?;
            stacks.push(repository.attributes_only(&index, Source::WorktreeThenIdMapping).map_err(git_error)?);
        }
        let index = repository.index_from_tree(&tree).map_err(git_error)?;
        stacks.push(repository.attributes_only(&index, Source::IdMapping).map_err(git_error)?);
        Ok(Self { stacks })
    }

    /// For a work tree.
    pub(super) fn of_index(repository: &'a Repository) -> Result<Self> {
        let repository = &repository.inner;
        let index = repository.index_or_empty().map_err(git_error)?;
        let stack = repository.attributes_only(&index, Source::IdMapping).map_err(git_error)?;
        Ok(Self { stacks: vec![stack] })
    }

    /// Whether the object at a path is left out, and all below it.
    pub(super) fn hides(&mut self, path: &[u8], is_folder: bool) -> Result<bool> {
        let mode = if is_folder { Mode::DIR } else { Mode::FILE };
        for stack in &mut self.stacks {
            let mut found = stack.selected_attribute_matches([NAME]);
            let platform = stack.at_entry(BStr::new(path), Some(mode)).map_err(git_error)?;
            platform.matching_attributes(&mut found);
            let state = found.iter_selected().next().map(|found| found.assignment.state);
            match state {
                None | Some(gix::attrs::StateRef::Unspecified) => {}
                Some(state) => return Ok(state == gix::attrs::StateRef::Set),
            }
        }
        Ok(false)
    }
}
