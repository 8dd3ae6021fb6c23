//! From the builder's files to objects in their places, with everything the store will say about them.
//!
//! Order matters: what the builder left is first shown to be its own and made unchangeable, then read once, then judged,
//! then moved. Nothing is registered here, except a fixed output that came out with another hash than the author wrote: it
//! is kept under its true path, so that correcting the hash needs no second download.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use file_tree::move_tree;
use store::{BuildMode, Canonicaliser, PathLocks, Scratch, Store, TemporaryRoots};
use store_model::derivation::DerivationOptions;
use store_model::store_dir::output_path_name;
use store_model::{
    BuildStatus, ContentAddress, ContentAddressMethod, DerivationKind, DerivationOutput, DrvOutput, HashAlgorithm,
    OutputMap, OutputName, OutputNames, PathInfo, Realisation, References, StorePath,
};

use super::check::Checked;
use super::content::{self, Addressed};
use super::rewrite::rewrite;
use super::scan::{ScanOptions, Scanned, scan};
use crate::error::{Error, IoContext, Result, WrongHash};
use crate::local::{Attempt, Job, Site};
use crate::log::LogFile;
use crate::remove::remove_tree;
use crate::users::BuildUser;

/// What a build made.
pub(crate) struct Made {
    /// Every output, those that were valid before included.
    pub outputs: OutputMap<Arc<PathInfo>>,
    /// What is in place and not registered.
    pub fresh: Vec<PathInfo>,
    /// What this makes known of outputs whose paths follow from their contents.
    pub realisations: Vec<Realisation>,
    /// Locks on paths that were not known before, held until they are registered.
    pub locks: Option<PathLocks>,
    /// What the builder said, not in its place yet.
    pub log: Option<LogFile>,
}

impl Made {
    /// Nothing of one's own.
    pub(crate) fn nothing() -> Made {
        Made { outputs: OutputMap::new(), fresh: Vec::new(), realisations: Vec::new(), locks: None, log: None }
    }
}

/// An output that nobody can change any more, and what is in it.
pub(crate) struct Read<'a> {
    /// Where it lies now.
    pub path: PathBuf,
    pub scanned: Scanned,
    /// Where it belongs, if that follows from its contents.
    pub addressed: Option<Addressed>,
    /// The folder that it lies in, if that is to go afterwards.
    pub _scratch: Option<Scratch<'a>>,
}

/// Takes over the outputs of a builder that ended well.
///
/// # Errors
/// [`Error::Build`] where they are not acceptable.
pub(crate) fn outputs(attempt: &Attempt<'_>) -> Result<Made> {
    let (site, job) = (attempt.site, attempt.job);
    let store = &site.shared.store;
    let mut canonicaliser = store.canonicaliser(attempt.user.as_ref().map(BuildUser::ids));
    let wanted: Vec<&OutputName> =
        job.outputs.keys().filter(|name| job.mode == BuildMode::Check || !job.valid.contains(name)).collect();
    for name in &wanted {
        claim(attempt, name, &mut canonicaliser)?;
    }
    let mut candidates: BTreeSet<StorePath> = attempt.inputs.keys().cloned().collect();
    candidates.extend(attempt.scratch.values().chain(job.outputs.values()).cloned());
    let reads = match attempt.kind {
        DerivationKind::Floating | DerivationKind::Impure => content::read(attempt, &wanted, &candidates)?,
        _ => read_all(attempt, &wanted, &candidates)?,
    };
    let origin = Origin { folder: Some((&attempt.build_dir.inner, attempt.user.as_ref())), ..Origin::default() };
    finish(site, job, attempt.options, reads, &origin)
}

/// Reads outputs whose paths were known beforehand.
fn read_all<'a>(
    attempt: &Attempt<'a>,
    wanted: &[&OutputName],
    candidates: &BTreeSet<StorePath>,
) -> Result<OutputMap<Read<'a>>> {
    let (site, job) = (attempt.site, attempt.job);
    let store = &site.shared.store;
    let redirects: Vec<_> = job
        .outputs
        .iter()
        .map(|(name, path)| (attempt.scratch[name].clone(), path.clone()))
        .filter(|(scratch, path)| scratch != path)
        .collect();
    let mut reads = OutputMap::new();
    for &name in wanted {
        let real = attempt.real_output(&attempt.scratch[name]);
        if !redirects.is_empty() && attempt.kind != DerivationKind::Fixed {
            rewrite(site.activity, &real, &redirects)?;
            store.canonicaliser(None).canonicalise(site.activity, &real)?;
        }
        let discard = attempt.options.unsafe_discard_references.get(name).copied().unwrap_or(false);
        let candidates = if discard { BTreeSet::new() } else { candidates.clone() };
        reads.insert(name.clone(), read(attempt, name, real, candidates)?);
    }
    let by_path: BTreeMap<&StorePath, &OutputName> = job.outputs.iter().map(|(name, path)| (path, name)).collect();
    let uses = |name: &OutputName| -> Vec<OutputName> {
        let references = reads.get(name).into_iter().flat_map(|read| &read.scanned.references);
        references.filter_map(|path| by_path.get(path)).filter(|other| **other != name).map(|o| (*o).clone()).collect()
    };
    refuse_cycles(attempt, reads.keys(), &uses)?;
    Ok(reads)
}

/// Checks that an output is there and the builder's own, and gives it the metadata of a store object.
fn claim(attempt: &Attempt<'_>, name: &OutputName, canonicaliser: &mut Canonicaliser) -> Result<()> {
    let real = attempt.real_output(&attempt.scratch[name]);
    let found = match fs::symlink_metadata(&real) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = attempt.site.shared.store.store_dir().print(&attempt.job.path);
            return Err(rejected(format!(
                "builder for '{path}' failed to produce output path for output '{name}' at \"{}\"",
                real.display()
            )));
        }
        result => result.io("getting the status of", &real)?,
    };
    let foreign = attempt.user.as_ref().is_some_and(|user| {
        let (first, last) = user.ids();
        !(first..=last).contains(&found.uid())
    });
    // Somebody else may have had a hand in what others can write to.
    if foreign || (!found.is_symlink() && found.mode() & 0o022 != 0) {
        return Err(rejected(format!(
            "suspicious ownership or permission on \"{}\" for output '{name}'; rejecting this build output",
            real.display()
        )));
    }
    Ok(canonicaliser.canonicalise(attempt.site.activity, &real)?)
}

/// Reads an output once. A fixed output whose builder could talk to the outside is copied on the way: a descriptor that was
/// given to another process could change the original at any time.
fn read<'a>(
    attempt: &Attempt<'a>,
    name: &OutputName,
    real: PathBuf,
    candidates: BTreeSet<StorePath>,
) -> Result<Read<'a>> {
    let activity = attempt.site.activity;
    let Some(address) = fixed_address(attempt.job, name) else {
        let scanned = scan(activity, &real, candidates, &ScanOptions::default())?;
        return Ok(Read { path: real, scanned, addressed: None, _scratch: None });
    };
    refuse_wrong_kind(&real, address.method)?;
    let scratch = attempt.site.shared.store.create_scratch(activity)?;
    let copy = scratch.path().join("x");
    let options = ScanOptions { address: Some((address.method, address.hash.algorithm())), copy_to: Some(&copy) };
    let scanned = scan(activity, &real, candidates, &options)?;
    remove_tree(&real).io("removing", &real)?;
    Ok(Read { path: copy, scanned, addressed: None, _scratch: Some(scratch) })
}

/// What the author says an output's contents are; `None` for an input-addressed one.
pub(crate) fn fixed_address(job: &Job, name: &str) -> Option<ContentAddress> {
    match job.derivation.outputs.get(name) {
        Some(DerivationOutput::CAFixed(address)) => Some(*address),
        _ => None,
    }
}

/// Flat hashes are of plain files.
pub(crate) fn refuse_wrong_kind(real: &Path, method: ContentAddressMethod) -> Result<()> {
    let found = fs::symlink_metadata(real).io("getting the status of", real)?;
    match method {
        ContentAddressMethod::NixArchive => Ok(()),
        ContentAddressMethod::Git => Err(Error::Refused(
            "experimental Nix feature 'git-hashing' is disabled; add '--extra-experimental-features git-hashing' to enable it".into(),
        )),
        ContentAddressMethod::Flat | ContentAddressMethod::Text if !found.is_file() || found.mode() & 0o100 != 0 => {
            Err(rejected(format!(
                "output path \"{}\" should be a non-executable regular file since recursive hashing is not enabled (one of outputHashMode={{flat,text}} is true)",
                real.display()
            )))
        }
        ContentAddressMethod::Flat | ContentAddressMethod::Text => Ok(()),
    }
}

/// Outputs may refer to each other in one direction only: answers them in an order in which each comes after those that
/// it uses.
pub(super) fn refuse_cycles<'n>(
    attempt: &Attempt<'_>,
    names: impl Iterator<Item = &'n OutputName>,
    uses: &dyn Fn(&OutputName) -> Vec<OutputName>,
) -> Result<Vec<OutputName>> {
    // Takes away outputs that use nothing that is left; a rest is a circle.
    let mut left: BTreeSet<&OutputName> = names.collect();
    let mut order = Vec::with_capacity(left.len());
    while let Some(free) = left.iter().copied().find(|name| !uses(name).iter().any(|used| left.contains(used))) {
        left.remove(free);
        order.push(free.clone());
    }
    let Some(name) = left.first().copied() else { return Ok(order) };
    let parent = left.iter().copied().find(|other| uses(other).contains(name)).unwrap_or(name);
    Err(rejected(format!(
        "cycle detected in build of '{}' in the references of output '{name}' from output '{parent}'",
        attempt.site.shared.store.store_dir().print(&attempt.job.path)
    )))
}

/// Where the bytes of outputs came from.
#[derive(Default)]
pub(crate) struct Origin<'a> {
    /// The build folder and the user that the builder ran as.
    pub folder: Option<(&'a Path, Option<&'a BuildUser>)>,
    /// The place, for the message about a wrong hash.
    pub url: Option<&'a str>,
    /// Wrong bytes are not worth keeping, or not to be shown.
    pub discard_mismatch: bool,
}

/// Judges the outputs and moves them to their places, or compares them with what is there.
pub(crate) fn finish(
    site: &Site<'_>,
    job: &Job,
    options: &DerivationOptions,
    reads: OutputMap<Read<'_>>,
    origin: &Origin<'_>,
) -> Result<Made> {
    let store_dir = site.shared.store.store_dir();
    let mut infos = OutputMap::new();
    for (name, read) in &reads {
        if let Some(wanted) = fixed_address(job, name) {
            check_fixed(site, job, name, (read, wanted), origin)?;
        }
        infos.insert(name.clone(), Arc::new(path_info(site, job, name, read)?));
    }
    let fresh: OutputNames = infos.keys().cloned().collect();
    for (name, path) in &job.outputs {
        if !infos.contains_key(name) {
            infos.insert(name.clone(), site.known.info(site.activity, path)?);
        }
    }
    let checked = Checked { store_dir, derivation: &job.path, outputs: &infos };
    checked.apply(&options.output_checks, &mut |path| site.known.info(site.activity, path))?;
    if job.mode == BuildMode::Check {
        for name in &fresh {
            compare(site, job, name, (&reads[name], &infos[name]), origin)?;
        }
        return Ok(Made { outputs: infos, ..Made::nothing() });
    }
    for (name, read) in &reads {
        refuse_false_derivation(site, &infos[name].path, &read.path)?;
    }
    let (locks, there) = lock_addressed(site, &reads)?;
    let mut made = Made { locks, ..Made::nothing() };
    for name in fresh {
        let (read, info) = (&reads[&name], Arc::clone(&infos[&name]));
        site.shared.fault_point("output-moving")?;
        if there.contains(&info.path) && !job.broken.contains(&name) {
            // Something else has the same contents; that one stays.
            remove_tree(&read.path).io("removing", &read.path)?;
            infos.insert(name.clone(), site.known.info(site.activity, &info.path)?);
        } else {
            put_in_place(site, job, &name, &read.path, &info.path)?;
            made.fresh.push((*info).clone());
        }
        site.shared.fault_point("output-moved")?;
        if let (Some(_), Some(drv_hash)) = (&read.addressed, job.hash) {
            made.realisations.push(realisation(site, DrvOutput { drv_hash, output: name }, &info.path));
        }
    }
    made.outputs = infos;
    Ok(made)
}

/// An output whose name says that it is a derivation must be one: the store would not take it.
fn refuse_false_derivation(site: &Site<'_>, path: &StorePath, place: &Path) -> Result<()> {
    if !path.is_derivation() {
        return Ok(());
    }
    let store = &site.shared.store;
    let checked = store.check_derivation(site.activity, path, &fs::read(place).io("reading", place)?);
    checked.map_err(|error| match error {
        store::Error::Cancelled(cancelled) => cancelled.into(),
        error => rejected(format!("output '{}': {error}", store.store_dir().print(path))),
    })
}

/// Locks the paths that follow from contents, all at once so that nobody waits in a circle, and tells which are valid.
fn lock_addressed(site: &Site<'_>, reads: &OutputMap<Read<'_>>) -> Result<(Option<PathLocks>, BTreeSet<StorePath>)> {
    let paths: Vec<StorePath> = reads.values().filter_map(|read| Some(read.addressed.as_ref()?.path.clone())).collect();
    if paths.is_empty() {
        return Ok((None, BTreeSet::new()));
    }
    let (store, activity) = (&site.shared.store, site.activity);
    store.add_temp_roots(activity, &paths)?;
    let locks = store.lock_paths(activity, &paths)?;
    Ok((Some(locks), store.valid_paths(activity, &paths)?))
}

/// Moves an output to its place. Without isolation the builder may have written it there.
fn put_in_place(site: &Site<'_>, job: &Job, name: &OutputName, from: &Path, path: &StorePath) -> Result<()> {
    let place = site.shared.store.real_path(path);
    if from == place {
        return Ok(());
    }
    if !job.broken.contains(name) {
        remove_tree(&place).io("removing", &place)?;
        return move_tree(from, &place).io("moving into the store", from);
    }
    if job.outputs.get(name) != Some(path) {
        let drv = site.shared.store.store_dir().print(&job.path);
        return Err(Error::Build {
            status: BuildStatus::NotDeterministic,
            message: format!(
                "derivation '{drv}' may not be deterministic: output '{name}' came out with other contents, so it cannot be repaired"
            ),
        });
    }
    site.shared.store.replace_tree(from, &place)?;
    remove_tree(from).io("removing", from)
}

/// What an output became, signed by us.
pub(crate) fn realisation(site: &Site<'_>, id: DrvOutput, path: &StorePath) -> Realisation {
    let mut realisation = Realisation { id, out_path: path.clone(), signatures: BTreeSet::new() };
    site.shared.options.secret_keys.iter().for_each(|key| realisation.sign(key));
    realisation
}

fn path_info(site: &Site<'_>, job: &Job, name: &OutputName, read: &Read<'_>) -> Result<PathInfo> {
    let scanned = &read.scanned;
    let path = read.addressed.as_ref().map_or_else(|| job.outputs[name].clone(), |addressed| addressed.path.clone());
    let mut info = PathInfo::new(path, scanned.nar_hash, scanned.nar_size);
    info.references = scanned.references.clone();
    info.deriver = Some(job.path.clone());
    info.registration_time = now();
    info.ultimate = true;
    info.content_address = read.addressed.as_ref().map(|addressed| addressed.address).or(fixed_address(job, name));
    for key in &site.shared.options.secret_keys {
        info.sign(site.shared.store.store_dir(), key)?;
    }
    Ok(info)
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
}

/// A fixed output must have its hash and refer to nothing.
fn check_fixed(
    site: &Site<'_>,
    job: &Job,
    name: &OutputName,
    (read, wanted): (&Read<'_>, ContentAddress),
    origin: &Origin<'_>,
) -> Result<()> {
    let store_dir = site.shared.store.store_dir();
    let path = store_dir.print(&job.path);
    let got = read.scanned.address.unwrap_or(read.scanned.nar_hash);
    let references = &read.scanned.references;
    let may_refer = wanted.method == ContentAddressMethod::NixArchive && got.algorithm() == HashAlgorithm::Sha256;
    if !references.is_empty() && !may_refer {
        let name = output_path_name(&job.derivation.name, name);
        return Err(rejected(format!(
            "fixed output derivation '{name}' is not allowed to refer to other store paths.\nYou may need to use the 'unsafeDiscardReferences' derivation attribute, see the manual for more details."
        )));
    }
    if got != wanted.hash {
        if references.is_empty() && !origin.discard_mismatch && job.mode == BuildMode::Normal {
            keep_under_true_path(site, job, name, read, ContentAddress { hash: got, ..wanted })?;
        }
        let wrong =
            WrongHash { derivation: job.path.clone(), specified: wanted.hash, got, url: origin.url.map(str::to_owned) };
        site.shared.trouble().wrong_hashes.push(wrong);
        let url = origin.url.map(|url| format!("\n     url:    {url}")).unwrap_or_default();
        return Err(Error::Build {
            status: BuildStatus::HashMismatch,
            message: format!(
                "hash mismatch in fixed-output derivation '{path}':\n  specified: {}\n     got:    {}{url}",
                wanted.hash.to_sri(),
                got.to_sri()
            ),
        });
    }
    match references.first() {
        None => Ok(()),
        Some(first) => Err(Error::Build {
            status: BuildStatus::HashMismatch,
            message: format!(
                "fixed-output derivations must not reference store paths: '{path}' references {} distinct paths, e.g. '{}'",
                references.len(),
                store_dir.print(first)
            ),
        }),
    }
}

fn keep_under_true_path(
    site: &Site<'_>,
    job: &Job,
    name: &OutputName,
    read: &Read<'_>,
    address: ContentAddress,
) -> Result<()> {
    let (store, activity) = (&site.shared.store, site.activity);
    let object = output_path_name(&job.derivation.name, name);
    let path = store.store_dir().content_addressed_path(&object, &address, &References::default())?;
    store.add_temp_roots(activity, std::slice::from_ref(&path))?;
    let _lock = store.lock_paths(activity, std::slice::from_ref(&path))?;
    if !store.valid_paths(activity, std::slice::from_ref(&path))?.is_empty() {
        return Ok(());
    }
    let place = store.real_path(&path);
    remove_tree(&place).io("removing", &place)?;
    move_tree(&read.path, &place).io("moving into the store", &read.path)?;
    let mut info = path_info(site, job, name, read)?;
    info.path = path;
    info.content_address = Some(address);
    info.signatures.clear();
    for key in &site.shared.options.secret_keys {
        info.sign(store.store_dir(), key)?;
    }
    Ok(store.register_outputs(activity, &[info], &[])?)
}

/// A second build must give the same bytes.
fn compare(
    site: &Site<'_>,
    job: &Job,
    name: &OutputName,
    (read, info): (&Read<'_>, &PathInfo),
    origin: &Origin<'_>,
) -> Result<()> {
    let store = &site.shared.store;
    if !job.valid.contains(name) {
        // There is nothing to compare it with.
        return remove_tree(&read.path).io("removing", &read.path);
    }
    let known = &job.outputs[name];
    let before = site.known.info(site.activity, known)?;
    if before.nar_hash == info.nar_hash {
        return remove_tree(&read.path).io("removing", &read.path);
    }
    let path = store.store_dir().print(&job.path);
    let place = store.real_path(known);
    let mut message = format!("derivation '{path}' may not be deterministic: output \"{}\" differs", place.display());
    let options = &site.shared.options;
    if options.keep_failed || options.hooks.diff.is_some() {
        let mut beside = place.clone().into_os_string();
        beside.push(".check");
        let beside = PathBuf::from(beside);
        remove_tree(&beside).io("removing", &beside)?;
        move_tree(&read.path, &beside).io("moving", &read.path)?;
        if let Some((folder, user)) = origin.folder {
            options.hooks.differ(site.activity, [&place, &beside], &path, folder, user);
        }
        message += &format!(" from \"{}\"", beside.display());
    } else {
        remove_tree(&read.path).io("removing", &read.path)?;
    }
    Err(Error::Build { status: BuildStatus::NotDeterministic, message })
}

fn rejected(message: String) -> Error {
    Error::Build { status: BuildStatus::OutputRejected, message }
}
