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
}
