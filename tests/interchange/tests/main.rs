//! C++ Nix and we in one store: after each other and at the same time.

mod formats;
mod killed;
mod realisations;
mod stores;
mod together;
