//! The nouns of the store through their public API: what C++ Nix 2.34.8 wrote (recorded in `golden/`), and properties.

mod derivations;
mod hashes;
mod paths;
mod properties;
mod records;

use store_model::StoreDir;

/// The store directory of everything recorded.
fn store_dir() -> StoreDir {
    StoreDir::new("/nix/store").expect("an absolute path")
}
