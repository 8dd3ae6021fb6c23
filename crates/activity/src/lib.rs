//! What is being done, and whether to stop.
//!
//! Every function of the house that takes time gets an [`Activity`] as its first parameter. Through it work opens
//! child activities, reports amounts and log lines, and learns that the user wants it to end. Events walk from the
//! activity to the one [`Reporter`] that the program chose; nothing below the program prints.
//!
//! [`Watched`] lets whatever writes much hear of that wish.
//!
//! Absent on purpose: drawing, formats of output, time-keeping, threads. The wire numbers are those of Nix
//! (`src/libutil/include/nix/util/logging.hh`), so that a daemon can send events as they are.

#[allow(clippy::module_inception, reason = "the type gives the crate its name")]
mod activity;
mod cancel;
mod event;
mod reporter;
mod watched;

pub use activity::Activity;
pub use cancel::{CancelToken, Cancelled};
pub use event::{ActivityId, ActivityKind, Event, Field, ResultKind, Verbosity};
pub use reporter::{Recorded, Recorder, Reporter, Silent, Tee};
pub use watched::Watched;
