//! The session through its public face: what is remembered of evaluations.

mod remembered;
