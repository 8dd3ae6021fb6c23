//! Equality and order.
//!
//! Equality is deep and forces until a difference. Elements and attributes that are the same object are equal without a
//! look inside, also functions; the operands themselves are always looked into. Two derivations compare by `outPath`.

use super::Eval;
use crate::error::{ErrorKind, EvalError};
use crate::value::print::{type_name, type_phrase};
use crate::value::{AttrSet, List, Pos, Value, View, sym};

impl Eval {
    /// Whether two evaluated values are equal.
    #[inline]
    pub(crate) fn equal(&mut self, a: Value, b: Value) -> Result<bool, EvalError> {
        if let (Some(a), Some(b)) = (a.as_small_int(), b.as_small_int()) {
            return Ok(a == b);
        }
        if let (Some(a), Some(b)) = (a.as_string(), b.as_string()) {
            return Ok(a.bytes() == b.bytes());
        }
        self.deeper(|eval| eval.equal_slowly(a, b))
    }

    #[inline(never)]
    fn equal_slowly(&mut self, a: Value, b: Value) -> Result<bool, EvalError> {
        Ok(match (a.view(), b.view()) {
            (View::Int(a), View::Int(b)) => a == b,
            (View::Int(a), View::Float(b)) | (View::Float(b), View::Int(a)) => a as f64 == b,
            (View::Float(a), View::Float(b)) => a == b,
            (View::Bool(a), View::Bool(b)) => a == b,
            (View::Null, View::Null) => true,
            (View::String(a), View::String(b)) => a.bytes() == b.bytes(),
            (View::Path(a), View::Path(b)) => a.bytes() == b.bytes(),
            (View::List(x), View::List(y)) => self.equal_lists(x, y)?,
            (View::Attrs(x), View::Attrs(y)) => self.equal_sets(x, y)?,
            _ => false,
        })
    }

    /// Whether what two cells hold is equal: the same object is, unlooked at, once it evaluates.
    fn equal_cells(&mut self, a: Value, b: Value) -> Result<bool, EvalError> {
        self.deeper(|eval| {
            let x = eval.force(a)?;
            if a == b && !matches!(x.view(), View::Float(_)) {
                return Ok(true);
            }
            let y = eval.force(b)?;
            if x == y && (x.is_function() || x.is_attrs() || x.is_list()) {
                return Ok(true);
            }
            eval.equal_slowly(x, y)
        })
    }

    fn equal_lists(&mut self, a: List, b: List) -> Result<bool, EvalError> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b.iter()) {
            if !self.equal_cells(a, b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_sets(&mut self, a: AttrSet, b: AttrSet) -> Result<bool, EvalError> {
        if self.is_derivation(a)?
            && self.is_derivation(b)?
            && let (Some(a), Some(b)) = (a.value(sym::OUT_PATH), b.value(sym::OUT_PATH))
        {
            return self.equal_cells(a, b);
        }
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b.iter()) {
            if a.name != b.name || !self.equal_cells(a.value.get(), b.value.get())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a set says that it is a derivation.
    pub(crate) fn is_derivation(&mut self, set: AttrSet) -> Result<bool, EvalError> {
        let Some(kind) = set.value(sym::TYPE) else { return Ok(false) };
        let kind = self.force(kind)?;
        Ok(kind.as_string().is_some_and(|kind| kind.bytes() == b"derivation"))
    }

    /// Whether `a` sorts before `b`; both evaluated. `text` names what is compared.
    #[inline]
    pub(crate) fn less(&mut self, a: Value, b: Value, text: &'static str) -> Result<bool, EvalError> {
        if let (Some(a), Some(b)) = (a.as_small_int(), b.as_small_int()) {
            return Ok(a < b);
        }
        if let (Some(a), Some(b)) = (a.as_string(), b.as_string()) {
            return Ok(a.bytes() < b.bytes());
        }
        self.less_slowly(a, b, text)
    }

    #[inline(never)]
    fn less_slowly(&mut self, a: Value, b: Value, text: &'static str) -> Result<bool, EvalError> {
        match (a.view(), b.view()) {
            (View::Int(a), View::Int(b)) => Ok(a < b),
            (View::Int(a), View::Float(b)) => Ok((a as f64) < b),
            (View::Float(a), View::Int(b)) => Ok(a < b as f64),
            (View::Float(a), View::Float(b)) => Ok(a < b),
            (View::Path(a), View::Path(b)) => Ok(a.bytes() < b.bytes()),
            (View::List(a), View::List(b)) => self.less_lists(a, b, text),
            _ => Err(self.incomparable(a, b, text)),
        }
    }

    fn less_lists(&mut self, a: List, b: List, text: &'static str) -> Result<bool, EvalError> {
        self.check_stack()?;
        for (index, b) in b.iter().enumerate() {
            let Some(a) = a.cells().get(index) else { return Ok(true) };
            let a = a.get();
            if !self.equal_cells(a, b)? {
                let (a, b) = (self.force(a)?, self.force(b)?);
                return self.less(a, b, text);
            }
        }
        Ok(false)
    }

    #[cold]
    #[inline(never)]
    fn incomparable(&mut self, a: Value, b: Value, text: &'static str) -> EvalError {
        let same = std::mem::discriminant(&a.view()) == std::mem::discriminant(&b.view());
        let message = if same {
            let (left, right) = (self.show_in_error(a), self.show_in_error(b));
            format!(
                "cannot compare {} with {}; values of that type are incomparable (values are {left} and {right})",
                type_phrase(a),
                type_phrase(b)
            )
        } else {
            let (left, right) = (self.show_in_error(a), self.show_in_error(b));
            format!("cannot compare {} with {}; values are {left} and {right}", type_phrase(a), type_phrase(b))
        };
        let error = EvalError::eval(message);
        if text.is_empty() { error } else { error.trace(Pos::NONE, text) }
    }

    /// Says how two values differ, for a failed `assert a == b`; no error if they are equal after all.
    pub(crate) fn assert_equal(&mut self, a: Value, b: Value) -> Result<(), EvalError> {
        self.deeper(|eval| {
            let (x, y) = (eval.force(a)?, eval.force(b)?);
            eval.assert_equal_forced(x, y)
        })
    }

    fn assert_equal_forced(&mut self, a: Value, b: Value) -> Result<(), EvalError> {
        let (what_a, what_b) = (type_phrase(a), type_phrase(b));
        if a.as_number().is_some() && b.as_number().is_some() {
            if self.equal(a, b)? {
                return Ok(());
            }
            return Err(self
                .differ(a, b, |a, b| format!("{what_a} with value '{a}' is not equal to {what_b} with value '{b}'")));
        }
        if type_name(a) != type_name(b) {
            return Err(
                self.differ(a, b, |a, b| format!("{what_a} of value '{a}' is not equal to {what_b} of value '{b}'"))
            );
        }
        let word = match (a.view(), b.view()) {
            (View::List(x), View::List(y)) => return self.assert_equal_lists(x, y),
            (View::Attrs(x), View::Attrs(y)) => return self.assert_equal_sets(x, y),
            (View::Bool(_), _) => "boolean",
            (View::String(_), _) => "string",
            (View::Path(_), _) => "path",
            (View::Null, _) => return Ok(()),
            _ => {
                let message = "distinct functions and immediate comparisons of identical functions compare as unequal";
                return Err(EvalError::new(ErrorKind::Assertion, message));
            }
        };
        if self.equal(a, b)? {
            return Ok(());
        }
        Err(self.differ(a, b, |a, b| format!("{word} '{a}' is not equal to {word} '{b}'")))
    }

    #[cold]
    fn differ(&mut self, a: Value, b: Value, words: impl FnOnce(String, String) -> String) -> EvalError {
        let (a, b) = (self.show_in_error(a), self.show_in_error(b));
        EvalError::new(ErrorKind::Assertion, words(a, b))
    }

    fn assert_equal_lists(&mut self, a: List, b: List) -> Result<(), EvalError> {
        if a.len() != b.len() {
            return Err(self.differ(a.into(), b.into(), |left, right| {
                format!(
                    "list of size '{}' is not equal to list of size '{}', left hand side is '{left}', right hand side is '{right}'",
                    a.len(),
                    b.len()
                )
            }));
        }
        for (index, (x, y)) in a.iter().zip(b.iter()).enumerate() {
            self.assert_equal(x, y)
                .map_err(|error| error.trace(Pos::NONE, format!("while comparing list element {index}")))?;
        }
        Ok(())
    }

    fn assert_equal_sets(&mut self, a: AttrSet, b: AttrSet) -> Result<(), EvalError> {
        if self.is_derivation(a)?
            && self.is_derivation(b)?
            && let (Some(a), Some(b)) = (a.value(sym::OUT_PATH), b.value(sym::OUT_PATH))
        {
            let text = "while comparing a derivation by its 'outPath' attribute";
            return self.assert_equal(a, b).map_err(|error| error.trace(Pos::NONE, text));
        }
        if a.len() != b.len() {
            return Err(self.differ(a.into(), b.into(), |left, right| {
                format!("attribute names of attribute set '{left}' differs from attribute set '{right}'")
            }));
        }
        for (attr, other) in a.iter().zip(b.iter()) {
            let name = self.text(attr.name);
            if attr.name != other.name {
                let only_left = b.get(attr.name).is_none();
                let only_right = self.text(other.name);
                return Err(self.differ(a.into(), b.into(), |left, right| match only_left {
                    true => format!("attribute name '{name}' is contained in '{left}', but not in '{right}'"),
                    false => {
                        format!("attribute name '{only_right}' is missing in '{left}', but is contained in '{right}'")
                    }
                }));
            }
            self.assert_equal(attr.value.get(), other.value.get()).map_err(|error| {
                let mut error = error;
                for (pos, side) in [(other.pos, "right"), (attr.pos, "left")] {
                    if pos != Pos::NONE {
                        error = error.trace(pos, format!("where {side} hand side is"));
                    }
                }
                error.trace(Pos::NONE, format!("while comparing attribute '{name}'"))
            })?;
        }
        Ok(())
    }
}
