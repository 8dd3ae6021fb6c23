//! Settings as the option structs of the crates below.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use builder::{
    AdmissionLimits, BuilderOptions, ExternalBuilder, Features, History, Hooks, LocalBuilder, SandboxMode, SandboxPath,
    Substituter, Substituters, Substitution, UserPool,
};
use store::copy::Place;
use store::{AutoCollection, FaultPoints, LocalStore, LocalStoreOptions};
use store_model::SecretKey;
use transfer::{Netrc, Proxies, TransferOptions};

use crate::error::SessionError;
use crate::mirrors::mirrors_of_user;
use crate::session::Session;
use crate::settings::Settings;
use crate::stores::{OpenStore, StoreKind, StorePlace};

/// The running file by a name that stays true when the binary is replaced meanwhile.
pub const OWN_BINARY: &str = "/proc/self/exe";

/// Opens the local store at a place.
pub fn open_store(
    settings: &Settings,
    place: &StorePlace,
    activity: &activity::Activity,
    read_only: bool,
) -> Result<LocalStore, SessionError> {
    let mut options = LocalStoreOptions::new(place.store_dir()?, &place.real_dir, &place.state_dir, &place.log_dir);
    const FEATURE: &str = "read-only-local-store";
    if place.read_only && settings.is_given("experimental-features") && !settings.feature(FEATURE) {
        return Err(SessionError::FeatureDisabled { feature: FEATURE.to_owned() });
    }
    options.read_only = read_only || place.read_only;
    options.fsync_store_paths = settings.flag("fsync-store-paths");
    options.fsync_metadata = settings.flag("fsync-metadata");
    options.use_wal = settings.flag("use-sqlite-wal");
    options.ignored_acls = settings.list("ignored-acls").into_iter().collect();
    options.reserved_size = settings.number("gc-reserved-space");
    options.keep_outputs = settings.flag("keep-outputs");
    options.keep_derivations = settings.flag("keep-derivations");
    options.ca_derivations = settings.feature("ca-derivations");
    options.auto_optimise = settings.flag("auto-optimise-store");
    options.auto = AutoCollection {
        min_free: settings.number("min-free"),
        max_free: settings.number("max-free"),
        interval: Duration::from_secs(settings.number("min-free-check-interval")),
        free_space_file: settings.around.path("_NIX_TEST_FREE_SPACE_FILE"),
    };
    options.build_group = build_group(settings);
    options.faults = faults(settings);
    Ok(LocalStore::open(activity, options)?)
}

/// The keys that sign what is built here (`secret-key-files`).
pub fn secret_keys(settings: &Settings) -> Result<Vec<SecretKey>, SessionError> {
    let read = |file: String| {
        let text = std::fs::read_to_string(&file).map_err(|error| SessionError::SettingValue {
            name: "secret-key-files".to_owned(),
            value: format!("{file} ({error})"),
            expected: "a list of files that can be read",
        })?;
        Ok(SecretKey::parse(text.trim())?)
    };
    settings.list("secret-key-files").into_iter().map(read).collect()
}

/// An unset setting means `nixbld`, which need not exist.
fn build_group_name(settings: &Settings) -> &str {
    if settings.is_given("build-users-group") { settings.text("build-users-group") } else { "nixbld" }
}

/// The number of the build users' group, where the machine has it: only root builds as others.
fn build_group(settings: &Settings) -> Option<u32> {
    if settings.around.user != 0 {
        return None;
    }
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let line = groups.lines().find(|line| line.split(':').next() == Some(build_group_name(settings)))?;
    line.split(':').nth(2)?.parse().ok()
}

/// `FIRN_FAULT=NAME:COUNT` ends the process, as `kill -9` would, when it passes that point for the COUNTth time, and
/// `FIRN_FAULT_LOG=FILE` appends the name of each point that is passed. They are there for tests of what a crash leaves
/// behind.
pub fn faults(settings: &Settings) -> FaultPoints {
    if let Some(file) = settings.around.text("FIRN_FAULT_LOG") {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(file);
        return FaultPoints::new(move |passed| {
            // One write per line: jobs of several threads pass at once. A log that fails makes its reader fail.
            log.as_ref().is_ok_and(|mut log| log.write_all(format!("{passed}\n").as_bytes()).is_err())
        });
    }
    // C++ Nix's tests hold a collection up by a pipe that it reads.
    let hold_ups = [("gc-locked", "_NIX_TEST_GC_SYNC_1"), ("gc-roots-found", "_NIX_TEST_GC_SYNC_2")];
    let hold_ups = hold_ups.map(|(point, name)| (point, settings.around.path(name)));
    if hold_ups.iter().any(|(_, file)| file.is_some()) {
        return FaultPoints::new(move |passed| {
            let file = hold_ups.iter().find(|(point, _)| *point == passed).and_then(|(_, file)| file.as_ref());
            file.is_some_and(|file| std::fs::read(file).is_err())
        });
    }
    let Some((name, count)) = settings.around.text("FIRN_FAULT").and_then(|text| text.split_once(':')) else {
        return FaultPoints::default();
    };
    let (name, left) = (name.to_owned(), std::sync::atomic::AtomicI64::new(count.parse().unwrap_or(1)));
    FaultPoints::new(move |passed| {
        if passed == name && left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        }
        false
    })
}

/// Opens a builder over a session's store, by settings that may be others than the session's.
pub fn open_builder(
    session: &Session,
    settings: &Settings,
    store: Arc<LocalStore>,
) -> Result<LocalBuilder, SessionError> {
    let mut options = BuilderOptions::new(OWN_BINARY, settings.system());
    options.extra_platforms = settings.list("extra-platforms").into_iter().collect();
    options.system_features = settings.list("system-features").into_iter().collect();
    let usable = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    if !settings.is_given("system-features") && rustix::fs::access("/dev/kvm", usable).is_ok() {
        options.system_features.insert("kvm".to_owned());
    }
    if !settings.is_given("system-features") {
        options.system_features.insert("jobserver".to_owned());
    }
    if let Some(features) = &session.place().system_features {
        options.system_features = features.iter().cloned().collect();
    }
    options.control_groups = settings.flag("use-cgroups");
    options.cpu_weight = id(settings, "build-cpu-weight").min(10_000);
    options.admission = AdmissionLimits {
        load: settings.number("load-limit"),
        memory: settings.number("memory-reserve"),
        memory_pressure: settings.number("memory-pressure-limit"),
        ..AdmissionLimits::default()
    };
    options.max_jobs = settings.max_jobs();
    options.cores = settings.cores();
    options.http_connections = count(settings, "http-connections");
    // All wrong hashes are wanted at once.
    options.keep_going = settings.flag("keep-going") || settings.flag("update-hashes");
    options.keep_failed = settings.flag("keep-failed");
    options.sandbox = match settings.text("sandbox") {
        "true" => SandboxMode::Enabled,
        "relaxed" => SandboxMode::Relaxed,
        _ => SandboxMode::Disabled,
    };
    options.sandbox_fallback = settings.flag("sandbox-fallback");
    options.sandbox_paths = sandbox_paths(settings);
    options.sandbox_build_dir = settings.text("sandbox-build-dir").into();
    options.sandbox_shm_size = settings.text("sandbox-dev-shm-size").to_owned();
    options.filter_syscalls = settings.flag("filter-syscalls");
    options.users = users(settings);
    options.build_dir = Some(settings.text("build-dir")).filter(|text| !text.is_empty()).map(PathBuf::from);
    options.timeout = seconds(settings, "timeout");
    options.max_silent = seconds(settings, "max-silent-time");
    options.max_log_size = Some(settings.number("max-build-log-size")).filter(|size| *size > 0);
    options.log_lines = count(settings, "log-lines");
    options.keep_log = settings.flag("keep-build-log");
    options.allow_new_privileges = settings.flag("allow-new-privileges");
    options.require_drop_groups = match settings.is_given("require-drop-supplementary-groups") {
        true => settings.flag("require-drop-supplementary-groups"),
        false => settings.around.user == 0,
    };
    options.impure_host_deps = settings.list("allowed-impure-host-deps").into_iter().map(PathBuf::from).collect();
    options.secret_keys = secret_keys(settings)?;
    options.features = Features {
        content_addressed: settings.feature("ca-derivations"),
        impure: settings.feature("impure-derivations"),
        dynamic: settings.feature("dynamic-derivations"),
    };
    options.hooks = hooks(settings);
    options.suspension = Arc::clone(session.suspension());
    options.history = Some(Arc::new(build_history(settings)));
    options.external = external_builders(settings)?;
    options.mirrors = mirrors_of_user(&settings.around, Path::new("/"), settings.list("hashed-mirrors"));
    options.impure_variables = environment(settings);
    options.ca_file = certificates(settings);
    let substituters = substituters(session, settings, &mut options)?;
    Ok(LocalBuilder::with_substituters(store, options, session.transfer(), substituters))
}

/// The stores of `substituters`, opened when the first path is looked for, and whether they are used.
fn substituters(
    session: &Session,
    settings: &Settings,
    options: &mut BuilderOptions,
) -> Result<Substituters, SessionError> {
    let uris = settings.list("substituters");
    options.substitution = Substitution {
        enabled: settings.flag("substitute") && !uris.is_empty(),
        always: settings.flag("always-allow-substitutes"),
        fallback: settings.flag("fallback"),
    };
    if !options.substitution.enabled {
        return Ok(Substituters::none());
    }
    let keys = if settings.flag("require-sigs") { Some(session.trusted_keys()?) } else { None };
    let (settings, own) = (settings.clone(), session.place().state_dir.clone());
    let open = move |activity: &activity::Activity| {
        let mut found = Vec::new();
        for uri in &uris {
            let opened = StorePlace::parse(uri, &settings).and_then(|place| {
                // A store is no substituter of its own.
                if place.kind == StoreKind::Local && place.state_dir == own {
                    return Ok(None);
                }
                let opened = OpenStore::open(&settings, activity, &place, true)?;
                let priority = opened.priority(activity)?;
                Ok(Some((priority, opened)))
            });
            match opened {
                Ok(one) => found.extend(one),
                Err(error) => activity.warn(&format!("ignoring substituter '{uri}': {error}")),
            }
        }
        found.sort_by_key(|(priority, _)| *priority);
        let substituter = |(_, one): (i64, OpenStore)| Substituter {
            place: Place { store: one.store, uri: one.uri },
            realisations: Some(one.realisations),
            trusted: one.trusted,
        };
        found.into_iter().map(substituter).collect()
    };
    Ok(Substituters::new(Box::new(open), keys))
}

fn hooks(settings: &Settings) -> Hooks {
    let program = |name: &str| Some(settings.text(name)).filter(|text| !text.is_empty()).map(PathBuf::from);
    Hooks {
        pre_build: program("pre-build-hook"),
        post_build: program("post-build-hook"),
        diff: program("diff-hook").filter(|_| settings.flag("run-diff-hook")),
        settings: settings.to_lines(),
    }
}

/// The times of earlier builds, among the user's caches.
pub fn build_history(settings: &Settings) -> History {
    History::new(settings.places.cache.join("firn-build-times"))
}

fn external_builders(settings: &Settings) -> Result<Vec<ExternalBuilder>, SessionError> {
    if !settings.feature("external-builders") || !settings.is_given("external-builders") {
        return Ok(Vec::new());
    }
    let text = settings.text("external-builders");
    ExternalBuilder::parse_list(text)
        .map_err(|problem| SessionError::SettingText { name: "external-builders".to_owned(), problem })
}

fn count(settings: &Settings, name: &str) -> usize {
    usize::try_from(settings.number(name)).unwrap_or(usize::MAX)
}

fn seconds(settings: &Settings, name: &str) -> Option<Duration> {
    Some(settings.number(name)).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

fn environment(settings: &Settings) -> BTreeMap<String, Vec<u8>> {
    let text = |(name, value): (&std::ffi::OsString, &std::ffi::OsString)| {
        Some((name.to_str()?.to_owned(), value.as_bytes().to_vec()))
    };
    let mut variables: BTreeMap<String, Vec<u8>> = settings.around.variables.iter().filter_map(text).collect();
    let list = settings.list("impure-env");
    let named = list.iter().filter_map(|entry| entry.split_once('='));
    variables.extend(named.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())));
    variables
}

/// What every sandbox shows. Unless it is said, that is a static shell at `/bin/sh`: one named when Firn was compiled,
/// else one that the machine has, else none; nothing of Firn's own needs it.
fn sandbox_paths(settings: &Settings) -> Vec<SandboxPath> {
    if settings.is_given("sandbox-paths") {
        return settings.list("sandbox-paths").iter().map(|text| SandboxPath::parse(text)).collect();
    }
    let compiled_in = option_env!("FIRN_SANDBOX_SHELL").map(PathBuf::from);
    let shells = ["/bin/busybox", "/usr/bin/busybox", "/bin/bash-static", "/usr/bin/bash-static"].map(PathBuf::from);
    let found = compiled_in.into_iter().chain(shells).find(|shell| is_static(shell));
    let path = |source: PathBuf| SandboxPath { target: "/bin/sh".into(), source, optional: false };
    found.map(path).into_iter().collect()
}

/// Whether a file is a 64-bit ELF program that asks for no loader.
fn is_static(path: &Path) -> bool {
    let mut head = [0; 4096];
    let Ok(read) = std::fs::File::open(path).and_then(|mut file| file.read(&mut head)) else { return false };
    let head = &head[..read];
    let number = |at: usize, size: usize| -> usize {
        head.get(at..at + size)
            .map_or(0, |bytes| bytes.iter().rev().fold(0, |all, byte| (all << 8) | usize::from(*byte)))
    };
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return false;
    }
    let (table, size, entries) = (number(32, 8), number(54, 2), number(56, 2));
    const INTERPRETER: usize = 3;
    (0..entries).all(|entry| number(table.saturating_add(entry * size), 4) != INTERPRETER)
}

fn users(settings: &Settings) -> UserPool {
    UserPool {
        group: build_group_name(settings).to_owned(),
        start_id: id(settings, "start-id"),
        id_count: id(settings, "id-count"),
        auto: settings.flag("auto-allocate-uids"),
    }
}

fn id(settings: &Settings, name: &str) -> u32 {
    u32::try_from(settings.number(name)).unwrap_or(u32::MAX)
}

fn certificates(settings: &Settings) -> Option<PathBuf> {
    let variables = ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"];
    if settings.is_given("ssl-cert-file") {
        return Some(settings.text("ssl-cert-file")).filter(|text| !text.is_empty()).map(PathBuf::from);
    }
    let named = || variables.iter().find_map(|name| settings.around.path(name));
    let usual = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    named().or_else(|| usual.iter().map(PathBuf::from).find(|path| path.is_file()))
}

/// How everything is downloaded.
pub fn transfer_options(settings: &Settings) -> TransferOptions {
    let named = ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"].iter().find_map(|name| settings.around.path(name));
    let given = Some(settings.text("ssl-cert-file")).filter(|text| !text.is_empty()).map(PathBuf::from);
    let netrc = match settings.text("netrc-file") {
        "" => settings.places.configuration.join("netrc"),
        path => PathBuf::from(path),
    };
    TransferOptions {
        connections: count(settings, "http-connections"),
        attempts: id(settings, "download-attempts"),
        connect_timeout: Duration::from_secs(settings.number("connect-timeout")),
        stalled_timeout: Duration::from_secs(settings.number("stalled-download-timeout")),
        http2: settings.flag("http2"),
        proxies: Proxies::from_variables(|name| settings.around.text(name).map(str::to_owned)),
        ca_file: given.or(named),
        netrc: Netrc::parse(&std::fs::read_to_string(netrc).unwrap_or_default()),
        ..TransferOptions::default()
    }
}
