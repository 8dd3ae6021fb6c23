//! Pausing: running builders are stopped together with us, and go on when we do; a clock that stands still meanwhile.
//!
//! Builders lead sessions of their own, so a terminal's Ctrl-Z reaches us alone. Who hears of it calls
//! [`Suspension::freeze`], stops this process, and calls [`Suspension::thaw`] when it runs again. A builder is stopped with
//! all that came from it, which are its descendants, or those of the keeper that stands over it. A keeper goes on, so that it
//! can end them if we are killed meanwhile.
//!
//! Absent: hearing of the signal, which is the program's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// What is to be told when the first builder starts.
type Waiting = Box<dyn FnOnce(&Arc<Suspension>) + Send>;

/// The builders that run, and how long they were stopped.
#[derive(Default)]
pub struct Suspension {
    state: Mutex<State>,
    waiting: Mutex<Option<Waiting>>,
    /// Held by those who start a builder: nothing is frozen while a builder runs that is not known yet.
    starting: RwLock<()>,
}

#[derive(Default)]
struct State {
    /// Whether each of them is a keeper.
    running: BTreeMap<i32, bool>,
    /// What was stopped: a builder may have ended since, and what its keeper has made for the next one stands still.
    stopped: BTreeMap<i32, bool>,
    frozen_since: Option<Instant>,
    frozen: Duration,
}

impl Suspension {
    /// Calls somebody when the first builder starts: only then is there anything to freeze.
    pub fn when_needed(&self, told: impl FnOnce(&Arc<Suspension>) + Send + 'static) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(told));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A builder is about to be started.
    pub(crate) fn starting(self: &Arc<Self>) -> Starting<'_> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(told) = waiting {
            told(self);
        }
        Starting { of: self, _calm: self.starting.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Stops all builders, and the clock.
    pub fn freeze(&self) {
        let _calm = self.starting.write().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        state.frozen_since.get_or_insert_with(Instant::now);
        signal_all(&state.running, Signal::STOP);
        let State { running, stopped, .. } = &mut *state;
        stopped.extend(running.iter());
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        let mut state = self.state();
        let stopped = std::mem::take(&mut state.stopped);
        signal_all(&stopped, Signal::CONT);
        if let Some(since) = state.frozen_since.take() {
            state.frozen += since.elapsed();
        }
    }

    /// The time now on a clock that stands still while builders are stopped.
    pub fn now(&self) -> Instant {
        let state = self.state();
        let now = state.frozen_since.unwrap_or_else(Instant::now);
        now.checked_sub(state.frozen).unwrap_or(now)
    }

    /// How long builders were stopped so far.
    pub fn frozen(&self) -> Duration {
        let state = self.state();
        state.frozen + state.frozen_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl fmt::Debug for Suspension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suspension").field("frozen", &self.frozen()).finish_non_exhaustive()
    }
}

/// A builder that is being started.
pub(crate) struct Starting<'a> {
    of: &'a Arc<Suspension>,
    _calm: RwLockReadGuard<'a, ()>,
}

impl Starting<'_> {
    /// It runs, or a `keeper` over it, until the answer is dropped.
    pub(crate) fn started(self, (pid, keeper): (Pid, bool)) -> Running {
        let mut state = self.of.state();
        let pid = pid.as_raw_nonzero().get();
        state.running.insert(pid, keeper);
        // Started while the others were stopped, by a thread that went on for a moment.
        if state.frozen_since.is_some() {
            signal_all(&BTreeMap::from([(pid, keeper)]), Signal::STOP);
            state.stopped.insert(pid, keeper);
        }
        Running { of: Arc::clone(self.of), pid }
    }
}

/// A running builder, for as long as it lives.
pub(crate) struct Running {
    of: Arc<Suspension>,
    pid: i32,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.of.state().running.remove(&self.pid);
    }
}

/// Sends a signal to the builders and to all that came from them, until no new one is found: what was not stopped yet may
/// have started others.
fn signal_all(leaders: &BTreeMap<i32, bool>, signal: Signal) {
    let mut reached: BTreeSet<i32> = leaders.iter().filter(|(_, keeper)| **keeper).map(|(pid, _)| *pid).collect();
    loop {
        let new: Vec<i32> =
            family(leaders.keys().copied().collect()).into_iter().filter(|pid| !reached.contains(pid)).collect();
        if new.is_empty() {
            return;
        }
        for pid in new {
            reached.insert(pid);
            if let Some(pid) = Pid::from_raw(pid) {
                // It may have ended.
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
}

/// The processes and their descendants.
fn family(mut open: Vec<i32>) -> BTreeSet<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(text) = std::fs::read_to_string(process.path().join("stat")) else { continue };
        // The name in parentheses may hold anything; then state and parent.
        let Some((_, rest)) = text.rsplit_once(')') else { continue };
        let Some(parent) = rest.split_whitespace().nth(1).and_then(|word| word.parse().ok()) else { continue };
        children.entry(parent).or_default().push(pid);
    }
    let mut all = BTreeSet::new();
    while let Some(pid) = open.pop() {
        if all.insert(pid) {
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_still_while_builders_are_stopped() {
        let suspension = Suspension::default();
        let before = suspension.now();
        suspension.freeze();
        let stopped = suspension.now();
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(suspension.now(), stopped);
        assert!(suspension.frozen() >= Duration::from_millis(30));
        // Twice is once.
        suspension.freeze();
        suspension.thaw();
        let frozen = suspension.frozen();
        assert!(frozen >= Duration::from_millis(30));
        assert!(suspension.now() >= stopped && stopped >= before);
        suspension.thaw();
        assert_eq!(suspension.frozen(), frozen);
    }

    /// The keeper of a builder that has ended meanwhile may have made a process for the next one.
    #[test]
    fn what_was_stopped_goes_on_also_when_its_builder_has_ended() {
        let state = |pid: Pid| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
            stat.rsplit_once(')').unwrap().1.split_whitespace().next().unwrap().to_owned()
        };
        let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let suspension = Arc::new(Suspension::default());
        let running = suspension.starting().started((pid, false));
        suspension.freeze();
        drop(running);
        let wait_for = |stopped: bool| {
            while (state(pid) == "T") != stopped {
                std::thread::yield_now();
            }
        };
        wait_for(true);
        suspension.thaw();
        wait_for(false);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
