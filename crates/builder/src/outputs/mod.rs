//! From what a builder left behind to what the store knows.
//!
//! In this order: does every output exist, and is it nobody else's ([`register`]); its hash and references in one pass
//! ([`scan`]); paths that were written elsewhere put right ([`rewrite`]), or found from the contents ([`content`]); are the references allowed ([`check`]); moved to
//! its place and handed over for registration ([`register`]).

pub(crate) mod check;
pub(crate) mod content;
pub(crate) mod register;
pub(crate) mod rewrite;
pub(crate) mod scan;
