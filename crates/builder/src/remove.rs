//! Removes what a builder left: any tree, however deep, whatever its modes, without following a link.
//!
//! A builder may nest folders deeper than any path or stack reaches, and take every right from them. So the walk goes by
//! descriptors, gives the rights back, and lifts what lies too deep up to the top, to be removed in another turn. Nobody
//! else may be at work in the tree.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;

/// Folders below the top before they are lifted: as many descriptors are open at once.
const DEEPEST: usize = 64;

/// Removes a file or tree; nothing there is fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match rustix::fs::unlinkat(CWD, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // Linux answers the first for folders, POSIX the second.
        Err(Errno::ISDIR | Errno::PERM | Errno::ACCESS) if fs::symlink_metadata(path)?.is_dir() => {}
        Err(error) => return Err(error.into()),
    }
    let top = open_folder(CWD, path)?;
    let mut lifted = 0;
    loop {
        let before = lifted;
        empty(&top, &top, 0, &mut lifted)?;
        if lifted == before {
            break;
        }
    }
    drop(top);
    match rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a folder with all rights for its owner.
fn open_folder(parent: impl AsFd, name: impl rustix::path::Arg + Copy) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let owner = Mode::RWXU;
    let open = || rustix::fs::openat(parent.as_fd(), name, flags, Mode::empty());
    let folder = match open() {
        Err(Errno::ACCESS) => {
            // It was seen to be a folder, and nobody is there to put a link in its place.
            rustix::fs::chmodat(parent.as_fd(), name, owner, AtFlags::empty())?;
            open()?
        }
        result => result?,
    };
    if !Mode::from_raw_mode(rustix::fs::fstat(&folder)?.st_mode).contains(owner) {
        rustix::fs::fchmod(&folder, owner)?;
    }
    Ok(folder)
}

/// Removes everything in a folder, or lifts it to the top where it lies too deep.
fn empty(folder: &OwnedFd, top: &OwnedFd, depth: usize, lifted: &mut u64) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    for name in names {
        match rustix::fs::unlinkat(folder, name.as_c_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        if depth >= DEEPEST {
            *lifted += 1;
            // Its own entry for the folder above changes, so its owner must be able to write to it.
            drop(open_folder(folder, name.as_c_str())?);
            rustix::fs::renameat(folder, name.as_c_str(), top, unused_name(top, lifted)?)?;
            continue;
        }
        let inner = open_folder(folder, name.as_c_str())?;
        empty(&inner, top, depth + 1, lifted)?;
        drop(inner);
        rustix::fs::unlinkat(folder, name.as_c_str(), AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

fn unused_name(top: &OwnedFd, lifted: &mut u64) -> io::Result<String> {
    loop {
        let name = format!(".lifted-{lifted}");
        match rustix::fs::statat(top, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(name),
            Ok(_) => *lifted += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn trees_without_rights_are_removed_and_links_stay_unfollowed() {
        let outer = tempfile::tempdir().unwrap();
        let kept = outer.path().join("kept");
        fs::write(&kept, "x").unwrap();
        let tree = outer.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        std::os::unix::fs::symlink(outer.path(), tree.join("a/link")).unwrap();
        fs::set_permissions(tree.join("a/b"), fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o555)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && kept.exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn trees_deeper_than_any_path_are_removed() {
        let outer = tempfile::tempdir().unwrap();
        let mut at = fs::File::open(outer.path()).map(OwnedFd::from).unwrap();
        for number in 0..700 {
            rustix::fs::mkdirat(&at, "deeper", Mode::from_raw_mode(0o755)).unwrap();
            if number % 500 == 0 {
                rustix::fs::mkdirat(&at, ".lifted-1", Mode::from_raw_mode(0o755)).unwrap();
            }
            let next = open_folder(&at, "deeper").unwrap();
            if number % 7 == 0 {
                rustix::fs::fchmod(&next, Mode::from_raw_mode(0o700)).unwrap();
            }
            at = next;
        }
        drop(at);
        for name in ["deeper", ".lifted-1"] {
            remove_tree(&outer.path().join(name)).unwrap();
        }
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 0);
    }
}
