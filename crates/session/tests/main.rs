//! The session through its public face: what waits to be written, what is remembered of evaluations.

mod pending;
mod remembered;
