//! Files and trees that take their place as a whole: whoever reads them finds the old or the new.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Writes a file anew, or for the first time. The new text is on the disk before it takes the old one's place, and has its
/// mode; the folder is made where it is missing. A link is replaced, not followed.
///
/// # Errors
/// What the system says; the old file is there then as before.
pub fn replace_file(file: &Path, contents: &[u8]) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)?;
    let (mut new, temporary) = create_beside(file)?;
    let mut write = || {
        if let Ok(old) = fs::metadata(file) {
            new.set_permissions(old.permissions())?;
        }
        new.write_all(contents)?;
        new.sync_all()?;
        fs::rename(&temporary, file)
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Renames a tree. A folder that comes elsewhere has its entry for `..` changed, which takes write permission on it for others
/// than root: it is given that for the moment.
///
/// # Errors
/// What the system says; the tree is where it was then.
pub fn move_tree(from: &Path, to: &Path) -> io::Result<()> {
    let mode = open_folder(from)?;
    fs::rename(from, to)?;
    mode.map_or(Ok(()), |mode| fs::set_permissions(to, mode))
}

/// Puts a tree in the place of another, at once: something is there at any moment. The other one is left where the tree was,
/// and may be changed by its owner then.
///
/// # Errors
/// What the system says; both trees are where they were then.
pub fn exchange_trees(new: &Path, old: &Path) -> io::Result<()> {
    let mode = open_folder(new)?;
    open_folder(old)?;
    let cwd = rustix::fs::CWD;
    rustix::fs::renameat_with(cwd, new, cwd, old, rustix::fs::RenameFlags::EXCHANGE)?;
    mode.map_or(Ok(()), |mode| fs::set_permissions(old, mode))
}

/// Lets the owner of a folder write to it, where that is not so; tells what its mode was then.
fn open_folder(path: &Path) -> io::Result<Option<Permissions>> {
    let found = fs::symlink_metadata(path)?;
    let mode = found.mode() & 0o7777;
    if !found.is_dir() || mode & 0o200 != 0 || rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    fs::set_permissions(path, Permissions::from_mode(mode | 0o200))?;
    Ok(Some(Permissions::from_mode(mode)))
}

/// A new file under a name that nobody else has: two that write at once do not meet.
fn create_beside(file: &Path) -> io::Result<(File, PathBuf)> {
    let mut number = 0;
    loop {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".tmp-{number}"));
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Ok(new) => return Ok((new, name.into())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_or_replaced_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/file");
        replace_file(&file, b"one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        replace_file(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        // A folder is in the way: nothing is left behind.
        let folder = dir.path().join("folder");
        fs::create_dir_all(folder.join("inside")).unwrap();
        assert!(replace_file(&folder, b"x").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
