//! A model of a collection beside others that root, use and register paths: every order of steps keeps what is used.
//!
//! The steps are those of `collect.rs` and `socket.rs`, over the real [`Live`] and [`Graph`]; database and disk are sets. A user roots a
//! path, waits while it is pending, asks whether it is valid, and from then on relies on it and all it refers to.

use super::graph::{Graph, Node, Parts};
use super::live::{Live, Policy};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use store_model::StorePath;

fn path(n: u32) -> StorePath {
    let mut hash = [0; 20];
    hash[..4].copy_from_slice(&n.to_le_bytes());
    StorePath::from_parts(hash, if n.is_multiple_of(3) { "x.drv" } else { "x" }).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    /// A user roots the path.
    Root(u32),
    /// The first user who waits for a path that is not pending goes on.
    Wake,
    /// A user registers a new path that refers to one that they rely on.
    Register(u32),
    /// The collection goes one step on.
    Collect,
    /// The objects of the batch before do.
    Leave,
}

/// Where the collection is.
enum Phase {
    Idle,
    /// Pending nodes, the next to look at, those whose rows are gone.
    Deleting(Vec<Node>, usize, Vec<Node>),
}

struct World {
    count: u32,
    edges: BTreeSet<(u32, u32)>,
    live: Live,
    graph: Arc<Graph>,
    order: Vec<Node>,
    batch: usize,
    phase: Phase,
    /// Of the batch before, whose rows are gone: what is still to be renamed.
    leaving: Option<Vec<Node>>,
    rows: BTreeSet<u32>,
    objects: BTreeSet<u32>,
    waiting: Vec<u32>,
    relied_on: BTreeSet<u32>,
    /// What registered later refers to.
    later: BTreeSet<u32>,
}

impl World {
    fn new(count: u32, edges: &BTreeSet<(u32, u32)>, roots: &[u32], policy: Policy, batch: usize) -> World {
        let parts = Parts {
            paths: (0..count).map(|n| (i64::from(n) + 10, path(n))).collect(),
            sizes: Vec::new(),
            times: Vec::new(),
            references: edges.iter().copied().collect(),
            derivers: (0..count).filter(|n| n % 3 == 1).map(|n| (n, n - 1)).collect(),
            outputs: (0..count).filter(|n| n % 3 == 1).map(|n| (n - 1, n)).collect(),
        };
        let graph = Arc::new(Graph::new(parts));
        let mut live = Live::new(policy);
        roots.iter().for_each(|root| live.root(&path(*root)));
        live.set_graph(Arc::clone(&graph));
        let order = graph.referrers_first(|node| !live.is_alive(node));
        let all: BTreeSet<u32> = (0..count).collect();
        World {
            count,
            edges: edges.clone(),
            live,
            graph,
            order,
            batch,
            phase: Phase::Idle,
            leaving: None,
            rows: all.clone(),
            objects: all,
            waiting: Vec::new(),
            relied_on: roots.iter().copied().collect(),
            later: BTreeSet::new(),
        }
    }

    fn references(&self, n: u32) -> impl Iterator<Item = u32> {
        self.edges.iter().filter(move |(from, _)| *from == n).map(|(_, to)| *to)
    }

    fn referred_to(&self, n: u32) -> bool {
        self.later.contains(&n) || self.edges.iter().any(|(from, to)| *to == n && self.rows.contains(from))
    }

    fn acknowledged(&mut self, n: u32) {
        if self.rows.contains(&n) {
            self.relied_on.insert(n);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Root(n) => {
                let n = n % self.count;
                self.live.temporary_root(&path(n));
                match self.live.is_pending(&path(n)) {
                    true => self.waiting.push(n),
                    false => self.acknowledged(n),
                }
            }
            Step::Wake => {
                if let Some(at) = self.waiting.iter().position(|n| !self.live.is_pending(&path(*n))) {
                    let n = self.waiting.remove(at);
                    self.acknowledged(n);
                }
            }
            Step::Register(n) => {
                if self.relied_on.contains(&(n % self.count)) {
                    self.later.insert(n % self.count);
                }
            }
            Step::Collect => self.collect(),
            Step::Leave => self.leave(),
        }
    }

    fn leave(&mut self) {
        let Some(mut rest) = self.leaving.take() else { return };
        match rest.pop() {
            Some(node) => {
                self.objects.remove(&node);
                self.leaving = Some(rest);
            }
            None => self.live.end(),
        }
    }

    fn collect(&mut self) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => {
                let rest = self.order.split_off(self.batch.min(self.order.len()));
                let nodes = std::mem::replace(&mut self.order, rest);
                Phase::Deleting(self.live.begin(&nodes), 0, Vec::new())
            }
            Phase::Deleting(batch, at, mut gone) if at < batch.len() => {
                let node = batch[at];
                if !self.live.is_alive(node) {
                    if self.referred_to(node) {
                        self.live.keep(node);
                    } else {
                        gone.push(node);
                    }
                }
                // Within the transaction, rows that are about to go refer to nothing any more.
                if gone.last() == Some(&node) {
                    self.rows.remove(&node);
                }
                Phase::Deleting(batch, at + 1, gone)
            }
            waiting if self.leaving.is_some() => {
                self.leave();
                waiting
            }
            Phase::Deleting(_, _, gone) => {
                self.leaving = Some(gone);
                Phase::Idle
            }
        };
    }

    fn check(&self) {
        for n in &self.rows {
            assert!(self.objects.contains(n), "{n} has a row and no object");
            for reference in self.references(*n) {
                assert!(self.rows.contains(&reference), "{n} is valid and refers to {reference}, which is not");
            }
        }
        for n in self.relied_on.iter().chain(&self.later) {
            assert!(self.rows.contains(n), "{n} is relied on and gone");
        }
    }

    fn finish(&mut self) {
        while !(self.order.is_empty() && matches!(self.phase, Phase::Idle)) {
            self.collect();
        }
        while self.leaving.is_some() {
            self.leave();
        }
        assert!(self.graph.len() == self.count as usize);
        while !self.waiting.is_empty() {
            self.step(&Step::Wake);
        }
        self.check();
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => any::<u32>().prop_map(Step::Root),
        1 => Just(Step::Wake),
        1 => any::<u32>().prop_map(Step::Register),
        6 => Just(Step::Collect),
        3 => Just(Step::Leave),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #[test]
    fn what_is_used_stays(
        edges in prop::collection::vec((0u32..18, 0u32..18), 0..40),
        roots in prop::collection::vec(0u32..18, 0..3),
        (keep_outputs, keep_derivations) in any::<(bool, bool)>(),
        batch in 1usize..6,
        steps in steps(),
    ) {
        // From larger to smaller numbers: no circles.
        let edges = edges.into_iter().filter(|(a, b)| a != b).map(|(a, b)| (a.max(b), a.min(b))).collect();
        let policy = Policy { keep_outputs, keep_derivations };
        let mut world = World::new(18, &edges, &roots, policy, batch);
        for step in &steps {
            world.step(step);
            world.check();
        }
        world.finish();
    }

    #[test]
    fn without_users_exactly_the_roots_closure_stays(
        edges in prop::collection::vec((0u32..18, 0u32..18), 0..40),
        roots in prop::collection::vec(0u32..18, 0..3),
        (keep_outputs, keep_derivations) in any::<(bool, bool)>(),
    ) {
        let edges: BTreeSet<_> =
            edges.into_iter().filter(|(a, b)| a != b).map(|(a, b)| (a.max(b), a.min(b))).collect();
        let mut world = World::new(18, &edges, &roots, Policy { keep_outputs, keep_derivations }, 4);
        let mut expected: BTreeSet<u32> = roots.iter().copied().collect();
        loop {
            let more: BTreeSet<u32> = expected.iter().flat_map(|n| {
                let mut next: Vec<u32> = edges.iter().filter(|(from, _)| from == n).map(|(_, to)| *to).collect();
                if keep_derivations && n % 3 == 1 {
                    next.push(n - 1);
                }
                if keep_outputs && n.is_multiple_of(3) && n + 1 < 18 {
                    next.push(n + 1);
                }
                next
            }).filter(|n| !expected.contains(n)).collect();
            if more.is_empty() {
                break;
            }
            expected.extend(more);
        }
        world.finish();
        prop_assert_eq!(world.rows, expected);
    }
}
