//! From wanted paths to registered outputs.
//!
//! A request's way: [`plan`] says what must be made, pure and step by step; [`schedule`] which of it goes next; `run.rs` is
//! the loop around both, with a thread per job (`prepare.rs`) and a registrar (`registrar.rs`); `local.rs` builds one derivation in a [`sandbox`], or
//! `builtin/` fetches and unpacks it; `outputs/` judges what came out. Everyone else sees [`LocalBuilder`].
//!
//! Absent: reading of settings ([`BuilderOptions`] are plain values), collection, remote machines.
//!
//! A program that uses this crate must call [`child_main`] first thing when its first argument is
//! [`sandbox::CHILD_ARGUMENT`]: sandboxes are the program itself, executed again.

mod admission;
mod builder;
mod builtin;
mod environment;
mod error;
mod external;
mod failure;
mod folders;
mod history;
mod hooks;
mod job_server;
mod known;
mod local;
mod log;
mod options;
mod outputs;
pub mod plan;
mod prepare;
mod registrar;
mod remove;
mod run;
pub mod sandbox;
pub mod schedule;
mod substitute;
mod suspend;
mod users;

pub use admission::AdmissionLimits;
pub use builder::LocalBuilder;
pub use environment::{StructuredAttributes, structured_attributes};
pub use error::{Error, Result, WrongHash};
pub use external::ExternalBuilder;
pub use history::History;
pub use hooks::Hooks;
pub use options::{BuilderOptions, SandboxMode, SandboxPath};
pub use plan::{Features, Substitution};
pub use sandbox::child_main;
pub use substitute::{Opening, Substituter, Substituters};
pub use suspend::Suspension;
pub use users::UserPool;
