//! Streams between stores.

mod export;
mod serve;
