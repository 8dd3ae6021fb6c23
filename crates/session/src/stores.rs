//! A store's URI to the folders it means.
//!
//! `auto` is the local store where its state folder is writable or root can make it; else a store of the user's own below
//! their data folder, at C++ Nix's place (`nix/root`), with the same logical store directory. A binary cache is a folder so far. Absent:
//! other kinds of stores (daemon, ssh, caches elsewhere), which are refused by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use std::sync::Arc;

use activity::Activity;
use binary_cache::{BinaryCache, Bucket as _, CacheOptions, Compression, DirectoryBucket};
use store::{BuildLogs, LocalStore, Realisations, Store, TemporaryRoots, WritableStore};
use store_model::{SecretKey, StoreDir};

use crate::error::SessionError;
use crate::settings::{Places, Settings};

/// Where a local store lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePlace {
    /// The prefix of its store paths.
    pub store_dir: String,
    /// Where the store objects really lie.
    pub real_dir: PathBuf,
    /// Database, roots, locks.
    pub state_dir: PathBuf,
    /// Build logs.
    pub log_dir: PathBuf,
    /// Nothing is written to it (`read-only=true`).
    pub read_only: bool,
    /// The URI that it came from, as it is shown.
    pub uri: String,
    /// What builds in it may ask for, where its URI says so (`system-features`).
    pub system_features: Option<Vec<String>>,
    /// Whether it is believed without signatures (`?trusted=1`).
    pub trusted: bool,
    /// Which kind of store it is.
    pub kind: StoreKind,
    /// Something the user should hear about this choice.
    pub notice: Option<String>,
}

/// The kinds of stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Objects and database on this machine.
    Local,
    /// No objects, and none can be added: for evaluation alone.
    Nowhere,
    /// A binary cache in a folder.
    Cache(CachePlace),
}

/// Where a binary cache lies, and what its URI says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePlace {
    /// Its folder.
    pub folder: PathBuf,
    /// Its parameters, by name.
    pub parameters: BTreeMap<String, String>,
}

impl StorePlace {
    /// Whether store paths are not where their names say: a program that uses them must be shown the store first.
    pub fn is_elsewhere(&self) -> bool {
        self.real_dir != Path::new(&self.store_dir)
    }

    /// The store directory.
    ///
    /// # Errors
    /// One that is no absolute path.
    pub fn store_dir(&self) -> Result<StoreDir, SessionError> {
        StoreDir::new(&self.store_dir)
            .map_err(|error| SessionError::StoreUri { uri: self.store_dir.clone(), problem: error.to_string() })
    }

    /// Fails unless objects and database are on this machine.
    pub(crate) fn require_local(&self) -> Result<(), SessionError> {
        match self.kind {
            StoreKind::Local | StoreKind::Nowhere => Ok(()),
            StoreKind::Cache(_) => Err(SessionError::StoreUri {
                uri: self.uri.clone(),
                problem: "what is asked needs a store on this machine, and this is a binary cache".to_owned(),
            }),
        }
    }

    /// The folders meant by the settings' `store` and by `NIX_REMOTE`.
    ///
    /// # Errors
    /// [`SessionError::StoreUri`] for a URI that is wrong or names a kind of store that is not there yet.
    pub fn of(settings: &Settings) -> Result<Self, SessionError> {
        let remote = settings.around.text("NIX_REMOTE").filter(|text| !text.is_empty());
        let uri = match remote {
            Some(remote) if !settings.is_given("store") => remote,
            _ => settings.text("store"),
        };
        Self::parse(uri.trim(), settings)
    }

    /// What a URI means.
    ///
    /// # Errors
    /// As [`StorePlace::of`].
    pub fn parse(uri: &str, settings: &Settings) -> Result<Self, SessionError> {
        let places = &settings.places;
        let wrong = |problem: &str| SessionError::StoreUri { uri: uri.to_owned(), problem: problem.to_owned() };
        let (base, query) = uri.split_once('?').unwrap_or((uri, ""));
        let parameters =
            parameters(query).ok_or_else(|| wrong("its parameters are not `name=value`, joined by `&`"))?;
        let place = match base {
            "" | "auto" => Ok(automatic(settings)),
            "dummy" | "dummy://" => Ok(nowhere(places, &parameters, StoreKind::Nowhere)),
            file if file.starts_with("file:") => {
                let folder = &file["file:".len()..];
                let folder =
                    decoded(folder.strip_prefix("//").unwrap_or(folder)).filter(|folder| folder.starts_with('/'));
                let folder = folder.ok_or_else(|| wrong("its folder is not an absolute path"))?;
                let cache = CachePlace { folder: folder.into(), parameters: parameters.iter().cloned().collect() };
                Ok(nowhere(places, &parameters, StoreKind::Cache(cache)))
            }
            "local" | "local://" => local(places, &parameters).map_err(|problem| wrong(&problem)),
            path if path.starts_with('/') || path.starts_with("./") || path.starts_with("../") => {
                let mut parameters = parameters.clone();
                parameters.push(("root".to_owned(), path.to_owned()));
                local(places, &parameters).map_err(|problem| wrong(&problem))
            }
            "daemon" => Err(wrong("talking to a daemon is not there yet; use `local`, `auto` or a folder")),
            other if other.starts_with("unix://") || other.contains("://") => {
                Err(wrong("this kind of store is not there yet; use `local`, `local?root=DIR`, `auto` or a folder"))
            }
            _ => Err(wrong("no kind of store has that name")),
        };
        // What `auto` came to is a store on this machine.
        place.map(|place| match base {
            "" | "auto" => place,
            _ => {
                let trusted = parameters.iter().rev().find(|(name, _)| name == "trusted");
                let trusted = trusted.is_some_and(|(_, value)| matches!(value.as_str(), "true" | "yes" | "1"));
                Self { uri: uri.to_owned(), trusted, ..place }
            }
        })
    }
}

/// An opened store, and what can be done with it.
#[derive(Clone)]
pub struct OpenStore {
    /// Its URI, as it is shown.
    pub uri: String,
    /// For questions.
    pub store: Arc<dyn Store>,
    /// For writing.
    pub writable: Arc<dyn WritableStore>,
    /// For keeping paths from being collected; a cache collects nothing.
    pub roots: Option<Arc<dyn TemporaryRoots>>,
    /// For what outputs became whose paths follow from what was built.
    pub realisations: Arc<dyn Realisations>,
    /// For build logs.
    pub logs: Arc<dyn BuildLogs>,
    /// The cache, if it is one.
    pub cache: Option<Arc<BinaryCache>>,
    /// Whether it is believed without signatures.
    pub trusted: bool,
}

impl OpenStore {
    pub(crate) fn local(store: Arc<LocalStore>, place: &StorePlace) -> Self {
        Self {
            uri: place.uri.clone(),
            store: store.clone(),
            writable: store.clone(),
            roots: Some(store.clone()),
            realisations: store.clone(),
            logs: store,
            cache: None,
            trusted: place.trusted,
        }
    }

    /// Lower is asked first.
    pub(crate) fn priority(&self, activity: &Activity) -> Result<i64, SessionError> {
        Ok(self.cache.as_ref().map_or(Ok(0), |cache| cache.priority(activity))?)
    }

    /// Opens the store at a place.
    pub(crate) fn open(
        settings: &Settings,
        activity: &Activity,
        place: &StorePlace,
        read_only: bool,
    ) -> Result<Self, SessionError> {
        let StoreKind::Cache(cache) = &place.kind else {
            let store = crate::options::open_store(settings, place, activity, read_only)?;
            return Ok(Self::local(Arc::new(store), place));
        };
        let options = cache.options(place)?;
        let bucket = DirectoryBucket::new(&cache.folder, settings.flag("fsync-store-paths"));
        let uri = bucket.uri().to_owned();
        let store = Arc::new(BinaryCache::new(Box::new(bucket), options));
        // A cache of another store is found out before anything is done with it.
        store.info(activity)?;
        Ok(Self {
            uri,
            store: store.clone(),
            writable: store.clone(),
            roots: None,
            realisations: store.clone(),
            logs: store.clone(),
            cache: Some(store),
            trusted: place.trusted,
        })
    }
}

impl CachePlace {
    fn wrong(place: &StorePlace, name: &str, value: &str, expected: &str) -> SessionError {
        let problem = format!("its parameter '{name}' has value '{value}', which is not {expected}");
        SessionError::StoreUri { uri: place.uri.clone(), problem }
    }

    fn flag(&self, name: &str, place: &StorePlace) -> Result<bool, SessionError> {
        match self.parameters.get(name).map(String::as_str) {
            None => Ok(false),
            Some("true" | "yes" | "1") => Ok(true),
            Some("false" | "no" | "0") => Ok(false),
            Some(other) => Err(Self::wrong(place, name, other, "a Boolean")),
        }
    }

    fn number(&self, name: &str, place: &StorePlace) -> Result<Option<i64>, SessionError> {
        let Some(text) = self.parameters.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Self::wrong(place, name, text, "a number"))
    }

    /// What the parameters say.
    fn options(&self, place: &StorePlace) -> Result<CacheOptions, SessionError> {
        let mut options = CacheOptions::new(place.store_dir()?);
        if let Some(name) = self.parameters.get("compression") {
            options.compression = Compression::parse(name)?;
        }
        // -1 and the like mean the usual level.
        options.level = self.number("compression-level", place)?.and_then(|level| u32::try_from(level).ok());
        if self.flag("parallel-compression", place)? {
            options.threads = u32::try_from(crate::settings::processors()).unwrap_or(1);
        }
        options.listings = self.flag("write-nar-listing", place)?;
        options.priority = self.number("priority", place)?;
        if self.parameters.contains_key("want-mass-query") {
            options.want_mass_query = Some(self.flag("want-mass-query", place)?);
        }
        let listed = self.parameters.get("secret-keys").map(String::as_str).unwrap_or_default();
        let single = self.parameters.get("secret-key").map(String::as_str).unwrap_or_default();
        for file in listed.split(',').chain([single]).filter(|file| !file.is_empty()) {
            let text = std::fs::read_to_string(file).map_err(|error| SessionError::StoreUri {
                uri: place.uri.clone(),
                problem: format!("reading the secret key '{file}': {error}"),
            })?;
            options.keys.push(SecretKey::parse(text.trim())?);
        }
        Ok(options)
    }
}

fn automatic(settings: &Settings) -> StorePlace {
    let places = &settings.places;
    let plain = StorePlace {
        store_dir: places.store.clone(),
        real_dir: PathBuf::from(&places.store),
        state_dir: places.state.clone(),
        log_dir: places.log.clone(),
        read_only: false,
        uri: "local".to_owned(),
        system_features: None,
        trusted: false,
        kind: StoreKind::Local,
        notice: None,
    };
    let access = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    if settings.around.user == 0 || places.explicit || rustix::fs::access(&places.state, access).is_ok() {
        return plain;
    }
    let root = places.data.join("root");
    let (real_dir, state_dir, log_dir) = places.below(&root);
    let why = if places.state.exists() { "is not writable" } else { "does not exist" };
    let notice = (!root.exists())
        .then(|| format!("'{}' {why}, so '{}' will be used as a chroot store", places.state.display(), root.display()));
    StorePlace { real_dir, state_dir, log_dir, notice, uri: root.display().to_string(), ..plain }
}

/// A store that is no local one: folders below a file are never there.
fn nowhere(places: &Places, parameters: &[(String, String)], kind: StoreKind) -> StorePlace {
    let below = Path::new("/dev/null");
    let store_dir = parameters.iter().rev().find(|(name, _)| name == "store").map(|(_, dir)| dir.clone());
    StorePlace {
        store_dir: store_dir.unwrap_or_else(|| places.store.clone()),
        real_dir: below.join("store"),
        state_dir: below.join("state"),
        log_dir: below.join("log"),
        read_only: false,
        uri: String::new(),
        system_features: None,
        trusted: false,
        kind,
        notice: None,
    }
}

fn local(places: &Places, parameters: &[(String, String)]) -> Result<StorePlace, String> {
    let mut place = StorePlace {
        store_dir: places.store.clone(),
        real_dir: PathBuf::from(&places.store),
        state_dir: places.state.clone(),
        log_dir: places.log.clone(),
        read_only: false,
        uri: "local".to_owned(),
        system_features: None,
        trusted: false,
        kind: StoreKind::Local,
        notice: None,
    };
    let value = |name: &str| parameters.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if let Some(root) = value("root").filter(|root| !root.is_empty()) {
        let root = std::path::absolute(root).map_err(|error| error.to_string())?;
        (place.real_dir, place.state_dir, place.log_dir) = places.below(&root);
    }
    if let Some(store) = value("store") {
        store.clone_into(&mut place.store_dir);
        if value("root").is_none() {
            place.real_dir = PathBuf::from(store);
        }
    }
    for (name, folder) in [("real", &mut place.real_dir), ("state", &mut place.state_dir), ("log", &mut place.log_dir)]
    {
        if let Some(given) = value(name) {
            *folder = PathBuf::from(given);
        }
    }
    place.system_features = value("system-features").map(|list| list.split_whitespace().map(str::to_owned).collect());
    place.read_only = value("read-only").is_some_and(|value| matches!(value, "true" | "1" | "yes"));
    Ok(place)
}

fn parameters(query: &str) -> Option<Vec<(String, String)>> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=')?;
            Some((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// Percent-decoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Surroundings;

    fn place(variables: &[(&str, &str)]) -> Result<StorePlace, SessionError> {
        let mut around = Surroundings { user: 1000, ..Surroundings::default() };
        for (name, value) in variables {
            around.variables.insert(name.into(), value.into());
        }
        StorePlace::of(&Settings::defaults(around))
    }

    #[test]
    fn uris_move_the_store() {
        let rooted = place(&[("NIX_REMOTE", "local?root=/a%20b&log=/l")]).unwrap();
        assert_eq!(rooted.store_dir, "/nix/store");
        assert_eq!(rooted.real_dir, Path::new("/a b/nix/store"));
        assert_eq!(
            (rooted.state_dir.as_path(), rooted.log_dir.as_path()),
            (Path::new("/a b/nix/var/nix"), Path::new("/l"))
        );
        assert!(rooted.is_elsewhere());
        assert_eq!(place(&[("NIX_REMOTE", "/a%20b")]).unwrap().real_dir, Path::new("/a%20b/nix/store"));
        let real_dir = |uri| place(&[("NIX_REMOTE", uri)]).unwrap().real_dir;
        assert_eq!(real_dir("/x"), real_dir("local?root=/x"));
        let cache = place(&[("NIX_REMOTE", "file:///c%20d?compression=none&store=/s")]).unwrap();
        let parameters = [("compression", "none"), ("store", "/s")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        assert_eq!(cache.kind, StoreKind::Cache(CachePlace { folder: "/c d".into(), parameters }));
        assert_eq!(cache.store_dir, "/s");
        assert!(!place(&[("NIX_STORE_DIR", "/s"), ("NIX_STATE_DIR", "/t")]).unwrap().is_elsewhere());
    }

    #[test]
    fn a_user_without_nix_gets_a_store_of_their_own() {
        let own = place(&[("HOME", "/nowhere"), ("NIX_STATE_DIR", "")]).unwrap();
        if !Path::new("/nix/var/nix").exists() {
            assert_eq!(own.real_dir, Path::new("/nowhere/.local/share/nix/root/nix/store"));
            assert!(own.notice.is_some());
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        for uri in ["daemon", "ssh://x", "unix:///run/x", "local?root", "colour", "local?root=%zz", "file://x"] {
            let text = place(&[("NIX_REMOTE", uri)]).unwrap_err().to_string();
            assert!(text.contains(uri), "{text}");
        }
    }
}
