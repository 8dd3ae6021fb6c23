//! Whether what is to be written fits on the disk: asked before the first byte of something large, so that a disk is not
//! filled in vain.
//!
//! Absent: making room (`gc/auto.rs`), and small things, which may find the disk full while they are written.

use super::LocalStore;
use crate::{Error, Result};

/// Less than this is not worth the question.
const LARGE: u64 = 1 << 20;

impl LocalStore {
    /// Bytes that this process may still write to the store's disk.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn free_space(&self) -> Result<u64> {
        let folder = &self.options.real_dir;
        let found = rustix::fs::statvfs(folder).map_err(Error::system("getting the free space of", folder))?;
        // Some blocks are kept for root alone.
        let blocks = if rustix::process::geteuid().is_root() { found.f_bfree } else { found.f_bavail };
        Ok(blocks.saturating_mul(found.f_frsize))
    }

    /// Refuses something of that many bytes if it cannot fit. `what` as in "'/nix/store/…'" or "3 paths".
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    pub fn refuse_without_room(&self, needed: u64, what: impl FnOnce() -> String) -> Result<()> {
        if needed < LARGE {
            return Ok(());
        }
        let free = self.free_space()?;
        if needed <= free {
            return Ok(());
        }
        Err(Error::NoSpace { folder: self.options.real_dir.clone(), what: what(), needed, free })
    }
}
