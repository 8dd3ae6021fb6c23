//! The one diagnostic shape: kind, words, place, trace, suggestions.
//!
//! An [`EvalError`] is one pointer, so `Result<Value, EvalError>` fits two registers. Behind it stand an immutable record and
//! the trace frames, which grow on the way out. Thunks remember the very same failure, with all the frames that it got
//! until somebody caught it, as C++ Nix does; who meets it again goes on with a copy. Values shown in the words were rendered to bounded text when the error was made. Places are 32-bit numbers
//! until somebody wants to read them: [`Evaluator::report`](crate::Evaluator::report) turns an error into an
//! [`ErrorReport`] with files, lines and columns, which `cli` renders.
//!
//! Absent on purpose: colours, layout, exit codes.

use crate::value::Pos;
use crate::world::{WorldError, WorldErrorClass};
use std::borrow::Cow;
use std::sync::{Arc, Mutex};

/// What went wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `throw`.
    Throw,
    /// A failed `assert`.
    Assertion,
    /// `abort`.
    Abort,
    /// A value of the wrong type.
    Type,
    /// A missing attribute, a bad argument, overflow and the like.
    Eval,
    /// A name that nothing defines.
    UndefinedVariable,
    /// Text that is no expression.
    Syntax,
    /// A function called from the command line lacks an argument.
    MissingArgument,
    /// An attribute path from the command line leads nowhere.
    AttributePath,
    /// A value needs itself.
    InfiniteRecursion,
    /// Calls nest too deep.
    StackOverflow,
    /// More values are in use than `max-heap` allows.
    OutOfMemory,
    /// Pure or restricted evaluation forbids it.
    Restricted,
    /// The user asked to stop.
    Cancelled,
    /// An argument that names no known thing (a hash algorithm); C++ Nix then points to its help.
    Usage,
    /// Something outside failed.
    World(WorldError),
}

impl ErrorKind {
    /// Whether `tryEval` catches it.
    pub fn is_catchable(&self) -> bool {
        matches!(self, ErrorKind::Throw | ErrorKind::Assertion)
    }

    /// Whether the failure belongs to the attempt, not to the value, so that it is not memoised.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            ErrorKind::Cancelled => true,
            ErrorKind::World(error) => matches!(error.class, WorldErrorClass::Cancelled | WorldErrorClass::Transient),
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
struct Record {
    kind: ErrorKind,
    message: String,
    pos: Pos,
    suggestions: Vec<String>,
}

#[derive(Clone, Debug)]
struct Frame {
    text: Cow<'static, str>,
    pos: Pos,
    always: bool,
}

#[derive(Debug)]
struct Failure {
    record: Record,
    /// Innermost first.
    frames: Mutex<Vec<Frame>>,
}

/// A failed evaluation.
#[derive(Clone, Debug)]
pub struct EvalError(Arc<Failure>);

impl EvalError {
    /// An error without a place.
    #[cold]
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> EvalError {
        EvalError::record(Record { kind, message: message.into(), pos: Pos::NONE, suggestions: Vec::new() })
    }

    fn record(record: Record) -> EvalError {
        EvalError(Arc::new(Failure { record, frames: Mutex::default() }))
    }

    /// A type error.
    #[cold]
    pub(crate) fn type_error(message: impl Into<String>) -> EvalError {
        EvalError::new(ErrorKind::Type, message)
    }

    /// A plain evaluation error.
    #[cold]
    pub(crate) fn eval(message: impl Into<String>) -> EvalError {
        EvalError::new(ErrorKind::Eval, message)
    }

    /// Changes what is not shared yet.
    fn change(mut self, change: impl FnOnce(&mut Record)) -> EvalError {
        if let Some(failure) = Arc::get_mut(&mut self.0) {
            change(&mut failure.record);
        }
        self
    }

    /// The place of a new error.
    #[cold]
    pub(crate) fn at(self, pos: Pos) -> EvalError {
        self.change(|record| record.pos = pos)
    }

    /// Likely names, best first, for a new error.
    #[cold]
    pub(crate) fn with_suggestions(self, suggestions: Vec<String>) -> EvalError {
        self.change(|record| record.suggestions = suggestions)
    }

    /// Puts a trace frame in front, also for those who remember this failure.
    #[cold]
    #[inline(never)]
    pub(crate) fn trace(self, pos: Pos, text: impl Into<Cow<'static, str>>) -> EvalError {
        self.add(Frame { text: text.into(), pos, always: false })
    }

    /// The same with what the caller was doing.
    pub fn while_doing(self, text: String) -> EvalError {
        self.trace(Pos::NONE, text)
    }

    /// Puts a trace frame in front that also a shortened trace shows.
    #[cold]
    pub(crate) fn trace_always(self, text: String) -> EvalError {
        self.add(Frame { text: text.into(), pos: Pos::NONE, always: true })
    }

    fn add(self, frame: Frame) -> EvalError {
        crate::eval::lock(&self.0.frames).push(frame);
        self
    }

    /// The same failure met anew: what is traced from here on is its own.
    #[cold]
    pub(crate) fn again(&self) -> EvalError {
        let frames = Mutex::new(crate::eval::lock(&self.0.frames).clone());
        EvalError(Arc::new(Failure { record: self.0.record.clone(), frames }))
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.record.kind
    }

    /// The words, without place and trace.
    pub fn message(&self) -> &str {
        &self.0.record.message
    }

    pub(crate) fn pos(&self) -> Pos {
        self.0.record.pos
    }

    pub(crate) fn suggestions(&self) -> &[String] {
        &self.0.record.suggestions
    }

    /// The trace frames, outermost first: words, place, whether shortened traces show it.
    pub(crate) fn frames(&self) -> Vec<(Cow<'static, str>, Pos, bool)> {
        let frames = crate::eval::lock(&self.0.frames);
        frames.iter().rev().map(|frame| (frame.text.clone(), frame.pos, frame.always)).collect()
    }

    /// Whether the user asked to stop.
    pub fn is_cancelled(&self) -> bool {
        match self.kind() {
            ErrorKind::Cancelled => true,
            ErrorKind::World(error) => error.class == WorldErrorClass::Cancelled,
            _ => false,
        }
    }
}

impl std::fmt::Display for EvalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for EvalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            ErrorKind::World(error) => Some(error),
            _ => None,
        }
    }
}

impl From<WorldError> for EvalError {
    #[cold]
    fn from(error: WorldError) -> EvalError {
        let (message, trace) = (error.message.clone(), error.trace.clone());
        let inner = EvalError::new(ErrorKind::World(error), message);
        trace.into_iter().rev().fold(inner, |inner, line| inner.trace(Pos::NONE, line))
    }
}

/// Where a text came from.
pub use syntax::Origin;

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which text.
    pub origin: Origin,
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// The line before, the line itself, the line after, as far as they exist.
    pub source: [Option<String>; 3],
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.origin, self.line, self.column)
    }
}

/// One step on the way to an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceFrame {
    /// "while evaluating …".
    pub text: String,
    /// Where, if known.
    pub position: Option<Position>,
    /// Shown also where a trace is shortened.
    pub always: bool,
}

/// An error made readable.
#[derive(Clone, Debug)]
pub struct ErrorReport {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The words.
    pub message: String,
    /// Where.
    pub position: Option<Position>,
    /// How evaluation got there, outermost first.
    pub trace: Vec<TraceFrame>,
    /// Names that may have been meant, best first.
    pub suggestions: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_failure_has_the_frames_of_its_first_way_out() {
        let first = EvalError::eval("nope");
        let remembered = first.clone();
        let first = first.trace(Pos::NONE, "inner").trace(Pos::NONE, "outer");
        let texts = |error: &EvalError| error.frames().iter().map(|frame| frame.0.to_string()).collect::<Vec<_>>();
        assert_eq!(texts(&first), ["outer", "inner"]);
        let second = remembered.again().trace(Pos::NONE, "later");
        assert_eq!(texts(&second), ["later", "outer", "inner"]);
        assert_eq!(texts(&remembered), ["outer", "inner"]);
    }

    #[test]
    fn one_word() {
        assert_eq!(size_of::<Option<EvalError>>(), 8);
        assert_eq!(size_of::<Result<crate::value::Value, EvalError>>(), 16);
    }
}
