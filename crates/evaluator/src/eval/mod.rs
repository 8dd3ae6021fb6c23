//! The interpreter: nodes and environments to values.
//!
//! [`Eval`] is one evaluating thread: its arena, its depth, its scratch stack; what threads share is in [`Shared`].
//! [`Eval::eval`] walks one expression (`walk.rs`); [`Eval::force`] evaluates a thunk once. The call depth is counted as
//! C++ Nix counts it.
//!
//! Absent on purpose: files and the store (`World`), names (resolved by `compile`), text forms.

mod access;
mod call;
mod coerce;
mod compare;
mod counts;
mod expect;
mod forms;
mod helper;
mod import;
mod operators;
mod room;
mod select;
mod traced;
mod walk;

pub(crate) use access::Links;
pub(crate) use coerce::{Coerced, Coercion, fixed_float};
pub(crate) use import::{ImportScope, parent};
pub(crate) use operators::Arithmetic;

use crate::code::{Code, Sources};
use crate::compile::Compiler;
use crate::error::{ErrorKind, EvalError};
use crate::heap::{Arena, Mark, Region, RootId, RootSource, Roots, ValueStack};
use crate::options::EvalOptions;
use crate::parallel::{Crew, Foreman, OwnerId, Waits, Walk};
use crate::program::{NodeId, Symbol};
use crate::record::{Before, ReadSet, Tracker};
use crate::value::{
    AppendTable, AttrSet, Claim, ContextId, Contexts, Env, FailureId, List, Pos, Str, Symbols, Thunk, ThunkState,
    Value, sym,
};
use crate::world::World;
use activity::Activity;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What evaluation of any expression gives.
pub(crate) type Outcome = Result<Value, EvalError>;

/// What the evaluating threads of one evaluator share.
pub(crate) struct Shared {
    /// Everything outside.
    pub(crate) world: Arc<dyn World>,
    /// How to evaluate.
    pub(crate) options: EvalOptions,
    /// Names.
    pub(crate) symbols: Symbols,
    /// String contexts.
    pub(crate) contexts: Contexts,
    /// Values that outlive calls.
    pub(crate) roots: Mutex<Roots>,
    /// Texts.
    pub(crate) sources: Mutex<Sources>,
    /// Programs by number.
    codes: AppendTable<&'static Code>,
    /// Failures that thunks remember.
    failures: Mutex<Vec<(EvalError, ReadSet)>>,
    /// Files by path, evaluated or about to be.
    pub(crate) imports: Mutex<FxHashMap<Vec<u8>, Imported>>,
    /// Values made once.
    constants: OnceLock<Constants>,
    /// Paths copied to the store.
    pub(crate) copied: Mutex<FxHashMap<Vec<u8>, (store_model::StorePath, ReadSet)>>,
    /// Paths that restricted evaluation may read because it made them.
    pub(crate) allowed: Mutex<Vec<Vec<u8>>>,
    /// State of builtins that keep some (compiled patterns).
    pub(crate) caches: crate::builtins::Caches,
    /// Files that are being read.
    reading: import::Reading,
    /// One thread numbers a program at a time.
    linking: Mutex<()>,
    /// Threads that wait for thunks.
    pub(crate) waits: Waits<Thunk>,
    /// Threads that evaluate ahead.
    pub(crate) crew: Crew,
    /// What the deciding thread was told, for helpers.
    surroundings: Mutex<Surroundings>,
    /// The memory; last, because the rest points into it.
    pub(crate) region: Arc<Region>,
}

/// Values that are made once and never change.
#[derive(Clone, Copy)]
pub(crate) struct Constants {
    /// The base scope by number.
    pub(crate) globals: List,
    /// `[ ]`.
    pub(crate) empty_list: List,
    /// `{ }`.
    pub(crate) empty_set: AttrSet,
}

impl Constants {
    /// All but the base scope, which needs an evaluator.
    fn new(arena: &mut Arena) -> Constants {
        let (empty_list, empty_set) = (List::new(arena, &[]), AttrSet::empty(arena));
        Constants { globals: empty_list, empty_list, empty_set }
    }
}

/// What helpers take over from the deciding thread.
#[derive(Default)]
struct Surroundings {
    cancelled: Arc<AtomicBool>,
    token: activity::CancelToken,
    programs: Option<Arc<dyn crate::stored::ProgramCache>>,
    tracker: Option<Tracker>,
}

/// Locks a mutex; what it guards stays usable after a panic elsewhere.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RootSource for Shared {
    fn each_root(&self, visit: &mut dyn FnMut(Value)) {
        self.symbols.each_value(visit);
        (0..).map_while(|number| self.codes.get(number)).for_each(|code| code.each_root(visit));
        if let Some(Constants { globals, empty_list, empty_set }) = self.constants.get() {
            [(*globals).into(), (*empty_list).into(), (*empty_set).into()].into_iter().for_each(&mut *visit);
        }
        lock(&self.roots).each(visit);
    }
}

/// One evaluating thread.
pub(crate) struct Eval {
    /// What threads share.
    pub(crate) shared: Arc<Shared>,
    /// This thread's allocator.
    pub(crate) arena: Arena,
    /// Scratch.
    pub(crate) stack: ValueStack,
    /// Programs by number, as far as this thread has met them.
    codes: Vec<&'static Code>,
    /// Values made once.
    pub(crate) constants: Constants,
    /// Calls nested now.
    pub(crate) depth: u32,
    max_depth: u32,
    /// Bodies entered and not yet left, kept for traces if `show_trace`.
    entered: Vec<call::Entered>,
    show_trace: bool,
    /// Calls are counted.
    counting: bool,
    /// Calls and returns are said, with the time.
    /// Who watches calls, if somebody does.
    watch: Option<Box<traced::Watch>>,
    counts: counts::Counts,
    stack_limit: usize,
    /// Names that were not in a set, see [`select`].
    absent: select::Absent,
    owner: OwnerId,
    /// No other thread evaluates now.
    pub(crate) alone: bool,
    /// What a helper is at: it evaluates ahead, for another thread to find. None for the thread that decides.
    pub(crate) ahead: Option<Arc<Walk>>,
    /// Only of the thread that decides.
    _foreman: Option<Foreman>,
    /// Where strings are put together, empty.
    buffers: Vec<Vec<u8>>,
    /// Where derivations are printed.
    pub(crate) draft_buffers: store_model::derivation::DraftBuffers,
    /// What is being done, for messages and fetches.
    pub(crate) activity: Arc<Activity>,
    cancelled: Arc<AtomicBool>,
    /// Follows what is read, where somebody wants to know.
    pub(crate) tracker: Option<Box<Tracker>>,
    /// Keeps compiled files, where somebody does.
    pub(crate) programs: Option<Arc<dyn crate::stored::ProgramCache>>,
    /// What texts are compiled in.
    compiler: Option<Box<Compiler>>,
}

/// A file that was met.
#[derive(Clone, Copy)]
pub(crate) struct Imported {
    /// Its value.
    pub(crate) root: RootId,
    /// What was read to find and compile it.
    pub(crate) reads: ReadSet,
}

/// Who asks for a value, worked out only for the few who want to know: a node, or a place. Two words that stay in
/// registers, which an enum would not.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// That of the node; none if it is a place.
    code: Option<&'static Code>,
    /// The node or the place.
    number: u32,
}

impl Place {
    /// This node.
    #[inline(always)]
    pub(crate) fn node(code: &'static Code, id: NodeId) -> Place {
        Place { code: Some(code), number: id.0 }
    }

    /// This place.
    #[inline(always)]
    pub(crate) fn at(pos: Pos) -> Place {
        Place { code: None, number: pos.0 }
    }

    fn pos(self) -> Pos {
        match self.code {
            Some(code) => code.pos(NodeId(self.number)),
            None => Pos(self.number),
        }
    }
}

/// Where evaluation goes on after a call was set up.
pub(crate) enum Next {
    /// The result.
    Done(Value),
    /// The body of a function, and since when nothing was made but what belongs to the call.
    Enter(&'static Code, NodeId, Env, Mark),
}

impl Eval {
    /// The thread that decides, over a world, with the base scope set up.
    pub(crate) fn new(world: Arc<dyn World>, options: EvalOptions, activity: Activity) -> Eval {
        let region = Arc::new(Region::new(options.heap.clone()));
        let mut arena = Arena::new(region.clone());
        let symbols = Symbols::new(&mut arena);
        let crew = Crew::new(options.cores.max(1));
        let mut sources = Sources::default();
        crate::builtins::derivation::places::register(&mut sources);
        let shared = Arc::new(Shared {
            world,
            options,
            symbols,
            contexts: Contexts::default(),
            roots: Mutex::default(),
            sources: Mutex::new(sources),
            codes: AppendTable::default(),
            failures: Mutex::default(),
            imports: Mutex::default(),
            constants: OnceLock::new(),
            copied: Mutex::default(),
            allowed: Mutex::default(),
            caches: Default::default(),
            reading: Default::default(),
            linking: Mutex::default(),
            waits: Default::default(),
            crew,
            surroundings: Mutex::default(),
            region,
        });
        let roots: std::sync::Weak<Shared> = Arc::downgrade(&shared);
        shared.region.set_roots(roots);
        let constants = Constants::new(&mut arena);
        shared.region.stops().unblock();
        let mut eval = Eval::over(shared.clone(), arena, ValueStack::default(), constants, OwnerId(1));
        eval._foreman = Some(Foreman(shared));
        eval.set_activity(activity);
        eval.constants.globals = crate::builtins::base_scope(&mut eval);
        let _ = eval.shared.constants.set(eval.constants);
        eval
    }

    fn over(shared: Arc<Shared>, mut arena: Arena, stack: ValueStack, constants: Constants, owner: OwnerId) -> Eval {
        arena.watch(&stack);
        arena.empty = Some((constants.empty_list, constants.empty_set));
        let EvalOptions { max_call_depth, show_trace, counting, .. } = shared.options;
        let watch = traced::Watch::of(&shared.options);
        Eval {
            shared,
            arena,
            stack,
            codes: Vec::new(),
            constants,
            depth: 0,
            max_depth: max_call_depth,
            entered: Vec::new(),
            show_trace,
            counting,
            watch,
            counts: counts::Counts::default(),
            stack_limit: crate::os::stack_limit(),
            absent: select::Absent::default(),
            owner,
            alone: true,
            ahead: None,
            _foreman: None,
            buffers: Vec::new(),
            draft_buffers: Default::default(),
            activity: Arc::new(Activity::silent()),
            cancelled: Arc::default(),
            tracker: None,
            programs: None,
            compiler: None,
        }
    }

    /// Its number.
    pub(crate) fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Replaces the activity and its token.
    pub(crate) fn set_activity(&mut self, activity: Activity) {
        self.cancelled = activity.cancel_token().flag();
        let mut around = lock(&self.shared.surroundings);
        around.cancelled = self.cancelled.clone();
        around.token = activity.cancel_token().clone();
        self.activity = Arc::new(activity);
    }

    /// Follows what is read from now on.
    pub(crate) fn follow_reads(&mut self, tracker: Tracker) {
        lock(&self.shared.surroundings).tracker = Some(tracker.beside());
        self.tracker = Some(Box::new(tracker));
    }

    /// Takes compiled files from a cache and gives it those that it does not have.
    pub(crate) fn keep_programs(&mut self, cache: Arc<dyn crate::stored::ProgramCache>) {
        lock(&self.shared.surroundings).programs = Some(cache.clone());
        self.programs = Some(cache);
    }

    /// Takes note of the thread it runs on; called at each entry from outside.
    pub(crate) fn enter_thread(&mut self) {
        self.stack_limit = crate::os::stack_limit();
        self.arena.enter_thread(crate::os::stack_top());
    }

    /// The number of a name.
    pub(crate) fn intern(&mut self, name: &[u8]) -> Symbol {
        self.shared.symbols.intern(&mut self.arena, name)
    }

    /// The number of a string's text.
    #[inline]
    pub(crate) fn symbol_of(&mut self, string: Str) -> Symbol {
        self.shared.symbols.of(&mut self.arena, string)
    }

    /// A string value.
    pub(crate) fn string(&mut self, bytes: &[u8]) -> Value {
        self.string_with(bytes, ContextId::NONE).into()
    }

    /// A string with a context; the empty one, which is made all the time, takes no memory.
    pub(crate) fn string_with(&mut self, bytes: &[u8], context: ContextId) -> Str {
        match (bytes, context) {
            (b"", ContextId::NONE) => self.shared.symbols.string(sym::EMPTY),
            (bytes, context) => Str::new(&mut self.arena, bytes, context),
        }
    }

    /// Registers a program made with its number.
    pub(crate) fn add_code(&mut self, make: impl FnOnce(u32) -> Code) -> &'static Code {
        let _one = lock(&self.shared.linking);
        let code = self.shared.region.pin(make(self.shared.codes.len()));
        let number = self.shared.codes.push(code);
        debug_assert_eq!(number, code.number, "one thread links at a time");
        code
    }

    /// The program with this number.
    #[inline(always)]
    pub(crate) fn code(&mut self, number: u32) -> &'static Code {
        match self.codes.get(number as usize) {
            Some(code) => code,
            None => self.meet_codes(number),
        }
    }

    #[cold]
    fn meet_codes(&mut self, number: u32) -> &'static Code {
        while let Some(code) = self.shared.codes.get(self.codes.len() as u32) {
            self.codes.push(code);
        }
        self.codes[number as usize]
    }

    /// The value itself, evaluated to its outermost form.
    #[inline(always)]
    pub(crate) fn force(&mut self, value: Value) -> Outcome {
        match value.as_thunk() {
            None => Ok(value),
            Some(thunk) => match thunk.done() {
                Some(value) => Ok(value),
                None => self.force_thunk(thunk),
            },
        }
    }

    /// The same; if it is a call not made yet, this is the place that traces name as its site.
    #[inline(always)]
    pub(crate) fn force_at(&mut self, value: Value, pos: Pos) -> Outcome {
        self.force_from(value, Place::at(pos))
    }

    /// The same.
    #[inline(always)]
    pub(crate) fn force_from(&mut self, value: Value, place: Place) -> Outcome {
        match value.as_thunk() {
            None => Ok(value),
            Some(thunk) => match thunk.done() {
                Some(value) => Ok(value),
                None => self.force_thunk_at(thunk, place),
            },
        }
    }

    /// The place that a value itself knows: a function's, a function's that waits to be called.
    pub(crate) fn pos_of_value(&mut self, value: Value) -> Pos {
        let mut value = value;
        loop {
            if let Some(lambda) = value.as_lambda() {
                if lambda.is_unseen() {
                    return Pos::NONE;
                }
                let (code, index) = lambda.code();
                let code = self.code(code);
                return code.pos_of(code.lambdas[index as usize].offset);
            }
            let Some(thunk) = value.as_thunk() else { return Pos::NONE };
            match thunk.evaluated().or_else(|| thunk.waiting_function()) {
                Some(next) => value = next,
                None => return Pos::NONE,
            }
        }
    }

    /// Evaluates a thunk that is not done.
    #[inline(always)]
    pub(crate) fn force_thunk(&mut self, thunk: Thunk) -> Outcome {
        self.force_thunk_at(thunk, Place::at(Pos::NONE))
    }

    /// The same for who evaluates it at a known place.
    #[inline(never)]
    pub(crate) fn force_thunk_at(&mut self, thunk: Thunk, place: Place) -> Outcome {
        self.check_stack()?;
        let (claim, claimed) = match thunk.claim(self.owner, self.alone) {
            Ok(claim) => claim,
            Err(ThunkState::Done(value)) => return Ok(value),
            Err(ThunkState::Witnessed(value, reads)) => {
                self.meet(reads);
                return Ok(value);
            }
            Err(ThunkState::Failed(failure)) => return Err(self.failure(failure)),
            // Whoever evaluates it is below us on this very stack.
            Err(ThunkState::Running(owner)) if owner == self.owner => {
                // C++ Nix makes the call anew: only an expression in the circle, or its depth, ends it.
                if let Some(call) = thunk.running_call() {
                    return self.make_call(call, place);
                }
                return Err(EvalError::new(ErrorKind::InfiniteRecursion, "infinite recursion encountered"));
            }
            Err(ThunkState::Running(_)) => {
                self.wait_for(thunk)?;
                return self.force_thunk_at(thunk, place);
            }
            Err(ThunkState::Suspended) => return self.force_thunk_at(thunk, place),
        };
        // On unwinding the thunk must not stay claimed.
        let mut guard = Restore { thunk, claimed };
        let before = self.begin_work();
        let outcome = match claim {
            Claim::Expression { code, node, env } => {
                let code = self.code(code);
                self.node(code, NodeId(node), env)
            }
            Claim::Call(mut call) => {
                if let Some(name) = call.name
                    && !self.takes_both(call.function)
                {
                    let name = self.shared.symbols.value(name);
                    (call, guard.claimed) = thunk.split_call(&mut self.arena, call, name, claimed);
                }
                self.make_call(call, place)
            }
        };
        let claimed = guard.claimed;
        std::mem::forget(guard);
        let reads = self.end_work(before);
        match outcome {
            Ok(value) => {
                debug_assert!(!value.is_thunk(), "evaluation gives no thunk");
                let waited = if reads == ReadSet::NONE {
                    thunk.finish(value, claimed, self.alone)
                } else {
                    thunk.finish_witnessed(value, claimed, reads, self.alone)
                };
                if waited {
                    self.shared.waits.wake();
                }
                Ok(value)
            }
            Err(error) => {
                self.fail_thunk(thunk, claimed, &error, reads);
                Err(error)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn fail_thunk(&mut self, thunk: Thunk, claimed: u64, error: &EvalError, reads: ReadSet) {
        let waited = if self.ahead.is_some() || error.kind().is_passing() {
            thunk.restore(claimed, self.alone)
        } else {
            let mut failures = lock(&self.shared.failures);
            failures.push((error.clone(), reads));
            thunk.fail(FailureId((failures.len() - 1) as u32), claimed, self.alone)
        };
        if waited {
            self.shared.waits.wake();
        }
    }

    /// Whether this very thread evaluates a thunk.
    pub(crate) fn is_running(&self, thunk: Thunk) -> bool {
        matches!(thunk.state(), ThunkState::Running(owner) if owner == self.owner)
    }

    #[cold]
    fn failure(&mut self, failure: FailureId) -> EvalError {
        let (error, reads) = {
            let failures = lock(&self.shared.failures);
            let (error, reads) = &failures[failure.0 as usize];
            (error.again(), *reads)
        };
        self.meet(reads);
        error
    }

    /// The present work depends on these reads too.
    #[inline]
    pub(crate) fn meet(&mut self, reads: ReadSet) {
        if let Some(tracker) = &mut self.tracker {
            tracker.meet(reads);
        }
    }

    /// Does a piece of work; tells what was read for it.
    pub(crate) fn witness<T>(&mut self, work: impl FnOnce(&mut Eval) -> T) -> (T, ReadSet) {
        let before = self.begin_work();
        let result = work(self);
        let reads = self.end_work(before);
        (result, reads)
    }

    /// Begins a piece of work of which somebody may want to know what was read for it.
    #[inline(always)]
    pub(crate) fn begin_work(&mut self) -> Option<Before> {
        self.tracker.as_mut().map(|tracker| tracker.begin())
    }

    /// Ends it; tells what was read.
    #[inline(always)]
    pub(crate) fn end_work(&mut self, before: Option<Before>) -> ReadSet {
        match (before, &mut self.tracker) {
            (Some(before), Some(tracker)) => tracker.end(before),
            _ => ReadSet::NONE,
        }
    }

    /// Whether the evaluated form may stand in the place of a value that was forced: not if looking at it counts as
    /// having read something.
    #[inline(always)]
    pub(crate) fn may_replace(&self, value: Value) -> bool {
        value.as_thunk().is_none_or(|thunk| thunk.done().is_some())
    }

    /// Fails when the native stack is nearly used up.
    #[inline(always)]
    pub(crate) fn check_stack(&self) -> Result<(), EvalError> {
        let here = 0u8;
        if (std::ptr::from_ref(&here) as usize) < self.stack_limit { Err(stack_overflow()) } else { Ok(()) }
    }

    /// Fails where one more level would be too deep, for what takes none of its own.
    #[inline(always)]
    pub(crate) fn check_depth(&self, pos: Pos) -> Result<(), EvalError> {
        if self.depth > self.max_depth { Err(stack_overflow().at(pos)) } else { Ok(()) }
    }

    /// Counts one more nested call. The caller restores `depth`.
    #[inline(always)]
    pub(crate) fn enter_call(&mut self) -> Result<(), EvalError> {
        if self.depth > self.max_depth {
            return Err(stack_overflow());
        }
        self.poll()?;
        self.depth += 1;
        self.check_stack()
    }

    /// Counts one more level during `work`.
    pub(crate) fn deeper<T>(&mut self, work: impl FnOnce(&mut Eval) -> Result<T, EvalError>) -> Result<T, EvalError> {
        let depth = self.depth;
        let result = self.enter_call().and_then(|()| work(self));
        self.depth = depth;
        result
    }

    /// The same; a failure to go deeper names this place.
    pub(crate) fn deeper_at<T>(
        &mut self,
        pos: Pos,
        work: impl FnOnce(&mut Eval) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let depth = self.depth;
        let result = self.enter_call().map_err(|error| error.at(pos)).and_then(|()| work(self));
        self.depth = depth;
        result
    }

    /// Fails when the user asked to stop or the heap is full; for loops that make no calls.
    #[inline(always)]
    pub(crate) fn poll(&mut self) -> Result<(), EvalError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(cancelled());
        }
        if self.arena.attention() != 0 {
            return self.attend();
        }
        Ok(())
    }
}

/// Restores a claimed thunk when evaluation unwinds.
struct Restore {
    thunk: Thunk,
    claimed: u64,
}

impl Drop for Restore {
    fn drop(&mut self) {
        // Who waits is woken by whoever catches the panic.
        self.thunk.restore(self.claimed, false);
    }
}

#[cold]
#[inline(never)]
fn place_recursion(error: EvalError, code: &Code, id: NodeId) -> EvalError {
    if matches!(error.kind(), ErrorKind::InfiniteRecursion) && error.pos() == Pos::NONE {
        return error.at(code.pos(id));
    }
    error
}

#[cold]
fn stack_overflow() -> EvalError {
    EvalError::new(ErrorKind::StackOverflow, "stack overflow; max-call-depth exceeded")
}

#[cold]
fn cancelled() -> EvalError {
    EvalError::new(ErrorKind::Cancelled, "interrupted by the user")
}
