//! What clients of `nix-store --serve` have done: builds with the settings that came with them, and copies from substituters.
//!
//! Absent: the protocol (`daemon`).

use std::collections::BTreeSet;
use std::sync::Arc;

use activity::{Activity, Verbosity};
use builder::LocalBuilder;
use daemon::serve::{BuildFailure, BuildSettings, Builds};
use store::{BuildMode, Builder as _, ErrorClass};
use store_model::{BuildResult, BuildStatus, Derivation, DerivedPath, StorePath};

use crate::error::SessionError;
use crate::session::Session;

/// A session that serves.
pub struct Serving {
    session: Arc<Session>,
}

impl Serving {
    /// Serves with a session's store and settings.
    pub fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    /// The builder that a client wants: as in C++ Nix it keeps no logs and copies nothing from elsewhere.
    fn builder(&self, activity: &Activity, settings: &BuildSettings) -> Result<LocalBuilder, SessionError> {
        let mut others = vec![
            ("keep-build-log", false.to_string()),
            ("substitute", false.to_string()),
            ("max-silent-time", settings.max_silent_time.to_string()),
            ("timeout", settings.timeout.to_string()),
            ("run-diff-hook", true.to_string()),
        ];
        others.extend(settings.max_log_size.map(|size| ("max-build-log-size", size.to_string())));
        others.extend(settings.keep_failed.map(|keep| ("keep-failed", keep.to_string())));
        self.session.builder_with(activity, &others)
    }

    fn copy(&self, activity: &Activity, paths: &[StorePath]) -> Result<(), SessionError> {
        let wanted = |path: &StorePath| DerivedPath::Opaque(path.clone());
        let builder = self.session.builder(activity)?;
        let missing = builder.plan(activity, &paths.iter().map(wanted).collect::<Vec<_>>())?;
        let coming: Vec<DerivedPath> = missing.will_substitute.iter().map(wanted).collect();
        if coming.is_empty() {
            return Ok(());
        }
        for result in builder.build(activity, &coming, BuildMode::Normal)? {
            if !result.status.is_success() && !result.error_message.is_empty() {
                activity.warn(&result.error_message);
            }
        }
        Ok(())
    }

    fn build(
        &self,
        activity: &Activity,
        wanted: &[DerivedPath],
        settings: &BuildSettings,
    ) -> Result<Result<(), BuildFailure>, SessionError> {
        let builder = self.builder(activity, settings)?;
        let results = builder.build(activity, wanted, BuildMode::Normal)?;
        activity.check().map_err(store::Error::from)?;
        let failed: Vec<(&DerivedPath, &BuildResult)> =
            wanted.iter().zip(&results).filter(|(_, result)| !result.status.is_success()).collect();
        // What was given up because another one failed has nothing to say.
        let told = |failed: &&(&DerivedPath, &BuildResult)| !failed.1.error_message.is_empty();
        let status = builder.exit_status().unsigned_abs();
        let mut reasons = failed.iter().filter(told);
        let Some((_, first)) = reasons.next() else {
            return Ok(match failed.is_empty() {
                true => Ok(()),
                false => Err(BuildFailure { status, message: "build failed".to_owned() }),
            });
        };
        if reasons.next().is_none() {
            return Ok(Err(BuildFailure { status, message: first.error_message.clone() }));
        }
        activity.message(Verbosity::Error, &format!("error: {}", first.error_message));
        let names: BTreeSet<String> =
            failed.iter().map(|(path, _)| format!("'{}'", self.session.store_dir().print(path.base()))).collect();
        let names: Vec<String> = names.into_iter().collect();
        Ok(Err(BuildFailure { status, message: format!("build of {} failed", names.join(", ")) }))
    }
}

/// The message of what went wrong; an error where the user, or the client by leaving, wants the end.
fn message(error: SessionError) -> store::Result<String> {
    match error {
        SessionError::Store(error) if error.class() == ErrorClass::Cancelled => Err(error),
        other if other.is_cancelled() => Err(activity::Cancelled.into()),
        other => Ok(other.to_string()),
    }
}

impl Builds for Serving {
    fn substitute(&self, activity: &Activity, paths: &[StorePath]) -> store::Result<()> {
        self.copy(activity, paths).or_else(|error| {
            activity.warn(&message(error)?);
            Ok(())
        })
    }

    fn build_paths(
        &self,
        activity: &Activity,
        wanted: &[DerivedPath],
        settings: &BuildSettings,
    ) -> store::Result<Result<(), BuildFailure>> {
        self.build(activity, wanted, settings)
            .or_else(|error| Ok(Err(BuildFailure { status: 1, message: message(error)? })))
    }

    fn build_derivation(
        &self,
        activity: &Activity,
        path: &StorePath,
        derivation: Derivation,
        settings: &BuildSettings,
    ) -> store::Result<BuildResult> {
        let built = self
            .builder(activity, settings)
            .and_then(|builder| Ok(builder.build_derivation(activity, path, derivation, BuildMode::Normal)?));
        activity.check()?;
        built.or_else(|error| Ok(BuildResult::new(BuildStatus::MiscFailure, message(error)?)))
    }
}
