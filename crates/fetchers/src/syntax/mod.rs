//! Inputs as text and as attributes, before anything is fetched: pure, without IO.
//!
//! ```text
//! flake reference ─reference.rs─┐
//! URL ─url.rs─────────────────── InputRef (attributes) ── URL again
//! attributes of fetchTree ──────┘
//! ```
//!
//! `attributes.rs` holds the values, `url.rs` the URLs in C++ Nix's dialect, `names.rs` the small grammars of names,
//! `input.rs` what all schemes share, and one file each the schemes' own rules: `curl.rs` (file and tarball), `forge.rs`,
//! `git.rs` (and mercurial), `path.rs` (and indirect). Wording and rules: `src/libfetchers` and `src/libflake/flakeref.cc`.

pub(crate) mod attributes;
pub(crate) mod curl;
pub(crate) mod forge;
pub(crate) mod git;
pub(crate) mod input;
pub(crate) mod names;
pub(crate) mod path;
pub(crate) mod reference;
pub(crate) mod url;
