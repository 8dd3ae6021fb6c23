//! Thunks: a state word and a payload.
//!
//! `Suspended` (an expression) or `SuspendedCall` → `Running(owner)` by compare-exchange: the winner evaluates → `Done`
//! or `Failed`. The payload is written before the state that announces it is stored with release order; readers load
//! the state with acquire order. A claim that ends in neither way (cancellation, a panic, work done ahead that fails) is
//! undone: the payload of the suspended form was never overwritten, so storing the old state restores it.
//!
//! Absent on purpose: how several threads meet at a state word (`parallel/`).

use super::{AtomicU64, Env, NonNull, NonZeroU64, Ordering, TAG_THUNK, Value};
use crate::heap::{Arena, KIND_BITS, KIND_MASK, Kind, WITNESSED};
use crate::parallel::{OwnerId, StateWord, claims};
use crate::program::Symbol;
use crate::record::ReadSet;

/// Bit of the state word: the object has three words.
const WIDE: u64 = 1 << KIND_BITS;
/// Bit of the state word of a call, and of one that is being made: a name comes before the argument, the symbol in the
/// upper half. Once it has ended it means [`WITNESSED`].
const NAMED: u64 = 1 << (KIND_BITS + 1);
/// The name of a call, and that it has one.
const NAME: u64 = NAMED | 0xffff_ffff << 32;

/// Number of a memoised failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FailureId(pub(crate) u32);

/// A value to be computed at most once.
#[derive(Clone, Copy)]
pub(crate) struct Thunk(NonNull<u64>);

// SAFETY: an address in the shared heap; what lies there is immutable or atomic.
unsafe impl Send for Thunk {}
// SAFETY: as above.
unsafe impl Sync for Thunk {}

impl From<Thunk> for Value {
    #[inline(always)]
    fn from(thunk: Thunk) -> Value {
        Value::tagged(thunk.0, TAG_THUNK)
    }
}

/// How far it is.
#[derive(Clone, Copy)]
pub(crate) enum ThunkState {
    /// Not evaluated (claim it to find out what it is).
    Suspended,
    /// Being evaluated.
    Running(OwnerId),
    /// Evaluated.
    Done(Value),
    /// Evaluated, by reading these things.
    Witnessed(Value, ReadSet),
    /// Failed before.
    Failed(FailureId),
}

/// What the winner of a claim has to do. Exactly one of the `Thunk` methods `finish`, `fail` and `restore` ends it; each
/// tells whether others wait for that, and takes a promise that none do.
#[derive(Clone, Copy)]
pub(crate) enum Claim {
    /// Evaluate node `node` of code number `code` in `env`.
    Expression {
        /// Code number.
        code: u32,
        /// Node.
        node: u32,
        /// Environment.
        env: Env,
    },
    /// Make a call.
    Call(Call),
}

/// A call that waits.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// The function.
    pub(crate) function: Value,
    /// A name that it takes first.
    pub(crate) name: Option<Symbol>,
    /// The argument, or what the result for the name takes.
    pub(crate) argument: Value,
}

impl Thunk {
    /// # Safety
    /// `object` must be a thunk object.
    #[inline(always)]
    pub(super) unsafe fn from_object(object: NonNull<u64>) -> Thunk {
        Thunk(object)
    }

    /// Node `node` of code number `code`, to be evaluated in `env`.
    #[inline(always)]
    pub(crate) fn expression(arena: &mut Arena, code: u32, node: u32, env: Env) -> Thunk {
        let object = arena.allocate(2);
        // SAFETY: two words were just allocated; nobody else knows them.
        unsafe {
            object.write(Kind::Suspended as u64 | u64::from(code) << KIND_BITS | u64::from(node) << 32);
            object.add(1).write(env.address());
        }
        Thunk(object)
    }

    /// The call of `function` with `argument`.
    #[inline(always)]
    pub(crate) fn call(arena: &mut Arena, function: Value, argument: Value) -> Thunk {
        let object = arena.allocate(3);
        // SAFETY: three words were just allocated; nobody else knows them.
        unsafe {
            object.write(Kind::SuspendedCall as u64 | WIDE);
            object.add(1).write(function.word());
            object.add(2).write(argument.word());
        }
        Thunk(object)
    }

    /// The call of what `function` gives for a name with `argument`: the one call takes the place of two, and the name is
    /// made a value only then.
    #[inline(always)]
    pub(crate) fn named_call(arena: &mut Arena, function: Value, name: Symbol, argument: Value) -> Thunk {
        let object = arena.allocate(3);
        // SAFETY: three words were just allocated; nobody else knows them.
        unsafe {
            object.write(Kind::SuspendedCall as u64 | WIDE | NAMED | u64::from(name.0) << 32);
            object.add(1).write(function.word());
            object.add(2).write(argument.word());
        }
        Thunk(object)
    }

    /// A value that counts as read from somewhere when it is looked at.
    pub(crate) fn witnessed(arena: &mut Arena, value: Value, reads: ReadSet) -> Thunk {
        let object = arena.allocate(2);
        // SAFETY: two words were just allocated; nobody else knows them.
        unsafe {
            object.write(Kind::Failed as u64 | WITNESSED | u64::from(reads.0) << 32);
            object.add(1).write(value.word());
        }
        Thunk(object)
    }

    #[inline(always)]
    fn state_word(self) -> &'static AtomicU64 {
        // SAFETY: the first word of a thunk is accessed only through this atomic.
        unsafe { self.0.cast().as_ref() }
    }

    #[inline(always)]
    fn payload(self) -> &'static AtomicU64 {
        // SAFETY: the second word of a thunk is accessed only through this atomic.
        unsafe { self.0.add(1).cast().as_ref() }
    }

    /// The value, if it is evaluated: for code that shows values without working on them.
    pub(crate) fn evaluated(self) -> Option<Value> {
        match self.state() {
            ThunkState::Done(value) | ThunkState::Witnessed(value, _) => Some(value),
            _ => None,
        }
    }

    /// The value, if it is evaluated and nothing need be taken note of; then it may stand in the thunk's place.
    #[inline(always)]
    pub(crate) fn done(self) -> Option<Value> {
        if self.state_word().load(Ordering::Acquire) & KIND_MASK != Kind::Done as u64 {
            return None;
        }
        self.value()
    }

    #[inline(always)]
    fn value(self) -> Option<Value> {
        let word = self.payload().load(Ordering::Relaxed);
        debug_assert!(word != 0);
        // SAFETY: the payload of a finished thunk is a value, which is never zero.
        Some(Value(unsafe { NonZeroU64::new_unchecked(word) }))
    }

    /// How far it is.
    pub(crate) fn state(self) -> ThunkState {
        let state = self.state_word().load(Ordering::Acquire);
        let kind = state & KIND_MASK;
        if kind == Kind::Done as u64
            && let Some(value) = self.value()
        {
            return ThunkState::Done(value);
        }
        if let Some(owner) = claims::owner_of(state) {
            return ThunkState::Running(owner);
        }
        if kind == Kind::Failed as u64 {
            if state & WITNESSED != 0
                && let Some(value) = self.value()
            {
                return ThunkState::Witnessed(value, ReadSet((state >> 32) as u32));
            }
            return ThunkState::Failed(FailureId(self.payload().load(Ordering::Relaxed) as u32));
        }
        ThunkState::Suspended
    }

    /// The function of a call that was not made yet.
    pub(crate) fn waiting_function(self) -> Option<Value> {
        let payload = self.payload().load(Ordering::Acquire);
        let state = self.state_word().load(Ordering::Acquire);
        // While the state says so the payload is the function; it is replaced only after a claim changed the state.
        if state & KIND_MASK != Kind::SuspendedCall as u64 {
            return None;
        }
        NonZeroU64::new(payload).map(Value)
    }

    /// The call that is being made for a thunk which its caller itself evaluates, if it is one.
    pub(crate) fn running_call(self) -> Option<Call> {
        let state = self.state_word().load(Ordering::Acquire);
        // SAFETY: it is a call, and its words are those that were written first until its one owner, the caller, ends it.
        (state & WIDE != 0).then(|| unsafe { self.call_of(state) })
    }

    /// # Safety
    /// `state` must be the word of a call that waits, or was taken by the caller and not ended.
    #[inline(always)]
    unsafe fn call_of(self, state: u64) -> Call {
        // SAFETY: so both words of the call are still those that were written as values, which are never zero.
        unsafe {
            Call {
                function: Value(NonZeroU64::new_unchecked(self.payload().load(Ordering::Relaxed))),
                name: (state & NAMED != 0).then_some(Symbol((state >> 32) as u32)),
                argument: Value(NonZeroU64::new_unchecked(self.0.add(2).read())),
            }
        }
    }

    /// Makes two calls of one that the caller has claimed: the function for `name`, the text of its name, becomes a thunk of
    /// its own, which is evaluated once. Gives the call that is left, and the word for `restore`.
    #[cold]
    pub(crate) fn split_call(self, arena: &mut Arena, call: Call, name: Value, claimed: u64) -> (Call, u64) {
        let function: Value = Thunk::call(arena, call.function, name).into();
        self.payload().store(function.word(), Ordering::Release);
        // Others may say at any time that they wait.
        self.state_word().fetch_and(!NAME, Ordering::AcqRel);
        (Call { function, name: None, ..call }, claimed & !NAME)
    }

    /// Takes the thunk to evaluate it as `owner`; gives the work and the word for `restore`, or how far it is already.
    /// `alone` says that no other thread evaluates: then nothing can come between looking and taking, and the exchange,
    /// which costs as much as all the rest of a short evaluation, is left out.
    #[inline(always)]
    pub(crate) fn claim(self, owner: OwnerId, alone: bool) -> Result<(Claim, u64), ThunkState> {
        let state = self.state_word().load(Ordering::Acquire);
        let kind = state & KIND_MASK;
        if kind != Kind::Suspended as u64 && kind != Kind::SuspendedCall as u64 {
            return Err(self.state());
        }
        let of_call = if kind == Kind::SuspendedCall as u64 { state & (WIDE | NAME) } else { 0 };
        if !claims::claim(&self, state, of_call, owner, alone) {
            return Err(self.state());
        }
        // SAFETY: the old state says what the payload is, and only the claimant touches it now.
        let claim = unsafe {
            if of_call == 0 {
                Claim::Expression {
                    code: (state as u32) >> KIND_BITS,
                    node: (state >> 32) as u32,
                    env: Env::from_address(self.payload().load(Ordering::Relaxed)),
                }
            } else {
                Claim::Call(self.call_of(state))
            }
        };
        Ok((claim, state))
    }

    /// Ends a claim with a value.
    #[inline(always)]
    pub(crate) fn finish(self, value: Value, claimed: u64, alone: bool) -> bool {
        // Released for `waiting_function`, which takes the payload before the state.
        self.payload().store(value.word(), Ordering::Release);
        claims::end(&self, Kind::Done as u64 | Self::width(claimed), alone)
    }

    /// Ends a claim with a value that depends on what was read.
    pub(crate) fn finish_witnessed(self, value: Value, claimed: u64, reads: ReadSet, alone: bool) -> bool {
        self.payload().store(value.word(), Ordering::Release);
        let state = Kind::Failed as u64 | WITNESSED | u64::from(reads.0) << 32;
        claims::end(&self, state | Self::width(claimed), alone)
    }

    /// Ends a claim with a failure that stays.
    pub(crate) fn fail(self, failure: FailureId, claimed: u64, alone: bool) -> bool {
        self.payload().store(u64::from(failure.0), Ordering::Release);
        claims::end(&self, Kind::Failed as u64 | Self::width(claimed), alone)
    }

    /// Undoes a claim.
    pub(crate) fn restore(self, claimed: u64, alone: bool) -> bool {
        claims::end(&self, claimed, alone)
    }

    #[inline(always)]
    fn width(claimed: u64) -> u64 {
        if claimed & KIND_MASK == Kind::SuspendedCall as u64 { WIDE } else { 0 }
    }
}

impl StateWord for Thunk {
    #[inline(always)]
    fn load(&self) -> u64 {
        self.state_word().load(Ordering::Acquire)
    }

    #[inline(always)]
    fn exchange(&self, old: u64, new: u64) -> bool {
        self.state_word().compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    #[inline(always)]
    fn swap(&self, new: u64) -> u64 {
        self.state_word().swap(new, Ordering::AcqRel)
    }

    #[inline(always)]
    fn store(&self, new: u64) {
        self.state_word().store(new, Ordering::Release);
    }
}
