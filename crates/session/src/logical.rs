//! Paths in the view in which store objects lie where their names say, for what is looked at outside of evaluation.
//!
//! A profile leads to `/nix/store/…` also where the store lies below another root; whoever follows it on disk must know
//! both views.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::session::Session;

/// How many links a path may go through, as on Linux.
const MAX_LINKS: usize = 40;

impl Session {
    /// Where a logical path lies. Links on the way are not followed. Of a store elsewhere its own objects are seen, and
    /// what else the host has at that place.
    pub fn on_disk(&self, logical: &Path) -> PathBuf {
        let place = self.place();
        let store_dir = Path::new(self.store_dir().as_str());
        let Ok(below) = logical.strip_prefix(store_dir) else { return logical.to_owned() };
        if !place.is_elsewhere() {
            return logical.to_owned();
        }
        let real = place.real_dir.join(below);
        let there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
        match below.iter().next() {
            Some(object) if !there(&place.real_dir.join(object)) && there(&store_dir.join(object)) => {
                logical.to_owned()
            }
            _ => real,
        }
    }

    /// A logical path (absolute) with all links in it followed. What is not there is no error: the rest stays as it is.
    ///
    /// # Errors
    /// Links that lead in a circle.
    pub fn follow_links(&self, path: &Path) -> io::Result<PathBuf> {
        self.follow(path, true)
    }

    /// The same; the last name is followed only if `last`.
    pub(crate) fn follow(&self, path: &Path, last: bool) -> io::Result<PathBuf> {
        let mut left = names(path);
        let mut done = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = left.pop() {
            if name == ".." {
                done.pop();
                continue;
            }
            done.push(&name);
            if left.is_empty() && !last {
                break;
            }
            let Ok(target) = std::fs::read_link(self.on_disk(&done)) else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(io::Error::other(format!("too many symbolic links: '{}'", path.display())));
            }
            done.pop();
            if target.is_absolute() {
                done = PathBuf::from("/");
            }
            left.extend(names(&target));
        }
        Ok(done)
    }
}

/// The names in a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut names: Vec<_> = names.collect();
    names.reverse();
    names
}
