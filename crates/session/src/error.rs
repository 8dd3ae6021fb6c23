//! What can go wrong between a user's words and an opened Nix.

use std::path::PathBuf;

/// An error of the session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// No setting has that name.
    #[error("unknown setting '{name}'")]
    UnknownSetting {
        /// The name given.
        name: String,
    },
    /// A setting's text has the wrong shape.
    #[error("setting '{name}' has value '{value}', which is not {expected}")]
    SettingValue {
        /// The setting.
        name: String,
        /// The text given.
        value: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// A setting's text is of a form of its own, and has mistakes.
    #[error("setting '{name}': {problem}")]
    SettingText {
        /// The setting.
        name: String,
        /// What is wrong with its text.
        problem: String,
    },
    /// The user named experimental features and left this one out.
    #[error(
        "experimental Nix feature '{feature}' is disabled; add '--extra-experimental-features {feature}' to enable it"
    )]
    FeatureDisabled {
        /// The feature.
        feature: String,
    },
    /// A configuration file is wrong or cannot be read.
    #[error("{}:{line}: {problem}", path.display())]
    Configuration {
        /// The file, or the name of the variable.
        path: PathBuf,
        /// The line, from 1; 0 for the file as a whole.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A store URI is wrong, or means a store that is not there yet.
    #[error("cannot open the store '{uri}': {problem}")]
    StoreUri {
        /// The URI.
        uri: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A path that leads nowhere in the store.
    #[error("path '{path}' is not in the Nix store")]
    NotInStore {
        /// The path given.
        path: String,
    },
    /// A noun is malformed.
    #[error("{0}")]
    Model(#[from] store_model::Error),
    /// The store says no.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// A source or a registry is not what it should be.
    #[error("{0}")]
    Fetch(#[from] fetchers::Error),
    /// The builder says no.
    #[error("{0}")]
    Builder(#[from] builder::Error),
    /// The environment of a build was asked for that bash does not run.
    #[error("'nix develop' only works on derivations that use 'bash' as their builder")]
    NotBash,
    /// What a build should have written of its environment is something else.
    #[error("the environment that was captured is malformed: {problem}")]
    BuildEnvironment {
        /// What is wrong with it.
        problem: String,
    },
    /// A program is not on the search path.
    #[error("unable to execute '{}': no such program on the search path", program.display())]
    NoProgram {
        /// Its name.
        program: std::ffi::OsString,
    },
    /// A program cannot be started.
    #[error("unable to execute '{}': {source}", program.display())]
    Exec {
        /// Its file.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl SessionError {
    /// Whether this is the user's wish to end.
    pub fn is_cancelled(&self) -> bool {
        match self {
            SessionError::Store(error) => error.class() == store::ErrorClass::Cancelled,
            SessionError::Fetch(error) => error.class() == fetchers::ErrorClass::Cancelled,
            SessionError::Builder(error) => matches!(error, builder::Error::Cancelled(_)),
            _ => false,
        }
    }
}
