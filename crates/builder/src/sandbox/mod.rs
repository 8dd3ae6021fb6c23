//! Shutting a builder in.
//!
//! A request is plain data ([`SandboxRequest`]); [`linux`] starts our own binary again and hands it over; [`child`] is
//! that re-executed end, which makes namespaces, mounts ([`mounts`]) and limits ([`seccomp`]) and becomes the builder;
//! without namespaces [`keeper`] stands over it.
//! [`probe()`] tells what this machine gives. [`enter()`] shows a store at its logical path to programs that are run from it. A process with threads never forks
//! without exec: [`spawn`] makes only system calls in between.
//!
//! `unsafe` stands in [`sys`] and [`spawn`] only. Absent: what a builder is given (environment, inputs, build folder) and
//! what becomes of its outputs.

pub(crate) mod cgroup;
pub(crate) mod child;
mod enter;
mod keeper;
pub(crate) mod linux;
mod mounts;
mod probe;
pub(crate) mod pty;
pub mod request;
mod seccomp;
#[allow(unsafe_code, reason = "one of the two places where system calls are made")]
mod spawn;
pub mod supervise;
#[allow(unsafe_code, reason = "one of the two places where system calls are made")]
mod sys;
mod wire;

pub use child::{CHILD_ARGUMENT, child_main};
pub use enter::{EnterRequest, enter};
pub use probe::{Probed, probe};
pub use request::SandboxRequest;
