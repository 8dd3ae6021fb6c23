//! The loop: asks what the plan must know, starts what is ready, takes what comes back, registers it.
//!
//! One loop per request, in the caller's thread; one thread per running job, which also is the thread that the job's
//! processes die with. Finished outputs go to a registrar, which makes all that came in while it was busy durable and
//! registers it in one transaction; until then they keep their locks, and later builds of this loop use them already.
//! Several loops at once share the bounds of running jobs, and meet at the locks of outputs like loops of different
//! processes: who does not get a lock waits, looks again, and takes the result.
//!
//! Absent: deciding (`plan.rs`, `schedule.rs`), looking once more before a job begins (`prepare.rs`), building (`local.rs`)
//! and registering (`registrar.rs`).

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use activity::{Activity, ActivityKind, CancelToken, Cancelled, Field};
use store::{BuildMode, ErrorClass, LocalStore, PathLocks, Store, TemporaryRoots};
use store_model::{BuildStatus, Derivation, DerivedPath, OutputMap, Realisation, StorePath};
use transfer::Transfer;

use crate::admission::{Places, Short};
use crate::builder::exit_bits;
use crate::error::{Error, Result, WrongHash};
use crate::folders::Spare;
use crate::job_server::JobServer;
use crate::known::Known;
use crate::local::{self, Job, Site};
use crate::options::BuilderOptions;
use crate::outputs::register::{Made, now};
use crate::plan::{Fact, Learned, NodeId, Plan, Questions};
use crate::prepare::{self, Prepared};
use crate::registrar::{Finished, Told, Word, register, run_hooks};
use crate::sandbox::cgroup::CpuTimes;
use crate::schedule::{Class, Schedule};
use crate::substitute::Substituters;
use crate::suspend::Suspension;
use crate::{builtin, failure};

/// What all loops of one builder have in common.
pub(crate) struct Shared {
    pub store: Arc<LocalStore>,
    pub options: BuilderOptions,
    pub transfer: Arc<Transfer>,
    pub substituters: Substituters,
    /// The machine was seen to refuse user namespaces.
    pub no_user_namespace: AtomicBool,
    /// It was seen to refuse isolation altogether, and `sandbox-fallback` goes on without.
    pub no_isolation: AtomicBool,
    /// What went wrong in the current request.
    pub trouble: Mutex<Trouble>,
    /// A build folder that can be used again.
    pub spare: Spare,
    swept: Once,
    all_cores: OnceLock<usize>,
    /// Places of running jobs.
    places: Places,
    jobs: OnceLock<JobServer>,
    derivations: Mutex<HashMap<StorePath, Arc<Derivation>>>,
}

/// What went wrong in a request, with all that it led to, and what only this request knows.
#[derive(Default)]
pub(crate) struct Trouble {
    /// Bits of the exit status of all that failed, dependencies included.
    pub bits: u8,
    /// Sources that came out with other hashes.
    pub wrong_hashes: Vec<WrongHash>,
    /// What failed by itself, not because of something else.
    pub failed: Vec<StorePath>,
    /// What went well: the outputs whose paths were not known beforehand.
    pub built: HashMap<DerivedPath, OutputMap<StorePath>>,
}

/// So many bytes of sources count as much as one more build that waits for a result.
const BYTES_PER_STEP: u64 = 8 << 20;

/// Derivations that are remembered between requests.
const MOST_DERIVATIONS: usize = 20_000;

impl Shared {
    pub(crate) fn new(
        store: Arc<LocalStore>,
        options: BuilderOptions,
        transfer: Arc<Transfer>,
        substituters: Substituters,
    ) -> Self {
        Self {
            places: Places::new(options.admission.clone()),
            jobs: OnceLock::new(),
            store,
            options,
            transfer,
            substituters,
            no_user_namespace: AtomicBool::new(false),
            no_isolation: AtomicBool::new(false),
            trouble: Mutex::default(),
            spare: Spare::default(),
            swept: Once::new(),
            all_cores: OnceLock::new(),
            derivations: Mutex::default(),
        }
    }

    /// What went wrong in the current request, to be read or added to.
    pub(crate) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cores per build: the setting, or all that this process may use.
    pub(crate) fn cores(&self) -> usize {
        // Finding out reads several files, so it is done once.
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        if self.options.cores != 0 { self.options.cores } else { *self.all_cores.get_or_init(all) }
    }

    /// The job slots that builds share.
    pub(crate) fn job_server(&self) -> &JobServer {
        self.jobs.get_or_init(|| JobServer::new(self.cores()))
    }

    /// A named step at which tests of crashes may interfere: `build-begin`, `build-end`, `output-moving`, `output-moved`,
    /// beside those of the store.
    pub(crate) fn fault_point(&self, name: &'static str) -> Result<()> {
        Ok(self.store.options().faults.pass(name)?)
    }

    /// Where build folders are made.
    pub(crate) fn builds_dir(&self) -> PathBuf {
        self.options.build_dir.clone().unwrap_or_else(|| self.store.state_dir().join("builds"))
    }

    /// Removes, once, what killed processes left.
    pub(crate) fn sweep_once(&self, builds: &Path) {
        self.swept.call_once(|| crate::folders::sweep(builds));
    }

    /// Lets the members of a group write into the store folder, as builders without isolation must.
    pub(crate) fn open_store_to(&self, gid: u32) -> Result<()> {
        use crate::error::IoContext;
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let real = self.store.real_dir();
        let found = std::fs::metadata(real).io("getting the status of", real)?;
        if found.gid() != gid || found.mode() & 0o7777 != 0o1775 {
            chown(real, None, Some(gid)).io("changing the owner of", real)?;
            let mode = std::fs::Permissions::from_mode(0o1775);
            std::fs::set_permissions(real, mode).io("changing the mode of", real)?;
        }
        Ok(())
    }

    fn derivation(&self, activity: &Activity, path: &StorePath) -> Result<Arc<Derivation>> {
        let known = |map: &Mutex<HashMap<_, _>>| map.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some(derivation) = known(&self.derivations) {
            return Ok(derivation);
        }
        let derivation = Arc::new(self.store.read_derivation(activity, path)?);
        let mut map = self.derivations.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= MOST_DERIVATIONS {
            map.clear();
        }
        map.insert(path.clone(), Arc::clone(&derivation));
        Ok(derivation)
    }

    /// Finds out everything that the plan asks.
    pub(crate) fn settle(&self, activity: &Activity, plan: &mut Plan) -> Result<()> {
        loop {
            let questions = plan.questions();
            if questions == Questions::default() {
                plan.settle();
                if plan.has_questions() {
                    continue;
                }
                return Ok(());
            }
            for (path, derivation) in questions.outputs {
                activity.check()?;
                let (hash, outputs) = self.store.realised_outputs(activity, &derivation)?;
                plan.learned(Fact::Realised(path, hash, outputs));
            }
            if !questions.realisations.is_empty() {
                let found = self.substituters.realisations(activity, &questions.realisations)?;
                for (id, realisation) in questions.realisations.into_iter().zip(found) {
                    plan.learned(Fact::Offered(id, realisation));
                }
            }
            // Rooted first, asked then: nothing that is answered for can be collected.
            self.store.add_temp_roots(activity, &questions.derivations)?;
            self.store.add_temp_roots(activity, &questions.paths)?;
            for path in questions.derivations {
                activity.check()?;
                match self.derivation(activity, &path) {
                    Ok(derivation) => plan.learned(Fact::Derivation(path, derivation)),
                    Err(Error::Store(error)) if error.class() == ErrorClass::NotFound => {
                        let why = unobtainable(&self.store.store_dir().print(&path));
                        plan.learned(Fact::NoDerivation(path, why));
                    }
                    Err(error) => return Err(error),
                }
            }
            let valid = self.store.valid_paths(activity, &questions.paths)?;
            for path in questions.paths {
                let is_valid = valid.contains(&path);
                plan.learned(Fact::Valid(path, is_valid));
            }
            if !questions.offers.is_empty() {
                let offers = self.substituters.offers(activity, self.store.store_dir(), &questions.offers)?;
                for ((path, _), offer) in questions.offers.into_iter().zip(offers) {
                    plan.learned(Fact::Offer(path, offer));
                }
            }
            plan.settle();
        }
    }

    /// The same, where a mistake in what is wanted is an error.
    pub(crate) fn settle_or_refuse(&self, activity: &Activity, plan: &mut Plan) -> Result<()> {
        self.settle(activity, plan)?;
        plan.refused().map_or(Ok(()), |why| Err(Error::Refused(why.to_owned())))
    }

    /// Says what the plan found out: why something cannot be built, and what was resolved to what in C++ Nix's words.
    pub(crate) fn tell_found(&self, activity: &Activity, plan: &mut Plan) {
        plan.take_untold().iter().for_each(|why| activity.error(why));
        for (from, to) in plan.take_resolved() {
            let [from, to] = [from, to].map(|id| self.store.store_dir().print(plan.path(id)));
            let text = format!("resolved derivation: '{from}' -> '{to}'");
            let fields = [Field::from(from), Field::from(to)];
            drop(activity.child_at(activity::Verbosity::Info, ActivityKind::BuildWaiting, &text, &fields));
        }
    }

    /// What became known of outputs, with our signatures where it follows from what is here.
    pub(crate) fn signed(&self, learned: Vec<Learned>) -> Vec<Realisation> {
        let sign = |Learned { mut realisation, own }| {
            if own {
                self.options.secret_keys.iter().for_each(|key| realisation.sign(key));
            }
            realisation
        };
        learned.into_iter().map(sign).collect()
    }
}

/// What is said of a path that is not there and that nothing makes.
pub(crate) fn unobtainable(path: &str) -> String {
    format!("path '{path}' is required, but there is no substituter that can build it")
}

/// When a job began and ended, in seconds since 1970, and what it used.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub start: i64,
    pub stop: i64,
    pub cpu: CpuTimes,
    /// Seconds of it in which builders were stopped.
    frozen: i64,
}

impl Times {
    /// Measures a job.
    fn of<T>(suspension: &Suspension, job: impl FnOnce() -> T) -> (T, Times) {
        let (start, frozen) = (now(), suspension.frozen());
        let done = job();
        let frozen = i64::try_from(suspension.frozen().saturating_sub(frozen).as_secs()).unwrap_or(i64::MAX);
        (done, Times { start, stop: now(), cpu: CpuTimes::default(), frozen })
    }
}

/// What the loop hears.
pub(crate) enum News {
    Ended { id: NodeId, class: Class, result: Result<Made>, locks: PathLocks, times: Times },
    Registered { count: usize, result: Result<()> },
    Hooked { count: usize, result: Result<()> },
}

/// A job that another process works on.
struct Waiting {
    id: NodeId,
    class: Class,
    next_try: Instant,
    pause: Duration,
    _activity: Activity,
}

/// One loop.
pub(crate) struct Run<'a> {
    pub(crate) shared: &'a Shared,
    known: &'a Known<'a>,
    pub(crate) plan: &'a mut Plan,
    pub(crate) activity: &'a Activity,
    /// Ends this loop's jobs only.
    token: CancelToken,
    schedule: Schedule,
    waiting: Vec<Waiting>,
    builds: Activity,
    counts: Counts,
    fatal: Option<Error>,
    /// A build failed, and nothing new begins.
    stopped: bool,
    /// When each job began and ended.
    pub times: HashMap<NodeId, Times>,
    /// Says why a build that could begin does not.
    short: Option<Activity>,
    /// What was built, and how many seconds it took.
    built: Vec<(String, u64)>,
    unregistered: usize,
}

#[derive(Default)]
struct Counts {
    done: u64,
    expected: u64,
    failed: u64,
}

const TICK: Duration = Duration::from_millis(100);

impl<'a> Run<'a> {
    pub(crate) fn new(shared: &'a Shared, known: &'a Known<'a>, plan: &'a mut Plan, activity: &'a Activity) -> Self {
        let options = &shared.options;
        let fetches = if options.http_connections == 0 { 128 } else { options.http_connections };
        let expected = plan.to_build().len() as u64;
        Self {
            shared,
            known,
            plan,
            activity,
            token: CancelToken::new(),
            schedule: Schedule::new(options.max_jobs.max(1), fetches),
            waiting: Vec::new(),
            builds: activity.child_at(activity::Verbosity::Debug, ActivityKind::Builds, "", &[]),
            counts: Counts { expected, ..Counts::default() },
            fatal: None,
            stopped: false,
            times: HashMap::new(),
            short: None,
            built: Vec::new(),
            unregistered: 0,
        }
    }

    /// Builds everything that the plan says.
    ///
    /// # Errors
    /// Faults of ours and of the machine; builds that failed are states of the plan.
    pub(crate) fn drive(mut self) -> Result<HashMap<NodeId, Times>> {
        let (tell, hear) = mpsc::channel();
        let (to_registrar, from_loop) = mpsc::channel();
        std::thread::scope(|scope| {
            let (store, activity) = (&*self.shared.store, self.activity);
            let (news, told) = (tell.clone(), tell.clone());
            let (to_hook, from_registrar) = mpsc::channel();
            let registrar = scope.spawn(move || register(store, activity, &from_loop, (&news, &to_hook)));
            let hook = self.shared.options.hooks.post_build.is_some();
            let (shared, activity) = (self.shared, self.builds.with_token(self.token.clone()));
            let hook = hook.then(|| scope.spawn(move || run_hooks(shared, &activity, &from_registrar, &told)));
            self.turn(scope, &tell, &hear, &to_registrar);
            drop(to_registrar);
            join(registrar);
            hook.into_iter().for_each(join);
        });
        drop(self.shared.spare.take());
        if let Some(history) = &self.shared.options.history {
            history.note(&self.built);
        }
        match self.fatal {
            Some(error) => Err(error),
            None => Ok(self.times),
        }
    }

    fn turn<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        tell: &Sender<News>,
        hear: &Receiver<News>,
        registrar: &Sender<Word>,
    ) where
        'a: 'scope,
    {
        let mut jobs = HashMap::new();
        loop {
            if !self.stopped && !self.plan.is_settled() {
                // What came, or did not, leaves other questions open.
                if let Err(error) = self.shared.settle_or_refuse(self.activity, self.plan) {
                    self.stop(Some(error));
                }
            }
            self.note_learned(registrar);
            if !self.stopped {
                self.admit_ready();
                self.retry_locks(scope, (tell, registrar), &mut jobs);
                self.start_jobs(scope, (tell, registrar), &mut jobs);
            }
            self.shared.store.collect_if_short_meanwhile(self.activity);
            self.report();
            let starving = !self.stopped && self.schedule.has_ready();
            if self.schedule.running() == 0 && self.waiting.is_empty() && !starving {
                if self.unregistered == 0 {
                    return;
                }
                let _ = registrar.send(Word::Idle);
            }
            match hear.recv_timeout(self.pause(starving)) {
                Ok(News::Ended { id, class, result, locks, times }) => {
                    if let Some(job) = jobs.remove(&id) {
                        join(job);
                    }
                    self.schedule.ended(class);
                    self.shared.places.release(class);
                    self.ended(id, result, locks, times, registrar);
                }
                Ok(News::Registered { count, result } | News::Hooked { count, result }) => {
                    self.unregistered -= count;
                    if let Err(error) = result {
                        self.stop(Some(error));
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if self.fatal.is_none()
                && let Err(cancelled) = self.activity.check()
            {
                self.stop(Some(cancelled.into()));
            }
        }
    }

    fn pause(&self, starving: bool) -> Duration {
        let next = self.waiting.iter().map(|waiting| waiting.next_try.saturating_duration_since(Instant::now()));
        next.min().unwrap_or(TICK).min(if starving { TICK / 5 } else { TICK })
    }

    /// Nothing new begins, and what runs is ended.
    fn stop(&mut self, error: Option<Error>) {
        self.stopped = true;
        self.schedule.abandon();
        self.waiting.clear();
        self.token.cancel();
        if let Some(error) = error {
            self.fatal.get_or_insert(error);
        }
    }

    fn admit_ready(&mut self) {
        // A job that is refused may make others ready to fail.
        loop {
            let ready = self.plan.take_ready();
            if ready.is_empty() {
                return;
            }
            for id in ready {
                if self.plan.is_object(id) {
                    self.schedule.ready(id, Class::Fetch, 0);
                    continue;
                }
                let Some(derivation) = self.plan.derivation(id) else { continue };
                let (options, store_dir) = (&self.shared.options, self.shared.store.store_dir());
                match failure::unsuitable(options, store_dir, self.plan.path(id), derivation) {
                    Some(why) => {
                        self.failed(id, BuildStatus::InputRejected, why);
                        if self.stopped {
                            return;
                        }
                    }
                    None => {
                        let class = if builtin::is_fetch(derivation) { Class::Fetch } else { Class::Build };
                        let urgency = self.plan.rank_of(id) + self.weight(derivation);
                        self.schedule.ready(id, class, urgency);
                    }
                }
            }
        }
    }

    /// How long a build will take compared to a step of the plan, as far as the size of what was fetched for it tells:
    /// of two builds that as much waits for, the longer one has to begin first.
    fn weight(&self, derivation: &Derivation) -> u32 {
        let fetched = |path: &StorePath| {
            let id = self.plan.find(path)?;
            builtin::is_fetch(self.plan.derivation(id)?).then(|| self.plan.outputs(id).values().flatten().cloned())
        };
        let sources: Vec<StorePath> = derivation.input_drvs.keys().filter_map(fetched).flatten().collect();
        // What cannot be told weighs nothing: the build itself will say what is wrong.
        let bytes = self.known.bytes(self.activity, &sources).unwrap_or_default();
        u32::try_from(bytes / BYTES_PER_STEP).unwrap_or(u32::MAX / 2)
    }

    fn failed(&mut self, id: NodeId, status: BuildStatus, why: String) {
        self.counts.failed += 1;
        let mut trouble = self.shared.trouble();
        trouble.bits |= exit_bits(status);
        trouble.failed.push(self.plan.path(id).clone());
        drop(trouble);
        // The reason of a failure that others depend on is told here: the results of those do not repeat it.
        if self.plan.is_only_used(id) {
            self.activity.error(&why);
        }
        self.plan.learned(Fact::Failed(id, status, why));
        if !self.shared.options.keep_going {
            self.stop(None);
        }
    }

    fn start_jobs<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        (tell, registrar): (&Sender<News>, &Sender<Word>),
        jobs: &mut HashMap<NodeId, ScopedJoinHandle<'scope, ()>>,
    ) where
        'a: 'scope,
    {
        let shared = self.shared;
        let bounds = self.schedule.bounds();
        loop {
            let mut short = None;
            let admit = |class| shared.places.take(class, bounds[class as usize]).map_err(|why| short = why).is_ok();
            let next = self.schedule.start_next(admit);
            self.say_short(short);
            let Some((id, class)) = next else { return };
            if self.begin(scope, (tell, registrar), jobs, (id, class)) {
                self.wait_for_lock(id, class);
            }
            self.admit_ready();
            if self.stopped {
                return;
            }
        }
    }

    /// Tells the user, once until it is over, what the machine has too little of for another build.
    fn say_short(&mut self, short: Option<Short>) {
        self.short = match (short, self.short.take()) {
            (None, _) => None,
            (Some(_), Some(said)) => Some(said),
            (Some(short), None) => {
                let text = format!("waiting to begin another build: {short}");
                Some(self.activity.child_at(activity::Verbosity::Warn, ActivityKind::BuildWaiting, &text, &[]))
            }
        };
    }

    /// Starts a job that has its place in the schedule, or gives the place back; tells whether another process has
    /// locked the job's outputs.
    fn begin<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        (tell, registrar): (&Sender<News>, &Sender<Word>),
        jobs: &mut HashMap<NodeId, ScopedJoinHandle<'scope, ()>>,
        (id, class): (NodeId, Class),
    ) -> bool
    where
        'a: 'scope,
    {
        let mut locked = false;
        match self.prepare(id) {
            Ok(Prepared::Job(job, locks, file)) => {
                if let Some(file) = file {
                    self.hand_over(registrar, file);
                }
                self.plan.learned(Fact::Started(id));
                jobs.insert(id, self.spawn(scope, tell, (id, class), *job, locks));
                return false;
            }
            Ok(Prepared::Object(locks)) => {
                self.plan.learned(Fact::Started(id));
                jobs.insert(id, self.spawn_copy(scope, tell, (id, class), locks));
                return false;
            }
            Ok(Prepared::Present(infos, outputs)) => {
                self.known.add(infos);
                self.plan.learned(Fact::Outputs(id, outputs));
                self.counts.done += 1;
                self.plan.learned(Fact::Present(id));
            }
            Ok(Prepared::Locked) => locked = true,
            Err(error) => self.stop(Some(error)),
        }
        self.schedule.ended(class);
        self.shared.places.release(class);
        locked
    }

    fn wait_for_lock(&mut self, id: NodeId, class: Class) {
        let paths = prepare::lock_files(&self.shared.store, self.plan, id);
        let list: Vec<_> = paths.iter().map(|path| format!("'{}'", path.display())).collect();
        let text = format!("waiting for lock on {}", list.join(", "));
        let pause = Duration::from_millis(5);
        self.waiting.push(Waiting {
            id,
            class,
            next_try: Instant::now() + pause,
            pause,
            _activity: self.activity.child_at(activity::Verbosity::Warn, ActivityKind::BuildWaiting, &text, &[]),
        });
    }

    /// Looks again at jobs that others have locked; those whose time has come go back to the schedule when the lock is
    /// free, or are done when the outputs are there.
    fn retry_locks<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        (tell, registrar): (&Sender<News>, &Sender<Word>),
        jobs: &mut HashMap<NodeId, ScopedJoinHandle<'scope, ()>>,
    ) where
        'a: 'scope,
    {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.next_try <= now);
        self.waiting = later;
        for mut waiting in due {
            let (id, class) = (waiting.id, waiting.class);
            let bound = self.schedule.bounds()[class as usize];
            // Without a place it is of no use to hold the lock.
            let admitted = self.schedule.has_place(class) && self.shared.places.take(class, bound).is_ok();
            if admitted {
                self.schedule.started(class);
            }
            if !admitted || self.begin(scope, (tell, registrar), jobs, (id, class)) {
                waiting.pause = (waiting.pause * 2).min(TICK);
                waiting.next_try = now + waiting.pause;
                self.waiting.push(waiting);
            }
        }
        self.admit_ready();
    }

    fn spawn<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        tell: &Sender<News>,
        (id, class): (NodeId, Class),
        job: Job,
        locks: PathLocks,
    ) -> ScopedJoinHandle<'scope, ()>
    where
        'a: 'scope,
    {
        let (shared, known) = (self.shared, self.known);
        let path = shared.store.store_dir().print(&job.path);
        let text = match job.mode {
            BuildMode::Normal => format!("building '{path}'"),
            BuildMode::Repair => format!("repairing outputs of '{path}'"),
            BuildMode::Check => format!("checking outputs of '{path}'"),
        };
        let fields = [Field::from(path), Field::from(""), Field::Int(1), Field::Int(1)];
        let activity = self.builds.with_token(self.token.clone()).child(ActivityKind::Build, &text, &fields);
        let tell = tell.clone();
        scope.spawn(move || {
            let site = Site { shared, known, activity: &activity, spent: Cell::default() };
            let work = std::panic::AssertUnwindSafe(|| local::build(&site, &job));
            // A panic is a fault of ours; it must not leave the loop waiting for ever.
            let run = || std::panic::catch_unwind(work).unwrap_or(Err(Error::Panicked));
            let (result, times) = Times::of(&shared.options.suspension, run);
            let times = Times { cpu: site.spent.get(), ..times };
            drop(activity);
            let _ = tell.send(News::Ended { id, class, result, locks, times });
        })
    }

    /// Copies an object from a substituter in a thread of its own.
    fn spawn_copy<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        tell: &Sender<News>,
        (id, class): (NodeId, Class),
        locks: PathLocks,
    ) -> ScopedJoinHandle<'scope, ()>
    where
        'a: 'scope,
    {
        let shared = self.shared;
        let path = self.plan.path(id).clone();
        let activity = self.activity.with_token(self.token.clone());
        let tell = tell.clone();
        scope.spawn(move || {
            let copy =
                std::panic::AssertUnwindSafe(|| shared.substituters.substitute(&activity, &shared.store, &path, false));
            let run = || std::panic::catch_unwind(copy).unwrap_or(Err(Error::Panicked));
            let (copied, times) = Times::of(&shared.options.suspension, run);
            let result = copied.map(|()| Made::nothing());
            let _ = tell.send(News::Ended { id, class, result, locks, times });
        })
    }

    /// An object came, or did not: what waits for it may be built instead.
    fn copied(&mut self, id: NodeId, result: Result<Made>) {
        match result {
            Ok(_) => self.plan.learned(Fact::Built(id)),
            Err(Error::Cancelled(Cancelled)) if self.stopped => {}
            Err(error) if error.class() == ErrorClass::Cancelled => self.stop(Some(error)),
            Err(error) => {
                let status = match error.class() {
                    ErrorClass::NotFound => BuildStatus::NoSubstituters,
                    _ => BuildStatus::TransientFailure,
                };
                self.plan.learned(Fact::Failed(id, status, error.to_string()));
            }
        }
    }

    fn ended(&mut self, id: NodeId, result: Result<Made>, locks: PathLocks, times: Times, registrar: &Sender<Word>) {
        if self.plan.is_object(id) {
            return self.copied(id, result);
        }
        self.times.insert(id, times);
        match result {
            Ok(made) => {
                self.counts.done += 1;
                if let Some(derivation) = self.plan.derivation(id).filter(|one| !builtin::is_fetch(one)) {
                    self.built
                        .push((derivation.name.clone(), (times.stop - times.start - times.frozen).unsigned_abs()));
                }
                let told = self.shared.options.hooks.post_build.is_some().then(|| Told {
                    drv: self.plan.path(id).clone(),
                    outputs: made.outputs.values().map(|info| info.path.clone()).collect(),
                });
                let outputs = made.outputs.iter().map(|(name, info)| (name.clone(), info.path.clone())).collect();
                self.known.add(made.outputs.into_iter().map(|(_, info)| info));
                let Made { fresh: infos, realisations, log, .. } = made;
                if !infos.is_empty() || !realisations.is_empty() || told.is_some() || log.is_some() {
                    let locks = std::iter::once(locks).chain(made.locks).collect();
                    self.hand_over(registrar, Finished { infos, realisations, locks, log, told });
                }
                self.plan.learned(Fact::Outputs(id, outputs));
                self.plan.learned(Fact::Built(id));
            }
            Err(Error::Build { status, message }) => self.failed(id, status, message),
            // Ended because another one failed.
            Err(Error::Cancelled(Cancelled)) if self.stopped => {}
            Err(error) => self.stop(Some(error)),
        }
    }

    /// Hands something to the registrar; what was handed over before is registered before.
    fn hand_over(&mut self, registrar: &Sender<Word>, finished: Finished) {
        // Once for the registration, once for the hook.
        let waits = 1 + usize::from(finished.told.is_some());
        self.unregistered += waits;
        if registrar.send(Word::Finished(finished)).is_err() {
            self.unregistered -= waits;
            self.stop(Some(Error::Panicked));
        }
    }

    /// Tells what was resolved, and hands over what became known of outputs.
    fn note_learned(&mut self, registrar: &Sender<Word>) {
        self.shared.tell_found(self.activity, self.plan);
        if self.plan.has_learned() {
            let realisations = self.shared.signed(self.plan.take_learned());
            self.hand_over(registrar, Finished { realisations, ..Finished::default() });
        }
    }

    fn report(&self) {
        let Counts { done, expected, failed } = self.counts;
        self.builds.progress(done, expected.max(done), self.schedule.running() as u64, failed);
    }
}

fn join(thread: ScopedJoinHandle<'_, ()>) {
    // Jobs catch their panics; nothing is to be learned here.
    let _ = thread.join();
}
