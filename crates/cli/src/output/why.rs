//! Why a package has another one in its closure: the graph of references between both, as a tree of lines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use file_tree::{FileType, SourceAccessor, TreePath};
use store_model::references::RefScanner;
use store_model::{PathInfo, StorePath};

use super::build::{Opened, store_error};
use super::listing::tree_error;
use crate::command::CommandError;

const LAST: &str = "└───";
const BRANCH: &str = "├───";
const LINE: &str = "│   ";
const BLANK: &str = "    ";
const SEEN: &str = "\x1b[38;5;244m";
const BLUE: &str = "\x1b[34;1m";
const GREEN: &str = "\x1b[32;1m";
const NORMAL: &str = "\x1b[0m";
/// How much of a file is shown on both sides of a mention.
const MARGIN: usize = 32;

/// What is shown of the way from a package to a dependency.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// Every way, not only a shortest one.
    pub all: bool,
    /// The files that mention each next path.
    pub precise: bool,
}

/// The lines, or `None` when there is no such dependency.
pub fn why_depends(
    opened: &Opened<'_>,
    package: &StorePath,
    dependency: &StorePath,
    shown: Shown,
) -> Result<Option<Vec<u8>>, CommandError> {
    let store = opened.source()?;
    let activity = opened.activity();
    let closure = store::closure::closure(&*store, activity, std::slice::from_ref(package)).map_err(store_error)?;
    if !closure.contains(dependency) {
        return Ok(None);
    }
    let paths: Vec<StorePath> = closure.into_iter().collect();
    let infos = store.path_infos(activity, &paths).map_err(store_error)?;
    let references: BTreeMap<StorePath, PathInfo> =
        paths.into_iter().zip(infos).filter_map(|(path, info)| Some((path, info?))).collect();
    let distances = distances(&references, dependency);
    let mut tree = Tree {
        opened,
        package,
        dependency,
        shown,
        references: &references,
        distances,
        visited: BTreeSet::new(),
        lines: Vec::new(),
    };
    if !shown.precise {
        tree.line(&[&opened.show(package)]);
    }
    tree.node(package, "")?;
    Ok(Some(tree.lines))
}

/// How many steps each path is away from the dependency.
fn distances(references: &BTreeMap<StorePath, PathInfo>, dependency: &StorePath) -> BTreeMap<StorePath, usize> {
    let mut referrers: BTreeMap<&StorePath, Vec<&StorePath>> = BTreeMap::new();
    for (path, info) in references {
        for reference in &info.references {
            referrers.entry(reference).or_default().push(path);
        }
    }
    let mut found = BTreeMap::from([(dependency.clone(), 0)]);
    let mut queue = VecDeque::from([(dependency, 0)]);
    while let Some((path, distance)) = queue.pop_front() {
        for referrer in referrers.get(path).into_iter().flatten() {
            if !found.contains_key(*referrer) {
                found.insert((*referrer).clone(), distance + 1);
                queue.push_back((referrer, distance + 1));
            }
        }
    }
    found
}

struct Tree<'a> {
    opened: &'a Opened<'a>,
    package: &'a StorePath,
    dependency: &'a StorePath,
    shown: Shown,
    references: &'a BTreeMap<StorePath, PathInfo>,
    distances: BTreeMap<StorePath, usize>,
    visited: BTreeSet<StorePath>,
    lines: Vec<u8>,
}

impl Tree<'_> {
    fn line(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.lines.extend_from_slice(part.as_bytes()));
        self.lines.push(b'\n');
    }

    /// Shows a path and what lies between it and the dependency; true when that is enough.
    fn node(&mut self, path: &StorePath, pad: &str) -> Result<bool, CommandError> {
        let Shown { all, precise } = self.shown;
        let seen = self.visited.contains(path);
        if precise {
            let (colour, arrow) = (if seen { SEEN } else { "" }, if pad.is_empty() { "" } else { "→ " });
            self.line(&[pad, colour, arrow, &self.opened.show(path), NORMAL]);
        }
        if path == self.dependency && !all && self.package != self.dependency {
            return Ok(true);
        }
        if seen {
            return Ok(false);
        }
        if precise {
            self.visited.insert(path.clone());
        }
        let Some(info) = self.references.get(path) else { return Ok(false) };
        let mut next: Vec<(usize, &StorePath)> = info
            .references
            .iter()
            .filter(|reference| *reference != path || self.package == self.dependency)
            .filter_map(|reference| Some((*self.distances.get(reference)?, reference)))
            .collect();
        // Shortest ways first.
        next.sort_by_key(|(distance, _)| *distance);
        let mut mentions =
            if precise { self.mentions(path, next.iter().map(|(_, path)| *path))? } else { BTreeMap::new() };
        let count = next.len();
        for (at, (_, reference)) in next.into_iter().enumerate() {
            let last = !all || at + 1 == count;
            let hits = mentions.remove(reference).unwrap_or_default();
            let most = if all { hits.len() } else { 1 };
            for (number, hit) in hits.iter().take(most).enumerate() {
                let first = if last { LAST } else { BRANCH };
                let further = if last { BLANK } else { LINE };
                self.line(&[pad, if number == 0 { first } else { further }, hit]);
            }
            if !precise {
                let colour = if self.visited.contains(reference) { SEEN } else { "" };
                let branch = if last { LAST } else { BRANCH };
                self.line(&[pad, colour, branch, &self.opened.show(reference), NORMAL]);
                self.visited.insert(path.clone());
            }
            if self.node(reference, &format!("{pad}{}", if last { BLANK } else { LINE }))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the object mentions each of some paths: files with what stands around it, links with their targets.
    fn mentions<'p>(
        &self,
        path: &StorePath,
        references: impl Iterator<Item = &'p StorePath>,
    ) -> Result<BTreeMap<StorePath, Vec<String>>, CommandError> {
        let accessor = self.opened.source()?.accessor(self.opened.activity(), path).map_err(store_error)?;
        let mut search = Search {
            accessor: &*accessor,
            candidates: references.cloned().collect(),
            dependency: self.dependency,
            found: BTreeMap::new(),
        };
        search.object(&TreePath::root())?;
        Ok(search.found)
    }
}

struct Search<'a> {
    accessor: &'a dyn SourceAccessor,
    candidates: Vec<StorePath>,
    dependency: &'a StorePath,
    found: BTreeMap<StorePath, Vec<String>>,
}

impl Search<'_> {
    fn object(&mut self, path: &TreePath) -> Result<(), CommandError> {
        let Some(found) = self.accessor.stat(path).map_err(tree_error)? else { return Ok(()) };
        match found.file_type {
            FileType::Directory => {
                for (name, _) in self.accessor.read_dir(path).map_err(tree_error)? {
                    self.object(&path.join(&name).map_err(tree_error)?)?;
                }
                Ok(())
            }
            FileType::Regular => {
                let bytes = self.accessor.read_file(path).map_err(tree_error)?;
                self.search(path, &bytes, |colour, bytes, at| {
                    let begin = at.saturating_sub(MARGIN);
                    let end = (at + 32 + MARGIN).min(bytes.len());
                    let (hash, rest) = (printable(&bytes[at..at + 32]), printable(&bytes[at + 32..end]));
                    format!(": …{}{colour}{hash}{NORMAL}{rest}…", printable(&bytes[begin..at]))
                });
                Ok(())
            }
            FileType::Symlink => {
                let target = self.accessor.read_link(path).map_err(tree_error)?;
                self.search(path, &target, |colour, bytes, at| {
                    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
                    let (before, hash, rest) = (text(&bytes[..at]), text(&bytes[at..at + 32]), text(&bytes[at + 32..]));
                    format!(" -> {before}{colour}{hash}{NORMAL}{rest}")
                });
                Ok(())
            }
            FileType::Other => Ok(()),
        }
    }

    fn search(&mut self, path: &TreePath, bytes: &[u8], show: impl Fn(&str, &[u8], usize) -> String) {
        let mut scanner = RefScanner::new(self.candidates.iter().cloned());
        scanner.update(bytes);
        let shown = if path.is_root() { "/".to_owned() } else { path.to_string().trim_start_matches('/').to_owned() };
        for reference in scanner.finish() {
            let hash = reference.hash_part().as_bytes();
            let Some(at) = bytes.windows(hash.len()).position(|window| window == hash) else { continue };
            let colour = if reference == *self.dependency { GREEN } else { BLUE };
            let hit = format!("{shown}{}", show(colour, bytes, at));
            self.found.entry(reference).or_default().push(hit);
        }
    }
}

fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if matches!(byte, 0x20..=0x7e) { char::from(*byte) } else { '.' }).collect()
}
