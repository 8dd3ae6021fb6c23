//! The one diagnostic shape: kind, words, place, trace, suggestions.
//!
//! An [`EvalError`] is one pointer. Behind it stands an immutable record, in front of which each level on the way out may
//! put a trace frame, so `Result<Value, EvalError>` fits two registers and a memoised failure is shared by all who meet
//! it. Values shown in the words were rendered to bounded text when the error was made. Places are 32-bit numbers
//! until somebody wants to read them: [`Evaluator::report`](crate::Evaluator::report) turns an error into an
//! [`ErrorReport`] with files, lines and columns, which `cli` renders.
//!
//! Absent on purpose: colours, layout, exit codes.

use crate::value::Pos;
use crate::world::{WorldError, WorldErrorClass};
use std::borrow::Cow;
use std::sync::Arc;

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

#[derive(Debug)]
struct Record {
    kind: ErrorKind,
    message: String,
    pos: Pos,
    suggestions: Vec<String>,
}

#[derive(Debug)]
enum Node {
    Origin(Box<Record>),
    Frame { text: Cow<'static, str>, pos: Pos, always: bool, inner: Option<EvalError> },
}

/// A failed evaluation.
#[derive(Clone, Debug)]
pub struct EvalError(Arc<Node>);

impl EvalError {
    /// An error without a place.
    #[cold]
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> EvalError {
        EvalError::record(Record { kind, message: message.into(), pos: Pos::NONE, suggestions: Vec::new() })
    }

    fn record(record: Record) -> EvalError {
        EvalError(Arc::new(Node::Origin(Box::new(record))))
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

    fn change(mut self, change: impl FnOnce(&mut Record)) -> EvalError {
        if let Some(Node::Origin(record)) = Arc::get_mut(&mut self.0) {
            change(record);
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

    /// Puts a trace frame in front.
    #[cold]
    #[inline(never)]
    pub(crate) fn trace(self, pos: Pos, text: impl Into<Cow<'static, str>>) -> EvalError {
        EvalError(Arc::new(Node::Frame { text: text.into(), pos, always: false, inner: Some(self) }))
    }

    /// Puts a trace frame in front that also a shortened trace shows.
    #[cold]
    pub(crate) fn trace_always(self, text: String) -> EvalError {
        EvalError(Arc::new(Node::Frame { text: text.into(), pos: Pos::NONE, always: true, inner: Some(self) }))
    }

    fn origin(&self) -> &Record {
        let mut node = &*self.0;
        loop {
            match node {
                Node::Origin(record) => return record,
                Node::Frame { inner: Some(inner), .. } => node = &inner.0,
                Node::Frame { inner: None, .. } => {
                    unreachable!("a frame loses its inner error only while it is dropped")
                }
            }
        }
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.origin().kind
    }

    /// The words, without place and trace.
    pub fn message(&self) -> &str {
        &self.origin().message
    }

    pub(crate) fn pos(&self) -> Pos {
        self.origin().pos
    }

    pub(crate) fn suggestions(&self) -> &[String] {
        &self.origin().suggestions
    }

    /// The trace frames, outermost first: words, place, whether shortened traces show it.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (&str, Pos, bool)> {
        let mut node = Some(&*self.0);
        std::iter::from_fn(move || match node? {
            Node::Origin(_) => None,
            Node::Frame { text, pos, always, inner } => {
                node = inner.as_ref().map(|inner| &*inner.0);
                Some((&**text, *pos, *always))
            }
        })
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

impl Drop for EvalError {
    fn drop(&mut self) {
        // A long trace would otherwise be dropped by as deep a recursion.
        let mut next = match Arc::get_mut(&mut self.0) {
            Some(Node::Frame { inner, .. }) => inner.take(),
            _ => None,
        };
        while let Some(mut error) = next {
            next = match Arc::get_mut(&mut error.0) {
                Some(Node::Frame { inner, .. }) => inner.take(),
                _ => None,
            };
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
        let message = error.message.clone();
        EvalError::new(ErrorKind::World(error), message)
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
    fn a_long_trace_is_dropped_without_recursion() {
        let mut error = EvalError::eval("deep");
        for _ in 0..1_000_000 {
            error = error.trace(Pos::NONE, "level");
        }
        assert_eq!(error.frames().count(), 1_000_000);
        let shared = error.clone();
        drop(error);
        assert_eq!(shared.message(), "deep");
    }

    #[test]
    fn one_word() {
        assert_eq!(size_of::<Option<EvalError>>(), 8);
        assert_eq!(size_of::<Result<crate::value::Value, EvalError>>(), 16);
    }
}
