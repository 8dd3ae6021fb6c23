//! What was fetched before: facts by key, each a small file, and locks between processes.
//!
//! A fact is JSON with its key and time. It is replaced by renaming, so readers need no lock and a killed process leaves
//! nothing broken; a file that cannot be read is no fact. Who fetches holds the lock of the key and looks again once he
//! has it: of two processes that want the same thing, the second finds what the first one fetched.
//!
//! Absent: the things themselves, which are in the store; and a size limit: a fact is a few hundred bytes.

use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use activity::Activity;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Map, Value};
use store_model::{Hash, HashAlgorithm};

use crate::error::{Error, Result};

/// Waits between tries for a lock: from the first to the last, doubled each time.
const WAITS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// Locks are shared by all keys whose hash begins alike, so that their number stays small.
const LOCK_DIGITS: usize = 2;

/// What is remembered.
#[derive(Debug)]
pub struct FetchCache {
    dir: PathBuf,
    time_to_live: u64,
}

/// A remembered fact.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    values: Map<String, Value>,
    /// Whether it is too old to be believed where nothing else fixes it.
    pub(crate) expired: bool,
}

impl Fact {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_str()
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.values.get(name)?.as_u64()
    }
}

/// The name of a fact.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    text: String,
    hash: String,
}

impl Key {
    pub(crate) fn new(domain: &str, parts: &[&str]) -> Self {
        let text = Value::from([&[domain], parts].concat()).to_string();
        let hash = Hash::of(HashAlgorithm::Sha256, text.as_bytes()).to_nix32();
        Self { text, hash }
    }
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Locked(#[allow(dead_code, reason = "closing it gives the lock back")] File);

impl FetchCache {
    /// What is remembered in a folder, made when it is needed. Facts older than `time_to_live` seconds are too old.
    pub fn new(dir: impl Into<PathBuf>, time_to_live: u64) -> Self {
        Self { dir: dir.into(), time_to_live }
    }

    /// A folder inside, made if it is not there; only the user may enter it.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.dir.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(Error::io("creating", &folder))?;
        Ok(folder)
    }

    /// An unnamed file on the disk of the cache.
    pub(crate) fn scratch(&self) -> Result<File> {
        let folder = self.folder("scratch")?;
        tempfile::tempfile_in(&folder).map_err(Error::io("creating a file in", &folder))
    }

    fn place(&self, key: &Key) -> PathBuf {
        self.dir.join("facts").join(&key.hash)
    }

    pub(crate) fn look_up(&self, key: &Key) -> Option<Fact> {
        let text = fs::read(self.place(key)).ok()?;
        let Value::Object(mut fact) = serde_json::from_slice(&text).ok()? else { return None };
        if fact.get("key")?.as_str()? != key.text {
            return None;
        }
        let time = fact.get("time")?.as_u64()?;
        let Value::Object(values) = fact.remove("values")? else { return None };
        let expired = self.time_to_live == 0 || time.saturating_add(self.time_to_live) < now();
        Some(Fact { values, expired })
    }

    pub(crate) fn remember(&self, key: &Key, values: &[(&str, Option<Value>)]) -> Result<()> {
        let folder = self.folder("facts")?;
        let given = values.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
        let mut fact = Map::new();
        fact.insert("key".into(), Value::from(key.text.as_str()));
        fact.insert("time".into(), Value::from(now()));
        fact.insert("values".into(), Value::Object(given.collect()));
        let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(Error::io("creating a file in", &folder))?;
        let place = self.place(key);
        file.write_all(Value::Object(fact).to_string().as_bytes()).map_err(Error::io("writing", &place))?;
        file.persist(&place).map_err(|error| Error::io("writing", &place)(error.error))?;
        Ok(())
    }

    /// Says that a fact is still true.
    pub(crate) fn refresh(&self, key: &Key, fact: &Fact) -> Result<()> {
        let values: Vec<_> = fact.values.iter().map(|(name, value)| (name.as_str(), Some(value.clone()))).collect();
        self.remember(key, &values)
    }

    /// Takes the lock of a key; it must not be asked for while another is held.
    pub(crate) fn lock(&self, activity: &Activity, key: &Key) -> Result<Locked> {
        let place = self.folder("locks")?.join(&key.hash[..LOCK_DIGITS]);
        lock_file(activity, &place)
    }
}

/// Waits for the lock on a file, which is made if it is not there.
fn lock_file(activity: &Activity, place: &Path) -> Result<Locked> {
    let open = fs::OpenOptions::new().create(true).truncate(false).write(true).open(place);
    let file = open.map_err(Error::io("opening lock", place))?;
    let mut wait = WAITS.0;
    loop {
        activity.check()?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Locked(file)),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => std::thread::sleep(wait),
            Err(error) => return Err(Error::io("locking", place)(error.into())),
        }
        wait = (wait * 2).min(WAITS.1);
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_kept_and_grow_old() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FetchCache::new(dir.path(), 100);
        let key = Key::new("a", &["b", "c"]);
        assert!(cache.look_up(&key).is_none());
        cache.remember(&key, &[("x", Some("y".into())), ("n", Some(7.into())), ("no", None)]).unwrap();
        let fact = cache.look_up(&key).unwrap();
        assert_eq!(
            (fact.text("x"), fact.number("n"), fact.text("no"), fact.expired),
            (Some("y"), Some(7), None, false)
        );
        assert!(FetchCache::new(dir.path(), 0).look_up(&key).unwrap().expired);
        assert!(cache.look_up(&Key::new("a", &["bc"])).is_none());
        let place = cache.place(&key);
        let old = fs::read_to_string(&place).unwrap().replace("\"time\":", "\"time\":1,\"was\":");
        fs::write(&place, old).unwrap();
        assert!(cache.look_up(&key).unwrap().expired);
        cache.refresh(&key, &fact).unwrap();
        assert!(!cache.look_up(&key).unwrap().expired);
        for broken in ["", "{", "[]", "{\"key\":1}", "{\"key\":\"other\",\"time\":1,\"values\":{}}"] {
            fs::write(&place, broken).unwrap();
            assert!(cache.look_up(&key).is_none());
        }
    }

    #[test]
    fn a_lock_keeps_others_out() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FetchCache::new(dir.path(), 0);
        let (key, activity) = (Key::new("a", &[]), Activity::silent());
        let held = cache.lock(&activity, &key).unwrap();
        let token = activity::CancelToken::new();
        token.cancel();
        let waiting = activity.with_token(token);
        assert!(matches!(cache.lock(&waiting, &key), Err(Error::Cancelled(_))));
        drop(held);
        cache.lock(&activity, &key).unwrap();
    }
}
