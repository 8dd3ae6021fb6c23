//! Changing the environment that a profile holds, step by step: what is installed, what is built, the new generation.

use std::path::{Path, PathBuf};

use activity::Verbosity;
use evaluator::{EvalError, Evaluator};
use session::user_environment::{self, Element, EnvironmentError};
use store::{BuildMode, Profile, TemporaryRoots as _};
use store_model::{DerivedPath, OutputsSpec, SingleDerivedPath};

use crate::command::CommandError;
use crate::input::evaluation::{Evaluation, EvaluationArgs};
use crate::output::build::{Opened, store_error};

/// A profile, and an evaluator for what is in it.
pub struct Environments<'a> {
    /// The command's session.
    pub opened: &'a Opened<'a>,
    /// What evaluates expressions and manifests.
    pub evaluation: Evaluation,
    /// The profile.
    pub profile: Profile,
    /// How to build.
    pub mode: BuildMode,
}

impl<'a> Environments<'a> {
    /// Opens an evaluator for a profile.
    pub fn open(opened: &'a Opened<'a>, args: &EvaluationArgs, profile: Profile) -> Result<Self, CommandError> {
        let evaluation = Evaluation::open(opened.surface, &opened.session, args)?;
        Ok(Self { opened, evaluation, profile, mode: BuildMode::Normal })
    }

    /// Asks for something that evaluates.
    pub fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Evaluator) -> Result<T, EnvironmentError>,
    ) -> Result<T, CommandError> {
        question(&mut self.evaluation.evaluator).map_err(|error| match error {
            EnvironmentError::Evaluation(error) => self.evaluation.failed(&error),
            EnvironmentError::Session(session::SessionError::Store(error)) => store_error(error),
            other => CommandError::failed(other.to_string()),
        })
    }

    /// The same, with what was being done in the trace of an error.
    pub fn ask_about<T>(
        &mut self,
        doing: impl FnOnce() -> String,
        question: impl FnOnce(&mut Evaluator) -> Result<T, EnvironmentError>,
    ) -> Result<T, CommandError> {
        self.ask(|evaluator| {
            question(evaluator).map_err(|error| match error {
                EnvironmentError::Evaluation(error) => EvalError::while_doing(error, doing()).into(),
                other => other,
            })
        })
    }

    /// What is installed in the profile.
    pub fn installed(&mut self) -> Result<Vec<Element>, CommandError> {
        let path = self.profile.path().to_owned();
        self.installed_in(&path)
    }

    /// What is installed in another one.
    pub fn installed_in(&mut self, profile: &Path) -> Result<Vec<Element>, CommandError> {
        let session = &self.opened.session;
        self.ask(|evaluator| user_environment::installed(session, evaluator, profile))
    }

    /// Says something about what is done.
    pub fn say(&self, text: &str) {
        self.opened.activity().message(Verbosity::Info, text);
    }

    /// What has to be valid before elements can be installed.
    fn wanted(&mut self, elements: &[Element]) -> Result<Vec<DerivedPath>, CommandError> {
        let mut wanted = Vec::new();
        for element in elements {
            let derivation = self.ask(|evaluator| element.derivation(evaluator))?;
            wanted.push(match derivation {
                Some(drv) => DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), outputs: OutputsSpec::All },
                None => DerivedPath::Opaque(self.ask(|evaluator| element.path(evaluator))?),
            });
        }
        Ok(wanted)
    }

    /// Says what has to be built for elements.
    pub fn plan(&mut self, elements: &[Element]) -> Result<(), CommandError> {
        let wanted = self.wanted(elements)?;
        self.evaluation.flush()?;
        self.opened.plan(wanted, false).map(drop)
    }

    /// Builds elements.
    pub fn build(&mut self, elements: &[Element]) -> Result<(), CommandError> {
        let wanted = self.wanted(elements)?;
        self.evaluation.flush()?;
        self.opened.build(&wanted, self.mode).map(drop)
    }

    /// Makes an environment of the elements, all built, and a generation of it. False if the profile changed since it said
    /// `seen`; then nothing was changed.
    pub fn create(
        &mut self,
        elements: &[Element],
        keep_derivations: bool,
        seen: &Option<PathBuf>,
    ) -> Result<bool, CommandError> {
        self.build(elements)?;
        let opened = self.opened;
        let (session, activity) = (&opened.session, opened.activity());
        let environment =
            self.ask(|evaluator| user_environment::write(session, activity, evaluator, elements, keep_derivations))?;
        let store = opened.store()?;
        store.add_temp_roots(activity, std::slice::from_ref(&environment.path)).map_err(store_error)?;
        let drv = SingleDerivedPath::Opaque(environment.derivation);
        opened.build(&[DerivedPath::Built { drv, outputs: OutputsSpec::All }], self.mode)?;
        let made = self.profile.set(activity, &store, &environment.path, Some(seen)).map_err(store_error)?;
        if !made {
            let shown = self.profile.path().display();
            self.say(&format!("profile \"{shown}\" changed while we were busy; restarting"));
        }
        Ok(made)
    }
}
