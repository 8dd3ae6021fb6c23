//! The sub-commands of `nix`.

pub mod build;
pub mod eval;
pub mod hash;
pub mod path_info;
pub mod run;
pub mod shell;
pub mod store;
