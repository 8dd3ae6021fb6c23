//! What lives, step by step: the state that the collection and its socket share.
//!
//! A path lives if a root leads to it: by references, from an output to its derivation (`keep-derivations`), from a
//! derivation to its outputs (`keep-outputs`). Roots may arrive at any time, until the collection ends. A batch of paths is
//! *pending* while it is being deleted; who roots one of them is told to wait, as it would otherwise be written anew while
//! the old one is being renamed away. The next batch may begin before one ends; they end in the order in which they began.
//! Nothing that lives becomes pending, and what is pending is deleted unless it turns out to be referred to.
//!
//! Absent: locks between threads, the disk, the database: this is arithmetic, and tested as such.

use super::graph::{Graph, Node};
use rustc_hash::FxHashSet;
use std::collections::VecDeque;
use std::sync::Arc;
use store_model::StorePath;

/// The 32 digits of a path. Roots protect whatever has them: the path, its lock, and its other companions.
type HashPart = [u8; 32];

fn hash_part(path: &StorePath) -> HashPart {
    let mut digits = [0; 32];
    digits.copy_from_slice(path.hash_part().as_bytes());
    digits
}

/// What follows from what, beside references.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) keep_outputs: bool,
    pub(crate) keep_derivations: bool,
}

/// The state.
pub(crate) struct Live {
    policy: Policy,
    graph: Arc<Graph>,
    alive: Vec<bool>,
    roots: FxHashSet<StorePath>,
    protected: FxHashSet<HashPart>,
    /// A set for each batch.
    pending: VecDeque<FxHashSet<HashPart>>,
}

impl Live {
    /// Before the graph is known.
    pub(crate) fn new(policy: Policy) -> Live {
        Live {
            policy,
            graph: Arc::default(),
            alive: Vec::new(),
            roots: FxHashSet::default(),
            protected: FxHashSet::default(),
            pending: VecDeque::new(),
        }
    }

    /// Takes the graph; whatever the roots so far lead to lives.
    pub(crate) fn set_graph(&mut self, graph: Arc<Graph>) {
        self.alive = vec![false; graph.len()];
        self.graph = graph;
        let roots: Vec<Node> = self.roots.iter().filter_map(|path| self.graph.find(path)).collect();
        for root in roots {
            self.keep(root);
        }
    }

    /// A permanent root, or one of a process.
    pub(crate) fn root(&mut self, path: &StorePath) {
        if self.roots.insert(path.clone())
            && let Some(node) = self.graph.find(path)
        {
            self.keep(node);
        }
    }

    /// A temporary root: a path that somebody is about to use or to make.
    pub(crate) fn temporary_root(&mut self, path: &StorePath) {
        self.protected.insert(hash_part(path));
        self.root(path);
    }

    /// The node and all that follows from it live.
    pub(crate) fn keep(&mut self, node: Node) {
        let graph = Arc::clone(&self.graph);
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            if std::mem::replace(&mut self.alive[node as usize], true) {
                continue;
            }
            stack.extend_from_slice(graph.references(node));
            if self.policy.keep_derivations {
                stack.extend_from_slice(graph.deriver(node));
            }
            if self.policy.keep_outputs {
                stack.extend_from_slice(graph.outputs(node));
            }
        }
    }

    /// Whether the node lives.
    pub(crate) fn is_alive(&self, node: Node) -> bool {
        self.alive[node as usize] || self.protected.contains(&hash_part(self.graph.path(node)))
    }

    /// Whether a name that is no valid path must stay: somebody is about to make it, or holds its lock.
    pub(crate) fn is_protected(&self, path: &StorePath) -> bool {
        self.protected.contains(&hash_part(path))
    }

    /// Begins to delete those of the nodes that do not live, and tells which.
    pub(crate) fn begin(&mut self, nodes: &[Node]) -> Vec<Node> {
        let mut taken = Vec::with_capacity(nodes.len());
        for node in nodes {
            if self.alive[*node as usize] {
                continue;
            }
            if self.is_alive(*node) {
                self.keep(*node);
                continue;
            }
            taken.push(*node);
        }
        // A root found above may have made others of the batch live.
        taken.retain(|node| !self.alive[*node as usize]);
        self.pending.push_back(taken.iter().map(|node| hash_part(self.graph.path(*node))).collect());
        taken
    }

    /// The same for names that are no valid paths.
    pub(crate) fn begin_invalid<'p>(&mut self, paths: &'p [StorePath]) -> Vec<&'p StorePath> {
        let taken: Vec<&StorePath> = paths.iter().filter(|path| !self.is_protected(path)).collect();
        self.pending.push_back(taken.iter().map(|path| hash_part(path)).collect());
        taken
    }

    /// The batch that began first is gone.
    pub(crate) fn end(&mut self) {
        self.pending.pop_front();
    }

    /// Whether the path is being deleted, so that who roots it has to wait.
    pub(crate) fn is_pending(&self, path: &StorePath) -> bool {
        self.pending.iter().any(|batch| batch.contains(&hash_part(path)))
    }

    /// What would have to be deleted with the path: all that leads to it. `None` if a root does, or something that is not
    /// among the `allowed`.
    pub(crate) fn dependents(&self, start: Node, allowed: impl Fn(Node) -> bool) -> Option<Vec<Node>> {
        let graph = &self.graph;
        let mut found: FxHashSet<Node> = FxHashSet::from_iter([start]);
        let mut stack = vec![start];
        while let Some(node) = stack.pop() {
            if self.is_alive(node) || !allowed(node) {
                return None;
            }
            let mut visit = |nodes: &[Node]| stack.extend(nodes.iter().filter(|node| found.insert(**node)));
            visit(graph.referrers(node));
            if self.policy.keep_derivations && graph.path(node).is_derivation() {
                let own = |output: &Node| graph.derived(node).contains(output);
                let outputs: Vec<Node> = graph.outputs(node).iter().copied().filter(own).collect();
                visit(&outputs);
            }
            if self.policy.keep_outputs {
                visit(graph.derivers(node));
            }
        }
        Some(found.into_iter().collect())
    }
}
