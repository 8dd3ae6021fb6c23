//! Several threads evaluate over one heap.
//!
//! One thread decides: it walks as C++ Nix would, in that order, and alone says and reports anything. When it is about to
//! go through a list of values of which it will need every one, it offers that walk to helpers, which take values from the
//! far end and evaluate them *ahead*. What a helper finishes is found done by the deciding thread later. What fails ahead
//! leaves no trace: the helper undoes its claims, and the deciding thread meets the failure where it belongs. Whatever has
//! an effect (a message, a download, a build) makes a helper give up before it happens.
//!
//! A walk is over before whoever offered it goes on: no helper outlives it.
//!
//! | file | |
//! |---|---|
//! | `claims.rs` | the state word of a thunk |
//! | `waits.rs` | waiting for another's claim; cycles across threads |
//! | `stops.rs` | standing still for the collector |
//! | `crew.rs` | walks on offer, and the threads that help |
//! | `ahead.rs` | what helpers do |
//! | `model.rs` | the first three under loom: `RUSTFLAGS="--cfg loom" cargo test --release -p evaluator --lib model` |

mod ahead;
pub(crate) mod claims;
mod crew;
#[cfg(all(test, loom))]
mod model;
mod stops;
mod sync;
mod waits;

pub(crate) use ahead::{Progress, Task, deepest_ahead};
pub(crate) use claims::{OwnerId, StateWord};
pub(crate) use crew::{Crew, Foreman, Walk};
pub(crate) use stops::{Stops, attention};
pub(crate) use waits::Waits;
