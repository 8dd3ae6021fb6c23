//! Regular expressions.
//!
//! C++ Nix uses libstdc++'s `std::regex` with extended syntax, which answers differently from POSIX and from all common
//! engines, so this is one of our own: `pattern` compiles, `matcher` runs. Compiled patterns are kept per evaluator.

mod matcher;
mod pattern;

use super::builtins;
use crate::error::EvalError;
use crate::eval::{Eval, Outcome, lock};
use crate::value::{ListBuilder, Value};
use matcher::{Attempt, Group, Matcher, POLL, Stopped};
use pattern::{Pattern, PatternError};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex};

builtins! {
    /// Matches a whole string against an extended regular expression: the list of what its groups matched (null for a
    /// group that took no part), or null if it does not match.
    "__match" / 2 => match_whole;
    /// Splits a string where an extended regular expression matches: the pieces between matches, and between them for
    /// each match the list of what its groups matched.
    "__split" / 2 => split;
}

/// Compiled patterns.
#[derive(Default)]
pub(crate) struct Patterns {
    by_text: Mutex<FxHashMap<Vec<u8>, Arc<Pattern>>>,
}

impl Patterns {
    fn get(&self, text: &[u8]) -> Result<Arc<Pattern>, PatternError> {
        if let Some(pattern) = lock(&self.by_text).get(text) {
            return Ok(pattern.clone());
        }
        let pattern = Arc::new(Pattern::compile(text)?);
        lock(&self.by_text).insert(text.to_vec(), pattern.clone());
        Ok(pattern)
    }
}

/// A pattern for whole names, as `nix-env` and others take it from the command line.
#[derive(Clone)]
pub struct NamePattern(Arc<Pattern>);

impl std::fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NamePattern")
    }
}

impl NamePattern {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<NamePattern, String> {
        let compiled = Pattern::compile(text.as_bytes()).map_err(|error| refused(error, text.as_bytes()));
        compiled.map(|pattern| NamePattern(Arc::new(pattern))).map_err(|error| error.message().to_owned())
    }

    /// Whether it matches all of a name.
    ///
    /// # Errors
    /// If that takes more memory than is given to it.
    pub fn matches(&self, name: &str) -> Result<bool, String> {
        let mut matcher = Matcher::new(&self.0, name.as_bytes());
        let matched = matcher.whole(&mut || Ok::<(), std::convert::Infallible>(()));
        matched.map_err(|_| format!("memory limit exceeded by a regular expression on '{name}'"))
    }
}

fn pattern_argument(
    eval: &mut Eval,
    value: Value,
    text: &'static str,
) -> Result<(Arc<Pattern>, &'static [u8]), EvalError> {
    let source = eval.expect_plain_string(value, text)?.bytes();
    match eval.shared.caches.patterns.get(source) {
        Ok(pattern) => Ok((pattern, source)),
        Err(error) => Err(refused(error, source)),
    }
}

#[cold]
fn refused(error: PatternError, source: &[u8]) -> EvalError {
    let source = crate::text::bytes_as_text(source);
    EvalError::eval(match error {
        PatternError::Invalid => format!("invalid regular expression '{source}'"),
        PatternError::TooLarge => format!("memory limit exceeded by regular expression '{source}'"),
    })
}

#[cold]
fn stopped(stopped: Stopped<EvalError>, source: &[u8]) -> EvalError {
    match stopped {
        Stopped::Limit => refused(PatternError::TooLarge, source),
        Stopped::Poll(error) => error,
    }
}

/// What the groups of the last match hold, as a list.
fn group_list(eval: &mut Eval, matcher: &Matcher<'_, '_>, text: &[u8]) -> Value {
    let mut list = ListBuilder::new(&mut eval.arena, matcher.groups().len());
    for group in matcher.groups() {
        list.push(match group {
            Some((start, end)) => eval.string(text.get(start..end).unwrap_or_default()),
            None => Value::NULL,
        });
    }
    list.finish().into()
}

fn match_whole(eval: &mut Eval, args: &[Value]) -> Outcome {
    let (pattern, source) =
        pattern_argument(eval, args[0], "while evaluating the first argument passed to builtins.match")?;
    let text = eval.expect_string(args[1], "while evaluating the second argument passed to builtins.match")?.bytes();
    let mut matcher = Matcher::new(&pattern, text);
    let matched = matcher.whole(&mut || eval.poll_after(POLL)).map_err(|error| stopped(error, source))?;
    Ok(if matched { group_list(eval, &matcher, text) } else { Value::NULL })
}

fn split(eval: &mut Eval, args: &[Value]) -> Outcome {
    let (pattern, source) =
        pattern_argument(eval, args[0], "while evaluating the first argument passed to builtins.split")?;
    let string = eval.expect_string(args[1], "while evaluating the second argument passed to builtins.split")?;
    let text = string.bytes();
    let mut matcher = Matcher::new(&pattern, text);
    let height = eval.stack.height();
    let mut rest = 0;
    let mut inside = false;
    let mut found = matcher.search(0, inside, &mut || eval.poll_after(POLL)).map_err(|error| stopped(error, source))?;
    while let Some((start, end)) = found {
        let before = eval.string(&text[rest..start]);
        eval.stack.push(before);
        let groups = group_list(eval, &matcher, text);
        eval.stack.push(groups);
        rest = end;
        found = next_match(eval, &mut matcher, (start, end), &mut inside).map_err(|error| stopped(error, source))?;
    }
    // Without a match the string itself is the answer, with its context.
    let last = if eval.stack.height() == height { string.into() } else { eval.string(&text[rest..]) };
    eval.stack.push(last);
    Ok(super::lists::list_above(eval, height, None))
}

/// The match after another. After an empty one, first a longer one at the same place, then the places after it.
fn next_match(
    eval: &mut Eval,
    matcher: &mut Matcher<'_, '_>,
    (start, end): (usize, usize),
    inside: &mut bool,
) -> Result<Group, Stopped<EvalError>> {
    let mut from = end;
    if start == end {
        if matcher.at_end(end) {
            return Ok(None);
        }
        let attempt = Attempt { start: end, whole: false, not_empty: true, inside: *inside };
        if let Some(end) = matcher.attempt(attempt, &mut || eval.poll_after(POLL))? {
            return Ok(Some((start, end)));
        }
        from += 1;
    }
    *inside = true;
    matcher.search(from, true, &mut || eval.poll_after(POLL))
}
