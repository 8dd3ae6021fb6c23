//! `sort`: a stable merge of the runs that are there, in the order of comparisons of C++ Nix.
//!
//! The algorithm is peeksort (Munro and Wild, "Nearly-optimal mergesorts", 2018) in the form that C++ Nix chose: the
//! sequence of calls to the comparator shows, through `trace` and with comparators that are no order. All-integer and
//! all-string lists under `lessThan` are sorted without calls.

use super::{TABLE, builtins};
use crate::error::EvalError;
use crate::eval::{Eval, Outcome};
use crate::value::{List, Value};

builtins! {
    /// A list sorted by a function that says whether its first argument comes before its second; stable.
    "__sort" / 2 => sort;
}

/// Below this many elements runs are sorted by insertion.
const INSERTION: usize = 16;
const TEXT: &str = "while evaluating the return value of the sorting function passed to builtins.sort";

fn sort(eval: &mut Eval, args: &[Value]) -> Outcome {
    let list = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.sort")?;
    if list.is_empty() {
        return Ok(list.into());
    }
    let function = eval.expect_function(args[0], "while evaluating the first argument passed to builtins.sort")?;
    let base = eval.stack.height();
    for element in list.iter() {
        let element = eval.force(element)?;
        eval.stack.push(element);
    }
    let is_less_than = function.as_builtin().is_some_and(|number| TABLE[number as usize].name == "__lessThan");
    let mut sorter = Sorter { eval, function, is_less_than, base };
    if !(is_less_than && sorter.sort_plainly()) {
        sorter.peeksort(0, list.len(), 0, list.len())?;
    }
    let sorted = List::new(&mut eval.arena, eval.stack.above(base));
    Ok(sorted.into())
}

struct Sorter<'a> {
    eval: &'a mut Eval,
    function: Value,
    is_less_than: bool,
    /// Where the elements stand on the value stack.
    base: usize,
}

impl Sorter<'_> {
    fn get(&self, index: usize) -> Value {
        self.eval.stack.get(self.base + index)
    }

    fn set(&mut self, index: usize, value: Value) {
        self.eval.stack.set(self.base + index, value);
    }

    /// Sorts numbers or strings without calls, if that is what all elements are.
    fn sort_plainly(&mut self) -> bool {
        let values = self.eval.stack.above_mut(self.base);
        if values.iter().all(|value| value.as_small_int().is_some()) {
            values.sort_by_key(|value| value.as_small_int());
            return true;
        }
        if values.iter().all(|value| value.is_string()) {
            values.sort_by(|a, b| a.as_string().map(|a| a.bytes()).cmp(&b.as_string().map(|b| b.bytes())));
            return true;
        }
        false
    }

    fn less(&mut self, a: Value, b: Value) -> Result<bool, EvalError> {
        if self.is_less_than {
            return self.eval.less(a, b, "while evaluating the ordering function passed to builtins.sort");
        }
        let answer = self.eval.call(self.function, &[a, b])?;
        super::truth(self.eval, answer, TEXT)
    }

    fn less_at(&mut self, a: usize, b: usize) -> Result<bool, EvalError> {
        let (a, b) = (self.get(a), self.get(b));
        self.less(a, b)
    }

    fn insertion_sort(&mut self, start: usize, end: usize) -> Result<(), EvalError> {
        for current in start + 1..end {
            let value = self.get(current);
            let mut at = current;
            while at > start {
                let before = self.get(at - 1);
                if !self.less(value, before)? {
                    break;
                }
                self.set(at, before);
                at -= 1;
            }
            self.set(at, value);
        }
        Ok(())
    }

    /// The beginning of the run that ends at `end`: strictly descending, or else not descending.
    fn run_before(&mut self, start: usize, end: usize, descending: bool) -> Result<usize, EvalError> {
        let mut at = end - 1;
        while at > start && self.less_at(at, at - 1)? == descending {
            at -= 1;
        }
        Ok(at)
    }

    /// The end of the run that begins at `start`, likewise.
    fn run_after(&mut self, start: usize, end: usize, descending: bool) -> Result<usize, EvalError> {
        let mut at = start + 1;
        while at < end && self.less_at(at, at - 1)? == descending {
            at += 1;
        }
        Ok(at)
    }

    /// Sorts from `start` to `end`; what lies before `left_end` and from `right_start` on is sorted already.
    fn peeksort(&mut self, start: usize, end: usize, left_end: usize, right_start: usize) -> Result<(), EvalError> {
        if left_end == end || right_start == start {
            return Ok(());
        }
        if end - start <= INSERTION {
            return self.insertion_sort(start, end);
        }
        let middle = start + (end - start) / 2;
        if middle <= left_end {
            self.peeksort(left_end, end, left_end + 1, right_start)?;
            return self.merge(start, left_end, end);
        }
        if middle >= right_start {
            self.peeksort(start, right_start, left_end, right_start - 1)?;
            return self.merge(start, right_start, end);
        }
        // The run that holds the middle; splitting at its nearer end keeps it whole.
        let descending = self.less_at(middle, middle - 1)?;
        let run_start = self.run_before(left_end, middle, descending)?;
        let run_end = self.run_after(middle - 1, right_start, descending)?;
        if descending {
            self.eval.stack.above_mut(self.base)[run_start..run_end].reverse();
        }
        if run_start == start && run_end == end {
            return Ok(());
        }
        if middle - run_start < run_end - middle {
            self.peeksort(start, run_start, left_end, run_start.saturating_sub(1))?;
            self.peeksort(run_start, end, run_end, right_start)?;
            self.merge(start, run_start, end)
        } else {
            self.peeksort(start, run_end, left_end, run_start)?;
            self.peeksort(run_end, end, run_end + 1, right_start)?;
            self.merge(start, run_end, end)
        }
    }

    /// Merges two sorted neighbours, the left one first among equals.
    fn merge(&mut self, start: usize, middle: usize, end: usize) -> Result<(), EvalError> {
        let height = self.eval.stack.height();
        let (mut left, mut right) = (start, middle);
        while left < middle && right < end {
            let (a, b) = (self.get(left), self.get(right));
            if self.less(b, a)? {
                self.eval.stack.push(b);
                right += 1;
            } else {
                self.eval.stack.push(a);
                left += 1;
            }
        }
        while left < middle {
            let value = self.get(left);
            self.eval.stack.push(value);
            left += 1;
        }
        let merged = self.eval.stack.height() - height;
        for index in 0..merged {
            let value = self.eval.stack.get(height + index);
            self.set(start + index, value);
        }
        self.eval.stack.truncate(height);
        Ok(())
    }
}
