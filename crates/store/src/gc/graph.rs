//! The snapshot of the database that a collection works on: paths as numbers, edges as arrays.
//!
//! Three questions and a pass over the answers, whatever the size of the store; a million paths take some hundred megabytes
//! less than as sets of paths. What is registered later is not in it; `collect.rs` asks the database again for who refers to
//! what it deletes.
//!
//! Absent: what lives (`live.rs`).

use crate::{Error, Result};
use rusqlite::Connection;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::path::Path;
use store_model::{StoreDir, StorePath};

/// A path's place in the arrays.
pub(crate) type Node = u32;

/// Answers what outputs of derivations became, by the derivations' numbers.
pub(crate) type Realised<'a> = dyn Fn(&Connection, &[(i64, StorePath)]) -> Result<Vec<(i64, StorePath)>> + 'a;

/// Edges from each node, in one array.
#[derive(Default)]
struct Edges {
    starts: Vec<u32>,
    ends: Vec<Node>,
}

impl Edges {
    fn new(nodes: usize, pairs: impl Iterator<Item = (Node, Node)> + Clone) -> Edges {
        let mut starts = vec![0u32; nodes + 1];
        for (from, _) in pairs.clone() {
            starts[from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut ends = vec![0; starts[nodes] as usize];
        for (from, to) in pairs {
            ends[next[from as usize] as usize] = to;
            next[from as usize] += 1;
        }
        Edges { starts, ends }
    }

    fn of(&self, node: Node) -> &[Node] {
        &self.ends[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }
}

/// The graph of a store's valid paths.
#[derive(Default)]
pub(crate) struct Graph {
    ids: Vec<i64>,
    sizes: Vec<u64>,
    times: Vec<i64>,
    paths: Vec<StorePath>,
    by_path: FxHashMap<StorePath, Node>,
    references: Edges,
    referrers: Edges,
    deriver_of: Edges,
    derived_from: Edges,
    outputs_of: Edges,
    output_in: Edges,
}

/// What [`Graph`] is made of.
#[derive(Default)]
pub(crate) struct Parts {
    /// The number of each path in the database.
    pub(crate) paths: Vec<(i64, StorePath)>,
    /// The size of each path's archive.
    pub(crate) sizes: Vec<u64>,
    /// When each path was registered.
    pub(crate) times: Vec<i64>,
    /// Who refers to what.
    pub(crate) references: Vec<(Node, Node)>,
    /// Output and the derivation that is noted as having made it.
    pub(crate) derivers: Vec<(Node, Node)>,
    /// Derivation and path of an output of it.
    pub(crate) outputs: Vec<(Node, Node)>,
}

impl Graph {
    pub(crate) fn new(parts: Parts) -> Graph {
        let (ids, paths): (Vec<i64>, Vec<StorePath>) = parts.paths.into_iter().unzip();
        let by_path = paths.iter().zip(0..).map(|(path, node)| (path.clone(), node)).collect();
        let count = paths.len();
        let forward = |pairs: &Vec<(Node, Node)>| Edges::new(count, pairs.iter().copied());
        let backward = |pairs: &Vec<(Node, Node)>| Edges::new(count, pairs.iter().map(|(from, to)| (*to, *from)));
        Graph {
            ids,
            sizes: parts.sizes,
            times: parts.times,
            by_path,
            references: forward(&parts.references),
            referrers: backward(&parts.references),
            deriver_of: forward(&parts.derivers),
            derived_from: backward(&parts.derivers),
            outputs_of: forward(&parts.outputs),
            output_in: backward(&parts.outputs),
            paths,
        }
    }

    /// Reads it, within one transaction of the connection's. `realised` answers, by number, what outputs of derivations became
    /// that have none whose paths were known beforehand.
    pub(crate) fn load(
        connection: &Connection,
        store_dir: &StoreDir,
        file: &Path,
        realised: &Realised<'_>,
    ) -> Result<Graph> {
        let failed = |source| Error::Database { path: file.to_owned(), source };
        let mut parts = Parts::default();
        let mut derivers: Vec<(Node, String)> = Vec::new();
        let mut statement = connection
            .prepare("select id, path, deriver, narSize, registrationTime from ValidPaths")
            .map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let id: i64 = row.get(0).map_err(failed)?;
            let text = row.get_ref(1).and_then(|value| Ok(value.as_str()?)).map_err(failed)?;
            let path = store_dir.parse(text).map_err(|source| Error::Row { path: text.to_owned(), source })?;
            if let Some(deriver) = row.get::<_, Option<String>>(2).map_err(failed)? {
                derivers.push((parts.paths.len() as Node, deriver));
            }
            let size: Option<i64> = row.get(3).map_err(failed)?;
            parts.sizes.push(size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0));
            parts.times.push(row.get(4).map_err(failed)?);
            parts.paths.push((id, path));
        }
        let by_id: FxHashMap<i64, Node> = parts.paths.iter().zip(0..).map(|((id, _), node)| (*id, node)).collect();
        let by_path: FxHashMap<&StorePath, Node> =
            parts.paths.iter().zip(0..).map(|((_, path), node)| (path, node)).collect();
        // A deriver that is no path, or not valid, keeps nothing and is kept by nothing.
        let node_of = |text: &str| by_path.get(&store_dir.parse(text).ok()?).copied();
        parts.derivers = derivers.iter().filter_map(|(node, text)| Some((*node, node_of(text)?))).collect();
        let mut statement = connection.prepare("select referrer, reference from Refs").map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let pair: (i64, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
            if let (Some(referrer), Some(reference)) = (by_id.get(&pair.0), by_id.get(&pair.1))
                && referrer != reference
            {
                parts.references.push((*referrer, *reference));
            }
        }
        let mut statement = connection
            .prepare("select d.drv, v.id from DerivationOutputs d join ValidPaths v on v.path = d.path")
            .map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let pair: (i64, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
            if let (Some(drv), Some(output)) = (by_id.get(&pair.0), by_id.get(&pair.1)) {
                parts.outputs.push((*drv, *output));
            }
        }
        let mut statement = connection.prepare("select distinct drv from DerivationOutputs").map_err(failed)?;
        let told: FxHashSet<i64> =
            statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(failed)?;
        let untold = |(id, path): &&(i64, StorePath)| path.is_derivation() && !told.contains(id);
        let untold: Vec<(i64, StorePath)> = parts.paths.iter().filter(untold).cloned().collect();
        for (drv, output) in realised(connection, &untold)? {
            if let (Some(drv), Some(output)) = (by_id.get(&drv), by_path.get(&output)) {
                parts.outputs.push((*drv, *output));
            }
        }
        drop(by_path);
        Ok(Graph::new(parts))
    }

    pub(crate) fn len(&self) -> usize {
        self.paths.len()
    }

    pub(crate) fn nodes(&self) -> std::ops::Range<Node> {
        0..self.paths.len() as Node
    }

    pub(crate) fn find(&self, path: &StorePath) -> Option<Node> {
        self.by_path.get(path).copied()
    }

    pub(crate) fn path(&self, node: Node) -> &StorePath {
        &self.paths[node as usize]
    }

    /// The path's number in the database.
    pub(crate) fn id(&self, node: Node) -> i64 {
        self.ids[node as usize]
    }

    /// The size of the path's archive, 0 where it is not known.
    pub(crate) fn size(&self, node: Node) -> u64 {
        self.sizes.get(node as usize).copied().unwrap_or(0)
    }

    /// When the path was registered, 0 where it is not known.
    pub(crate) fn registered(&self, node: Node) -> i64 {
        self.times.get(node as usize).copied().unwrap_or(0)
    }

    /// What it refers to, without itself.
    pub(crate) fn references(&self, node: Node) -> &[Node] {
        self.references.of(node)
    }

    /// What refers to it, without itself.
    pub(crate) fn referrers(&self, node: Node) -> &[Node] {
        self.referrers.of(node)
    }

    /// The derivation that is noted as having made it, if that is valid.
    pub(crate) fn deriver(&self, node: Node) -> &[Node] {
        self.deriver_of.of(node)
    }

    /// What it is noted as having made.
    pub(crate) fn derived(&self, node: Node) -> &[Node] {
        self.derived_from.of(node)
    }

    /// The valid outputs of a derivation, whoever made them.
    pub(crate) fn outputs(&self, node: Node) -> &[Node] {
        self.outputs_of.of(node)
    }

    /// The valid derivations that have it among their outputs.
    pub(crate) fn derivers(&self, node: Node) -> &[Node] {
        self.output_in.of(node)
    }

    /// The chosen nodes in an order in which each stands before what it refers to. Nodes of a circle, which no valid store
    /// has, are left out.
    pub(crate) fn referrers_first(&self, chosen: impl Fn(Node) -> bool) -> Vec<Node> {
        let nodes: Vec<Node> = self.nodes().filter(|node| chosen(*node)).collect();
        let mut left = vec![0u32; self.len()];
        for node in &nodes {
            for reference in self.references(*node) {
                left[*reference as usize] += 1;
            }
        }
        let mut free: VecDeque<Node> = nodes.into_iter().filter(|node| left[*node as usize] == 0).collect();
        let mut order = Vec::new();
        while let Some(node) = free.pop_front() {
            order.push(node);
            for reference in self.references(node) {
                let count = &mut left[*reference as usize];
                *count -= 1;
                if *count == 0 && chosen(*reference) {
                    free.push_back(*reference);
                }
            }
        }
        order
    }
}
