//! `nix store`: what is done to a store as a whole, and to its paths.

pub mod path_from_hash_part;
