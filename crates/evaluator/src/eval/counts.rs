//! What an evaluation does, counted where somebody asked for it (`EvalOptions::counting`); else nothing is.
//!
//! Path of data: calls are noted here by the number of their function; [`Eval::statistics`] turns numbers into names and
//! places at the end.

use super::Eval;
use crate::builtins::TABLE;
use crate::error::Position;
use crate::evaluator::{FunctionCalls, Statistics};
use crate::program::Symbol;
use rustc_hash::FxHashMap;

/// Calls so far.
#[derive(Default)]
pub(crate) struct Counts {
    /// Of functions of the language, by program and function.
    functions: FxHashMap<(u32, u32), u64>,
    /// Of builtins.
    builtins: FxHashMap<u16, u64>,
}

impl Eval {
    /// Counts a call of a function of the language.
    #[cold]
    #[inline(never)]
    pub(super) fn count_function(&mut self, code: u32, lambda: u32) {
        *self.counts.functions.entry((code, lambda)).or_default() += 1;
    }

    /// Counts a call of a builtin with all its arguments.
    #[cold]
    #[inline(never)]
    pub(super) fn count_builtin(&mut self, number: u16) {
        *self.counts.builtins.entry(number).or_default() += 1;
    }

    /// What was done so far.
    pub(crate) fn statistics(&mut self) -> Statistics {
        let mut expressions = 0;
        let mut number = 0;
        while let Some(code) = self.shared.codes.get(number) {
            expressions += code.nodes.len() as u64;
            number += 1;
        }
        let symbols = self.shared.symbols.count();
        let symbol_bytes = (0..symbols).map(|symbol| self.shared.symbols.bytes(Symbol(symbol)).len() as u64).sum();
        let mut builtin_calls: Vec<(&'static str, u64)> =
            self.counts.builtins.iter().map(|(number, count)| (TABLE[*number as usize].plain_name(), *count)).collect();
        builtin_calls.sort_unstable();
        let mut called: Vec<((u32, u32), u64)> =
            self.counts.functions.iter().map(|(key, count)| (*key, *count)).collect();
        called.sort_unstable();
        let function_calls = called.into_iter().map(|((code, lambda), count)| {
            let code = self.code(code);
            let lambda = &code.lambdas[lambda as usize];
            let name = (lambda.name != Symbol::NONE).then(|| self.bare_text(lambda.name).into_owned());
            FunctionCalls { name, position: self.position(code.pos_of(lambda.offset)), count }
        });
        let function_calls = function_calls.collect();
        Statistics { heap: self.arena.statistics(), expressions, symbols, symbol_bytes, builtin_calls, function_calls }
    }

    fn position(&self, pos: crate::value::Pos) -> Option<Position> {
        super::lock(&self.shared.sources).position(pos)
    }
}
