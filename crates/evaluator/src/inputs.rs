//! References to inputs (`github:owner/repo`, `{ type = "git"; url = …; }`) as text and attributes.
//!
//! Their grammar is a matter of fetching, which the evaluator knows nothing of; but what may be fetched it decides before
//! it asks. So it is told about an input through [`InputSyntax`], which only rewrites text: no files, no network, always
//! the same answer. `session` implements it.

use crate::world::{FetchAttribute, WorldError};
use std::collections::BTreeMap;

/// Attributes of an input by name.
pub type InputAttributes = BTreeMap<String, FetchAttribute>;

/// What is known of an input before it is fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its attributes, normalised.
    pub attributes: InputAttributes,
    /// It as a URL.
    pub url: String,
    /// It means the same thing for ever.
    pub is_locked: bool,
    /// It says which hash its tree has.
    pub has_nar_hash: bool,
}

/// The grammar of inputs and flake references. Every failure carries C++ Nix's words.
pub trait InputSyntax: Send + Sync + std::fmt::Debug {
    /// The attributes that a flake reference means.
    fn parse_flake_ref(&self, text: &str) -> Result<InputAttributes, WorldError>;

    /// Attributes as a flake reference.
    fn print_flake_ref(&self, attributes: InputAttributes) -> Result<String, WorldError>;

    /// The input that a URL means.
    fn input_of_url(&self, url: &str) -> Result<Input, WorldError>;

    /// The input that attributes mean.
    fn input_of_attributes(&self, attributes: InputAttributes) -> Result<Input, WorldError>;

    /// A URL as Git takes it: paths and `user@host:path` become URLs.
    fn git_url(&self, text: &str) -> Result<String, WorldError>;
}
