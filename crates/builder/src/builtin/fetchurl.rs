//! `builtin:fetchurl`: a file from the first place that has it, checked against its hash.
//!
//! Attributes as in C++ Nix (`src/libstore/builtins/fetchurl.cc`): `url`, `executable`, `unpack`; ours: `urls`, more places
//! separated by blanks, and `mirror://` URLs. Mirrors by hash are asked first. Bytes go straight into a folder of the store
//! that only we can write, are read once more for their hash, and moved; no process is started for that. A `file:` URL is
//! opened, and an archive unpacked, in a child with the build user's rights, since we may be able to read more than the
//! user who asks.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use store::Store;
use store_model::derivation::DerivationOptions;
use store_model::{
    BuildStatus, ContentAddress, ContentAddressMethod, Derivation, DerivationKind, Hash, OutputMap, References,
};
use transfer::{Receiver, TransferError};

use crate::error::{Error, IoContext, Result};
use crate::failure;
use crate::folders::BuildDir;
use crate::local::{Job, Site};
use crate::log::{BuildLog, LogFile};
use crate::outputs::content::{addressed, floating};
use crate::outputs::register::{Made, Origin, Read, finish, fixed_address, refuse_wrong_kind};
use crate::outputs::scan::{ScanOptions, scan};
use crate::remove::remove_tree;
use crate::sandbox::request::{Action, Identity, Limits, SandboxRequest};
use crate::sandbox::supervise::{self, Bounds, Ended};
use crate::users::Grant;

/// Fetches. The output is in place afterwards, but not registered.
///
/// # Errors
/// [`Error::Build`] where no place has the file, or it is another one.
pub(crate) fn build(site: &Site<'_>, job: &Job) -> Result<Made> {
    let (store, activity) = (&site.shared.store, site.activity);
    let fixed = fixed_address(job, "out");
    let how = fixed.map(|address| (address.method, address.hash.algorithm()));
    // A floating one may not see the network.
    let impure = job.derivation.kind()? == DerivationKind::Impure;
    let Some((method, algorithm)) = how.or(floating(job, "out").filter(|_| impure)) else {
        return Err(rejected("'builtin:fetchurl' must be a fixed-output or impure derivation"));
    };
    let options = DerivationOptions::of(store.store_dir(), &job.derivation)?;
    let by_hash = fixed.filter(|_| method == ContentAddressMethod::Flat).map(|address| address.hash);
    let places = places(site, &job.derivation, by_hash).map_err(|error| failed(site, job, &error))?;
    let scratch = store.create_scratch(activity)?;
    let file = scratch.path().join("x");
    let (url, local) = download(site, job, &places, &file)?;
    let result = if flag(&job.derivation, "unpack") {
        let tree = scratch.path().join("tree");
        unpack(site, job, &file, &tree)?;
        tree
    } else {
        file
    };
    if flag(&job.derivation, "executable") {
        fs::set_permissions(&result, Permissions::from_mode(0o755)).io("changing the mode of", &result)?;
    }
    refuse_wrong_kind(&result, method)?;
    store.canonicaliser(None).canonicalise(activity, &result)?;
    let scan_options = ScanOptions { address: Some((method, algorithm)), copy_to: None };
    let scanned = scan(activity, &result, BTreeSet::new(), &scan_options)?;
    let addressed = match (fixed, scanned.address) {
        (None, Some(hash)) => {
            Some(addressed(site, job, "out", ContentAddress { method, hash }, &References::default())?)
        }
        _ => None,
    };
    let read = Read { path: result, scanned, addressed, _scratch: Some(scratch) };
    let reads = OutputMap::from_iter([("out".to_owned(), read)]);
    finish(site, job, &options, reads, &Origin { url: Some(&url), discard_mismatch: local, folder: None })
}

fn flag(derivation: &Derivation, name: &str) -> bool {
    derivation.env_var(name) == Some(b"1")
}

/// Where the file may be, in the order in which it is looked for.
fn places(
    site: &Site<'_>,
    derivation: &Derivation,
    by_hash: Option<Hash>,
) -> std::result::Result<Vec<String>, TransferError> {
    let mirrors = &site.shared.options.mirrors;
    let mut places = Vec::new();
    if let Some(hash) = by_hash {
        places.extend(mirrors.by_hash(hash.algorithm().name(), &hash.to_base16()));
    }
    let text = |name: &str| String::from_utf8_lossy(derivation.env_var(name).unwrap_or_default()).into_owned();
    let mut unknown = None;
    for url in std::iter::once(text("url").as_str()).chain(text("urls").split_ascii_whitespace()) {
        if url.is_empty() {
            continue;
        }
        match mirrors.expand(url) {
            Ok(expanded) => places.extend(expanded),
            Err(error) => unknown = Some(error),
        }
    }
    let mut seen = BTreeSet::new();
    places.retain(|place| seen.insert(place.clone()));
    match unknown {
        Some(error) if places.is_empty() => Err(error),
        _ => Ok(places),
    }
}

/// Fetches into the new file. Answers the place that had it, and whether that is this machine.
fn download(site: &Site<'_>, job: &Job, places: &[String], file: &Path) -> Result<(String, bool)> {
    let mut receiver = FileReceiver::create(file).io("creating", file)?;
    let mut last = None;
    // Places on the network that stand together are asked together: the client knows how to take turns.
    for group in places.chunk_by(|one, next| local_path(one).is_none() && local_path(next).is_none()) {
        if let Some(source) = local_path(&group[0]) {
            match copy_local(site, job, source, file) {
                Ok(()) => return Ok((group[0].clone(), true)),
                Err(error @ Error::Build { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
            continue;
        }
        receiver.restart().io("emptying", file)?;
        match site.shared.transfer.download_first(site.activity, group, &mut receiver) {
            Ok(response) => {
                receiver.file.flush().io("writing", file)?;
                return Ok((response.url, false));
            }
            Err(TransferError::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(TransferError::Receiver { source, .. }) => return Err(source).io("writing", file),
            Err(error) => last = Some(failed(site, job, &error)),
        }
    }
    Err(last.unwrap_or_else(|| rejected("'builtin:fetchurl' has no place to download from: no attribute 'url'")))
}

/// The path of a `file:` URL.
fn local_path(url: &str) -> Option<&Path> {
    url.strip_prefix("file://").map(Path::new)
}

/// A download that did not succeed; it may another time. The words also go where the builder's log would be.
fn failed(site: &Site<'_>, job: &Job, error: &TransferError) -> Error {
    let store = &site.shared.store;
    let options = &site.shared.options;
    let line = format!("error: {error}");
    let file = options.keep_log.then(|| LogFile::new(store.log_path(&job.path)));
    let mut log = BuildLog::new(site.activity, options.log_lines, file);
    log.take(line.as_bytes());
    let tail = log.finish();
    let reason = "builder failed with exit code 1";
    let message = failure::message(store.store_dir(), &job.path, reason, job.known_outputs(), (&tail, options));
    Error::Build { status: BuildStatus::TransientFailure, message }
}

struct FileReceiver {
    file: File,
}

impl FileReceiver {
    fn create(path: &Path) -> io::Result<Self> {
        fs::OpenOptions::new().write(true).create_new(true).open(path).map(|file| Self { file })
    }
}

impl Receiver for FileReceiver {
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()
    }
}

/// Opens a file of this machine with the build user's rights, and takes its bytes.
fn copy_local(site: &Site<'_>, job: &Job, source: &Path, file: &Path) -> Result<()> {
    in_child(
        site,
        job,
        |dir| Action::CopyFile { source: source.to_owned(), output: dir.join("x") },
        |dir| {
            let copy = dir.join("x");
            fs::remove_file(file).io("removing", file)?;
            // A copy of our own: the build user could change its one.
            fs::copy(&copy, file).io("copying", &copy).map(drop)
        },
    )
}

/// Unpacks a NAR with the build user's rights into a tree of ours.
fn unpack(site: &Site<'_>, job: &Job, file: &Path, tree: &Path) -> Result<()> {
    let url = job.derivation.env_var("url").unwrap_or_default();
    let xz = url.ends_with(b".xz");
    // The child cannot enter our folder.
    let action = |dir: &Path| Action::RestoreArchive { archive: dir.join("in"), xz, output: dir.join("out") };
    let dir = Some(file);
    in_child_with(site, job, dir, action, |dir| {
        let copy = dir.join("out");
        site.shared.store.canonicaliser(None).canonicalise(site.activity, &copy)?;
        file_tree::move_tree(&copy, tree).or_else(|_| {
            let options = ScanOptions { address: None, copy_to: Some(tree) };
            scan(site.activity, &copy, BTreeSet::new(), &options).map(drop)
        })
    })
}

fn in_child(
    site: &Site<'_>,
    job: &Job,
    action: impl FnOnce(&Path) -> Action,
    then: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    in_child_with(site, job, None, action, then)
}

/// Runs a builtin action in a folder of its own, without namespaces but as the build user and with its limits; `input` is
/// put there as `in`.
fn in_child_with(
    site: &Site<'_>,
    job: &Job,
    input: Option<&Path>,
    action: impl FnOnce(&Path) -> Action,
    then: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let (shared, activity) = (site.shared, site.activity);
    let store = &shared.store;
    let root = rustix::process::geteuid().is_root();
    let user = match root.then(|| shared.options.users.acquire(store.state_dir(), true, false)).transpose()? {
        None | Some(Grant::Ourselves) => None,
        Some(Grant::User(user)) => Some(user),
        Some(Grant::Busy) => return Err(Error::Refused("no build user is free".into())),
    };
    let builds = shared.builds_dir();
    let dir = BuildDir::create(&builds, false, user.as_ref())?;
    if let Some(input) = input {
        let copy: PathBuf = dir.inner.join("in");
        fs::copy(input, &copy).io("copying", input)?;
        fs::set_permissions(&copy, Permissions::from_mode(0o644)).io("changing the mode of", &copy)?;
        if let Some(user) = &user {
            std::os::unix::fs::chown(&copy, Some(user.uid), Some(user.gid)).io("changing the owner of", &copy)?;
        }
    }
    let request = SandboxRequest {
        parent: std::process::id(),
        isolation: None,
        identity: user.as_ref().map(|user| Identity { uid: user.uid, gid: user.gid, groups: Vec::new() }),
        work_dir: dir.inner.clone(),
        limits: Limits { filter_syscalls: true, allow_new_privileges: false, personality_32bit: false },
        action: action(&dir.inner),
    };
    let options = &shared.options;
    let file = options.keep_log.then(|| LogFile::new(store.log_path(&job.path)));
    let mut log = BuildLog::new(activity, options.log_lines, file);
    let bounds = Bounds { suspension: std::sync::Arc::clone(&options.suspension), ..Bounds::default() };
    let ended = supervise::run(activity, &options.own_binary, &request, &bounds, &mut |bytes| {
        log.take(bytes);
    });
    let tail = log.finish();
    let reason = match ended? {
        Ended::Exited(0) => return then(&dir.inner),
        Ended::Exited(code) => format!("builder failed with exit code {code}"),
        _ => "builder died abnormally".to_owned(),
    };
    let message = failure::message(store.store_dir(), &job.path, &reason, job.known_outputs(), (&tail, options));
    drop(remove_tree(&dir.inner));
    Err(Error::Build { status: BuildStatus::TransientFailure, message })
}

fn rejected(message: &str) -> Error {
    Error::Build { status: BuildStatus::InputRejected, message: message.to_owned() }
}
