//! The rules of the house as tests.
//!
//! `tree` lists and reads the project's files; every other module is one family of rules. A rule that a good reason
//! breaks is changed here, in the same commit as the code, with the reason beside it.

mod commands;
mod layers;
mod rooms;
mod tree;
mod words;
