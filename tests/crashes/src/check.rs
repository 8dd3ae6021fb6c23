//! Looking at a store after something stopped the work.
//!
//! Both programs check every object; every promise is looked at; every file of the cache is whole.
//!
//! Absent: what was promised (`work.rs`).

use crate::Result;
use crate::work::{Promise, cache_of};
use crate::world::{Side, World};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// What a check goes by.
pub struct Expected<'a> {
    /// What must be there.
    pub promises: Vec<Promise>,
    /// Links of which one of these targets must be there.
    pub in_between: BTreeMap<String, BTreeSet<String>>,
    /// A path that was damaged on purpose.
    pub damaged: Option<&'a str>,
    /// Who looks first, and so brings the database's log to rest.
    pub first: Side,
}

/// Complaints; none if all is well.
///
/// # Errors
/// If a program hangs.
pub fn check(world: &World, expected: &Expected<'_>) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    if !world.disk().join("var/nix/db/schema").exists() {
        // The power went before there was a store. Whoever comes next makes it.
        if !expected.promises.is_empty() {
            wrong.push("there is no store".to_owned());
        }
        return Ok(wrong);
    }
    let order = match expected.first {
        Side::Firn => [Side::Firn, Side::Oracle],
        Side::Oracle => [Side::Oracle, Side::Firn],
    };
    for side in order {
        if side == Side::Firn || world.has_oracle() {
            verify(world, side, expected.damaged, &mut wrong)?;
        }
    }
    promises(world, expected, &mut wrong)?;
    cache(world, &mut wrong)?;
    Ok(wrong)
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn verify(world: &World, side: Side, damaged: Option<&str>, wrong: &mut Vec<String>) -> Result<()> {
    let output = world.run(side, &owned(&["nix-store", "--verify", "--check-contents"]))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let usual = |line: &str| {
        line.is_empty() || line.starts_with("reading the Nix store") || line.starts_with("checking ")
            || line.contains("not all store errors were fixed")
            || line.contains("waiting for the big")
            // What was damaged is linked from `.links` too, under its old hash.
            || damaged.is_some_and(|path| line.contains(path) || line.contains("/.links/"))
    };
    let complaints: Vec<&str> = said.lines().filter(|line| !usual(line)).collect();
    if !complaints.is_empty() || (!output.status.success() && damaged.is_none()) {
        wrong.push(format!("{side:?} verifies: {}: {}", output.status, complaints.join("\n    ")));
    }
    Ok(())
}

fn promises(world: &World, expected: &Expected<'_>, wrong: &mut Vec<String>) -> Result<()> {
    let mut paths: BTreeSet<String> = BTreeSet::new();
    for promise in &expected.promises {
        match promise {
            Promise::Valid(path) => drop(paths.insert(path.clone())),
            Promise::Link(name, path) => {
                paths.insert(path.clone());
                link(world, name, &BTreeSet::from([path.clone()]), wrong);
            }
            Promise::Cached(path) => {
                let hash: String = path.rsplit('/').next().unwrap_or_default().chars().take(32).collect();
                if !world.disk().join(format!("cache/{hash}.narinfo")).exists() {
                    wrong.push(format!("lost from the cache: {path}"));
                }
            }
        }
    }
    for (name, targets) in &expected.in_between {
        if let Some(target) = link(world, name, targets, wrong) {
            paths.insert(target);
        }
    }
    if paths.is_empty() {
        return Ok(());
    }
    let words: Vec<String> =
        owned(&["nix-store", "--check-validity", "--print-invalid"]).into_iter().chain(paths).collect();
    let output = world.run(Side::Firn, &words)?;
    let invalid = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || !invalid.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        wrong.push(format!("promised and not valid: {} {said}", invalid.trim()));
    }
    Ok(())
}

/// Where a link leads, if that is right.
fn link(world: &World, name: &str, targets: &BTreeSet<String>, wrong: &mut Vec<String>) -> Option<String> {
    let link = world.disk().join(name);
    match fs::canonicalize(&link).map(|target| target.display().to_string()) {
        Ok(target) if targets.contains(&target) => Some(target),
        Ok(target) => {
            wrong.push(format!("{name} leads to {target}, not to {targets:?}"));
            None
        }
        Err(error) => {
            wrong.push(format!("{name}: {error} (not {targets:?})"));
            None
        }
    }
}

/// What the cache says it has is there, and whole.
fn cache(world: &World, wrong: &mut Vec<String>) -> Result<()> {
    let folder = world.disk().join("cache");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
    let infos: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "narinfo"))
        .collect();
    for path in &infos {
        let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (Some(url), Some(size)) = (field("URL:"), field("FileSize:")) else {
            wrong.push(format!("{} says {text:?}", path.display()));
            continue;
        };
        let found = fs::metadata(folder.join(url)).map(|found| found.len());
        if !found.as_ref().is_ok_and(|length| length.to_string() == size) {
            wrong.push(format!("{} says {size} bytes: {found:?}", path.display()));
        }
    }
    if infos.is_empty() {
        return Ok(());
    }
    let output = world
        .run(Side::Firn, &owned(&["nix", "store", "verify", "--no-trust", "--all", "--store", &cache_of(world)]))?;
    if !output.status.success() {
        wrong.push(format!("the cache: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(())
}
