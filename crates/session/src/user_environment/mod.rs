//! User environments: what `nix-env` and `nix-channel` install into a profile.
//!
//! Path of data: expressions, store paths or a manifest → [`Element`]s ([`source`]) → those that selectors mean
//! ([`selection`]) → built → [`manifest`]: a text that says what is in the environment, and the derivation that links it
//! together → built → a generation of the profile (`store::Profile`).
//!
//! Absent: building, printing, and what a command's flags mean (`cli`).

mod element;
mod manifest;
mod selection;
mod source;

pub use element::Element;
pub use manifest::{Environment, write};
pub use selection::{Selector, Selectors, compare_priorities};
pub use source::{default_set, installed};

use evaluator::EvalError;

use crate::error::SessionError;

/// Why an environment cannot be told or made.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// Evaluation failed.
    #[error("{}", .0.message())]
    Evaluation(EvalError),
    /// The store or a file says no.
    #[error("{0}")]
    Session(#[from] SessionError),
    /// Words that mean nothing here; in C++ Nix's words.
    #[error("{0}")]
    Words(String),
}

impl From<EvalError> for EnvironmentError {
    fn from(error: EvalError) -> Self {
        Self::Evaluation(error)
    }
}

impl From<store::Error> for EnvironmentError {
    fn from(error: store::Error) -> Self {
        Self::Session(error.into())
    }
}
