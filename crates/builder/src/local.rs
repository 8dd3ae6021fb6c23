//! One derivation, built here: from inputs that are valid to outputs in their places.
//!
//! The steps: what it may see (closure of inputs), who runs it (a build user, when we are root), where (build folder, and
//! a root of its own when isolated), what it is given (environment), the run itself, and what became of it (`outputs/`).
//! Where the machine refuses isolation, the next weaker form that is allowed is tried.
//!
//! Absent: locks and registration (`run.rs`); everything here is undone by dropping it, on every way out.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use activity::{Activity, ActivityKind};
use store::{BuildMode, Store};
use store_model::derivation::DerivationOptions;
use store_model::{BuildStatus, Derivation, DerivationKind, Hash, OutputMap, OutputName, PathInfo, StorePath};

use crate::environment::{Environment, Given, GraphEntry, Rewrites, environment};
use crate::error::{Error, IoContext, Result};
use crate::external::{self, ExternalBuilder};
use crate::folders::{BuildDir, ChrootDir, ChrootPlan};
use crate::job_server::{Lease, make_flags};
use crate::known::Known;
use crate::log::{BuildLog, LogFile};
use crate::options::{BuilderOptions, SandboxMode, SandboxPath};
use crate::outputs::content::floating;
use crate::outputs::register::{self, Made};
use crate::outputs::rewrite::scratch_path;
use crate::remove::remove_tree;
use crate::run::Shared;
use crate::sandbox::cgroup::{CpuTimes, Group};
use crate::sandbox::request::{Action, IdMap, Identity, Isolation, Limits, Mount, SandboxRequest};
use crate::sandbox::supervise::{self, Bounds, Ended};
use crate::users::{BuildUser, Grant, no_range};
use crate::{builtin, failure};

/// A derivation whose inputs are valid and whose outputs are locked by us.
pub(crate) struct Job {
    pub path: StorePath,
    pub derivation: Arc<Derivation>,
    /// The path of each output; where it is not known yet, one that only this build knows.
    pub outputs: OutputMap<StorePath>,
    /// Outputs that are valid already and stay as they are (all of them in a check).
    pub valid: Vec<OutputName>,
    /// Outputs that are registered and have other contents than that says; they are made again.
    pub broken: Vec<OutputName>,
    pub mode: BuildMode,
    /// Outputs of input derivations, and input sources.
    pub inputs: Vec<StorePath>,
    /// What its outputs go by, where their paths follow from what is built.
    pub hash: Option<Hash>,
}

impl Job {
    /// The outputs whose paths are known while it is built.
    pub(crate) fn known_outputs(&self) -> impl Iterator<Item = &StorePath> {
        let known = |name: &OutputName| self.valid.contains(name) || floating(self, name).is_none();
        self.outputs.iter().filter(move |(name, _)| known(name)).map(|(_, path)| path)
    }
}

/// What surrounds every job of a run.
pub(crate) struct Site<'a> {
    pub shared: &'a Shared,
    pub known: &'a Known<'a>,
    /// The job's own activity: log lines go here.
    pub activity: &'a Activity,
    /// What the builder used, once it has ended.
    pub spent: Cell<CpuTimes>,
}

/// How a builder is shut in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walls {
    /// All namespaces, the user namespace among them.
    UserNamespace,
    /// All namespaces but that one; only root can.
    Namespaces,
    /// None.
    Open,
}

/// The state of one attempt, in the order in which it comes about.
pub(crate) struct Attempt<'a> {
    pub site: &'a Site<'a>,
    pub job: &'a Job,
    pub options: &'a DerivationOptions,
    pub kind: DerivationKind,
    pub walls: Walls,
    pub user: Option<BuildUser>,
    pub build_dir: BuildDir,
    pub chroot: Option<ChrootDir>,
    /// The control group that it runs in.
    group: Option<Group>,
    /// Its part in the slots that builds share; free when this is dropped.
    jobs: Option<Lease>,
    /// Where each output is written: its own path, or another one where that is taken.
    pub scratch: OutputMap<StorePath>,
    pub inputs: &'a BTreeMap<StorePath, Arc<PathInfo>>,
    /// Who builds it instead of the builder itself.
    pub external: Option<&'a ExternalBuilder>,
}

/// Builds. The outputs are in place afterwards, but not registered.
///
/// # Errors
/// [`Error::Build`] is a build that failed; everything else a fault of ours or of the machine.
pub(crate) fn build(site: &Site<'_>, job: &Job) -> Result<Made> {
    let shared = site.shared;
    let graph = job.derivation.structured_attrs.as_ref().map(|attrs| attrs.to_object());
    if graph.is_some_and(|object| object.get("exportReferencesGraph").is_some_and(|graph| !graph.is_object())) {
        site.activity.warn("'exportReferencesGraph' in structured attrs is not a JSON object, ignoring");
    }
    let options = DerivationOptions::of(shared.store.store_dir(), &job.derivation).map_err(|error| {
        let path = shared.store.store_dir().print(&job.path);
        Error::Build {
            status: BuildStatus::InputRejected,
            message: format!("while parsing derivation '{path}': {error}"),
        }
    })?;
    let kind = job.derivation.kind()?;
    if builtin::is_fetch(&job.derivation) {
        return builtin::fetchurl::build(site, job);
    }
    let inputs = site.known.closure(site.activity, job.inputs.iter().cloned())?;
    let mut walls = walls(site, job, &options, kind)?;
    loop {
        match attempt(site, job, &options, (kind, walls), &inputs) {
            Err(Error::IsolationRefused { step, source }) => {
                walls = weaker(site, walls, Error::IsolationRefused { step, source })?;
            }
            other => return other,
        }
    }
}

/// The walls that settings and derivation ask for, as far as this machine was seen to give them.
fn walls(site: &Site<'_>, job: &Job, options: &DerivationOptions, kind: DerivationKind) -> Result<Walls> {
    let store = &site.shared.store;
    if site.shared.options.external_builder(&job.derivation).is_some() {
        return Ok(Walls::Open);
    }
    let mut isolated = match site.shared.options.sandbox {
        SandboxMode::Enabled if options.no_chroot => {
            return Err(Error::Refused(format!(
                "derivation '{}' has '__noChroot' set, but that's not allowed when 'sandbox' is 'true'",
                store.store_dir().print(&job.path)
            )));
        }
        SandboxMode::Enabled => true,
        SandboxMode::Disabled => false,
        SandboxMode::Relaxed => kind.is_sandboxed() && !options.no_chroot,
    };
    // Only a mount can show such a store at the paths that its objects name.
    isolated |= !store.is_at_logical_path();
    Ok(match isolated {
        false => Walls::Open,
        true if site.shared.no_isolation.load(Ordering::Relaxed) => Walls::Open,
        true if site.shared.no_user_namespace.load(Ordering::Relaxed) => Walls::Namespaces,
        true => Walls::UserNamespace,
    })
}

/// What is tried after the machine refused.
fn weaker(site: &Site<'_>, walls: Walls, error: Error) -> Result<Walls> {
    let shared = site.shared;
    let others = || rustix::process::geteuid().is_root() && shared.options.users.has_users();
    if walls == Walls::UserNamespace && others() {
        shared.no_user_namespace.store(true, Ordering::Relaxed);
        return Ok(Walls::Namespaces);
    }
    if walls == Walls::Open || !shared.options.sandbox_fallback || !shared.store.is_at_logical_path() {
        return Err(error);
    }
    // Said once; later builds do not try again.
    if !shared.no_isolation.swap(true, Ordering::Relaxed) {
        let why = match &error {
            Error::IsolationRefused { step, source } => format!("{step}: {source}"),
            other => other.to_string(),
        };
        site.activity.warn(&format!(
            "this machine refuses a sandbox ({why}); building without one, so builders see its files, processes and network"
        ));
    }
    Ok(Walls::Open)
}

fn attempt(
    site: &Site<'_>,
    job: &Job,
    options: &DerivationOptions,
    (kind, walls): (DerivationKind, Walls),
    inputs: &BTreeMap<StorePath, Arc<PathInfo>>,
) -> Result<Made> {
    let shared = site.shared;
    if walls == Walls::Open && Path::new("/homeless-shelter").exists() {
        return Err(Error::Refused(
            "home directory '/homeless-shelter' exists; please remove it to assure purity of builds without sandboxing"
                .into(),
        ));
    }
    let range = walls != Walls::Open && options.required_system_features.contains("uid-range");
    let user = build_user(site, job, walls, range)?;
    let group = control_group(site, user.as_ref(), range)?;
    let builds = shared.options.build_dir.clone().unwrap_or_else(|| shared.store.state_dir().join("builds"));
    shared.sweep_once(&builds);
    let external = shared.options.external_builder(&job.derivation);
    let plain = walls == Walls::Open && external.is_none() && user.is_none();
    let build_dir = match shared.spare.take().filter(|_| plain) {
        Some(folder) => folder,
        None => BuildDir::create(&builds, walls != Walls::Open || external.is_some(), user.as_ref())?,
    };
    let mut attempt = Attempt {
        site,
        job,
        options,
        kind,
        walls,
        user,
        build_dir,
        chroot: None,
        group,
        jobs: None,
        scratch: scratch_outputs(site, job, walls)?,
        inputs,
        external,
    };
    if walls != Walls::Open {
        attempt.chroot = Some(attempt.make_chroot()?);
    }
    if external.is_none() && shares_jobs(&job.derivation, options) {
        let user = attempt.user.as_ref().map(|user| (user.uid, user.gid));
        attempt.jobs = Some(shared.job_server().join(&attempt.build_dir.inner, user)?);
    }
    let action = attempt.action()?;
    let request = attempt.request(action)?;
    shared.fault_point("build-begin")?;
    let ended = attempt.run(&request)?;
    if let Some(group) = attempt.group.take() {
        let spent = group.end()?;
        site.spent.set(spent);
        let [user, system] = [spent.user, spent.system].map(|time| time.unwrap_or(0) as f64 / 1e6);
        let path = shared.store.store_dir().print(&job.path);
        let text = format!("builder for '{path}' terminated, user CPU {user:.3}s, system CPU {system:.3}s");
        site.activity.message(activity::Verbosity::Debug, &text);
    }
    shared.fault_point("build-end")?;
    drop(request);
    let made = match ended {
        Ok(log) => outputs(&attempt, log),
        Err(error) => Err(error),
    };
    if matches!(made, Err(Error::Build { .. })) && shared.options.keep_failed && !job.derivation.is_builtin() {
        let path = attempt.build_dir.keep().display().to_string();
        site.activity.message(activity::Verbosity::Error, &format!("note: keeping build directory \"{path}\""));
    }
    shared.spare.offer(attempt.build_dir);
    made
}

/// Takes over what the builder made. Its log is finished where it is registered, while other builds go on.
fn outputs(attempt: &Attempt<'_>, log: Option<LogFile>) -> Result<Made> {
    match register::outputs(attempt) {
        Ok(made) => Ok(Made { log, ..made }),
        Err(error) => {
            log.into_iter().for_each(|log| log.finish(attempt.site.activity));
            Err(error)
        }
    }
}

/// A control group, where settings want one or the build has a range of ids, with which it may want to divide its own.
fn control_group(site: &Site<'_>, user: Option<&BuildUser>, range: bool) -> Result<Option<Group>> {
    let options = &site.shared.options;
    let create =
        || Group::create(site.shared.store.state_dir(), user.map(|user| (user.uid, user.gid)), options.cpu_weight);
    match options.control_groups {
        true => create().map(Some),
        // Not on every machine; without one the range is as good.
        false if range => Ok(create().ok()),
        false => Ok(None),
    }
}

/// Whether a derivation asks to share job slots with other builds.
fn shares_jobs(derivation: &Derivation, options: &DerivationOptions) -> bool {
    let asked = match &derivation.structured_attrs {
        Some(attrs) => attrs.to_object().get("jobServer").and_then(serde_json::Value::as_bool).unwrap_or(false),
        None => derivation.env_var("jobServer") == Some(b"1"),
    };
    asked || options.required_system_features.contains("jobserver")
}

/// A user to run as, or a range of them; waits until one is free. `None` where we are not root, or where root asked for no
/// build users and no walls.
fn build_user(site: &Site<'_>, job: &Job, walls: Walls, range: bool) -> Result<Option<BuildUser>> {
    let shared = site.shared;
    let pool = &shared.options.users;
    let isolated = walls != Walls::Open;
    if !rustix::process::geteuid().is_root() || (pool.group.is_empty() && !isolated) {
        return if range { Err(no_range("the setting 'auto-allocate-uids' to be enabled")) } else { Ok(None) };
    }
    let mut waiting = None;
    loop {
        match pool.acquire(shared.store.state_dir(), isolated, range)? {
            Grant::User(user) => {
                if !isolated {
                    shared.open_store_to(user.gid)?;
                }
                return Ok(Some(user));
            }
            // Without a user namespace the builder would have all that we may do.
            Grant::Ourselves if walls == Walls::Namespaces => {
                return Err(Error::IsolationRefused {
                    step: "finding a user for the build".into(),
                    source: std::io::ErrorKind::PermissionDenied.into(),
                });
            }
            Grant::Ourselves => return Ok(None),
            Grant::Busy => {}
        }
        waiting.get_or_insert_with(|| {
            let path = shared.store.store_dir().print(&job.path);
            let text = format!("waiting for a free build user ID for '{path}'");
            site.activity.child_at(activity::Verbosity::Warn, ActivityKind::BuildWaiting, &text, &[])
        });
        site.activity.check()?;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Inside walls every output is written to its own path. Outside, a path that is valid already is taken.
fn scratch_outputs(site: &Site<'_>, job: &Job, walls: Walls) -> Result<OutputMap<StorePath>> {
    let mut scratch = OutputMap::new();
    for (name, path) in &job.outputs {
        let taken = walls == Walls::Open && (job.valid.contains(name) || job.broken.contains(name));
        let path = if taken { scratch_path(&job.path, path) } else { path.clone() };
        if taken {
            let real = site.shared.store.real_path(&path);
            remove_tree(&real).io("removing", &real)?;
        }
        scratch.insert(name.clone(), path);
    }
    Ok(scratch)
}

impl Attempt<'_> {
    pub(crate) fn options(&self) -> &BuilderOptions {
        &self.site.shared.options
    }

    /// User and group that the builder has where it runs.
    fn inside_ids(&self) -> (u32, u32) {
        match (self.walls, &self.user) {
            (Walls::Namespaces, Some(user)) => (user.uid, user.gid),
            _ if self.has_range() => (0, 0),
            _ => (1000, 100),
        }
    }

    /// Whether the builder has a range of ids.
    fn has_range(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.count != 1)
    }

    fn build_dir_inside(&self) -> &Path {
        match (self.external, self.walls) {
            (Some(_), _) => Path::new(external::BUILD_DIR),
            (None, Walls::Open) => &self.build_dir.inner,
            (None, _) => &self.options().sandbox_build_dir,
        }
    }

    /// Where an output of the builder lies on the host.
    pub(crate) fn real_output(&self, path: &StorePath) -> PathBuf {
        let store = &self.site.shared.store;
        match &self.chroot {
            Some(chroot) => chroot.real(&store.store_dir().print(path)),
            None => store.real_path(path),
        }
    }

    fn make_chroot(&self) -> Result<ChrootDir> {
        let store = &self.site.shared.store;
        let mut top = store.real_path(&self.job.path).into_os_string();
        top.push(".chroot");
        ChrootDir::create(&ChrootPlan {
            top: top.into(),
            store_dir: store.store_dir().as_str(),
            build_dir: &self.options().sandbox_build_dir,
            inside: self.inside_ids(),
            user: self.user.as_ref(),
            host_network: !self.kind.is_sandboxed(),
            range: self.has_range(),
        })
    }

    /// What the child does: a builtin, or the builder with its arguments and environment.
    fn action(&self) -> Result<Action> {
        let derivation = &self.job.derivation;
        let store_dir = self.site.shared.store.store_dir();
        if derivation.is_builtin() {
            let output = self.scratch.get("out").map(|path| PathBuf::from(store_dir.print(path)));
            return builtin::action(derivation, output);
        }
        let mut rewrites = Rewrites::default();
        for (name, scratch) in &self.scratch {
            rewrites.placeholder(name, &store_dir.print(scratch));
            if let Some(path) = self.job.outputs.get(name).filter(|path| *path != scratch) {
                rewrites.path(path, scratch);
            }
        }
        let mut environment = environment(&Given {
            store_dir,
            derivation,
            options: self.options,
            build_dir: &self.build_dir_inside().to_string_lossy(),
            cores: self.site.shared.cores(),
            fixed: self.kind == DerivationKind::Fixed,
            impure_variables: (!self.kind.is_sandboxed()).then_some(&self.options().impure_variables),
            graphs: &self.graphs()?,
            rewrites: &rewrites,
        });
        if self.jobs.is_some() {
            let flags = make_flags(self.build_dir_inside(), self.site.shared.cores());
            environment.variables.entry(b"MAKEFLAGS".to_vec()).or_insert(flags);
        }
        self.write_files(&environment)?;
        let arguments = derivation.args.iter().map(|arg| rewrites.apply(arg));
        if let Some(external) = self.external {
            return self.external_action(external, environment, arguments.collect());
        }
        let name = derivation.builder.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let argv = std::iter::once(name.to_owned()).chain(arguments);
        let variable = |(name, value): (Vec<u8>, Vec<u8>)| OsString::from_vec([name, value].join(&b'='));
        Ok(Action::Exec {
            program: PathBuf::from(OsStr::from_bytes(&derivation.builder)),
            argv: argv.map(OsString::from_vec).collect(),
            env: environment.variables.into_iter().map(variable).collect(),
        })
    }

    fn write_files(&self, environment: &Environment) -> Result<()> {
        environment
            .files
            .iter()
            .try_for_each(|(name, contents)| self.write_file(&self.build_dir.inner.join(name), contents))
    }

    fn write_file(&self, path: &Path, contents: &[u8]) -> Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o666).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(path).io("creating", path)?;
        file.write_all(contents).io("writing", path)?;
        // By its descriptor: the folder is the builder's, and so may be what lies under the name by now.
        match &self.user {
            Some(user) => fchown(&file, Some(user.uid), Some(user.gid)).io("changing the owner of", path),
            None => Ok(()),
        }
    }

    /// The user's program for another system, and the file that tells it what to do.
    fn external_action(
        &self,
        external: &ExternalBuilder,
        environment: Environment,
        arguments: Vec<Vec<u8>>,
    ) -> Result<Action> {
        let store = &self.site.shared.store;
        let print = |path: &StorePath| store.store_dir().print(path);
        let told = external::Told {
            builder: &self.job.derivation.builder,
            arguments,
            environment: environment.variables.into_iter().collect(),
            folders: [self.build_dir.top(), &self.build_dir.inner],
            store: (store.store_dir().as_str(), store.real_dir()),
            system: &self.job.derivation.platform,
            inputs: self.inputs.keys().map(print).collect(),
            outputs: self.scratch.iter().map(|(name, path)| (name.clone(), print(path))).collect(),
        };
        let file = self.build_dir.top().join("build.json");
        self.write_file(&file, told.to_json().as_bytes())?;
        self.build_dir.open_to(self.user.as_ref())?;
        let argv = [external.program.clone().into_os_string()].into_iter();
        let argv = argv.chain(external.arguments.iter().map(OsString::from)).chain([file.into_os_string()]);
        let variable = |(name, value): (&String, &Vec<u8>)| OsString::from_vec([name.as_bytes(), value].join(&b'='));
        Ok(Action::Exec {
            program: external.program.clone(),
            argv: argv.collect(),
            env: self.options().impure_variables.iter().map(variable).collect(),
        })
    }

    /// The closures that `exportReferencesGraph` names; they must be among the inputs.
    fn graphs(&self) -> Result<BTreeMap<String, Vec<GraphEntry>>> {
        let (known, activity) = (self.site.known, self.site.activity);
        let store = &self.site.shared.store;
        let mut graphs = BTreeMap::new();
        for (name, paths) in &self.options.export_references_graph {
            if let Some(path) = paths.iter().find(|path| !self.inputs.contains_key(*path)) {
                let path = store.store_dir().print(path);
                return Err(Error::Build {
                    status: BuildStatus::InputRejected,
                    message: format!(
                        "cannot export references of path '{path}' because it is not in the input closure of the derivation"
                    ),
                });
            }
            let mut closure = known.closure(activity, paths.iter().cloned())?;
            // A derivation in it brings its outputs along.
            for path in closure.keys().filter(|path| path.is_derivation()).cloned().collect::<Vec<_>>() {
                let outputs = store.derivation_outputs(activity, &path)?;
                closure.extend(known.closure(activity, outputs.into_iter().filter_map(|(_, path)| path))?);
            }
            let mut entries = Vec::new();
            for info in closure.into_values() {
                let closure_size = match &self.job.derivation.structured_attrs {
                    None => 0,
                    Some(_) => known.closure(activity, [info.path.clone()])?.values().map(|info| info.nar_size).sum(),
                };
                entries.push(GraphEntry { info, closure_size });
            }
            graphs.insert(name.clone(), entries);
        }
        Ok(graphs)
    }

    fn request(&self, action: Action) -> Result<SandboxRequest> {
        let options = self.options();
        let isolation = match &self.chroot {
            None => None,
            Some(chroot) => Some(self.isolation(chroot)?),
        };
        let identity = match (&self.user, &isolation) {
            (Some(user), None) => Some(Identity { uid: user.uid, gid: user.gid, groups: user.groups.clone() }),
            _ => None,
        };
        Ok(SandboxRequest {
            parent: std::process::id(),
            isolation,
            identity,
            work_dir: match self.external {
                Some(_) => self.build_dir.inner.clone(),
                None => self.build_dir_inside().to_owned(),
            },
            limits: Limits {
                filter_syscalls: options.filter_syscalls,
                allow_new_privileges: options.allow_new_privileges,
                personality_32bit: is_32bit_guest(&options.system, &self.job.derivation.platform),
            },
            action,
        })
    }

    fn isolation(&self, chroot: &ChrootDir) -> Result<Isolation> {
        let options = self.options();
        let (uid, gid) = self.inside_ids();
        let (outside_uid, outside_gid) = match &self.user {
            Some(user) => (user.uid, user.gid),
            None => (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        };
        let count = self.user.as_ref().map_or(1, |user| user.count);
        let map = IdMap { inside_uid: uid, inside_gid: gid, outside_uid, outside_gid, count };
        Ok(Isolation {
            root: chroot.root.clone(),
            user_namespace: (self.walls == Walls::UserNamespace).then_some(map),
            uid,
            gid,
            host_network: !self.kind.is_sandboxed(),
            private_dev: !options.sandbox_paths.iter().any(|path| path.target == Path::new("/dev")),
            private_shm: !Path::new(self.site.shared.store.store_dir().as_str()).starts_with("/dev/shm"),
            mounts: self.mounts(chroot)?,
            kvm: options.system_features.contains("kvm"),
            shm_size: options.sandbox_shm_size.clone(),
            require_drop_groups: options.require_drop_groups,
            control_group: self.group.is_some(),
            range: self.has_range(),
        })
    }

    /// Everything that is bound into the root. Outputs never are, even where a sandbox path has them in its closure.
    fn mounts(&self, chroot: &ChrootDir) -> Result<Vec<Mount>> {
        let (options, store) = (self.options(), &self.site.shared.store);
        let mut mounts = BTreeMap::new();
        let mut add = |mount: Mount| mounts.insert(mount.target.clone(), mount);
        let allowed = |path: &str| {
            let plain = Path::new(path).components().all(|part| part != std::path::Component::ParentDir);
            plain && options.impure_host_deps.iter().any(|folder| Path::new(path).starts_with(folder))
        };
        if let Some(path) = self.options.impure_host_deps.iter().find(|path| !allowed(path)) {
            return Err(Error::Refused(format!(
                "derivation '{}' requested impure path '{path}', but it was not in allowed-impure-host-deps",
                store.store_dir().print(&self.job.path)
            )));
        }
        if Path::new(store.store_dir().as_str()).starts_with(&options.sandbox_build_dir) {
            return Err(Error::Refused("`sandbox-build-dir` must not contain the storeDir".into()));
        }
        add(Mount::private(&self.build_dir.inner, &options.sandbox_build_dir));
        let mut from_store = Vec::new();
        let host_deps = self.options.impure_host_deps.iter().map(|path| SandboxPath::parse(&format!("{path}?")));
        let asked = options.hooks.before(self.site.activity, &store.store_dir().print(&self.job.path), &chroot.root)?;
        let asked: Vec<SandboxPath> = host_deps.chain(asked).collect();
        let given = options.sandbox_paths.iter().chain(&asked);
        for path in given.filter(|path| path.source != Path::new("/proc")) {
            add(Mount::shared(&path.source, &path.target, path.optional));
            from_store.extend(path.source.to_str().and_then(|text| store.store_dir().parse_inside(text).ok()));
        }
        if !from_store.is_empty() {
            let paths: Vec<_> = from_store.into_iter().map(|(path, _)| path).collect();
            let valid = store.valid_paths(self.site.activity, &paths)?;
            for path in self.site.known.closure(self.site.activity, valid)?.into_keys() {
                add(Mount::input(store.real_path(&path), store.store_dir().print(&path), false));
            }
        }
        if !self.kind.is_sandboxed() {
            for name in ["/etc/resolv.conf", "/etc/services", "/etc/hosts"] {
                if let Ok(source) = fs::canonicalize(name) {
                    add(Mount::input(source, name, true));
                }
            }
            if let Some(source) = options.ca_file.as_ref().and_then(|file| fs::canonicalize(file).ok()) {
                add(Mount::input(source, "/etc/ssl/certs/ca-certificates.crt", true));
            }
        }
        for path in self.inputs.keys() {
            add(Mount::input(store.real_path(path), store.store_dir().print(path), false));
        }
        for path in self.job.outputs.values() {
            mounts.remove(Path::new(&store.store_dir().print(path)));
        }
        Ok(mounts.into_values().collect())
    }

    /// Runs the builder to its end; the inner error is a build that failed. Where it ended well, its log is left to be
    /// finished.
    fn run(&self, request: &SandboxRequest) -> Result<Result<Option<LogFile>>> {
        let (options, store) = (self.options(), &self.site.shared.store);
        let file = options.keep_log.then(|| LogFile::new(store.log_path(&self.job.path)));
        let builder = String::from_utf8_lossy(&self.job.derivation.builder).into_owned();
        self.site.activity.message(activity::Verbosity::Chatty, &format!("executing builder '{builder}'"));
        let mut log = BuildLog::new(self.site.activity, options.log_lines, file);
        let bounds = Bounds {
            timeout: options.timeout,
            max_silent: options.max_silent,
            max_log: options.max_log_size,
            log_owner: self.user.as_ref().map(|user| user.uid),
            group: self.group.as_ref().map(|group| group.path().to_owned()),
            suspension: std::sync::Arc::clone(&options.suspension),
        };
        let ended = supervise::run(self.site.activity, &options.own_binary, request, &bounds, &mut |bytes| {
            log.take(bytes);
        });
        let (tail, file) = log.end();
        if matches!(ended, Ok(Ended::Exited(0))) {
            return Ok(Ok(file));
        }
        file.into_iter().for_each(|file| file.finish(self.site.activity));
        Ok(Err(failure::of_builder(self, ended?, &tail)))
    }
}

/// Whether the kernel must pretend to be the 32-bit machine.
fn is_32bit_guest(system: &str, platform: &[u8]) -> bool {
    matches!(
        (system, platform),
        ("x86_64-linux", b"i686-linux") | ("aarch64-linux", b"armv7l-linux" | b"armv6l-linux" | b"armv5tel-linux")
    )
}
