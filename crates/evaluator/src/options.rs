//! How to evaluate: a plain struct, filled by `session` from the settings.

use crate::inputs::InputSyntax;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One entry of the search path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPathEntry {
    /// `nixpkgs` of `nixpkgs=…`; empty if there is none.
    pub prefix: Vec<u8>,
    /// An absolute path, or something that `World::resolve_search_path` turns into one.
    pub value: Vec<u8>,
}

/// Tells the time, in nanoseconds since 1970.
pub type Clock = fn() -> u128;

/// How often stacks of calls are counted.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Nanoseconds between two; 0 counts at every call.
    pub period: u128,
    /// Tells the time.
    pub clock: Clock,
}

/// How to evaluate.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// `builtins.currentSystem`, where it may be seen.
    pub system: String,
    /// The search path, in order.
    pub search_path: Vec<SearchPathEntry>,
    /// Nothing outside but what is fetched by hash (`pure-eval`).
    pub pure: bool,
    /// Files only below the search path (`restrict-eval`).
    pub restricted: bool,
    /// Paths that pure or restricted evaluation may read, besides what it puts into the store itself.
    pub allowed_paths: Vec<Vec<u8>>,
    /// URL prefixes that restricted evaluation may fetch.
    pub allowed_uris: Vec<String>,
    /// Nothing is written; paths that are only named need not be valid.
    pub read_only: bool,
    /// Calls that may nest (`max-call-depth`).
    pub max_call_depth: u32,
    /// Building during evaluation is allowed (`allow-import-from-derivation`).
    pub import_from_derivation: bool,
    /// `traceVerbose` traces.
    pub trace_verbose: bool,
    /// Traces name every call on the way (`show-trace`); without it no call is noted.
    pub show_trace: bool,
    /// Calls are counted, for [`Evaluator::statistics`](crate::Evaluator::statistics).
    pub counting: bool,
    /// A line is written at each call and return (`trace-function-calls`), with the time that this tells.
    pub trace_calls: Option<Clock>,
    /// Stacks of calls are counted (`eval-profiler`), for [`Evaluator::profile`](crate::Evaluator::profile).
    pub profile: Option<Sampling>,
    /// `warn` aborts.
    pub abort_on_warn: bool,
    /// Enabled experimental features.
    pub experimental_features: BTreeSet<String>,
    /// What is done about questionable literals (`lint-…`).
    pub lints: crate::program::Lints,
    /// Threads that evaluate at the same time (`eval-cores`).
    pub cores: u32,
    /// When memory is collected, and how much there may be.
    pub heap: crate::heap::HeapOptions,
    /// `builtins.nixVersion`.
    pub nix_version: String,
    /// The grammar of inputs for the fetching builtins, where there is one.
    pub inputs: Option<Arc<dyn InputSyntax>>,
}

impl Default for EvalOptions {
    fn default() -> Self {
        EvalOptions {
            system: "x86_64-linux".into(),
            search_path: Vec::new(),
            pure: false,
            restricted: false,
            allowed_paths: Vec::new(),
            allowed_uris: Vec::new(),
            read_only: false,
            max_call_depth: 10_000,
            import_from_derivation: true,
            trace_verbose: false,
            show_trace: false,
            counting: false,
            trace_calls: None,
            profile: None,
            abort_on_warn: false,
            experimental_features: BTreeSet::new(),
            lints: crate::program::Lints::default(),
            cores: 1,
            heap: crate::heap::HeapOptions::default(),
            nix_version: "2.34.8".into(),
            inputs: None,
        }
    }
}

impl EvalOptions {
    /// Whether an experimental feature is enabled; `flakes` brings `fetch-tree`.
    pub fn has_feature(&self, name: &str) -> bool {
        let has = |name: &str| self.experimental_features.contains(name);
        has(name) || name == "fetch-tree" && has("flakes")
    }
}
