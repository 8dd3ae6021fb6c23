//! `nix store`: what is done to a store as a whole, and to its paths.

pub mod add;
pub mod add_file;
pub mod add_path;
pub mod cat;
pub mod copy_sigs;
pub mod delete;
pub mod diff_closures;
pub mod dump_path;
pub mod gc;
pub mod info;
pub mod ls;
pub mod make_content_addressed;
pub mod optimise;
pub mod path_from_hash_part;
pub mod prefetch_file;
pub mod repair;
pub mod sign;
pub mod verify;
