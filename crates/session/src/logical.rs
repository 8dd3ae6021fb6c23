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
    /// Where a logical path lies. Links on the way are not followed.
    pub fn on_disk(&self, logical: &Path) -> PathBuf {
        match logical.strip_prefix(self.store_dir().as_str()) {
            Ok(below) => self.place().real_dir.join(below),
            Err(_) => logical.to_owned(),
        }
    }

    /// A logical path (absolute) with all links in it followed. What is not there is no error: the rest stays as it is.
    ///
    /// # Errors
    /// Links that lead in a circle.
    pub fn follow_links(&self, path: &Path) -> io::Result<PathBuf> {
        let mut left = names(path);
        let mut done = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = left.pop() {
            if name == ".." {
                done.pop();
                continue;
            }
            done.push(&name);
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
