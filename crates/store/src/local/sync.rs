//! Making data durable before the database speaks of them.
//!
//! Few files are synced one by one, by several threads so that the journal of the file system takes them together; many
//! by one `syncfs`. The folder that holds the objects is synced as well, for their names. Absent: the database's own
//! syncing, which SQLite does.

use crate::{Error, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// More files than this, and the whole file system is synced at once.
const MOST_FILES: usize = 256;
/// More bytes than this, likewise.
const MOST_BYTES: u64 = 64 << 20;
const THREADS: usize = 8;

/// Makes the objects at these paths durable, their names in `folder` included.
pub(crate) fn sync_trees(folder: &Path, paths: &[PathBuf]) -> Result<()> {
    if paths.len() > MOST_FILES {
        return sync_file_system(folder);
    }
    let mut gathered = Gathered::default();
    for path in paths {
        if !gathered.add(path)? {
            return sync_file_system(folder);
        }
    }
    sync_all(&gathered.paths)?;
    sync_path(folder)
}

/// Makes one file or folder durable.
pub(crate) fn sync_path(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(Error::io("syncing", path))
}

/// Makes all of the file system durable that the path is on.
pub(super) fn sync_file_system(path: &Path) -> Result<()> {
    let folder = File::open(path).map_err(Error::io("opening", path))?;
    rustix::fs::syncfs(&folder).map_err(Error::system("syncing", path))
}

fn sync_all(paths: &[PathBuf]) -> Result<()> {
    if paths.len() < 3 {
        return paths.iter().try_for_each(|path| sync_path(path));
    }
    let share = paths.len().div_ceil(THREADS);
    std::thread::scope(|scope| {
        let workers: Vec<_> = paths
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().try_for_each(|path| sync_path(path))))
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Ok(())))
    })
}

#[derive(Default)]
struct Gathered {
    paths: Vec<PathBuf>,
    bytes: u64,
}

impl Gathered {
    /// Gathers what has to be synced of a tree; false when it is too much for single calls. Links need no call of their
    /// own: the folder holds them.
    fn add(&mut self, path: &Path) -> Result<bool> {
        let found = fs::symlink_metadata(path).map_err(Error::io("getting status of", path))?;
        if found.is_symlink() {
            return Ok(true);
        }
        self.bytes += found.len();
        self.paths.push(path.to_owned());
        if self.paths.len() > MOST_FILES || self.bytes > MOST_BYTES {
            return Ok(false);
        }
        if found.is_dir() {
            for entry in fs::read_dir(path).map_err(Error::io("reading directory", path))? {
                let entry = entry.map_err(Error::io("reading directory", path))?;
                if !self.add(&entry.path())? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
