//! What every store must do, as a suite that takes a fresh, empty store.
