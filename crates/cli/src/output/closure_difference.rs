//! What changed between two closures: packages by name, with the versions that came and went, and their sizes.

use std::collections::{BTreeMap, BTreeSet};

use store::render_size;
use store_model::{PathInfo, StorePath};

use super::build::{Opened, store_error};
use crate::command::CommandError;

/// By version, the bytes of all outputs.
type Versions = BTreeMap<String, u64>;

/// The lines, each behind this indent.
pub fn closure_difference(
    opened: &Opened<'_>,
    before: &StorePath,
    after: &StorePath,
    indent: &str,
) -> Result<String, CommandError> {
    let (before, after) = (packages(opened, before)?, packages(opened, after)?);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let none = Versions::new();
    let mut text = String::new();
    for name in names {
        let (old, new) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        let bytes = |versions: &Versions| i64::try_from(versions.values().sum::<u64>()).unwrap_or(i64::MAX);
        let change = bytes(new) - bytes(old);
        let only = |these: &Versions, others: &Versions| -> Vec<String> {
            these.keys().filter(|version| !others.contains_key(*version)).cloned().collect()
        };
        let (removed, added) = (only(old, new), only(new, old));
        let mut items = Vec::new();
        if !removed.is_empty() || !added.is_empty() {
            items.push(format!("{} → {}", versions(&removed), versions(&added)));
        }
        if change.abs() >= 8 * 1024 {
            let colour = if change > 0 { "\x1b[31;1m" } else { "\x1b[32;1m" };
            items.push(format!("{colour}{}\x1b[0m", render_size(change, 0)));
        }
        if !items.is_empty() {
            text.push_str(&format!("{indent}{name}: {}\n", items.join(", ")));
        }
    }
    Ok(text)
}

fn versions(versions: &[String]) -> String {
    if versions.is_empty() {
        return "∅".to_owned();
    }
    let mut shown: Vec<&str> =
        versions.iter().map(|version| if version.is_empty() { "ε" } else { version.as_str() }).collect();
    shown.sort_unstable();
    shown.join(", ")
}

fn packages(opened: &Opened<'_>, path: &StorePath) -> Result<BTreeMap<String, Versions>, CommandError> {
    let store = opened.source()?;
    let closure =
        store::closure::closure(&*store, opened.activity(), std::slice::from_ref(path)).map_err(store_error)?;
    let paths: Vec<StorePath> = closure.into_iter().collect();
    let infos: Vec<PathInfo> =
        store.path_infos(opened.activity(), &paths).map_err(store_error)?.into_iter().flatten().collect();
    let mut packages: BTreeMap<String, Versions> = BTreeMap::new();
    for info in infos {
        let (name, version) = split_name(without_output(info.path.name()));
        *packages.entry(name.to_owned()).or_default().entry(version.to_owned()).or_default() += info.nar_size;
    }
    Ok(packages)
}

/// The name without the name of an output: which it is cannot be told apart from a version like `unstable`.
fn without_output(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((rest, "lib32" | "lib64")) => rest,
        Some((rest, output)) if !output.is_empty() && output.bytes().all(|byte| byte.is_ascii_lowercase()) => rest,
        _ => name,
    }
}

/// Name and version: the version begins behind the first dash that no letter follows.
fn split_name(name: &str) -> (&str, &str) {
    let bytes = name.as_bytes();
    let split =
        (0..bytes.len().saturating_sub(1)).find(|at| bytes[*at] == b'-' && !bytes[at + 1].is_ascii_alphabetic());
    split.map_or((name, ""), |at| (&name[..at], &name[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_outputs_and_versions() {
        let parts = |name| split_name(without_output(name));
        assert_eq!(parts("hello-2.10"), ("hello", "2.10"));
        assert_eq!(parts("gcc-12.2.0-lib"), ("gcc", "12.2.0"));
        assert_eq!(parts("a-b-1-lib64"), ("a-b", "1"));
        assert_eq!(parts("plain"), ("plain", ""));
    }
}
