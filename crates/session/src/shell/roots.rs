//! What a shell uses stays in the store, without anybody asking for it.
//!
//! A text in the store names all that the shell uses; a link to it in the user's state folder is a root. The same shell,
//! entered again, finds its link and makes it young. Links that nobody used for a month go when another one is made.

use std::path::Path;
use std::time::{Duration, SystemTime};

use activity::Activity;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use store::{TemporaryRoots as _, WritableStore as _, WriteOptions};
use store_model::derivation::TextObject;
use store_model::{Hash, HashAlgorithm, StorePath};

use crate::error::SessionError;
use crate::session::Session;

/// How long a shell is kept that nobody enters.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

impl Session {
    /// Keeps the paths (all valid) for the shell that `key` tells from others.
    ///
    /// # Errors
    /// What the store says.
    pub fn keep_for_shell(&self, activity: &Activity, key: &[u8], paths: &[StorePath]) -> Result<(), SessionError> {
        let mut text = String::new();
        for path in paths {
            text.push_str(&self.store_dir().print(path));
            text.push('\n');
        }
        let references = paths.iter().cloned().collect();
        let object = TextObject::new(self.store_dir(), "shell", text.into_bytes(), references)?;
        let folder = self.state_home().join("shells");
        let link = folder.join(Hash::of(HashAlgorithm::Sha1, key).to_nix32());
        let target = self.store_dir().print(&object.path);
        let is_kept = std::fs::read_link(&link).is_ok_and(|old| old == Path::new(&target));
        if is_kept && self.real_path(&object.path).exists() {
            touch(&link);
            return Ok(());
        }
        let store = self.store(activity)?;
        store.add_temp_roots(activity, std::slice::from_ref(&object.path))?;
        store.add_text(activity, &object, &WriteOptions::default())?;
        store.add_permanent_root(activity, &link, &object.path)?;
        forget_old(&folder);
        Ok(())
    }
}

/// Makes a link young; if that fails it only goes sooner.
fn touch(link: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    let _ = utimensat(CWD, link, &times, AtFlags::SYMLINK_NOFOLLOW);
}

/// Removes links that were not used for long.
fn forget_old(folder: &Path) {
    let Some(oldest) = SystemTime::now().checked_sub(KEPT_FOR) else { return };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let used = std::fs::symlink_metadata(entry.path()).and_then(|found| found.modified());
        if used.is_ok_and(|used| used < oldest) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
