//! The tree that an archive is unpacked into: nothing it names gets outside, and it cannot grow without bound.
//!
//! A member's path is taken apart and judged before anything is made: no absolute name, no `..`, no way through a link. A
//! link may point anywhere inside the tree, not out of it. Nothing is ever opened through a link: what is in the way is
//! removed, never followed. Modes are those of a store object to be: executable or not.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use file_tree::archive::ArchiveSink;

use super::bad;

/// The most members.
const MOST_MEMBERS: u64 = 4 << 20;
/// Bytes that any archive may unpack to, however small it is.
const FREE_BYTES: u64 = 1 << 30;
/// Beyond that, how many times the archive's own size.
const MOST_RATIO: u64 = 1000;

/// A tree under construction.
pub(super) struct Tree {
    root: PathBuf,
    /// What is to be unpacked, and whether it was seen; empty for everything.
    select: BTreeMap<Vec<u8>, bool>,
    /// Folders known to be real ones.
    folders: HashSet<PathBuf>,
    members: u64,
    bytes: u64,
    most_bytes: u64,
}

impl Tree {
    /// Makes the root folder, which must not exist.
    pub(super) fn create<'a>(
        root: &Path,
        select: impl Iterator<Item = &'a [u8]>,
        archive_size: u64,
    ) -> io::Result<Self> {
        fs::create_dir(root)?;
        let select = select
            .map(|path| parts(path).map(|parts| (parts.join(&b'/'), false)))
            .collect::<io::Result<BTreeMap<_, _>>>()?;
        Ok(Self {
            root: root.to_owned(),
            select,
            folders: HashSet::from([root.to_owned()]),
            members: 0,
            bytes: 0,
            most_bytes: archive_size.saturating_mul(MOST_RATIO).max(FREE_BYTES),
        })
    }

    #[cfg(test)]
    pub(super) fn set_most_bytes(&mut self, most: u64) {
        self.most_bytes = most;
    }

    /// Everything selected must have come.
    pub(super) fn finish(self) -> io::Result<()> {
        match self.select.iter().find(|(_, seen)| !**seen) {
            None => Ok(()),
            Some((path, _)) => Err(bad(format!("the archive has no member '{}'", String::from_utf8_lossy(path)))),
        }
    }

    /// Where a member that is no folder goes, with its folders made and the place free.
    fn place(&mut self, path: &[u8]) -> io::Result<PathBuf> {
        let parts = parts(path)?;
        let (name, parents) = parts.split_last().ok_or_else(|| bad("the archive's root is not a folder"))?;
        let target = self.real_folder(parents, path)?.join(OsStr::from_bytes(name));
        match fs::symlink_metadata(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(metadata) if metadata.is_dir() => {
                return Err(bad(format!("'{}' is a folder already", String::from_utf8_lossy(path))));
            }
            Ok(_) => fs::remove_file(&target)?,
        }
        Ok(target)
    }

    /// A folder made of folders only, none of them a link.
    fn real_folder(&mut self, parts: &[&[u8]], path: &[u8]) -> io::Result<PathBuf> {
        let mut at = self.root.clone();
        for part in parts {
            at.push(OsStr::from_bytes(part));
            if self.folders.contains(&at) {
                continue;
            }
            match fs::create_dir(&at) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(bad(format!("'{}' leads through what is no folder", String::from_utf8_lossy(path))));
                }
                result => result?,
            }
            self.folders.insert(at.clone());
        }
        Ok(at)
    }

    /// The same without making any.
    fn known_folder(&self, parts: &[&[u8]]) -> Option<PathBuf> {
        let path = parts.iter().fold(self.root.clone(), |at, part| at.join(OsStr::from_bytes(part)));
        self.folders.contains(&path).then_some(path)
    }
}

impl ArchiveSink for Tree {
    /// Whether a member is to be unpacked; marks what selects it. A path that is nonsense is not selected by anything, but
    /// taken (and refused later) where everything is.
    fn wants(&mut self, path: &[u8]) -> io::Result<bool> {
        self.members += 1;
        if self.members > MOST_MEMBERS {
            return Err(bad("too many members"));
        }
        if self.select.is_empty() {
            return Ok(true);
        }
        let Ok(parts) = parts(path) else { return Ok(false) };
        // The member itself, or a folder that it lies in.
        for end in (1..=parts.len()).rev() {
            if let Some(seen) = self.select.get_mut(&parts[..end].join(&b'/')) {
                *seen = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes a folder, or accepts one that is there.
    fn folder(&mut self, path: &[u8]) -> io::Result<()> {
        let parts = parts(path)?;
        self.real_folder(&parts, path).map(drop)
    }

    /// Makes a file with the bytes of `contents`.
    fn file(&mut self, path: &[u8], executable: bool, contents: &mut dyn Read) -> io::Result<()> {
        let target = self.place(path)?;
        let mode = if executable { 0o777 } else { 0o666 };
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&target)?;
        let mut buffer = vec![0; 1 << 17];
        loop {
            let length = match contents.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            self.bytes = self.bytes.saturating_add(length as u64);
            if self.bytes > self.most_bytes {
                return Err(bad(format!("larger than {} bytes when unpacked", self.most_bytes)));
            }
            file.write_all(&buffer[..length])?;
        }
    }

    /// Makes a symbolic link.
    fn link(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        if !stays_inside(parts(path)?.len(), target) {
            let text = String::from_utf8_lossy;
            return Err(bad(format!("the link '{}' points out of the tree, at '{}'", text(path), text(target))));
        }
        let place = self.place(path)?;
        symlink(OsStr::from_bytes(target), place)
    }

    /// Makes a second name of a file that was unpacked before.
    fn twin(&mut self, path: &[u8], original: &[u8]) -> io::Result<()> {
        let missing = || {
            let text = String::from_utf8_lossy;
            bad(format!("'{}' is another name of '{}', which was not unpacked", text(path), text(original)))
        };
        let parts = parts(original)?;
        let (name, parents) = parts.split_last().ok_or_else(missing)?;
        let from = self.known_folder(parents).ok_or_else(missing)?.join(OsStr::from_bytes(name));
        if !fs::symlink_metadata(&from).is_ok_and(|metadata| metadata.is_file()) {
            return Err(missing());
        }
        if parts == self::parts(path)? {
            return Ok(());
        }
        let target = self.place(path)?;
        fs::hard_link(from, target)
    }
}

/// The names in a member's path.
fn parts(path: &[u8]) -> io::Result<Vec<&[u8]>> {
    let refuse = |why: &str| Err(bad(format!("the member '{}' {why}", String::from_utf8_lossy(path))));
    if path.starts_with(b"/") {
        return refuse("has an absolute name");
    }
    let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&b"..".as_slice()) {
        return refuse("leads upwards");
    }
    if parts.iter().any(|part| part.contains(&0)) {
        return refuse("has a NUL in its name");
    }
    if parts.len() >= file_tree::MAX_DEPTH {
        return refuse("lies too deep");
    }
    Ok(parts)
}

/// Whether a link at this depth points into the tree. Steps upwards may only stand first: there they walk over folders
/// that are known to be real, while after a name they could start from wherever another link leads.
fn stays_inside(depth: usize, target: &[u8]) -> bool {
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    let mut parts = target.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").peekable();
    let mut upwards = 0;
    while parts.next_if(|part| *part == b"..").is_some() {
        upwards += 1;
    }
    upwards < depth && parts.all(|part| part != b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_judged_by_where_they_point() {
        for (depth, target, inside) in [
            (1, "a", true),
            (1, "..", false),
            (2, "..", true),
            (2, "../..", false),
            (3, "../../a/b", true),
            (3, "a/../../../../x", false),
            (1, "/etc", false),
            (1, "", false),
            (1, ".//./b", true),
            (3, "a/../b", false),
        ] {
            assert_eq!(stays_inside(depth, target.as_bytes()), inside, "{target} at {depth}");
        }
    }
}
