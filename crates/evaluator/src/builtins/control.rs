//! Evaluation itself: forcing, failing, tracing, closures.

use super::builtins;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Coercion, Eval, Outcome};
use crate::parallel::Task;
use crate::text::bytes_as_text;
use crate::value::print::PrintOptions;
use crate::value::{List, ListBuilder, Pos, Value, View, sym};
use rustc_hash::FxHashSet;

builtins! {
    /// The second argument, after evaluating the first to its outermost form.
    "__seq" / 2 => |eval, args| {
        eval.look_at(args[0])?;
        eval.force(args[1])
    };
    /// The second argument, after evaluating everything in the first.
    "__deepSeq" / 2 => |eval, args| {
        eval.force_deep(args[0])?;
        eval.force(args[1])
    };
    /// `{ success, value }`: whether the argument evaluates without `throw` or a failed `assert`, and its value, else false.
    "__tryEval" / 1 => try_eval;
    /// Fails with a message; `tryEval` catches it.
    "throw" / 1 => throw;
    /// Fails with a message for good.
    "abort" / 1 => abort;
    /// The second argument, after showing the first.
    "__trace" / 2 => |eval, args| {
        trace(eval, args[0])?;
        eval.force(args[1])
    };
    /// As `trace`, only if `trace-verbose` is set.
    "__traceVerbose" / 2 => |eval, args| {
        if eval.shared.options.trace_verbose {
            trace(eval, args[0])?;
        }
        eval.force(args[1])
    };
    /// The second argument, after warning with the first.
    "__warn" / 2 => warn;
    /// The second argument; an error in it says the first.
    "__addErrorContext" / 2 => add_error_context, (traced: false);
    /// The argument; a debugger stops here.
    "break" / 1 => |eval, args| eval.force(args[0]), (traced: false);
    /// All elements that the start set leads to by an operator, each `key` once, breadth first.
    "__genericClosure" / 1 => generic_closure;
}

fn try_eval(eval: &mut Eval, args: &[Value]) -> Outcome {
    let depth = eval.depth;
    let (success, value) = match eval.force(args[0]) {
        Ok(value) => (Value::TRUE, value),
        Err(error) if error.kind().is_catchable() => (Value::FALSE, Value::FALSE),
        Err(error) => return Err(error),
    };
    eval.depth = depth;
    Ok(eval.make_attrs(&[(sym::SUCCESS, success), (sym::VALUE, value)]).into())
}

fn message(eval: &mut Eval, value: Value, how: Coercion, text: &'static str) -> Result<String, EvalError> {
    let message = eval.coerce(value, how, text)?;
    Ok(bytes_as_text(message.bytes()).into_owned())
}

fn throw(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the error message passed to builtin.throw";
    let message = message(eval, args[0], Coercion::INTERPOLATION, text)?;
    Err(EvalError::new(ErrorKind::Throw, message))
}

fn abort(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the error message passed to builtins.abort";
    let message = message(eval, args[0], Coercion::INTERPOLATION, text)?;
    let message = format!("evaluation aborted with the following error message: '{message}'");
    Err(EvalError::new(ErrorKind::Abort, message))
}

fn trace(eval: &mut Eval, value: Value) -> Result<(), EvalError> {
    let value = eval.force(value)?;
    eval.effect()?;
    let shown = match value.view() {
        View::String(string) => string.bytes().to_vec(),
        _ => {
            let options = PrintOptions { force: false, derivation_paths: false, fail: false, ..PrintOptions::EVAL };
            eval.print_nice(value, options)?
        }
    };
    let line = format!("trace: {}", bytes_as_text(&shown));
    eval.activity.message(activity::Verbosity::Error, &line);
    Ok(())
}

fn warn(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument; the message passed to builtins.warn";
    let message = eval.expect_string(args[0], text)?;
    eval.effect()?;
    let line = warning_text(&bytes_as_text(message.bytes()));
    eval.activity.message(activity::Verbosity::Warn, &line);
    if eval.shared.options.abort_on_warn {
        let message = "aborting to reveal stack trace of warning, as abort-on-warn is set";
        return Err(EvalError::eval(message));
    }
    eval.force(args[1])
}

/// A warning as it is shown: its further lines stand below the first; of nothing nothing is shown.
fn warning_text(message: &str) -> String {
    const HEAD: &str = "evaluation warning: ";
    let message = message.trim_end_matches([' ', '\t', '\r', '\n']);
    if message.is_empty() {
        return String::new();
    }
    let indentation = " ".repeat(HEAD.len());
    let lines = message.split('\n').enumerate().map(|(number, line)| {
        let line = format!("{}{line}", if number == 0 { HEAD } else { &indentation });
        line.trim_end_matches([' ', '\t', '\r']).to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn add_error_context(eval: &mut Eval, args: &[Value]) -> Outcome {
    match eval.force(args[1]) {
        Ok(value) => Ok(value),
        Err(error) => {
            let text = "while evaluating the error message passed to builtins.addErrorContext";
            let message = message(eval, args[0], Coercion::PLAIN, text)?;
            Err(error.trace_always(message))
        }
    }
}

impl Eval {
    /// Evaluates everything inside a value.
    pub(crate) fn force_deep(&mut self, value: Value) -> Result<(), EvalError> {
        let mut seen = FxHashSet::default();
        self.force_deep_inside(value, &mut seen)
    }

    fn force_deep_inside(&mut self, value: Value, seen: &mut FxHashSet<u64>) -> Result<(), EvalError> {
        let place = self.pos_of_value(value);
        self.deeper_at(place, |eval| {
            let value = eval.force_at(value, place)?;
            if let Some(set) = value.as_attrs() {
                if !seen.insert(value.word()) {
                    return Ok(());
                }
                let height = eval.stack.height();
                let values = || set.iter().map(|attr| attr.value.get());
                let result = eval.go_through(Task::Deep, values, |eval, progress| {
                    for (index, attr) in set.iter().enumerate() {
                        progress.at(index);
                        eval.force_deep_inside(attr.value.get(), seen).map_err(|error| {
                            let name = eval.text(attr.name);
                            error.trace(attr.pos, format!("while evaluating the attribute '{name}'"))
                        })?;
                    }
                    Ok(())
                });
                eval.stack.truncate(height);
                return result;
            } else if let Some(list) = value.as_list() {
                if !seen.insert(value.word()) {
                    return Ok(());
                }
                let height = eval.stack.height();
                let result = eval.go_through(
                    Task::Deep,
                    || list.iter(),
                    |eval, progress| {
                        for (index, element) in list.iter().enumerate() {
                            progress.at(index);
                            eval.force_deep_inside(element, seen).map_err(|error| {
                                error.trace(Pos::NONE, format!("while evaluating list element at index {index}"))
                            })?;
                        }
                        Ok(())
                    },
                );
                eval.stack.truncate(height);
                return result;
            } else if let Some(lambda) = value.as_lambda() {
                lambda.see();
            }
            Ok(())
        })
    }
}

/// The keys met so far in order; an entry is the number of its element among the results.
#[derive(Default)]
struct SortedKeys {
    sorted: Vec<usize>,
}

fn generic_closure(eval: &mut Eval, args: &[Value]) -> Outcome {
    let set = eval.expect_attrs(args[0], "while evaluating the first argument passed to builtins.genericClosure")?;
    let context = "in the attrset passed as argument to builtins.genericClosure";
    let start = eval.required(set, sym::START_SET, context)?;
    let text = "while evaluating the 'startSet' attribute passed as argument to builtins.genericClosure";
    let start = eval.expect_list(start, text)?;
    if start.is_empty() {
        return Ok(start.into());
    }
    let operator = eval.required(set, sym::OPERATOR, context)?;
    let text = "while evaluating the 'operator' attribute passed as argument to builtins.genericClosure";
    let operator = eval.expect_function(operator, text)?;
    Closure { operator, strings: FxHashSet::default(), ints: FxHashSet::default(), sorted: None }.run(eval, start)
}

/// The work of `genericClosure`. Keys that are all strings or all integers are hashed; others are kept sorted.
struct Closure {
    operator: Value,
    strings: FxHashSet<&'static [u8]>,
    ints: FxHashSet<i64>,
    sorted: Option<SortedKeys>,
}

impl Closure {
    /// Elements stand on the value stack in the order met; `results` are the places of those with new keys.
    fn run(&mut self, eval: &mut Eval, start: List) -> Outcome {
        let mut next = eval.stack.height();
        for element in start.iter() {
            eval.stack.push(element);
        }
        let mut results: Vec<usize> = Vec::new();
        while next < eval.stack.height() {
            let element = eval.stack.get(next);
            let key = self.key(eval, element)?;
            let new = match self.insert(eval, &results, key) {
                Ok(new) => new,
                Err(error) => return Err(self.explain(eval, &results, element, key, error)),
            };
            if new {
                results.push(next);
                self.expand(eval, element).map_err(|error| {
                    let shown = eval.show_in_error(element);
                    error.trace(Pos::NONE, format!("while calling operator on genericClosure element {shown}"))
                })?;
            }
            next += 1;
        }
        let mut list = ListBuilder::new(&mut eval.arena, results.len());
        results.iter().for_each(|place| list.push(eval.stack.get(*place)));
        Ok(list.finish().into())
    }

    fn key(&self, eval: &mut Eval, element: Value) -> Outcome {
        let found =
            eval.expect_attrs(element, "").and_then(|set| eval.required(set, sym::KEY, "")).map_err(|error| {
                let shown = eval.show_in_error(element);
                error.trace(Pos::NONE, format!("in genericClosure element {shown}"))
            })?;
        eval.force(found)
    }

    /// Whether the key is new.
    fn insert(&mut self, eval: &mut Eval, results: &[usize], key: Value) -> Result<bool, EvalError> {
        let sorted = match self.sorted.take() {
            Some(sorted) => sorted,
            None => {
                if let Some(string) = key.as_string().filter(|_| self.ints.is_empty()) {
                    return Ok(self.strings.insert(string.bytes()));
                }
                if let Some(int) = key.as_int().filter(|_| self.strings.is_empty()) {
                    return Ok(self.ints.insert(int));
                }
                self.sort_keys(eval, results)?
            }
        };
        let found = self.search(eval, &sorted, results, key);
        let sorted = self.sorted.insert(sorted);
        match found? {
            Ok(_) => Ok(false),
            Err(place) => {
                sorted.sorted.insert(place, results.len());
                Ok(true)
            }
        }
    }

    /// Names the elements whose keys do not compare.
    #[cold]
    fn explain(
        &mut self,
        eval: &mut Eval,
        results: &[usize],
        element: Value,
        key: Value,
        error: EvalError,
    ) -> EvalError {
        let shown = eval.show_in_error(element);
        // In the order of the keys, as they stand in C++ Nix's set.
        let keys = match self.sorted.take() {
            Some(keys) => keys,
            None => self.sort_keys(eval, results).unwrap_or_default(),
        };
        for index in keys.sorted {
            let other = eval.stack.get(results[index]);
            let Ok(other_key) = self.key(eval, other) else { continue };
            if eval.less(key, other_key, "").is_err() {
                let other = eval.show_in_error(other);
                let error = error.trace(Pos::NONE, format!("with element {other}"));
                return error.trace(Pos::NONE, format!("while comparing element {shown}"));
            }
        }
        error.trace(Pos::NONE, format!("while checking key of element {shown}"))
    }

    fn sort_keys(&mut self, eval: &mut Eval, results: &[usize]) -> Result<SortedKeys, EvalError> {
        let mut keys = SortedKeys::default();
        for (index, place) in results.iter().enumerate() {
            let element = eval.stack.get(*place);
            let key = self.key(eval, element)?;
            if let Err(place) = self.search(eval, &keys, results, key)? {
                keys.sorted.insert(place, index);
            }
        }
        Ok(keys)
    }

    /// Where a key is, or where it belongs.
    fn search(
        &self,
        eval: &mut Eval,
        keys: &SortedKeys,
        results: &[usize],
        key: Value,
    ) -> Result<Result<usize, usize>, EvalError> {
        let (mut low, mut high) = (0, keys.sorted.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let element = eval.stack.get(results[keys.sorted[middle]]);
            let other = self.key(eval, element)?;
            if eval.less(key, other, "")? {
                high = middle;
            } else if eval.less(other, key, "")? {
                low = middle + 1;
            } else {
                return Ok(Ok(middle));
            }
        }
        Ok(Err(low))
    }

    fn expand(&self, eval: &mut Eval, element: Value) -> Result<(), EvalError> {
        let more = eval.call(self.operator, &[element])?;
        let text = "while evaluating the return value of the `operator` passed to builtins.genericClosure";
        let more = eval.expect_list(more, text)?;
        for element in more.iter() {
            let element = eval.force(element)?;
            eval.stack.push(element);
        }
        Ok(())
    }
}
