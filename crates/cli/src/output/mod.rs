//! What a command shows: progress and log formats, errors.

pub mod build;
pub mod closure_difference;
pub mod completions;
pub mod diagnostic;
pub mod display;
pub mod error;
pub mod folded;
pub mod garbage;
pub mod graph;
pub mod json;
pub mod json_log;
pub mod listing;
pub mod manual;
pub mod plain;
pub mod progress;
pub mod statistics;
pub mod value;
pub mod why;
