//! Remembered evaluation: each kind of thing that can be read, changed; many random changes; what is never remembered.

mod changes;
mod parts;
mod random;
mod rig;
mod sources;
