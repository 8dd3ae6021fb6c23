//! Nix source text as parse events.
//!
//! Path of data: bytes ([`Source`]) → tokens (`lexer`) → one grammar (`parser`) → events into a [`Sink`]. A sink that
//! lowers straight to a program pays for no token, no trivia and no tree; a sink that wants every byte gets every byte.
//! Syntax errors are events too ([`SyntaxError`], in C++ Nix's words), parsing itself never fails and never panics.
//!
//! Whether an attribute is defined twice, which set literals merge, and what a name means is decided by the sink: the
//! grammar knows no names.
//!
//! Absent on purpose: file system, settings, evaluation; the lossless tree and the formatter, which are further sinks.

mod error;
mod lexer;
mod parser;
mod sink;
mod source;
mod span;
mod token;

pub use error::{SyntaxError, SyntaxErrorKind};
pub use parser::{DEFAULT_MAX_DEPTH, ParseOptions, parse};
pub use sink::{
    BinaryOperator, FormalsHead, LambdaHead, Part, Parts, PathKind, PipeDirection, Sink, SyntaxWarning, UnaryOperator,
};
pub use source::{LineColumn, Origin, Source, SourceId, SourceLines, SourceMap, SourceTooLarge};
pub use span::Span;
pub use token::{TokenKind, TriviaKind};
