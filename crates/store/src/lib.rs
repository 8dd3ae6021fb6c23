//! The store traits, and the store on this machine.
//!
//! `api.rs` declares what stores can do; `local/` is the store on the disk, on Nix's database schema 10, used at the same time
//! by C++ Nix; `gc/` collects what nobody needs in it; `memory.rs` is the reference store; `conformance.rs` the suite that
//! every store passes; `closure.rs` walks graphs of references; `profile.rs` are links to generations. An object enters a
//! store by being rooted, locked, written, made durable, and registered, in that
//! order.
//!
//! Absent: wires, caches, building; settings are plain values that the caller brings.

pub mod api;
pub mod closure;
pub mod conformance;
pub mod content_addressed;
pub mod copy;
mod error;
mod gc;
mod local;
mod memory;
mod pipe;
pub mod profile;
mod threads;
pub mod validity;

pub use api::{
    AddTree, BuildLogs, BuildMode, Builder, GarbageCollector, GcAction, GcOptions, GcResults, LogWriter, MissingPaths,
    Realisations, Roots, Store, TemporaryRoots, TreeObject, WritableStore, WriteOptions,
};
pub use error::{Error, ErrorClass, Result};
pub use gc::{AutoCollection, render_size};
pub use local::{
    Canonicaliser, FaultPoints, LoadOptions, LocalStore, LocalStoreOptions, OptimiseStats, PathLocks, Scratch,
    Verification, address_of_tree, describe_tree,
};
pub use memory::MemoryStore;
pub use pipe::{PipeReader, PipeWriter, pipe, unnamed_file};
pub use profile::{Doomed, Generation, Generations, Profile, ProfileLock};
