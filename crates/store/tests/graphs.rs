//! The order in which paths can be written, on random graphs.

use crate::store_dir;
use proptest::prelude::*;
use std::collections::BTreeMap;
use store::{Error, closure::topological_order};
use store_model::StorePath;

fn path(n: u8) -> StorePath {
    StorePath::from_parts([n; 20], "x").unwrap()
}

proptest! {
    #[test]
    fn references_come_first(edges in prop::collection::vec((0u8..20, 0u8..20), 0..60)) {
        let mut graph: BTreeMap<StorePath, Vec<StorePath>> = (0..20).map(|n| (path(n), Vec::new())).collect();
        // Only from larger to smaller numbers, and to itself: no circles.
        for (a, b) in edges {
            graph.get_mut(&path(a.max(b))).unwrap().push(path(a.min(b)));
        }
        let order = topological_order(&store_dir(), graph.keys().cloned(), |p| graph[p].clone()).unwrap();
        prop_assert_eq!(order.len(), graph.len());
        let place: BTreeMap<_, _> = order.iter().enumerate().map(|(i, p)| (p.clone(), i)).collect();
        for (from, tos) in &graph {
            for to in tos {
                prop_assert!(to == from || place[to] < place[from]);
            }
        }
    }
}

#[test]
fn circles_are_found() {
    let next = |p: &StorePath| vec![if *p == path(1) { path(2) } else { path(1) }];
    let circle = topological_order(&store_dir(), [path(1), path(2)], next);
    assert!(matches!(circle, Err(Error::Cycle { .. })));
}

#[test]
fn long_chains_need_no_stack() {
    let name = |n: u32| {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&n.to_le_bytes());
        StorePath::from_parts(hash, "x").unwrap()
    };
    let paths: Vec<StorePath> = (0..200_000).map(name).collect();
    let index: BTreeMap<_, _> = paths.iter().enumerate().map(|(i, p)| (p.clone(), i)).collect();
    let next = |p: &StorePath| paths.get(index[p] + 1).cloned().into_iter().collect();
    assert_eq!(topological_order(&store_dir(), paths.iter().cloned(), next).unwrap().len(), paths.len());
}
