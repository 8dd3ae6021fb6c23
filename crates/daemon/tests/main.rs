//! Streams between stores.

mod export;
