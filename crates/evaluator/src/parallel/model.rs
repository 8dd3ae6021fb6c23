//! The protocol in loom's hands: every order of events that three threads can bring about.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p evaluator --lib model`. A deadlock, a missed wake-up or a collection
//! beside a thread that runs fails the model. Preemptions are bounded, so that it ends.

use super::claims::{self, OwnerId, StateWord};
use super::stops::{Stops, attention};
use super::waits::{Waited, Waiter, Waits};
use crate::heap::{KIND_MASK, Kind};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;

const SUSPENDED: u64 = Kind::Suspended as u64 | 7 << 32;
const DONE: u64 = Kind::Done as u64;
const FAILED: u64 = Kind::Failed as u64;

/// A thunk: state word and payload, which is written before the word that announces it.
#[derive(Clone)]
struct Thunk(Arc<(AtomicU64, AtomicU64)>);

impl StateWord for Thunk {
    fn load(&self) -> u64 {
        self.0.0.load(Ordering::Acquire)
    }

    fn exchange(&self, old: u64, new: u64) -> bool {
        self.0.0.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn swap(&self, new: u64) -> u64 {
        self.0.0.swap(new, Ordering::AcqRel)
    }

    fn store(&self, new: u64) {
        self.0.0.store(new, Ordering::Release);
    }
}

impl Thunk {
    fn new() -> Thunk {
        Thunk(Arc::new((AtomicU64::new(SUSPENDED), AtomicU64::new(0))))
    }
}

/// What threads share.
struct Team {
    waits: Waits<Thunk>,
    stops: Stops,
    /// How often work was done.
    evaluated: AtomicU64,
}

/// How forcing ends.
#[derive(Debug, PartialEq, Eq)]
enum Forced {
    Value(u64),
    Failed,
    GaveUp,
    Recursion,
}

impl Team {
    fn new() -> Arc<Team> {
        Arc::new(Team { waits: Waits::default(), stops: Stops::default(), evaluated: AtomicU64::new(0) })
    }

    /// As `Eval::force_thunk_at` and `Eval::wait_for`; `stop` is there for who evaluates ahead.
    fn force(
        &self,
        owner: u32,
        stop: Option<&AtomicBool>,
        thunk: &Thunk,
        work: &mut dyn FnMut(&Team) -> Forced,
    ) -> Forced {
        let owner = OwnerId(owner);
        loop {
            let state = thunk.load();
            match state & KIND_MASK {
                DONE => return Forced::Value(thunk.0.1.load(Ordering::Relaxed)),
                FAILED => return Forced::Failed,
                _ if claims::owner_of(state) == Some(owner) => return Forced::Recursion,
                _ if claims::owner_of(state).is_some() => {
                    self.stops.block();
                    let waited = self.waits.wait(Waiter { owner, stop: stop.map(|stop| stop) }, thunk);
                    self.stops.unblock();
                    if waited == Waited::GiveUp {
                        return Forced::GaveUp;
                    }
                }
                _ if claims::claim(thunk, state, 0, owner, false) => {
                    let mut forced = work(self);
                    if stop.is_some() && !matches!(forced, Forced::Value(_)) {
                        forced = Forced::GaveUp;
                    }
                    let word = match &forced {
                        Forced::Value(value) => {
                            thunk.0.1.store(*value, Ordering::Release);
                            DONE
                        }
                        Forced::GaveUp => state,
                        Forced::Failed | Forced::Recursion => FAILED,
                    };
                    if claims::end(thunk, word, false) {
                        self.waits.wake();
                    }
                    return forced;
                }
                _ => {}
            }
        }
    }

    fn value(&self) -> Forced {
        self.evaluated.fetch_add(1, Ordering::Relaxed);
        Forced::Value(42)
    }

    /// As the arena does at a safepoint.
    fn safepoint(&self) {
        if self.stops.attention() & attention::STOP != 0 {
            self.stops.pause(|| ());
        }
    }
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(check);
}

/// Runs a thread that counts as evaluating.
fn evaluating(team: &Arc<Team>, work: impl FnOnce(&Team) + 'static) -> thread::JoinHandle<()> {
    let team = team.clone();
    thread::spawn(move || {
        team.stops.unblock();
        work(&team);
        team.stops.block();
    })
}

/// Two threads that force a thunk ahead, by `work`, and end as `expected`.
fn two_helpers(
    team: &Arc<Team>,
    thunk: &Thunk,
    work: fn(&Team) -> Forced,
    expected: fn(Forced) -> bool,
) -> [thread::JoinHandle<()>; 2] {
    [2, 3].map(|owner| {
        let thunk = thunk.clone();
        evaluating(team, move |team| {
            let stop = AtomicBool::new(false);
            let forced = team.force(owner, Some(&stop), &thunk, &mut |team| work(team));
            assert!(expected(forced));
        })
    })
}

#[test]
fn all_force_one_thunk_and_it_is_evaluated_once() {
    model(|| {
        let (team, thunk) = (Team::new(), Thunk::new());
        let helpers = two_helpers(&team, &thunk, Team::value, |forced| forced == Forced::Value(42));
        team.stops.unblock();
        assert_eq!(team.force(1, None, &thunk, &mut |team| team.value()), Forced::Value(42));
        team.stops.block();
        helpers.into_iter().for_each(|helper| helper.join().unwrap());
        assert_eq!(team.evaluated.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_failure_is_that_of_the_thread_that_decides() {
    model(|| {
        let (team, thunk) = (Team::new(), Thunk::new());
        let gave_up = |forced| matches!(forced, Forced::GaveUp | Forced::Failed);
        let helpers = two_helpers(&team, &thunk, |_| Forced::Failed, gave_up);
        team.stops.unblock();
        let mut here = false;
        let forced = team.force(1, None, &thunk, &mut |_| {
            here = true;
            Forced::Failed
        });
        assert!(here && forced == Forced::Failed, "no helper fails a thunk");
        team.stops.block();
        helpers.into_iter().for_each(|helper| helper.join().unwrap());
    });
}

/// A helper is told to give up while it waits; whoever tells it waits for it in turn, with a claim in hand.
#[test]
fn who_waits_can_be_cancelled() {
    model(|| {
        let (team, thunk) = (Team::new(), Thunk::new());
        let stop = Arc::new(AtomicBool::new(false));
        team.stops.unblock();
        let forced = team.clone().force(1, None, &thunk, &mut |_| {
            let helpers: Vec<_> = [2, 3]
                .map(|owner| {
                    let (thunk, stop) = (thunk.clone(), stop.clone());
                    evaluating(&team, move |team| {
                        let forced = team.force(owner, Some(&*stop), &thunk, &mut |team| team.value());
                        assert_eq!(forced, Forced::GaveUp);
                    })
                })
                .into();
            stop.store(true, Ordering::Release);
            team.waits.wake();
            team.stops.block();
            helpers.into_iter().for_each(|helper| helper.join().unwrap());
            team.stops.unblock();
            Forced::Failed
        });
        assert_eq!(forced, Forced::Failed);
        team.stops.block();
    });
}

/// Forces `thunks[at]`, which needs the one after it, round and round.
fn round(team: &Team, owner: u32, stop: Option<&AtomicBool>, thunks: &[Thunk], at: usize) -> Forced {
    let next = (at + 1) % thunks.len();
    team.force(owner, stop, &thunks[at], &mut |team| round(team, owner, stop, thunks, next))
}

fn cycle(length: usize, helpers: u32) {
    model(move || {
        let team = Team::new();
        let thunks: Vec<Thunk> = (0..length).map(|_| Thunk::new()).collect();
        let helpers: Vec<_> = (0..helpers)
            .map(|helper| {
                let thunks = thunks.clone();
                evaluating(&team, move |team| {
                    let stop = AtomicBool::new(false);
                    let start = (helper as usize + 1) % thunks.len();
                    let forced = round(team, helper + 2, Some(&stop), &thunks, start);
                    assert!(!matches!(forced, Forced::Value(_)));
                })
            })
            .collect();
        team.stops.unblock();
        let forced = round(&team, 1, None, &thunks, 0);
        assert!(matches!(forced, Forced::Recursion), "{forced:?}");
        assert!(thunks.iter().all(|thunk| thunk.load() & KIND_MASK == FAILED), "the recursion was found here");
        team.stops.block();
        helpers.into_iter().for_each(|helper| helper.join().unwrap());
    });
}

#[test]
fn a_cycle_over_two_threads_is_found_by_the_one_that_decides() {
    cycle(2, 1);
}

#[test]
fn a_cycle_over_three_threads_is_found_by_the_one_that_decides() {
    cycle(3, 2);
}

/// One waits for a thunk, one allocates, one collects: nobody runs meanwhile.
#[test]
fn a_collection_has_the_heap_for_itself() {
    model(|| {
        let (team, thunk) = (Team::new(), Thunk::new());
        // Touched by a thread that runs; only ever 0 when a collection looks.
        let touched = Arc::new(AtomicU64::new(0));
        let touch = |touched: &AtomicU64| {
            touched.fetch_add(1, Ordering::Relaxed);
            touched.fetch_sub(1, Ordering::Relaxed);
        };
        let waiting = {
            let (thunk, touched) = (thunk.clone(), touched.clone());
            evaluating(&team, move |team| {
                let stop = AtomicBool::new(false);
                team.force(2, Some(&stop), &thunk, &mut |team| team.value());
                touch(&touched);
            })
        };
        let allocating = {
            let touched = touched.clone();
            evaluating(&team, move |team| {
                touch(&touched);
                team.safepoint();
                touch(&touched);
            })
        };
        team.stops.unblock();
        let forced = team.force(1, None, &thunk, &mut |team| {
            if team.stops.stop(|| ()) {
                assert_eq!(touched.load(Ordering::Relaxed), 0);
                team.stops.resume();
            }
            team.value()
        });
        assert_eq!(forced, Forced::Value(42));
        team.stops.block();
        waiting.join().unwrap();
        allocating.join().unwrap();
    });
}
