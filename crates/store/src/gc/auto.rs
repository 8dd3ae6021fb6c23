//! Collecting by itself, when the disk has less than `min-free` bytes left: until it has `max-free`.
//!
//! Space is looked at every few seconds, before paths are added and while builds run. Several processes look at the same
//! disk: who finds a collection running, or one that has just ended, leaves it at that. A collection that could not free
//! enough is not repeated before the space has shrunk again.
//!
//! Absent: who asks, and when.

use super::collect;
use crate::local::LocalStore;
use crate::{Error, GcOptions, GcResults, Result};
use activity::{Activity, Verbosity};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// Another process's collection counts for so long.
const FRESH: Duration = Duration::from_secs(10);

/// When to collect.
#[derive(Debug, Clone)]
pub struct AutoCollection {
    /// Free bytes below which garbage is collected (`min-free`); 0 for never.
    pub min_free: u64,
    /// Free bytes at which that ends (`max-free`).
    pub max_free: u64,
    /// Time between looks (`min-free-check-interval`).
    pub interval: Duration,
    /// A file that says how many bytes are free, for tests.
    pub free_space_file: Option<PathBuf>,
}

impl Default for AutoCollection {
    fn default() -> AutoCollection {
        let interval = Duration::from_secs(5);
        AutoCollection { min_free: 0, max_free: i64::MAX as u64, interval, free_space_file: None }
    }
}

/// What a store remembers of its looks.
#[derive(Default)]
pub(crate) struct State {
    looked: Option<Instant>,
    free_after: Option<u64>,
    running: bool,
}

/// Clears the mark of a running collection whatever ends it.
struct Running<'a>(&'a Mutex<State>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.running = false;
        state.looked = Some(Instant::now());
    }
}

impl LocalStore {
    /// Collects now, if space is short. Failing is told, not an error: whoever asks has something else to do.
    pub(crate) fn collect_if_short(&self, activity: &Activity) {
        if let Some(wanted) = self.begin_if_short(activity) {
            self.collect_for_space(activity, wanted);
        }
    }

    /// The same in a thread of its own, which ends with the process at the latest.
    pub fn collect_if_short_meanwhile(self: &Arc<Self>, activity: &Activity) {
        let Some(wanted) = self.begin_if_short(activity) else { return };
        let (store, own) = (Arc::clone(self), activity.with_token(activity.cancel_token().clone()));
        let work = move || store.collect_for_space(&own, wanted);
        if std::thread::Builder::new().name("collect".to_owned()).spawn(work).is_err() {
            drop(Running(&self.auto));
        }
    }

    /// The bytes to free, if it is time to look and space is short. Nobody else begins until [`Running`] ends.
    fn begin_if_short(&self, activity: &Activity) -> Option<u64> {
        let options = &self.options.auto;
        if options.min_free == 0 || self.options.read_only {
            return None;
        }
        let mut state = self.auto.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if state.running || state.looked.is_some_and(|then| then.elapsed() < options.interval) {
            return None;
        }
        state.looked = Some(Instant::now());
        let free = match self.space_left() {
            Ok(free) => free,
            Err(error) => {
                activity.warn(&format!("cannot tell how much space is free: {error}"));
                return None;
            }
        };
        let enough = free >= options.min_free || free >= options.max_free;
        // Three of a hundred less than after the last time, or there is nothing to gain.
        let in_vain = state.free_after.is_some_and(|after| u128::from(free) * 100 > u128::from(after) * 97);
        if enough || in_vain || self.was_collected() {
            return None;
        }
        state.running = true;
        Some(options.max_free - free)
    }

    fn collect_for_space(&self, activity: &Activity, wanted: u64) {
        let _running = Running(&self.auto);
        activity.message(Verbosity::Info, &format!("running auto-GC to free {wanted} bytes"));
        let options = GcOptions { max_freed: wanted, ..GcOptions::default() };
        match collect::run_unless_running(self, activity, &options, &mut GcResults::default()) {
            Ok(true) | Err(Error::Cancelled(_)) => {}
            // What that one does not free is still to be freed.
            Ok(false) => return,
            Err(error) => activity.warn(&format!("collecting garbage to free space failed: {error}")),
        }
        if let Ok(free) = self.space_left() {
            self.auto.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).free_after = Some(free);
        }
    }

    fn space_left(&self) -> Result<u64> {
        if let Some(file) = &self.options.auto.free_space_file {
            let text = fs::read_to_string(file).map_err(Error::io("reading", file))?;
            let wrong = |_| Error::io("reading", file)(std::io::Error::other("it holds no number"));
            return text.trim().parse().map_err(wrong);
        }
        let folder = &self.options.real_dir;
        let found = rustix::fs::statvfs(folder).map_err(Error::system("getting the free space of", folder))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Whether a collection, of whatever process, ended a moment ago: its socket's folder was changed then.
    fn was_collected(&self) -> bool {
        let changed = fs::metadata(self.options.state_dir.join("gc-socket")).and_then(|found| found.modified());
        changed.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|since| since < FRESH))
    }
}
