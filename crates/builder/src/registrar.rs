//! What was built becomes part of the store: durable, then registered, everything that came in the meantime together.
//!
//! One thread for each loop of `run.rs`, and another one for the post-build hook. What is handed over first is registered
//! first, so that what comes later may refer to it. Syncing and a transaction cost much the same for one output and for
//! many, and builds next to it are slower for them; so while more can come, this thread rests three times as long as it
//! worked. Absent: what is registered (`outputs/`).

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use activity::{Activity, CancelToken};
use store::{LocalStore, PathLocks, Store};
use store_model::{PathInfo, Realisation, StorePath};

use crate::error::{Error, Result};
use crate::log::LogFile;
use crate::run::{News, Shared};

/// Outputs on their way to registration, with the locks that they keep until then.
#[derive(Default)]
pub(crate) struct Finished {
    pub infos: Vec<PathInfo>,
    /// What outputs became whose paths follow from their contents.
    pub realisations: Vec<Realisation>,
    pub locks: Vec<PathLocks>,
    /// What the builder said, to be put in its place before.
    pub log: Option<LogFile>,
    /// What the post-build hook is told, where there is one.
    pub told: Option<Told>,
}

/// What the registrar hears from its loop.
pub(crate) enum Word {
    Finished(Finished),
    /// Nothing runs and nothing will be started: there is nothing to wait for.
    Idle,
}

/// No output waits longer than this for others to be registered with: somebody may wait for its lock.
const LONGEST_REST: Duration = Duration::from_millis(20);

/// A derivation and what it made, for the post-build hook.
pub(crate) struct Told {
    pub drv: StorePath,
    pub outputs: BTreeSet<StorePath>,
}

/// Makes durable and registers what comes.
pub(crate) fn register(
    store: &LocalStore,
    activity: &Activity,
    from_loop: &Receiver<Word>,
    (news, hook): (&Sender<News>, &Sender<(Told, bool)>),
) {
    // A build that ended is registered also when the user asked for the end in between.
    let activity = activity.with_token(CancelToken::new());
    let mut rest = Duration::ZERO;
    while let Ok(word) = from_loop.recv() {
        let Word::Finished(first) = word else { continue };
        let mut group = gather(first, from_loop, rest);
        let begun = Instant::now();
        group.iter_mut().filter_map(|finished| finished.log.take()).for_each(|log| log.finish(&activity));
        let result = register_group(store, &activity, &group).map_err(Error::from);
        // Locks are given back after the rows are there, never before.
        let count = group.len();
        let registered = result.is_ok();
        let (locks, told): (Vec<_>, Vec<_>) = group.into_iter().map(|finished| (finished.locks, finished.told)).unzip();
        drop(locks);
        for told in told.into_iter().flatten() {
            let _ = hook.send((told, registered));
        }
        let _ = news.send(News::Registered { count, result });
        rest = (begun.elapsed() * 3).min(LONGEST_REST);
    }
}

/// What ends within `rest` after the first, and what is there already; sooner where nothing more will come.
fn gather(first: Finished, from_loop: &Receiver<Word>, rest: Duration) -> Vec<Finished> {
    let mut group = vec![first];
    let until = Instant::now() + rest;
    while let Ok(Word::Finished(next)) = from_loop.recv_timeout(until.saturating_duration_since(Instant::now())) {
        group.push(next);
    }
    group
}

/// Registers all in one transaction. Where an output became something else meanwhile, the others are registered without it.
fn register_group(store: &LocalStore, activity: &Activity, group: &[Finished]) -> store::Result<()> {
    let infos: Vec<PathInfo> = group.iter().flat_map(|finished| finished.infos.iter().cloned()).collect();
    let realisations: Vec<Realisation> =
        group.iter().flat_map(|finished| finished.realisations.iter().cloned()).collect();
    match store.register_outputs(activity, &infos, &realisations) {
        Err(store::Error::OtherRealisation { .. }) if group.len() > 1 => {
            let mut result = Ok(());
            for one in group {
                result = result.and(store.register_outputs(activity, &one.infos, &one.realisations));
            }
            result
        }
        together => together,
    }
}

/// Runs the post-build hook for what was registered, one after another, while builds go on.
pub(crate) fn run_hooks(
    shared: &Shared,
    activity: &Activity,
    from_registrar: &Receiver<(Told, bool)>,
    news: &Sender<News>,
) {
    while let Ok((Told { drv, outputs }, registered)) = from_registrar.recv() {
        let result: Result<()> = match registered {
            true => shared.options.hooks.after(activity, shared.store.store_dir(), &drv, &outputs),
            false => Ok(()),
        };
        let _ = news.send(News::Hooked { count: 1, result });
    }
}
