//! Commands that are Firn's own.

pub mod link;
pub mod sources;
