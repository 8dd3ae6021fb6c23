//! Deleting the old generations of all profiles that can be found, so that what only they keep can be collected.
//!
//! Profiles are looked for in the user's folder, in the store's, and beside the default profile. A link is a profile if it
//! leads to a link that is named like a generation; folders that cannot be read or written are passed over.
//!
//! Absent: what a generation is (`store::profile`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use activity::{Activity, Verbosity};
use store::{Doomed, Profile};

use crate::error::SessionError;
use crate::session::Session;

impl Session {
    /// Deletes generations of every profile.
    ///
    /// # Errors
    /// What deleting a generation says; the profiles before it are done.
    pub fn delete_old_generations(
        &self,
        activity: &Activity,
        doomed: &Doomed,
        dry_run: bool,
    ) -> Result<(), SessionError> {
        let default = self.default_profile();
        let mut folders = BTreeSet::from([self.profiles_dir()?, self.place().state_dir.join("profiles")]);
        folders.extend(default.parent().map(Path::to_owned));
        for folder in folders {
            clean(activity, &folder, doomed, dry_run)?;
        }
        Ok(())
    }
}

fn clean(activity: &Activity, folder: &Path, doomed: &Doomed, dry_run: bool) -> Result<(), SessionError> {
    activity.check().map_err(store::Error::from)?;
    // What cannot be read has no profiles of ours.
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort_unstable();
    for path in paths {
        let Ok(kind) = std::fs::symlink_metadata(&path).map(|found| found.file_type()) else { continue };
        if kind.is_dir() {
            clean(activity, &path, doomed, dry_run)?;
        }
        let is_profile = kind.is_symlink()
            && writable
            && std::fs::read_link(&path).is_ok_and(|target| target.to_string_lossy().contains("link"));
        if is_profile {
            let text = format!("removing old generations of profile {}", path.display());
            activity.message(Verbosity::Info, &text);
            Profile::new(path).delete(activity, doomed, dry_run)?;
        }
    }
    Ok(())
}
