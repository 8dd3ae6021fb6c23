//! The older programs, each with a name of its own.

pub mod nix_build;
pub mod nix_channel;
pub mod nix_collect_garbage;
pub mod nix_env;
pub mod nix_hash;
pub mod nix_instantiate;
pub mod nix_prefetch_url;
pub mod nix_shell;
pub mod nix_store;
