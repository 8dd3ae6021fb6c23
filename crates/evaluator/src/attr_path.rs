//! What the command line does with a value: calling it with `--arg`s, walking down `a.b.0`.

use crate::error::{ErrorKind, EvalError};
use crate::eval::{Eval, Outcome};
use crate::evaluator::{Evaluator, Rooted};
use crate::program::Symbol;
use crate::suggest::best_matches;
use crate::value::print::type_phrase;
use crate::value::{AttrSetBuilder, Pos, Value, sym};

/// Arguments for [`Evaluator::auto_call`]: names and values.
pub(crate) type AutoArguments<'a> = &'a [(Symbol, Value)];

impl Evaluator {
    /// Calls a function that takes a set pattern with those of `arguments` it names (with all, if it ends in `...`), and
    /// a set with `__functor` likewise; any other value stays.
    pub fn auto_call(&mut self, value: &Rooted, arguments: &[(String, Rooted)]) -> Result<Rooted, EvalError> {
        let arguments = self.auto_arguments(arguments);
        let value = value.value();
        let value = self.enter().auto_call(value, &arguments)?;
        Ok(self.rooted(value))
    }

    /// The value at an attribute path such as `a.b.0."c.d"`; functions on the way are called with `arguments`. The result
    /// is not evaluated, nor called.
    pub fn select_path(
        &mut self,
        value: &Rooted,
        path: &str,
        arguments: &[(String, Rooted)],
    ) -> Result<Rooted, EvalError> {
        let arguments = self.auto_arguments(arguments);
        let value = value.value();
        let value = self.enter().select_path(value, path, &arguments)?;
        Ok(self.rooted(value))
    }

    pub(crate) fn auto_arguments(&mut self, arguments: &[(String, Rooted)]) -> Vec<(Symbol, Value)> {
        arguments.iter().map(|(name, value)| (self.eval.intern(name.as_bytes()), value.value())).collect()
    }
}

impl Eval {
    pub(crate) fn auto_call(&mut self, value: Value, arguments: AutoArguments<'_>) -> Outcome {
        let place = self.pos_of_value(value);
        let value = self.force_at(value, place)?;
        if let Some(functor) = value.as_attrs().and_then(|set| set.value(sym::FUNCTOR)) {
            let function = self.call(functor, &[value])?;
            return self.auto_call(function, arguments);
        }
        let Some(lambda) = value.as_lambda() else { return Ok(value) };
        let (code, index) = lambda.code();
        let code = self.code(code);
        let lambda = &code.lambdas[index as usize];
        if !lambda.has_formals {
            return Ok(value);
        }
        let formals = code.formals(lambda);
        let mut set = AttrSetBuilder::new(&mut self.arena, arguments.len().max(formals.len()));
        if lambda.ellipsis {
            for (name, value) in arguments {
                set.push(*name, Pos::NONE, *value);
            }
        } else {
            for formal in formals {
                match arguments.iter().find(|(name, _)| *name == formal.name) {
                    Some((name, value)) => set.push(*name, Pos::NONE, *value),
                    None if formal.default.get().is_some() => {}
                    None => return Err(self.argument_without_value(formal.name, code.pos_of(formal.offset))),
                }
            }
        }
        let set = set.finish(&mut self.arena);
        self.call(value, &[set.into()])
    }

    #[cold]
    fn argument_without_value(&self, name: Symbol, pos: Pos) -> EvalError {
        let name = self.text(name);
        let message = format!(
            "cannot evaluate a function that has an argument without a value ('{name}')\n\
             Nix attempted to evaluate a function as a top level expression; in\n\
             this case it must have its arguments supplied either by default\n\
             values, or passed explicitly with '--arg' or '--argstr'. See\n\
             https://nix.dev/manual/nix/stable/language/syntax.html#functions."
        );
        EvalError::new(ErrorKind::MissingArgument, message).at(pos)
    }

    fn select_path(&mut self, value: Value, path: &str, arguments: AutoArguments<'_>) -> Outcome {
        let mut value = value;
        for name in split_path(path)? {
            value = self.auto_call(value, arguments)?;
            value = match name.parse::<u32>() {
                Ok(index) if name.bytes().all(|byte| byte.is_ascii_digit()) => self.select_index(value, index, path)?,
                _ => self.select_name(value, &name, path)?,
            };
        }
        Ok(value)
    }

    fn select_name(&mut self, value: Value, name: &str, path: &str) -> Outcome {
        let Some(set) = value.as_attrs() else {
            let what = type_phrase(value);
            let message =
                format!("the expression selected by the selection path '{path}' should be a set but is {what}");
            return Err(EvalError::type_error(message));
        };
        if name.is_empty() {
            return Err(path_error(format!("empty attribute name in selection path '{path}'")));
        }
        let found = self.shared.symbols.find(name.as_bytes()).and_then(|symbol| set.value(symbol));
        found.ok_or_else(|| {
            let names = set.iter().map(|attr| self.bare_text(attr.name).into_owned());
            let suggestions = best_matches(names, name);
            path_error(format!("attribute '{name}' in selection path '{path}' not found")).with_suggestions(suggestions)
        })
    }

    fn select_index(&mut self, value: Value, index: u32, path: &str) -> Outcome {
        let Some(list) = value.as_list() else {
            let what = type_phrase(value);
            let message =
                format!("the expression selected by the selection path '{path}' should be a list but is {what}");
            return Err(EvalError::type_error(message));
        };
        let found = list.cells().get(index as usize).map(|cell| cell.get());
        found.ok_or_else(|| path_error(format!("list index {index} in selection path '{path}' is out of range")))
    }
}

fn path_error(message: String) -> EvalError {
    EvalError::new(ErrorKind::AttributePath, message)
}

/// Splits at dots outside quotes; a path that ends in a dot has no empty last part.
fn split_path(path: &str) -> Result<Vec<String>, EvalError> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut chars = path.chars();
    while let Some(char) = chars.next() {
        match char {
            '.' => parts.push(std::mem::take(&mut part)),
            '"' => loop {
                match chars.next() {
                    Some('"') => break,
                    Some(char) => part.push(char),
                    None => {
                        let message = format!("missing closing quote in selection path '{path}'");
                        return Err(EvalError::new(ErrorKind::Syntax, message));
                    }
                }
            },
            char => part.push(char),
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_outside_quotes() {
        assert_eq!(split_path("a.\"b.c\".d").unwrap(), ["a", "b.c", "d"]);
        assert_eq!(split_path("a..b.").unwrap(), ["a", "", "b"]);
        assert!(split_path("").unwrap().is_empty());
        assert!(split_path("a.\"b").is_err());
    }
}
