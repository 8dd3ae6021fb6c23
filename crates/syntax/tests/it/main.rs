//! The parser through its public API: what it says of good texts, what of bad ones, and that nothing upsets it.

mod properties;
mod recorder;
mod words;
