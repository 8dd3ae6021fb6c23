//! The sub-commands of `nix`.

pub mod build;
pub mod config;
pub mod copy;
pub mod derivation;
pub mod develop;
pub mod edit;
pub mod eval;
pub mod hash;
pub mod help;
pub mod key;
pub mod log;
pub mod nar;
pub mod path_info;
pub mod print_dev_env;
pub mod realisation;
pub mod registry;
pub mod repl;
pub mod run;
pub mod shell;
pub mod store;
pub mod upgrade_nix;
pub mod why_depends;
