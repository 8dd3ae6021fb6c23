//! Nix expressions to values.
//!
//! Text is compiled to a [`Program`](program::Program) (`compile`), linked (`code`), and walked by the interpreter (`eval`)
//! over values (`value`) in memory of its own (`heap`). Everything outside is seen through one trait, [`World`]. What
//! others use is small: an [`Evaluator`] gives [`Rooted`] values, which it can force, select from, print, and find
//! derivations in; failures are [`EvalError`]s, made readable by [`Evaluator::report`].
//!
//! Evaluation recurses on the native stack: run it under [`with_large_stack`] to nest as deep as C++ Nix.
//!
//! Absent on purpose: stores, builds, fetching, settings, printing to anywhere.

mod attr_path;
mod builtins;
mod code;
pub mod compile;
mod error;
mod eval;
mod evaluator;
mod heap;
mod inputs;
mod numbers;
mod options;
mod os;
mod package_facts;
mod packages;
mod parallel;
pub mod program;
mod record;
mod show;
mod stored;
mod suggest;
mod test_world;
mod text;
mod value;
mod world;

pub use error::{ErrorKind, ErrorReport, EvalError, Origin, Position, TraceFrame};
pub use evaluator::{Evaluator, FunctionCalls, PartMark, Rooted, Statistics, StringContextElement, ValueKind};
pub use heap::{HeapOptions, HeapStatistics};
pub use inputs::{Input, InputAttributes, InputSyntax};
pub use options::{Clock, EvalOptions, Sampling, SearchPathEntry};
pub use os::with_large_stack;
pub use package_facts::{Listed, NamePattern, compare_versions, split_name};
pub use packages::{Met, Package, PackageOutput};
pub use record::ReadLog;
pub use stored::ProgramCache;
pub use test_world::TestWorld;
pub use text::{bytes_as_text, text_as_bytes};
pub use value::print::{PrintOptions, push_name};
pub use world::{
    CopyRequest, FetchAttribute, FetchRequest, Fetched, PathFilter, PathType, World, WorldError, WorldErrorClass,
};
