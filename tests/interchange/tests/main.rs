//! C++ Nix and we in one store: after each other and at the same time.

mod formats;
mod stores;
mod together;
