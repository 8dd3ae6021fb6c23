//! Ends what a builder without isolation left behind, where it ran as a user of its own.
//!
//! A process that leaves its session and its parent is no longer in the group that is killed with the builder. We are
//! made the one to whom such orphans come; those of the build's user are then told from everything else that is ours by
//! that user. Builders that still run are known by their numbers, since two stores in one process may have given the same
//! user away. Processes that do not come from us are left alone, whoever they run as.
//!
//! Absent: builders that run as ourselves, which nothing tells from other processes; whoever needs that has a sandbox.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitOptions};

/// Builders of this process that have not been waited for. Children belong to the process, so this does too.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Orphans come to us.
static ADOPTING: AtomicBool = AtomicBool::new(false);

/// Starts a builder that runs as another user without isolation: from now on, orphans among our descendants become our
/// children.
pub(crate) fn start<E>(begin: impl FnOnce() -> Result<u32, E>) -> Result<u32, E> {
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    ADOPTING.store(true, Ordering::Release);
    // Nobody looks for strays before it is known.
    let mut running = running();
    let pid = begin()?;
    running.insert(pid);
    Ok(pid)
}

/// Keeps strays from being looked for, where they are at all, until a child is known that another one makes for us.
pub(crate) fn hold() -> Option<MutexGuard<'static, BTreeSet<u32>>> {
    ADOPTING.load(Ordering::Acquire).then(running)
}

/// A child of ours that is no stray.
pub(crate) fn know(pid: u32, held: Option<MutexGuard<'static, BTreeSet<u32>>>) {
    held.unwrap_or_else(running).insert(pid);
}

/// A builder was waited for. Where it had a `user` of its own without isolation, our children that run as that user are
/// killed until there are none: the children of each become ours with its end.
pub(crate) fn ended(builder: u32, user: Option<u32>) {
    let mut running = running();
    running.remove(&builder);
    let Some(user) = user else { return };
    loop {
        let is_stray = |pid: &Pid| !running.contains(&(pid.as_raw_pid() as u32)) && runs_as(*pid, user);
        let strays: Vec<Pid> = children().into_iter().filter(is_stray).collect();
        if strays.is_empty() {
            return;
        }
        for pid in strays {
            // Nobody else waits for it, so its number is still its own.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

fn children() -> Vec<Pid> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists: Vec<String> =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok()).collect();
    let pids = lists.iter().flat_map(|list| list.split_whitespace());
    pids.filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
}

/// Whether a process has this real user.
fn runs_as(pid: Pid, user: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    ids.split_whitespace().next().is_some_and(|word| word.parse() == Ok(user))
}
