//! What can be wrong with a text, in C++ Nix's words.
//!
//! Absent: what needs names to be noticed (attributes defined twice, undefined variables); sinks find that.

use crate::span::Span;
use crate::token::TokenKind;

/// An error with its place.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct SyntaxError {
    /// Where; C++ Nix shows its start.
    pub span: Span,
    /// What.
    pub kind: SyntaxErrorKind,
}

/// What is wrong.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum SyntaxErrorKind {
    /// A token that cannot stand there. The list of what could is empty where it would be long.
    #[error("syntax error, unexpected {}{}", found.describe(), expecting(expected))]
    Unexpected {
        /// The token.
        found: TokenKind,
        /// What could stand there, at most four kinds.
        expected: &'static [TokenKind],
    },
    /// An integer beyond 64 bits.
    #[error("invalid integer '{0}'")]
    InvalidInteger(String),
    /// A float too large or too small.
    #[error("invalid float '{0}'")]
    InvalidFloat(String),
    /// `./a/ ` with nothing after the slash.
    #[error("path has a trailing slash")]
    TrailingSlash,
    /// A NUL byte in a string; the text so far with its NULs shown.
    #[error("input string '{0}' cannot be represented as Nix string because it contains null bytes")]
    NullByte(String),
    /// Syntax that must be switched on.
    #[error("experimental Nix feature '{0}' is disabled; add '--extra-experimental-features {0}' to enable it")]
    FeatureDisabled(&'static str),
    /// Deeper nesting than [`crate::ParseOptions`] allows.
    #[error("expression is nested too deeply")]
    NestingTooDeep,
}

fn expecting(expected: &[TokenKind]) -> String {
    let mut text = String::new();
    for (index, kind) in expected.iter().enumerate() {
        text.push_str(if index == 0 { ", expecting " } else { " or " });
        text.push_str(kind.describe());
    }
    text
}
