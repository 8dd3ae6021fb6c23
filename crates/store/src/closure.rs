//! Walks over the graph of references: closures of any store, and the order in which paths can be written.
//!
//! Both are loops, not recursions, and linear in the graph; a closure asks the store once per level.

use crate::{Error, Result, Store};
use activity::Activity;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use store_model::{PathInfo, StoreDir, StorePath};

/// Everything that the paths refer to, directly or not, themselves included. A path that is not valid is an error.
pub fn closure(store: &dyn Store, activity: &Activity, paths: &[StorePath]) -> Result<BTreeSet<StorePath>> {
    let mut found: BTreeSet<StorePath> = paths.iter().cloned().collect();
    let mut level: Vec<StorePath> = found.iter().cloned().collect();
    while !level.is_empty() {
        activity.check()?;
        let mut next = Vec::new();
        for (path, info) in level.iter().zip(store.path_infos(activity, &level)?) {
            let info = info.ok_or_else(|| Error::InvalidPath(store.store_dir().print(path)))?;
            for reference in info.references {
                if found.insert(reference.clone()) {
                    next.push(reference);
                }
            }
        }
        level = next;
    }
    Ok(found)
}

/// The paths in an order in which each comes after what it refers to; those that are not valid refer to nothing.
pub fn references_first(store: &dyn Store, activity: &Activity, paths: &BTreeSet<StorePath>) -> Result<Vec<StorePath>> {
    let list: Vec<StorePath> = paths.iter().cloned().collect();
    let infos = store.path_infos(activity, &list)?;
    let references: FxHashMap<&StorePath, PathInfo> =
        list.iter().zip(infos).filter_map(|(path, info)| Some((path, info?))).collect();
    topological_order(store.store_dir(), list.iter().cloned(), |path| {
        references.get(path).map(|info| info.references.iter().cloned().collect()).unwrap_or_default()
    })
}

/// The paths in an order in which each comes after what it refers to, the same for the same graph (C++ Nix's order).
/// References outside the set and to itself do not count; a circle is an error.
pub fn topological_order<I, F>(store_dir: &StoreDir, paths: I, mut references: F) -> Result<Vec<StorePath>>
where
    I: IntoIterator<Item = StorePath>,
    F: FnMut(&StorePath) -> Vec<StorePath>,
{
    let set: BTreeSet<StorePath> = paths.into_iter().collect();
    let mut order = Vec::with_capacity(set.len());
    // By path: whether it is complete. Paths that are only begun are on the stack.
    let mut done: FxHashMap<StorePath, bool> = FxHashMap::default();
    for start in &set {
        if done.contains_key(start) {
            continue;
        }
        done.insert(start.clone(), false);
        let mut stack = vec![(start.clone(), references(start).into_iter())];
        while let Some((path, rest)) = stack.last_mut() {
            match rest.next() {
                Some(reference) if reference == *path || !set.contains(&reference) => {}
                Some(reference) => match done.get(&reference) {
                    Some(true) => {}
                    Some(false) => {
                        return Err(Error::Cycle { path: store_dir.print(&reference), parent: store_dir.print(path) });
                    }
                    None => {
                        done.insert(reference.clone(), false);
                        let below = references(&reference).into_iter();
                        stack.push((reference, below));
                    }
                },
                None => {
                    done.insert(path.clone(), true);
                    order.push(path.clone());
                    stack.pop();
                }
            }
        }
    }
    Ok(order)
}
