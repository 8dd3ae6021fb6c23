//! Locks between processes, C++ Nix's among them.
//!
//! A path is locked by an exclusive flock on `<path>.lock`, several in the order of their names. Whoever is done unlinks
//! the file and makes it a byte long: a waiter that gets the lock of such a file holds nothing and tries again. Waiting is
//! trying with pauses, so that it can be cancelled; every holder opens the file for itself, so threads exclude each other
//! as well.
//!
//! Each path has a lock file of its own, also where many are locked together: a file under several names would be one lock
//! for all of them to a process that finds them after we were killed. Lock files go away together at the end, as creating
//! files is slow on ext4 while many have just been deleted.

use super::files::FaultPoints;
use crate::{Error, Result};
use activity::{Activity, Cancelled};
use rustix::fs::FlockOperation;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pauses that grow from 5 to 100 ms, each with a look at the wish to stop.
pub(crate) struct Pauses(u64);

impl Pauses {
    pub(crate) fn new() -> Pauses {
        Pauses(5)
    }

    pub(crate) fn pause(&mut self, activity: &Activity) -> Result<(), Cancelled> {
        activity.check()?;
        std::thread::sleep(Duration::from_millis(self.0));
        self.0 = (self.0 * 2).min(100);
        activity.check()
    }
}

/// Opens a lock file, making it if it is not there.
pub(crate) fn open_lock_file(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(Error::io("opening lock file", path))
}

/// Tries to take a lock; false when another holds it.
pub(crate) fn try_flock(file: &File, path: &Path, exclusive: bool) -> Result<bool> {
    let operation =
        if exclusive { FlockOperation::NonBlockingLockExclusive } else { FlockOperation::NonBlockingLockShared };
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::system("locking", path)(error)),
        }
    }
}

/// Waits for a lock.
pub(crate) fn wait_flock(activity: &Activity, file: &File, path: &Path, exclusive: bool) -> Result<()> {
    let mut pauses = Pauses::new();
    while !try_flock(file, path, exclusive)? {
        pauses.pause(activity)?;
    }
    Ok(())
}

pub(crate) fn unlock(file: &File) {
    // The lock ends with the descriptor anyway.
    let _ = rustix::fs::flock(file, FlockOperation::Unlock);
}

/// Whether the lock file was unlinked by the one who held it before.
pub(crate) fn is_stale(file: &File, path: &Path) -> Result<bool> {
    Ok(file.metadata().map_err(Error::io("getting status of", path))?.len() != 0)
}

/// Unlinks a lock file that we hold, and marks it for those who wait on it.
pub(crate) fn delete_lock_file(file: &File, path: &Path) {
    // Removing the file is tidiness; a lock file that stays harms nobody.
    let _ = fs::remove_file(path);
    // Waiters look at the length alone; a hole takes neither memory nor a block.
    let _ = file.set_len(1);
}

/// Exclusive locks on some paths, given back when dropped.
pub struct PathLocks {
    held: Vec<(File, PathBuf)>,
}

impl PathLocks {
    /// Waits until all paths (of the host) are ours.
    pub(crate) fn lock(activity: &Activity, paths: &[PathBuf], faults: &FaultPoints) -> Result<PathLocks> {
        Self::acquire(paths, faults, &mut |file, path| {
            wait_flock(activity, file, path, true)?;
            Ok(true)
        })
        .map(|locks| locks.unwrap_or(PathLocks { held: Vec::new() }))
    }

    /// Takes all locks or none.
    pub(crate) fn try_lock(paths: &[PathBuf], faults: &FaultPoints) -> Result<Option<PathLocks>> {
        Self::acquire(paths, faults, &mut |file, path| try_flock(file, path, true))
    }

    fn acquire(
        paths: &[PathBuf],
        faults: &FaultPoints,
        take: &mut dyn FnMut(&File, &Path) -> Result<bool>,
    ) -> Result<Option<PathLocks>> {
        let mut sorted: Vec<&PathBuf> = paths.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut locks = PathLocks { held: Vec::with_capacity(sorted.len()) };
        for path in sorted {
            let mut name = path.as_os_str().to_owned();
            name.push(".lock");
            let name = PathBuf::from(name);
            loop {
                let file = open_lock_file(&name)?;
                if !take(&file, &name)? {
                    return Ok(None);
                }
                if !is_stale(&file, &name)? {
                    locks.held.push((file, name));
                    break;
                }
            }
        }
        faults.pass("lock-acquired")?;
        Ok(Some(locks))
    }
}

impl Drop for PathLocks {
    fn drop(&mut self) {
        for (file, path) in self.held.drain(..) {
            delete_lock_file(&file, &path);
        }
    }
}
