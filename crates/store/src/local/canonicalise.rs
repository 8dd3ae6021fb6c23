//! Giving the objects of a tree the metadata that store objects have.
//!
//! Files 0444 or 0555, folders 0555, modified at second 1, owned by us, without extended attributes. A build user's tree
//! may hold files of that user only, so that nothing of others is taken over by hard links; a file seen before in the same
//! build has been taken over already and is fine.

use crate::{Error, Result};
use activity::Activity;
use rustix::fs::{AtFlags, Timespec, Timestamps};
use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Canonicalises the outputs of one build (or any trees that may share hard links).
pub struct Canonicaliser {
    ignored_acls: BTreeSet<String>,
    uid_range: Option<(u32, u32)>,
    seen: HashSet<(u64, u64)>,
    owner: (u32, u32),
}

impl Canonicaliser {
    /// `uid_range`: the users, first and last, that may own what is found; `None` takes anybody's.
    pub(super) fn new(ignored_acls: BTreeSet<String>, uid_range: Option<(u32, u32)>) -> Canonicaliser {
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Canonicaliser { ignored_acls, uid_range, seen: HashSet::new(), owner }
    }

    /// Canonicalises the object at `path` and everything below it.
    pub fn canonicalise(&mut self, activity: &Activity, path: &Path) -> Result<()> {
        activity.check()?;
        let found = fs::symlink_metadata(path).map_err(Error::io("getting status of", path))?;
        let kind = found.file_type();
        if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
            return Err(file_tree::Error::UnsupportedType(path.display().to_string()).into());
        }
        let inode = (found.dev(), found.ino());
        if let Some((first, last)) = self.uid_range
            && !(first..=last).contains(&found.uid())
        {
            if kind.is_dir() || !self.seen.contains(&inode) {
                return Err(Error::Ownership(path.to_owned()));
            }
            return Ok(());
        }
        self.remove_attributes(path, &found)?;
        self.seen.insert(inode);
        set_mode_and_time(path, &found)?;
        if found.uid() != self.owner.0 {
            std::os::unix::fs::lchown(path, Some(self.owner.0), Some(self.owner.1))
                .map_err(Error::io("changing owner of", path))?;
        }
        if kind.is_dir() {
            for entry in fs::read_dir(path).map_err(Error::io("reading directory", path))? {
                let entry = entry.map_err(Error::io("reading directory", path))?;
                self.canonicalise(activity, &entry.path())?;
            }
        }
        Ok(())
    }

    fn remove_attributes(&self, path: &Path, found: &Metadata) -> Result<()> {
        for name in attributes(path)? {
            if !name.to_str().is_some_and(|name| self.ignored_acls.contains(name)) {
                let mut removed = rustix::fs::lremovexattr(path, name.as_os_str());
                if removed == Err(rustix::io::Errno::ACCESS) && !found.is_symlink() {
                    // Users' own attributes want the right to write.
                    let set = |mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode));
                    set(0o700).map_err(Error::io("changing mode of", path))?;
                    removed = rustix::fs::lremovexattr(path, name.as_os_str());
                    set(found.mode() & 0o7777).map_err(Error::io("changing mode of", path))?;
                }
                removed.map_err(Error::system("removing an extended attribute from", path))?;
            }
        }
        Ok(())
    }
}

fn attributes(path: &Path) -> Result<Vec<OsString>> {
    let size = match rustix::fs::llistxattr_query(path) {
        Ok(0) | Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NODATA) => return Ok(Vec::new()),
        Ok(size) => size,
        Err(error) => return Err(Error::system("querying extended attributes of", path)(error)),
    };
    let mut names = vec![0u8; size];
    let size =
        rustix::fs::llistxattr(path, &mut names[..]).map_err(Error::system("querying extended attributes of", path))?;
    names.truncate(size);
    Ok(names
        .split(|b| *b == 0)
        .filter(|name| !name.is_empty())
        .map(|name| OsStr::from_bytes(name).to_owned())
        .collect())
}

fn set_mode_and_time(path: &Path, found: &Metadata) -> Result<()> {
    let mode = found.mode() & 0o7777;
    let is_dir = found.is_dir();
    if !found.is_symlink() && mode != 0o555 && (mode != 0o444 || is_dir) {
        let mode = if is_dir || mode & 0o100 != 0 { 0o555 } else { 0o444 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io("changing mode of", path))?;
    }
    if found.mtime() != 1 || found.mtime_nsec() != 0 {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            last_modification: Timespec { tv_sec: 1, tv_nsec: 0 },
        };
        rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(Error::system("changing time of", path))?;
    }
    Ok(())
}
