//! Outputs whose paths follow from what was built: from the folder they were written to, to the path of their contents.
//!
//! Each output is read once for its hash and what it mentions. One that mentions no path of this build is done with that.
//! Others are taken in the order of their references: mentions of outputs that have their paths by now are replaced, what
//! then is hashed with its own scratch path as zeros gives its path, and that goes into its mentions of itself. Outputs
//! that refer to each other have no such order, and are refused.
//!
//! Absent: moving and registering ([`super::register`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use activity::{Activity, Watched};
use file_tree::{DiskAccessor, FlatContents, TreePath, walk};
use store::{Scratch, Store};
use store_model::store_dir::output_path_name;
use store_model::{
    ContentAddress, ContentAddressMethod, DerivationKind, DerivationOutput, Hash, HashAlgorithm, HashModuloWriter,
    HashRewriter, OutputMap, OutputName, References, StorePath,
};

use super::register::{Read, refuse_cycles, refuse_wrong_kind};
use super::rewrite::rewrite;
use super::scan::{ScanOptions, Scanned, scan};
use crate::error::{Error, IoContext, Result};
use crate::local::{Attempt, Job, Site};
use crate::remove::remove_tree;

/// Where an output belongs by its contents.
#[derive(Clone)]
pub(crate) struct Addressed {
    /// Its path.
    pub path: StorePath,
    /// What its contents hash to.
    pub address: ContentAddress,
}

/// How an output is hashed whose path follows from that; `None` where the path is known beforehand.
pub(crate) fn floating(job: &Job, name: &str) -> Option<(ContentAddressMethod, HashAlgorithm)> {
    match job.derivation.outputs.get(name) {
        Some(DerivationOutput::CAFloating { method, algorithm } | DerivationOutput::Impure { method, algorithm }) => {
            Some((*method, *algorithm))
        }
        _ => None,
    }
}

/// The path of an output with these contents.
pub(crate) fn addressed(
    site: &Site<'_>,
    job: &Job,
    name: &str,
    address: ContentAddress,
    references: &References,
) -> Result<Addressed> {
    let object = output_path_name(&job.derivation.name, name);
    let path = site.shared.store.store_dir().content_addressed_path(&object, &address, references)?;
    Ok(Addressed { path, address })
}

/// An output after the first look.
struct Seen<'a> {
    real: PathBuf,
    scanned: Scanned,
    scratch: Option<Scratch<'a>>,
    /// The scratch paths of this build that it mentions, its own among them.
    own: BTreeSet<StorePath>,
    how: (ContentAddressMethod, HashAlgorithm),
}

/// Reads outputs that were claimed, and gives each its path. `candidates` may be referred to.
pub(super) fn read<'a>(
    attempt: &Attempt<'a>,
    names: &[&OutputName],
    candidates: &BTreeSet<StorePath>,
) -> Result<OutputMap<Read<'a>>> {
    let mut seen = BTreeMap::new();
    for name in names {
        if let Some(how) = floating(attempt.job, name) {
            seen.insert((*name).clone(), look(attempt, name, how, candidates)?);
        }
    }
    let by_path: BTreeMap<&StorePath, &OutputName> = attempt.scratch.iter().map(|(name, path)| (path, name)).collect();
    let uses = |name: &OutputName| -> Vec<OutputName> {
        let mentioned = seen.get(name).into_iter().flat_map(|seen| &seen.own);
        mentioned.filter_map(|path| by_path.get(path)).filter(|other| **other != name).map(|o| (*o).clone()).collect()
    };
    let order = refuse_cycles(attempt, seen.keys(), &uses)?;
    // Outputs that were valid before have their paths already.
    let mut finals: BTreeMap<StorePath, StorePath> = attempt
        .scratch
        .iter()
        .filter(|(name, _)| !seen.contains_key(*name))
        .map(|(name, path)| (path.clone(), attempt.job.outputs[name].clone()))
        .collect();
    let mut reads = OutputMap::new();
    for name in order {
        let Some(one) = seen.remove(&name) else { continue };
        let read = settle(attempt, &name, one, &finals)?;
        if let Some(addressed) = &read.addressed {
            finals.insert(attempt.scratch[&name].clone(), addressed.path.clone());
        }
        reads.insert(name, read);
    }
    Ok(reads)
}

fn look<'a>(
    attempt: &Attempt<'a>,
    name: &OutputName,
    how: (ContentAddressMethod, HashAlgorithm),
    candidates: &BTreeSet<StorePath>,
) -> Result<Seen<'a>> {
    let activity = attempt.site.activity;
    let mut real = attempt.real_output(&attempt.scratch[name]);
    refuse_wrong_kind(&real, how.0)?;
    // Who could talk to the outside may have given away a descriptor: what counts is a copy.
    let scratch = match attempt.kind {
        DerivationKind::Impure => Some(attempt.site.shared.store.create_scratch(activity)?),
        _ => None,
    };
    let copy = scratch.as_ref().map(|scratch| scratch.path().join("x"));
    let options = ScanOptions { address: Some(how), copy_to: copy.as_deref() };
    let mut scanned = scan(activity, &real, candidates.clone(), &options)?;
    if let Some(copy) = copy {
        remove_tree(&real).io("removing", &real)?;
        real = copy;
    }
    let ours: BTreeSet<&StorePath> = attempt.scratch.values().collect();
    let own = scanned.references.iter().filter(|path| ours.contains(path)).cloned().collect();
    if attempt.options.unsafe_discard_references.get(name).copied().unwrap_or(false) {
        scanned.references.clear();
    }
    Ok(Seen { real, scanned, scratch, own, how })
}

/// Gives one output its path and puts its mentions of outputs right.
fn settle<'a>(
    attempt: &Attempt<'a>,
    name: &OutputName,
    seen: Seen<'a>,
    finals: &BTreeMap<StorePath, StorePath>,
) -> Result<Read<'a>> {
    let (site, activity) = (attempt.site, attempt.site.activity);
    let Seen { real, mut scanned, scratch, own, how: (method, algorithm) } = seen;
    let itself = &attempt.scratch[name];
    let moved = |path: &StorePath| finals.get(path).cloned().unwrap_or_else(|| path.clone());
    let others: Vec<(StorePath, StorePath)> =
        own.iter().map(|path| (path.clone(), moved(path))).filter(|(from, to)| from != to).collect();
    let self_reference = scanned.references.remove(itself);
    let references = References { others: scanned.references.iter().map(moved).collect(), self_reference };
    let mentions_itself = own.contains(itself);
    let hash = match scanned.address {
        Some(hash) if others.is_empty() && !mentions_itself => hash,
        _ => hash_modulo(activity, &real, (method, algorithm), itself, &others)?,
    };
    let addressed = addressed(site, attempt.job, name, ContentAddress { method, hash }, &references)?;
    let mut rewrites = others;
    if mentions_itself && *itself != addressed.path {
        rewrites.push((itself.clone(), addressed.path.clone()));
    }
    if !rewrites.is_empty() {
        rewrite(activity, &real, &rewrites)?;
        site.shared.store.canonicaliser(None).canonicalise(activity, &real)?;
        scanned = scan(activity, &real, BTreeSet::new(), &ScanOptions::default())?;
    }
    scanned.references = references.others;
    if self_reference {
        scanned.references.insert(addressed.path.clone());
    }
    Ok(Read { path: real, scanned, addressed: Some(addressed), _scratch: scratch })
}

/// The hash with mentions of other outputs replaced and those of itself as zeros.
fn hash_modulo(
    activity: &Activity,
    real: &Path,
    (method, algorithm): (ContentAddressMethod, HashAlgorithm),
    itself: &StorePath,
    others: &[(StorePath, StorePath)],
) -> Result<Hash> {
    let hasher = HashModuloWriter::new(algorithm, itself);
    let rewriter = HashRewriter::new(others.iter().map(|(from, to)| (from, to)), hasher);
    let mut out = Watched::new(activity, rewriter);
    match method {
        ContentAddressMethod::NixArchive => file_tree::nar::dump_path(real, &mut out).map_err(Error::from)?,
        ContentAddressMethod::Flat | ContentAddressMethod::Text | ContentAddressMethod::Git => {
            let accessor = DiskAccessor::new(real);
            let mut flat = FlatContents(&mut out);
            walk(&accessor, &TreePath::root(), &mut |_, _| Ok(true), &mut flat).map_err(Error::from)?;
        }
    }
    let hashed = out.into_inner().finish().and_then(HashModuloWriter::finish);
    Ok(hashed.io("hashing", real)?.0)
}
