//! Where things lie: store, state, logs, configuration, the user's own folders. The one file that knows the defaults.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What a process may know of its surroundings, taken once: variables, user. Tests make their own.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The environment.
    pub variables: std::collections::BTreeMap<OsString, OsString>,
    /// The effective user id.
    pub user: u32,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect(), user: rustix::process::geteuid().as_raw() }
    }

    /// A variable that is set, even to nothing.
    pub fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables.get(std::ffi::OsStr::new(name))
    }

    /// A variable that is set to something, as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// A variable as text, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.variable(name).and_then(|value| value.to_str())
    }

    /// The user's home. Root with another user's HOME gets root's own, as in C++ Nix.
    pub fn home(&self) -> PathBuf {
        self.path("HOME").unwrap_or_else(|| PathBuf::from(if self.user == 0 { "/root" } else { "/homeless-shelter" }))
    }
}

/// The folders of one opened Nix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The logical store directory: the prefix of all store paths.
    pub store: String,
    /// Where the store's state lies: `db`, `gcroots`, `profiles`, `temproots`.
    pub state: PathBuf,
    /// Where build logs lie.
    pub log: PathBuf,
    /// Where `nix.conf` lies.
    pub configuration: PathBuf,
    /// The user's home.
    pub home: PathBuf,
    /// Nix's folder among the user's caches.
    pub cache: PathBuf,
    /// Nix's folder among the user's data.
    pub data: PathBuf,
    /// Nix's folder among the user's configuration.
    pub user_configuration: PathBuf,
    /// Whether the environment names store or state folder: then `auto` is never a store elsewhere.
    pub explicit: bool,
}

impl Places {
    /// Works the folders out of the environment.
    pub fn of(around: &Surroundings) -> Self {
        let home = around.home();
        let user = |variable: &str, fallback: &str| {
            around.path(variable).filter(|path| path.is_absolute()).unwrap_or_else(|| home.join(fallback)).join("nix")
        };
        let store = around.text("NIX_STORE_DIR").or_else(|| around.text("NIX_STORE")).filter(|text| !text.is_empty());
        let local = |name: &str, fallback: &str| around.path(name).unwrap_or_else(|| PathBuf::from(fallback));
        Self {
            store: tidy(store.unwrap_or("/nix/store")),
            state: local("NIX_STATE_DIR", "/nix/var/nix"),
            log: local("NIX_LOG_DIR", "/nix/var/log/nix"),
            configuration: local("NIX_CONF_DIR", "/etc/nix"),
            cache: user("XDG_CACHE_HOME", ".cache"),
            data: user("XDG_DATA_HOME", ".local/share"),
            user_configuration: user("XDG_CONFIG_HOME", ".config"),
            explicit: store.is_some() || around.path("NIX_STATE_DIR").is_some(),
            home,
        }
    }

    /// The folders of a store below `root`: the logical prefix stays, everything lies below, at the usual places.
    pub fn below(&self, root: &Path) -> (PathBuf, PathBuf, PathBuf) {
        (root.join("nix/store"), root.join("nix/var/nix"), root.join("nix/var/log/nix"))
    }
}

/// A path without doubled or trailing slashes and without `.`; `..` is left alone.
fn tidy(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_moves_every_folder() {
        let mut around = Surroundings { user: 1000, ..Surroundings::default() };
        for (name, value) in
            [("HOME", "/h"), ("NIX_STORE_DIR", "/a//store/"), ("NIX_STATE_DIR", "/b"), ("XDG_CACHE_HOME", "/c")]
        {
            around.variables.insert(name.into(), value.into());
        }
        let places = Places::of(&around);
        assert_eq!(places.store, "/a/store");
        assert_eq!(places.state, Path::new("/b"));
        assert_eq!(places.log, Path::new("/nix/var/log/nix"));
        assert_eq!(places.cache, Path::new("/c/nix"));
        assert_eq!(places.data, Path::new("/h/.local/share/nix"));
        assert!(places.explicit);
        let (real, state, _) = places.below(Path::new("/r"));
        assert_eq!((real.as_path(), state.as_path()), (Path::new("/r/nix/store"), Path::new("/r/nix/var/nix")));
    }
}
