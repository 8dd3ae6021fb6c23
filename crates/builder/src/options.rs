//! Every knob of building. The session fills them from settings; nothing here reads configuration or environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use store_model::{Derivation, SecretKey};
use transfer::Mirrors;

use crate::admission::AdmissionLimits;
use crate::external::ExternalBuilder;
use crate::history::History;
use crate::hooks::Hooks;
use crate::plan::{Features, Substitution};
use crate::suspend::Suspension;
use crate::users::UserPool;

/// Whether builders are shut in (`sandbox`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxMode {
    /// Always.
    #[default]
    Enabled,
    /// But for fixed-output derivations and those with `__noChroot`.
    Relaxed,
    /// Never, except in a store that is not at its logical path, where nothing else works.
    Disabled,
}

/// A file or folder of the host that every sandbox shows (`sandbox-paths`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxPath {
    /// Where it is seen, absolute.
    pub target: PathBuf,
    /// Where it is on the host.
    pub source: PathBuf,
    /// It need not exist.
    pub optional: bool,
}

impl SandboxPath {
    /// Reads `TARGET`, `TARGET=SOURCE`, either with `?` at its end.
    pub fn parse(text: &str) -> Self {
        let (text, optional) = match text.strip_suffix('?') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (target, source) = text.split_once('=').unwrap_or((text, text));
        Self { target: target.into(), source: source.into(), optional }
    }
}

/// The knobs. [`BuilderOptions::new`] has C++ Nix's values.
#[derive(Clone, Debug)]
pub struct BuilderOptions {
    /// Our own binary, executed again for sandboxes; `/proc/self/exe` works even after an upgrade.
    pub own_binary: PathBuf,
    /// What this machine is (`system`), such as `x86_64-linux`.
    pub system: String,
    /// What else it can run (`extra-platforms`).
    pub extra_platforms: BTreeSet<String>,
    /// What it can do (`system-features`).
    pub system_features: BTreeSet<String>,
    /// Builds at the same time (`max-jobs`); 0 builds nothing.
    pub max_jobs: usize,
    /// Cores per build (`cores`); 0 for all.
    pub cores: usize,
    /// Downloads at the same time, beside the builds (`http-connections`); 0 is no bound.
    pub http_connections: usize,
    /// Go on with what does not depend on a failure (`keep-going`).
    pub keep_going: bool,
    /// Leave the build folder of a failure (`keep-failed`).
    pub keep_failed: bool,
    /// Whether builders are shut in (`sandbox`).
    pub sandbox: SandboxMode,
    /// Build without where the machine refuses (`sandbox-fallback`).
    pub sandbox_fallback: bool,
    /// What every sandbox shows (`sandbox-paths`).
    pub sandbox_paths: Vec<SandboxPath>,
    /// The build folder as seen inside (`sandbox-build-dir`).
    pub sandbox_build_dir: PathBuf,
    /// Size of `/dev/shm` inside (`sandbox-dev-shm-size`).
    pub sandbox_shm_size: String,
    /// Refuse set-id modes and extended attributes (`filter-syscalls`).
    pub filter_syscalls: bool,
    /// Let builders gain privileges (`allow-new-privileges`).
    pub allow_new_privileges: bool,
    /// A group that cannot be dropped is an error (`require-drop-supplementary-groups`).
    pub require_drop_groups: bool,
    /// Users that builders run as when we are root.
    pub users: UserPool,
    /// Run each build in a control group of its own (`use-cgroups`).
    pub control_groups: bool,
    /// A build's share of the processor, 1 to 10000, where control groups give shares (`build-cpu-weight`); 0 leaves it.
    pub cpu_weight: u32,
    /// What the machine may be used up to when one more build begins.
    pub admission: AdmissionLimits,
    /// Where build folders are made (`build-dir`); `<state>/builds` where `None`.
    pub build_dir: Option<PathBuf>,
    /// Time for a build (`timeout`).
    pub timeout: Option<Duration>,
    /// Time without output (`max-silent-time`).
    pub max_silent: Option<Duration>,
    /// Bytes of output (`max-build-log-size`).
    pub max_log_size: Option<u64>,
    /// Lines of output that an error message repeats (`log-lines`); 0 where the user saw them already.
    pub log_lines: usize,
    /// Keep logs (`keep-build-log`).
    pub keep_log: bool,
    /// How an error message says to read a log: `nix log`, or `nix-store -l`.
    pub log_command: String,
    /// Places of `mirror://` URLs and of files by hash.
    pub mirrors: Mirrors,
    /// Variables that `impureEnvVars` may ask for: those of the environment, with `impure-env` over them.
    pub impure_variables: BTreeMap<String, Vec<u8>>,
    /// Certificate authorities that builders with a network see (`ssl-cert-file`).
    pub ca_file: Option<PathBuf>,
    /// Keys that sign what is built (`secret-key-files`).
    pub secret_keys: Vec<SecretKey>,
    /// Folders whose contents `__impureHostDeps` may ask for (`allowed-impure-host-deps`).
    pub impure_host_deps: Vec<PathBuf>,
    /// Whether outputs are copied instead of built (`substitute`, `always-allow-substitutes`, `fallback`).
    pub substitution: Substitution,
    /// Kinds of derivations that are built only when that is asked for.
    pub features: Features,
    /// Programs of the user's around a build.
    pub hooks: Hooks,
    /// Who builds for other systems (`external-builders`).
    pub external: Vec<ExternalBuilder>,
    /// Where the times of builds are kept.
    pub history: Option<Arc<History>>,
    /// Stops builders when we are stopped.
    pub suspension: Arc<Suspension>,
}

impl BuilderOptions {
    /// Whether this machine runs builders of a system.
    pub(crate) fn runs(&self, system: &[u8]) -> bool {
        let own = |system: &str| system == self.system || self.extra_platforms.contains(system);
        std::str::from_utf8(system).is_ok_and(own)
    }

    /// Who builds a derivation that is not for this machine.
    pub(crate) fn external_builder(&self, derivation: &Derivation) -> Option<&ExternalBuilder> {
        if derivation.is_builtin() || self.runs(&derivation.platform) {
            return None;
        }
        let system = std::str::from_utf8(&derivation.platform).ok()?;
        self.external.iter().find(|builder| builder.systems.contains(system))
    }

    /// C++ Nix's values for a machine of this kind.
    pub fn new(own_binary: impl Into<PathBuf>, system: impl Into<String>) -> Self {
        Self {
            own_binary: own_binary.into(),
            system: system.into(),
            extra_platforms: BTreeSet::new(),
            system_features: ["benchmark", "big-parallel", "nixos-test"].map(str::to_owned).into(),
            max_jobs: 1,
            cores: 0,
            http_connections: 25,
            keep_going: false,
            keep_failed: false,
            sandbox: SandboxMode::Enabled,
            sandbox_fallback: false,
            sandbox_paths: Vec::new(),
            sandbox_build_dir: "/build".into(),
            sandbox_shm_size: "50%".into(),
            filter_syscalls: true,
            allow_new_privileges: false,
            require_drop_groups: rustix::process::geteuid().is_root(),
            users: UserPool::default(),
            control_groups: false,
            cpu_weight: 0,
            admission: AdmissionLimits::default(),
            build_dir: None,
            timeout: None,
            max_silent: None,
            max_log_size: None,
            log_lines: 25,
            keep_log: true,
            log_command: "nix-store -l".into(),
            mirrors: Mirrors::default(),
            impure_variables: BTreeMap::new(),
            ca_file: None,
            secret_keys: Vec::new(),
            impure_host_deps: Vec::new(),
            substitution: Substitution::default(),
            features: Features::default(),
            hooks: Hooks::default(),
            external: Vec::new(),
            history: None,
            suspension: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sandbox_paths_are_read_in_every_form() {
        let path = |target: &str, source: &str, optional| SandboxPath {
            target: target.into(),
            source: source.into(),
            optional,
        };
        assert_eq!(SandboxPath::parse("/bin"), path("/bin", "/bin", false));
        assert_eq!(SandboxPath::parse("/bin/sh=/x/busybox"), path("/bin/sh", "/x/busybox", false));
        assert_eq!(SandboxPath::parse("/a=/b?"), path("/a", "/b", true));
        assert_eq!(SandboxPath::parse("/a?"), path("/a", "/a", true));
    }
}
