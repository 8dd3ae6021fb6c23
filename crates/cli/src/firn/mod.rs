//! Commands that are Firn's own.

pub mod completions;
pub mod link;
pub mod sources;
