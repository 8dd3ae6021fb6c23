//! One opened Nix: settings, store URIs, the evaluator's world, what users name.
//!
//! The one place where evaluating, fetching and building meet. Only this crate reads configuration and environment; it
//! hands small option structs to the crates below. Absent: printing, exit codes, command-line words (`cli`).

pub mod settings;

mod error;
mod mirrors;

pub use error::SessionError;
pub use mirrors::Mirrors;
