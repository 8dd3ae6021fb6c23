//! What pure or restricted evaluation may read, and where links lead.
//!
//! Reading leaves links to the system; only evaluation that must know where they lead follows them itself, before it reads.
//! What cannot be read is looked at a second time, link by link, for C++ Nix's words.

use super::{Eval, lock};
use crate::error::{ErrorKind, EvalError};
use crate::value::Pos;
use crate::world::{PathType, WorldError};
use std::borrow::Cow;

/// Which links of a path are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Links {
    /// Those of the folders that it goes through.
    Folders,
    /// All.
    All,
}

impl Eval {
    /// Whether not everything may be read.
    pub(crate) fn is_guarded(&self) -> bool {
        self.shared.options.pure || self.shared.options.restricted
    }

    /// The folders that may be read with all that is in them.
    fn any_readable(&self, fits: impl Fn(&[u8]) -> bool) -> bool {
        let options = &self.shared.options;
        options.allowed_paths.iter().any(|folder| fits(folder))
            || lock(&self.shared.allowed).iter().any(|folder| fits(folder))
            || (!options.pure && options.search_path.iter().any(|entry| fits(&entry.value)))
    }

    /// Whether a path and all below it may be read.
    pub(crate) fn is_readable_whole(&self, path: &[u8]) -> bool {
        !self.is_guarded() || self.any_readable(|folder| is_below(path, folder))
    }

    /// Whether a path may be read; of a folder above one that may be, only what leads there shows.
    pub(crate) fn is_readable(&self, path: &[u8]) -> bool {
        !self.is_guarded() || self.any_readable(|folder| is_below(path, folder) || is_below(folder, path))
    }

    /// Fails if pure or restricted evaluation may not read `path`.
    pub(crate) fn check_readable(&self, path: &[u8]) -> Result<(), EvalError> {
        if self.is_readable(path) {
            return Ok(());
        }
        let pure = self.shared.options.pure;
        let mode = if pure { "pure evaluation mode (use '--impure' to override)" } else { "restricted mode" };
        let shown = crate::text::bytes_as_text(path);
        Err(EvalError::new(ErrorKind::Restricted, format!("access to absolute path '{shown}' is forbidden in {mode}")))
    }

    /// Lets restricted evaluation read what was put into the store.
    pub(crate) fn allow(&self, path: &store_model::StorePath) {
        if self.is_guarded() {
            let printed = self.shared.world.store_dir().print(path).into_bytes();
            lock(&self.shared.allowed).push(printed);
        }
    }

    /// Lets restricted evaluation read a store path and all that it refers to.
    pub(crate) fn allow_closure(&self, path: store_model::StorePath) -> Result<(), EvalError> {
        if !self.is_guarded() {
            return Ok(());
        }
        let mut seen = std::collections::BTreeSet::from([path.clone()]);
        let mut open = vec![path];
        while let Some(path) = open.pop() {
            self.allow(&path);
            let references = self.shared.world.references(&path)?;
            open.extend(references.into_iter().filter(|reference| seen.insert(reference.clone())));
        }
        Ok(())
    }

    /// Where a path leads if evaluation must know it, else the path itself.
    pub(crate) fn target<'a>(&self, path: &'a [u8], links: Links) -> Result<Cow<'a, [u8]>, EvalError> {
        if self.is_guarded() { Ok(self.follow(path, links)?.into()) } else { Ok(path.into()) }
    }

    /// The path without the links in it. What may not be read is no link.
    pub(crate) fn follow(&self, path: &[u8], links: Links) -> Result<Vec<u8>, EvalError> {
        self.follow_named(path, links, |_| crate::text::bytes_as_text(path).into_owned())
    }

    /// The same; an endless chain of links is told under the name that is made of the parts still ahead, last first.
    pub(crate) fn follow_named(
        &self,
        path: &[u8],
        links: Links,
        name: impl FnOnce(&[Vec<u8>]) -> String,
    ) -> Result<Vec<u8>, EvalError> {
        const MOST_LINKS: usize = 1024;
        if !path.starts_with(b"/") {
            // A file of the evaluator itself.
            return Ok(path.to_vec());
        }
        let world = &self.shared.world;
        let mut done: Vec<u8> = Vec::new();
        let mut rest = parts(path);
        let mut met = 0;
        while let Some(part) = rest.pop() {
            match &part[..] {
                b"." => continue,
                b".." => {
                    done.truncate(done.iter().rposition(|byte| *byte == b'/').unwrap_or_default());
                    continue;
                }
                _ => {}
            }
            let before = done.len();
            done.push(b'/');
            done.extend_from_slice(&part);
            if links == Links::Folders && rest.is_empty() {
                break;
            }
            if !self.is_readable(&done) || world.stat(&done)? != Some(PathType::Symlink) {
                continue;
            }
            met += 1;
            if met > MOST_LINKS {
                return Err(EvalError::eval(format!("infinite symlink recursion in path '{}'", name(&rest))));
            }
            let target = world.read_link(&done)?;
            done.truncate(if target.starts_with(b"/") { 0 } else { before });
            rest.extend(parts(&target));
        }
        if done.is_empty() {
            done.push(b'/');
        }
        Ok(done)
    }

    /// Why a path cannot be read: links that lead nowhere come first.
    #[cold]
    pub(crate) fn why(&self, path: &[u8], links: Links, error: WorldError) -> EvalError {
        self.follow(path, links).err().unwrap_or_else(|| error.into())
    }

    /// What a path given to a builtin leads to is read. Failures name what it leads to.
    pub(crate) fn read<'a, T>(
        &self,
        path: &'a [u8],
        read: impl Fn(&[u8]) -> Result<T, WorldError>,
    ) -> Result<(Cow<'a, [u8]>, T), EvalError> {
        self.read_following(path, |path| self.follow_argument(path, Links::All), read)
    }

    /// The same for any path, with a way to follow it.
    pub(crate) fn read_following<'a, T>(
        &self,
        path: &'a [u8],
        follow: impl Fn(&[u8]) -> Result<Vec<u8>, EvalError>,
        read: impl Fn(&[u8]) -> Result<T, WorldError>,
    ) -> Result<(Cow<'a, [u8]>, T), EvalError> {
        let target = if self.is_guarded() { Cow::Owned(follow(path)?) } else { Cow::Borrowed(path) };
        self.check_readable(&target)?;
        match read(&target) {
            Ok(result) => Ok((target, result)),
            Err(error) => {
                let target = follow(&target)?;
                Err(if target == path { error.into() } else { read(&target).err().unwrap_or(error).into() })
            }
        }
    }

    /// The path of an argument without the links in it.
    pub(crate) fn follow_argument(&self, path: &[u8], links: Links) -> Result<Vec<u8>, EvalError> {
        self.follow(path, links).map_err(|error| {
            let shown = crate::text::bytes_as_text(path);
            error.trace(Pos::NONE, format!("while realising the context of path '{shown}'"))
        })
    }
}

/// Whether a path is a folder's or inside it.
fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || folder.ends_with(b"/"))
}

/// The parts of a path, last first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    let mut parts: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
    parts.reverse();
    parts
}
