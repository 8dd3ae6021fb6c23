//! THE table of settings: every name that C++ Nix 2.34 knows, its older names, its shape, its default, what it does.
//!
//! A name that stands here is accepted everywhere a setting may be given. `honoured` says whether Firn acts on it yet;
//! the manual prints that column.

/// The shape of a setting's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false` (also `yes no 1 0`).
    Bool,
    /// A non-negative number, with an optional suffix K, M, G or T.
    Number,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// Words separated by white space; `extra-NAME` appends.
    List,
    /// Words `key=value`; `extra-NAME` appends.
    Map,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Names of earlier versions.
    pub aliases: &'static [&'static str],
    /// The shape of its text.
    pub kind: Kind,
    /// Its default as text. What depends on the machine or on other settings is empty here and worked out by the reader.
    pub default: &'static str,
    /// Whether Firn acts on it.
    pub honoured: bool,
    /// The experimental feature of C++ Nix that it belongs to.
    pub feature: Option<&'static str>,
    /// What it does.
    pub doc: &'static str,
}

use Kind::{Bool, Choice, List, Map, Number, Text};

const fn on(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, aliases: &[], kind, default, honoured: true, feature: None, doc }
}

const fn known(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, aliases: &[], kind, default, honoured: false, feature: None, doc }
}

const fn was(setting: Setting, aliases: &'static [&'static str]) -> Setting {
    Setting { aliases, ..setting }
}

const fn of(setting: Setting, feature: &'static str) -> Setting {
    Setting { feature: Some(feature), ..setting }
}

const LINT: Kind = Choice(&["ignore", "warn", "fatal"]);

/// All settings, sorted by name.
pub const SETTINGS: &[Setting] = &[
    on("abort-on-warn", Bool, "false", "Turn the first warning of an evaluation into an error."),
    of(known("accept-flake-config", Bool, "false", "Take the settings a flake brings without asking."), "flakes"),
    on("access-tokens", Map, "", "Tokens for forges, by host."),
    on("allow-dirty", Bool, "true", "Accept Git trees with uncommitted changes."),
    of(known("allow-dirty-locks", Bool, "false", "Write lock files that name dirty trees."), "flakes"),
    on("allow-import-from-derivation", Bool, "true", "Let evaluation wait for builds whose results it reads."),
    on("allow-new-privileges", Bool, "false", "Let builders gain privileges by setuid programs."),
    known("allow-symlinked-store", Bool, "false", "Accept a store directory reached through a symbolic link."),
    known("allow-unsafe-native-code-during-evaluation", Bool, "false", "Offer the builtins that run native code."),
    on("allowed-impure-host-deps", List, "", "Host paths that a derivation may ask for (macOS)."),
    on("allowed-uris", List, "", "URL prefixes that restricted evaluation may fetch."),
    known("allowed-users", List, "*", "Who may talk to the daemon."),
    on("always-allow-substitutes", Bool, "false", "Ignore a derivation's wish not to be substituted."),
    of(
        on("auto-allocate-uids", Bool, "false", "Take build users from a range instead of a group."),
        "auto-allocate-uids",
    ),
    on("auto-optimise-store", Bool, "false", "Link equal files to one another when paths are added."),
    known("bash-prompt", Text, "", "The prompt of `nix develop`."),
    known("bash-prompt-prefix", Text, "", "Text before the prompt of `nix develop`."),
    known("bash-prompt-suffix", Text, "", "Text after the prompt of `nix develop`."),
    on("build-cpu-weight", Number, "0", "Share of the processor that a build has in its control group, up to 10000."),
    on("build-dir", Text, "", "Where build directories are made; the state folder's `builds` by default."),
    known("build-hook", List, "", "The program that offers builds to other machines."),
    on("build-poll-interval", Number, "5", "Seconds between looks at a lock that another process holds."),
    on("build-users-group", Text, "", "The group whose members run builders when root builds."),
    known("builders", Text, "", "Machines that build for this one."),
    known("builders-use-substitutes", Bool, "false", "Let such machines fetch inputs themselves."),
    of(
        was(
            known("commit-lock-file-summary", Text, "", "The message of a lock file's commit."),
            &["commit-lockfile-summary"],
        ),
        "flakes",
    ),
    was(on("compress-build-log", Bool, "true", "Keep build logs compressed."), &["build-compress-log"]),
    on("connect-timeout", Number, "15", "Seconds until a connection attempt is given up."),
    was(on("cores", Number, "0", "What builders see as NIX_BUILD_CORES; 0 is all."), &["build-cores"]),
    known("debugger-on-trace", Bool, "false", "Enter the debugger at `builtins.trace`."),
    known("debugger-on-warn", Bool, "false", "Enter the debugger at `builtins.warn`."),
    on("diff-hook", Text, "", "The program that shows how two builds of one derivation differ."),
    on("download-attempts", Number, "5", "How often a download is tried."),
    known("download-buffer-size", Number, "1048576", "Bytes of a download that may wait in memory."),
    known("download-speed", Number, "0", "Kilobytes a second, 0 for no limit."),
    known("eval-attrset-update-layer-rhs-threshold", Number, "16", "Largest right side of `//` that becomes a layer."),
    on("eval-cache", Bool, "true", "Remember what evaluations gave."),
    on("eval-cores", Number, "0", "Threads of one evaluation; 0 is all."),
    on("eval-profile-file", Text, "nix.profile", "Where the evaluation profiler writes."),
    on("eval-profiler", Choice(&["disabled", "flamegraph"]), "disabled", "The evaluation profiler."),
    on("eval-profiler-frequency", Number, "99", "Samples a second of the evaluation profiler."),
    on("eval-system", Text, "", "What `builtins.currentSystem` says, if not the system."),
    on("experimental-features", List, "", "Experimental features of C++ Nix that are switched on."),
    on("external-builders", Text, "[]", "Programs that build for other systems."),
    on("extra-platforms", List, "", "Further systems this machine builds for."),
    was(on("fallback", Bool, "false", "Build where substitution failed."), &["build-fallback"]),
    on("filter-syscalls", Bool, "true", "Forbid builders setuid bits and extended attributes."),
    of(
        on(
            "flake-registry",
            Text,
            "https://channels.nixos.org/flake-registry.json",
            "The registry of flake names: a URL or a path.",
        ),
        "flakes",
    ),
    on("fsync-metadata", Bool, "true", "Sync the database's transactions."),
    on("fsync-store-paths", Bool, "true", "Sync paths before they are registered (C++ Nix: false by default)."),
    on("gc-reserved-space", Number, "8388608", "Bytes kept for collecting garbage on a full disk."),
    on("hashed-mirrors", List, "", "Places that have files by their hash."),
    was(
        on("http-connections", Number, "25", "Connections of all downloads; 0 is no limit."),
        &["binary-caches-parallel-connections"],
    ),
    on("http2", Bool, "true", "Use HTTP/2."),
    on("id-count", Number, "8388608", "User ids a build may use, from start-id on."),
    known("ignore-try", Bool, "false", "Let the debugger ignore errors that `tryEval` catches."),
    on("ignored-acls", List, "security.csm security.selinux system.nfs4_acl", "Attributes that may stay on files."),
    was(
        known("impersonate-linux-26", Bool, "false", "Show builders an old kernel version."),
        &["build-impersonate-linux-26"],
    ),
    of(on("impure-env", Map, "", "Variables for fixed-output builders."), "configurable-impure-env"),
    on("json-log-path", Text, "", "A file or socket that gets the log as JSON."),
    was(on("keep-build-log", Bool, "true", "Keep the builders' output."), &["build-keep-log"]),
    was(
        on("keep-derivations", Bool, "true", "Collecting keeps the derivations of living outputs."),
        &["gc-keep-derivations"],
    ),
    was(
        on("keep-env-derivations", Bool, "false", "Profiles keep the derivations of what they hold."),
        &["env-keep-derivations"],
    ),
    on("keep-failed", Bool, "false", "Keep the build directory of a failed build."),
    on("keep-going", Bool, "false", "Go on with other builds after one failed."),
    was(on("keep-outputs", Bool, "false", "Collecting keeps the outputs of living derivations."), &["gc-keep-outputs"]),
    on("lint-absolute-path-literals", LINT, "ignore", "Complain of absolute path literals."),
    on("lint-short-path-literals", LINT, "ignore", "Complain of path literals without `./`."),
    on("lint-url-literals", LINT, "ignore", "Complain of URL literals."),
    on(
        "load-limit",
        Number,
        "0",
        "Begin no further build while so many processes run on this machine; 0 for no limit.",
    ),
    on("log-lines", Number, "25", "Lines of a failed build's log that an error shows."),
    was(
        on("max-build-log-size", Number, "0", "Bytes of output that stop a build; 0 for none."),
        &["build-max-log-size"],
    ),
    on("max-call-depth", Number, "10000", "How deep calls may nest in evaluation."),
    on("max-free", Number, "9223372036854775807", "Free bytes at which automatic collection stops."),
    on("max-heap", Number, "0", "Bytes of values in use above which evaluation fails; 0 for no limit."),
    was(on("max-jobs", Text, "1", "Builds that run at once; `auto` is the number of processors."), &["build-max-jobs"]),
    was(on("max-silent-time", Number, "0", "Seconds without output that stop a build."), &["build-max-silent-time"]),
    was(known("max-substitution-jobs", Number, "16", "Substitutions that run at once."), &["substitution-max-jobs"]),
    on(
        "memory-pressure-limit",
        Number,
        "50",
        "Begin no further build while so many percent of the time go to waiting for memory; 0 for no limit.",
    ),
    on("memory-reserve", Number, "0", "Begin no further build while fewer bytes of memory are left; 0 for no limit."),
    on("min-free", Number, "0", "Free bytes below which garbage is collected."),
    on("min-free-check-interval", Number, "5", "Seconds between looks at the free space."),
    known("nar-buffer-size", Number, "33554432", "Bytes of an archive that may wait in memory."),
    known("narinfo-cache-meta-ttl", Number, "604800", "Seconds that a cache's own facts are remembered."),
    known("narinfo-cache-negative-ttl", Number, "3600", "Seconds that a cache's missing path is remembered."),
    known("narinfo-cache-positive-ttl", Number, "2592000", "Seconds that a cache's path is remembered."),
    on(
        "netrc-file",
        Text,
        "",
        "The file with passwords for downloads; `netrc` of the configuration folder by default.",
    ),
    on("nix-path", List, "", "The search path where NIX_PATH is not set."),
    on("nix-shell-always-looks-for-shell-nix", Bool, "true", "`nix-shell` prefers shell.nix in a named folder too."),
    on(
        "nix-shell-shebang-arguments-relative-to-script",
        Bool,
        "true",
        "Paths in a script's first lines belong to its folder.",
    ),
    known("plugin-files", List, "", "Libraries that extend C++ Nix."),
    on("post-build-hook", Text, "", "The program that runs after each build."),
    on("pre-build-hook", Text, "", "The program that runs before each build."),
    known("preallocate-contents", Bool, "false", "Reserve a file's space before it is written."),
    on("print-missing", Bool, "true", "Say what will be built and fetched."),
    on("pure-eval", Bool, "false", "Refuse everything that is not fixed by a hash."),
    on("require-drop-supplementary-groups", Bool, "true", "Refuse to build where groups cannot be dropped."),
    on("require-sigs", Bool, "true", "Accept only signed paths."),
    on("restrict-eval", Bool, "false", "Let evaluation read only the search path."),
    on("run-diff-hook", Bool, "false", "Run the diff hook."),
    was(
        on("sandbox", Choice(&["true", "false", "relaxed"]), "true", "Build in a sandbox."),
        &["build-use-chroot", "build-use-sandbox"],
    ),
    on("sandbox-build-dir", Text, "/build", "The build directory as builders see it."),
    on("sandbox-dev-shm-size", Text, "50%", "The size of /dev/shm in the sandbox."),
    on(
        "sandbox-fallback",
        Bool,
        "false",
        "Build without a sandbox where the system refuses one (C++ Nix: true by default).",
    ),
    was(
        on(
            "sandbox-paths",
            List,
            "",
            "Host paths that the sandbox shows: PATH, TARGET=SOURCE, `?` after it where it may be missing.",
        ),
        &["build-chroot-dirs", "build-sandbox-paths"],
    ),
    on("secret-key-files", List, "", "Keys that sign what is built here."),
    on("show-trace", Bool, "false", "Show the whole trace of an evaluation error."),
    on("ssl-cert-file", Text, "", "Certificates that downloads trust; the system's by default."),
    on("stalled-download-timeout", Number, "300", "Seconds without a byte that stop a download."),
    on("start-id", Number, "872415232", "The first user id of the range for builds."),
    on("store", Text, "auto", "The store."),
    was(on("substitute", Bool, "true", "Fetch paths instead of building them."), &["build-use-substitutes"]),
    was(on("substituters", List, "", "Where paths are fetched."), &["binary-caches"]),
    known("sync-before-registering", Bool, "false", "Sync the whole machine before registering."),
    on("system", Text, "", "The system this machine builds for."),
    on("system-features", List, "benchmark big-parallel nixos-test uid-range", "What builds may ask of this machine."),
    on("tarball-ttl", Number, "3600", "Seconds that a fetched archive is fresh."),
    was(on("timeout", Number, "0", "Seconds after which a build is stopped."), &["build-timeout"]),
    on("trace-function-calls", Bool, "false", "Write a line at each call and return."),
    known("trace-import-from-derivation", Bool, "false", "Warn of each build that evaluation waits for."),
    on("trace-verbose", Bool, "false", "Let `builtins.traceVerbose` speak."),
    on("trust-tarballs-from-git-forges", Bool, "true", "Trust archives of forges by commit alone."),
    was(on("trusted-public-keys", List, "", "Keys whose signatures count."), &["binary-cache-public-keys"]),
    was(known("trusted-substituters", List, "", "Substituters that anyone may choose."), &["trusted-binary-caches"]),
    known("trusted-users", List, "root", "Who may do everything through the daemon."),
    on("update-hashes", Bool, "false", "Write the right hashes where wrong ones stand, below the current folder."),
    on("upgrade-nix-store-path-url", Text, "", "Where `nix upgrade-nix` looks."),
    on(
        "use-case-hack",
        Bool,
        "false",
        "`nix-store --dump` and `--restore` and `nix-hash` mangle names for file systems that ignore case.",
    ),
    on("use-cgroups", Bool, "false", "Run each build in a control group."),
    of(on("use-registries", Bool, "true", "Resolve flake names."), "flakes"),
    on("use-sqlite-wal", Bool, "true", "Use the database's write-ahead log."),
    on("use-xdg-base-directories", Bool, "false", "Keep profiles in the user's state folder."),
    known("user-agent-suffix", Text, "", "Text after the name in downloads."),
    on("warn-dirty", Bool, "true", "Warn of dirty trees."),
    known("warn-large-path-threshold", Number, "0", "Warn when a source of so many bytes is copied."),
    on("warn-short-path-literals", Bool, "false", "An older name of lint-short-path-literals = warn."),
];

/// The setting of that name or older name.
pub fn find(name: &str) -> Option<&'static Setting> {
    if let Ok(at) = SETTINGS.binary_search_by(|setting| setting.name.cmp(name)) {
        return Some(&SETTINGS[at]);
    }
    SETTINGS.iter().find(|setting| setting.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_are_unique() {
        assert!(SETTINGS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert_eq!(find("build-cores").map(|setting| setting.name), Some("cores"));
        assert!(find("no-such-setting").is_none());
    }
}
