//! Profiles: a link that names one of its numbered generations, each of which is a link to a store path and a root.
//!
//! `NAME` → `NAME-3-link` → `/nix/store/…`, all in one folder, as C++ Nix has them. Whoever changes a profile holds the lock
//! `NAME.lock`; links are replaced by renaming, and their folder is synced before anybody is told. A generation is made and
//! durable before the profile names it, so a process that dies leaves the old state or the new one.
//!
//! Absent: what is in a generation (user environments, systems), and where a user's profiles lie; the callers know.

use crate::local::{FaultPoints, Files, sync_path};
use crate::{Error, LocalStore, PathLocks, Result};
use activity::{Activity, Verbosity};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use store_model::StorePath;

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    path: PathBuf,
}

/// One generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number, counted from 1.
    pub number: u64,
    /// Its link.
    pub path: PathBuf,
    /// When it was made.
    pub created: SystemTime,
}

/// The generations of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    /// All of them, by number.
    pub all: Vec<Generation>,
    /// The number of the one that the profile names.
    pub current: Option<u64>,
}

/// Which generations are to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doomed {
    /// All but the current one.
    Old,
    /// Those that were not current any more at that time; the current one stays.
    OlderThan(SystemTime),
    /// Of the current one and those before it all but so many of the newest.
    AllButNewest(u64),
    /// These. The current one among them is an error.
    Numbers(BTreeSet<u64>),
}

impl Doomed {
    /// The words of `--delete-generations`: `old`, `14d`, `+5`, or numbers.
    ///
    /// # Errors
    /// Words that are none of these.
    pub fn parse(words: &[String], now: SystemTime) -> Result<Doomed> {
        match words {
            [only] if only == "old" => return Ok(Doomed::Old),
            [only] if only.contains('d') => return Ok(Doomed::OlderThan(days_before(only, now)?)),
            [only] if only.contains('+') => {
                let count = only.get(1..).filter(|count| !count.is_empty());
                let count = count.ok_or_else(|| Error::Profile(format!("invalid number of generations '{only}'")))?;
                let count = number(count)
                    .ok_or_else(|| Error::Profile(format!("invalid number of generations to keep '{only}'")))?;
                return Ok(Doomed::AllButNewest(count));
            }
            _ => {}
        }
        let numbers = words
            .iter()
            .map(|word| number(word).ok_or_else(|| Error::Profile(format!("invalid generation number '{word}'"))));
        Ok(Doomed::Numbers(numbers.collect::<Result<_>>()?))
    }

    /// The generations meant.
    ///
    /// # Errors
    /// If the current one would go although it was not asked to be left.
    fn of(&self, profile: &Profile, generations: &Generations) -> Result<Vec<Generation>> {
        let current = generations.current;
        let all = generations.all.iter();
        let doomed: Vec<&Generation> = match self {
            Doomed::Old => all.filter(|one| Some(one.number) != current).collect(),
            // The newest one that is older was still current at that time.
            Doomed::OlderThan(time) => all
                .rev()
                .skip_while(|one| one.created >= *time)
                .skip(1)
                .filter(|one| Some(one.number) != current)
                .collect(),
            Doomed::AllButNewest(0) => {
                let message = "Must keep at least one generation, otherwise the current one would be deleted";
                return Err(Error::Profile(message.into()));
            }
            Doomed::AllButNewest(count) => {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                all.rev().skip_while(|one| Some(one.number) != current).skip(count).collect()
            }
            Doomed::Numbers(numbers) => {
                if current.is_some_and(|current| numbers.contains(&current)) {
                    let shown = profile.path.display();
                    return Err(Error::Profile(format!("cannot delete current version of profile \"{shown}\"")));
                }
                all.filter(|one| numbers.contains(&one.number)).collect()
            }
        };
        Ok(doomed.into_iter().cloned().collect())
    }
}

/// The time that `14d` means: so many days before `now`.
///
/// # Errors
/// Anything but a positive number of days.
pub fn days_before(text: &str, now: SystemTime) -> Result<SystemTime> {
    let Some(days) = text.strip_suffix('d') else {
        let message = format!("invalid number of days specifier '{text}', expected something like '14d'");
        return Err(Error::Profile(message));
    };
    let days = number(days).filter(|days| (1..=i32::MAX as u64).contains(days));
    let days = days.ok_or_else(|| Error::Profile(format!("invalid number of days specifier '{text}'")))?;
    Ok(now.checked_sub(Duration::from_secs(days * 24 * 3600)).unwrap_or(SystemTime::UNIX_EPOCH))
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The right to change a profile; others wait for as long as it lives.
pub struct ProfileLock {
    _locks: PathLocks,
}

impl Profile {
    /// The profile at that link (absolute), which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Profile {
        Profile { path: path.into() }
    }

    /// Its link.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the link says, if it is there: who finds it changed after waiting for the lock was overtaken.
    pub fn target(&self) -> Option<PathBuf> {
        fs::read_link(&self.path).ok()
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The link of a generation.
    fn link_of(&self, number: u64) -> PathBuf {
        self.folder().join(format!("{}-{number}-link", self.name()))
    }

    fn number_in(&self, name: &str) -> Option<u64> {
        let rest = name.strip_prefix(self.name())?.strip_prefix('-')?.strip_suffix("-link")?;
        // C++ Nix reads 32 bits.
        number(rest).filter(|number| u32::try_from(*number).is_ok())
    }

    /// The generations there are.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn generations(&self, activity: &Activity) -> Result<Generations> {
        let folder = self.folder();
        let mut all = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::io("reading directory", folder))? {
            activity.check()?;
            let entry = entry.map_err(Error::io("reading directory", folder))?;
            let Some(number) = entry.file_name().to_str().and_then(|name| self.number_in(name)) else { continue };
            let path = entry.path();
            let found = match fs::symlink_metadata(&path) {
                Ok(found) => found,
                // Somebody deletes generations at this moment.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("getting status of", &path)(error)),
            };
            let created = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            all.push(Generation { number, path, created });
        }
        all.sort_by_key(|generation| generation.number);
        let current = self.target().and_then(|target| {
            let here = target.parent().is_none_or(|parent| parent.as_os_str().is_empty() || parent == folder);
            target.file_name().and_then(|name| name.to_str()).filter(|_| here).and_then(|name| self.number_in(name))
        });
        Ok(Generations { all, current })
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// A folder that is not there or not writable, or the wish to stop.
    pub fn lock(&self, activity: &Activity) -> Result<ProfileLock> {
        let paths = [self.path.clone()];
        let faults = FaultPoints::default();
        if let Some(locks) = PathLocks::try_lock(&paths, &faults)? {
            return Ok(ProfileLock { _locks: locks });
        }
        let text = format!("waiting for lock on profile \"{}\"", self.path.display());
        activity.message(Verbosity::Error, &text);
        Ok(ProfileLock { _locks: PathLocks::lock(activity, &paths, &faults)? })
    }

    /// Makes the store path the newest generation, unless it is that already, and the current one. Root the path
    /// temporarily first. With `expected` nothing happens if the profile says something else: then the answer is false.
    ///
    /// # Errors
    /// Folders that are not writable, a generation's name that is taken by something else.
    pub fn set(
        &self,
        activity: &Activity,
        store: &LocalStore,
        path: &StorePath,
        expected: Option<&Option<PathBuf>>,
    ) -> Result<bool> {
        let _lock = self.lock(activity)?;
        if expected.is_some_and(|expected| *expected != self.target()) {
            return Ok(false);
        }
        let last = self.generations(activity)?.all.pop();
        let target = PathBuf::from(store.options().store_dir.print(path));
        let link = match &last {
            // The same once more would only be one more in the list.
            Some(last) if fs::read_link(&last.path).is_ok_and(|old| old == target) => last.path.clone(),
            last => self.link_of(last.as_ref().map_or(0, |last| last.number) + 1),
        };
        store.add_permanent_root(activity, &link, path)?;
        switch_link(&self.path, &link)?;
        Ok(true)
    }

    /// Makes another generation the current one: the one with that number, or the last before the current one.
    ///
    /// # Errors
    /// If there is none.
    pub fn switch(&self, activity: &Activity, to: Option<u64>, dry_run: bool) -> Result<()> {
        let _lock = self.lock(activity)?;
        let Generations { all, current } = self.generations(activity)?;
        let before = current.unwrap_or(0);
        let found = match to {
            Some(number) => all.iter().find(|one| one.number == number),
            None => all.iter().rev().find(|one| one.number < before),
        };
        let found = found.ok_or_else(|| {
            Error::Profile(match to {
                Some(number) => format!("profile version {number} does not exist"),
                None => format!("no profile version older than the current ({before}) exists"),
            })
        })?;
        let text = format!("switching profile from version {before} to {}", found.number);
        activity.message(Verbosity::Notice, &text);
        if dry_run { Ok(()) } else { switch_link(&self.path, &found.path) }
    }

    /// Deletes generations; says which. The paths in them stay until they are collected.
    ///
    /// # Errors
    /// If the current one is among those that were named.
    pub fn delete(&self, activity: &Activity, doomed: &Doomed, dry_run: bool) -> Result<()> {
        let _lock = self.lock(activity)?;
        let doomed = doomed.of(self, &self.generations(activity)?)?;
        for generation in &doomed {
            let done = if dry_run { "would remove" } else { "removing" };
            let text = format!("{done} profile version {}", generation.number);
            activity.message(Verbosity::Notice, &text);
            if dry_run {
                continue;
            }
            match fs::remove_file(&generation.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("removing file", &generation.path)(error));
                }
                _ => {}
            }
        }
        // A link that came back after a power cut would name what was collected.
        if dry_run || doomed.is_empty() { Ok(()) } else { sync_path(self.folder()) }
    }
}

/// Makes `link` a link to `target` at once and durably, relative where both lie in one folder.
///
/// # Errors
/// Folders that are not writable.
pub fn switch_link(link: &Path, target: &Path) -> Result<()> {
    let target = match target.file_name() {
        Some(name) if target.parent() == link.parent() => Path::new(name),
        _ => target,
    };
    Files::default().replace_link(target, link, true)
}
