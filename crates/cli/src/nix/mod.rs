//! The sub-commands of `nix`.

pub mod build;
pub mod eval;
pub mod path_info;
pub mod run;
pub mod shell;
