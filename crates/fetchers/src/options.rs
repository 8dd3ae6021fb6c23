//! How to fetch; filled by `session` from the settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::registry::Registries;
use crate::syntax::input::InputRules;

/// How to fetch.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Our folder among the user's caches; made when it is needed, readable by the user alone.
    pub cache_dir: PathBuf,
    /// Seconds for which an answer that is not fixed by a hash or revision is believed (`tarball-ttl`); 0 never.
    pub time_to_live: u64,
    /// Which inputs are accepted.
    pub rules: InputRules,
    /// Take work trees with changes that are not committed (`allow-dirty`).
    pub allow_dirty: bool,
    /// Warn of them (`warn-dirty`).
    pub warn_dirty: bool,
    /// Tokens for forges, by host or by host and path (`access-tokens`).
    pub access_tokens: BTreeMap<String, String>,
    /// Where names of inputs are looked up.
    pub registries: Registries,
    /// The environment for programs that are started, `git` and `hg`.
    pub variables: BTreeMap<std::ffi::OsString, std::ffi::OsString>,
}

impl FetchOptions {
    /// The defaults of C++ Nix, with a folder for what is remembered.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            cache_dir: cache_dir.into(),
            time_to_live: 3600,
            rules: InputRules { flakes: false, verified_fetches: false, trust_forges: true },
            allow_dirty: true,
            warn_dirty: true,
            access_tokens: BTreeMap::new(),
            registries: Registries::default(),
            variables: BTreeMap::new(),
        }
    }
}
