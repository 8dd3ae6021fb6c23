//! What stores say to each other over streams.
//!
//! `export.rs` is the oldest of these forms: whole objects with their metadata in one stream, as `nix-store --export` writes
//! them. `serve/` answers the requests that come over ssh (`nix-store --serve`). `wire.rs` has what they are made of.
//!
//! Absent: the worker protocol, and the clients' ends; sockets and processes, which are the callers'.

mod error;
pub mod export;
pub mod serve;
mod wire;

pub use error::{Error, Result};
