//! Mending a broken store path: fetched again where somebody has it, else built again by what made it.
//!
//! Absent: finding what is broken (`store`), replacing it without its being missing in between (`builder`).

use std::collections::BTreeSet;

use activity::Activity;
use store::{BuildMode, Builder as _, ErrorClass, Store as _};
use store_model::{DerivedPath, StorePath};

use crate::error::SessionError;
use crate::session::Session;

impl Session {
    /// Makes the bytes of a valid path those that it should have.
    ///
    /// # Errors
    /// A path that nobody has and nothing can build, or that is not what was registered even then.
    pub fn repair_path(&self, activity: &Activity, path: &StorePath) -> Result<(), SessionError> {
        let store = self.store(activity)?;
        let shown = self.store_dir().print(path);
        let info = store.path_infos(activity, std::slice::from_ref(path))?.pop().flatten();
        let info = info.ok_or_else(|| store::Error::InvalidPath(shown.clone()))?;
        let is_intact = || -> Result<bool, SessionError> {
            Ok(!store.intact_paths(activity, BTreeSet::from([path.clone()]))?.is_empty())
        };
        let builder = self.builder(activity)?;
        builder.build(activity, &[DerivedPath::Opaque(path.clone())], BuildMode::Repair)?;
        if is_intact()? {
            return Ok(());
        }
        let cannot =
            |why: String| store::Error::Builder { message: why, class: ErrorClass::BuildFailure, source: None };
        let Some(deriver) = info.deriver else { return Err(cannot(format!("cannot repair path '{shown}'")).into()) };
        if store.valid_paths(activity, std::slice::from_ref(&deriver))?.is_empty() {
            let deriver = self.store_dir().print(&deriver);
            let why =
                format!("cannot repair path '{shown}': nobody has it, and '{deriver}', which made it, is not valid");
            return Err(cannot(why).into());
        }
        for result in builder.build(activity, &[DerivedPath::all_outputs(deriver)], BuildMode::Repair)? {
            if !result.status.is_success() {
                return Err(cannot(result.error_message).into());
            }
        }
        if is_intact()? { Ok(()) } else { Err(cannot(format!("cannot repair path '{shown}'")).into()) }
    }
}
