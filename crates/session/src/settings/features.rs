//! The experimental features of C++ Nix by their names. Firn asks for them only where a name decides what is understood
//! or computed (language, hashes, kinds of derivations), or where the user names some and leaves out others.

/// Every feature of C++ Nix 2.34.
pub const FEATURES: &[&str] = &[
    "auto-allocate-uids",
    "blake3-hashes",
    "ca-derivations",
    "cgroups",
    "configurable-impure-env",
    "daemon-trust-override",
    "dynamic-derivations",
    "external-builders",
    "fetch-closure",
    "fetch-tree",
    "flakes",
    "git-hashing",
    "impure-derivations",
    "local-overlay-store",
    "mounted-ssh-store",
    "nix-command",
    "parse-toml-timestamps",
    "pipe-operators",
    "read-only-local-store",
    "recursive-nix",
    "verified-fetches",
];

/// Features that became settings, with the words that say so.
const STABLE: &[(&str, &str)] = &[("no-url-literals", "lint-url-literals = fatal")];

/// What is to be said of a name that is no feature.
pub(super) fn complaint(name: &str) -> Option<String> {
    if let Some((_, now)) = STABLE.iter().find(|(old, _)| *old == name) {
        return Some(format!(
            "experimental feature '{name}' has been stabilized and renamed; use '{now}' setting instead"
        ));
    }
    (!FEATURES.contains(&name)).then(|| format!("unknown experimental feature '{name}'"))
}
