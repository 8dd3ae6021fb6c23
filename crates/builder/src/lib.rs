//! From wanted paths to registered outputs.

mod builtin;
mod error;
mod folders;
pub mod sandbox;
mod users;

pub use error::{Error, Result};
pub use sandbox::child_main;
