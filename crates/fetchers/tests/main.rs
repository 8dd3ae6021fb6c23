//! The crate through its public face.

mod depot;
mod git;
mod references;
mod server;
mod tarballs;
