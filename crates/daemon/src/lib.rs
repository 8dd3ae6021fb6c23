//! What stores say to each other over streams.
//!
//! `export.rs` is the oldest of these forms: whole objects with their metadata in one stream, as `nix-store --export` writes
//! them.
//!
//! Absent: the worker protocol and the serve protocol of ssh; sockets and processes, which are the callers'.

mod error;
pub mod export;

pub use error::{Error, Result};
