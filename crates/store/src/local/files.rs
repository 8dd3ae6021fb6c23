//! The one seam through which the store changes files, and the named points at which a test may interfere.
//!
//! Whatever the store creates, renames, removes or links goes through [`Files`]; each step that matters for a crash passes a
//! fault point by name. Absent: what is written (the modules above decide), and syncing (`sync.rs`).

use crate::{Error, Result};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A callback by name at the steps where a crash or a failure would be most telling. The default does nothing. A build
/// passes, in this order: `temp-root-written`, `lock-acquired`, `object-begin`, `object-written`, `object-synced`,
/// `transaction-begin`, `transaction-filled`, `transaction-committed`; a root `link-written`, `link-renamed`.
#[derive(Clone, Default)]
pub struct FaultPoints(Option<Arc<dyn Fn(&'static str) -> bool + Send + Sync>>);

impl FaultPoints {
    /// Calls `hook` at every point; `true` makes the step fail with [`Error::Fault`].
    pub fn new(hook: impl Fn(&'static str) -> bool + Send + Sync + 'static) -> FaultPoints {
        FaultPoints(Some(Arc::new(hook)))
    }

    /// Passes a point.
    pub fn pass(&self, name: &'static str) -> Result<()> {
        match &self.0 {
            Some(hook) if hook(name) => Err(Error::Fault(name)),
            _ => Ok(()),
        }
    }
}

/// Changes to files.
#[derive(Clone, Default)]
pub(crate) struct Files {
    pub(crate) faults: FaultPoints,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Files {
    /// Makes a folder and the missing ones above it.
    pub(crate) fn create_dirs(&self, path: &Path) -> Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(Error::io("creating directory", path))
    }

    /// Removes whatever is at the path, read-only folders included; nothing there is fine.
    pub(crate) fn remove_tree(&self, path: &Path) -> Result<()> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("getting status of", path)(error)),
        };
        if !found.is_dir() {
            return fs::remove_file(path).map_err(Error::io("deleting", path));
        }
        // A folder that is not writable keeps its entries; one that is removed needs no mode of its own any more.
        if found.permissions().mode() & 0o700 != 0o700 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .map_err(Error::io("changing mode of", path))?;
        }
        for entry in fs::read_dir(path).map_err(Error::io("reading directory", path))? {
            let entry = entry.map_err(Error::io("reading directory", path))?;
            self.remove_tree(&entry.path())?;
        }
        fs::remove_dir(path).map_err(Error::io("deleting", path))
    }

    /// Makes a link, replacing another link or file at once, and syncs its folder when asked.
    pub(crate) fn replace_link(&self, target: &Path, link: &Path, sync: bool) -> Result<()> {
        let folder = link.parent().unwrap_or(Path::new("/"));
        self.create_dirs(folder)?;
        let temporary = self.hidden_beside(link);
        symlink(target, &temporary).map_err(Error::io("creating symlink", &temporary))?;
        self.faults.pass("link-written")?;
        if let Err(error) = fs::rename(&temporary, link) {
            let _ = fs::remove_file(&temporary);
            return Err(Error::io("renaming a link to", link)(error));
        }
        self.faults.pass("link-renamed")?;
        if sync {
            super::sync::sync_path(folder)?;
        }
        Ok(())
    }

    /// A name beside the path that nobody else uses.
    pub(crate) fn beside(&self, path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".tmp-{}", self.unique()));
        PathBuf::from(name)
    }

    /// The same, hidden: C++ Nix takes `NAME-3-link.tmp` for a generation.
    fn hidden_beside(&self, path: &Path) -> PathBuf {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!(".{name}.tmp-{}", self.unique()))
    }

    /// `<pid>-<number>`, the number new each time.
    pub(crate) fn unique(&self) -> String {
        format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
