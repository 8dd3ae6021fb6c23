//! Builders that are part of us.
pub(crate) mod unpack;
