//! Evaluating to a value of a wanted type, with C++ Nix's words when it is another; names as messages show them.
//!
//! Every function takes the phrase that names what is being evaluated; it becomes a trace frame, also when evaluation
//! itself fails (but not for lists and sets).

use super::{Eval, Outcome};
use crate::code::Code;
use crate::error::EvalError;
use crate::program::{NodeId, Symbol};
use crate::value::print::type_phrase;
use crate::value::{AttrSet, ContextId, Env, List, Pos, Str, Value};

type Expected<T> = Result<T, EvalError>;

impl Eval {
    /// "expected … but found …".
    #[cold]
    #[inline(never)]
    pub(crate) fn expected(&mut self, wanted: &str, found: Value, pos: Pos) -> EvalError {
        let shown = self.show_in_error(found);
        EvalError::type_error(format!("expected {wanted} but found {}: {shown}", type_phrase(found))).at(pos)
    }

    #[cold]
    #[inline(never)]
    fn wrong(&mut self, wanted: &str, found: Value, pos: Pos, text: &'static str) -> EvalError {
        self.expected(wanted, found, pos).trace(pos, text)
    }

    /// For lists and sets C++ Nix names the place in the trace only, and traces no failure of evaluation itself.
    #[cold]
    #[inline(never)]
    fn wrong_form(&mut self, wanted: &str, found: Value, pos: Pos, text: &'static str) -> EvalError {
        self.expected(wanted, found, Pos::NONE).trace(pos, text)
    }

    #[inline(always)]
    fn forced(&mut self, value: Value, pos: Pos, text: &'static str) -> Outcome {
        self.force_at(value, pos).map_err(|error| error.trace(pos, text))
    }

    /// An integer.
    #[inline]
    pub(crate) fn expect_int(&mut self, value: Value, text: &'static str) -> Expected<i64> {
        let value = self.forced(value, Pos::NONE, text)?;
        value.as_int().ok_or_else(|| self.wrong("an integer", value, Pos::NONE, text))
    }

    /// A number.
    pub(crate) fn expect_float(&mut self, value: Value, text: &'static str) -> Expected<f64> {
        let value = self.forced(value, Pos::NONE, text)?;
        value.as_number().ok_or_else(|| self.wrong("a float", value, Pos::NONE, text))
    }

    /// A Boolean.
    #[inline]
    pub(crate) fn expect_bool(&mut self, value: Value, text: &'static str) -> Expected<bool> {
        self.expect_bool_at(value, Pos::NONE, text)
    }

    /// A Boolean, with the place to name.
    #[inline]
    pub(crate) fn expect_bool_at(&mut self, value: Value, pos: Pos, text: &'static str) -> Expected<bool> {
        let value = self.forced(value, pos, text)?;
        value.as_bool().ok_or_else(|| self.wrong("a Boolean", value, pos, text))
    }

    /// A list.
    #[inline]
    pub(crate) fn expect_list(&mut self, value: Value, text: &'static str) -> Expected<List> {
        self.expect_list_at(value, Pos::NONE, text)
    }

    /// A list, with the place to name.
    #[inline]
    pub(crate) fn expect_list_at(&mut self, value: Value, pos: Pos, text: &'static str) -> Expected<List> {
        let value = self.force_at(value, pos)?;
        value.as_list().ok_or_else(|| self.wrong_form("a list", value, pos, text))
    }

    /// A set.
    #[inline]
    pub(crate) fn expect_attrs(&mut self, value: Value, text: &'static str) -> Expected<AttrSet> {
        self.expect_attrs_at(value, Pos::NONE, text)
    }

    /// A set, with the place to name.
    #[inline]
    pub(crate) fn expect_attrs_at(&mut self, value: Value, pos: Pos, text: &'static str) -> Expected<AttrSet> {
        let value = self.force_at(value, pos)?;
        value.as_attrs().ok_or_else(|| self.wrong_form("a set", value, pos, text))
    }

    /// A function, or a set with `__functor`.
    pub(crate) fn expect_function(&mut self, value: Value, text: &'static str) -> Outcome {
        self.expect_function_at(value, Pos::NONE, text)
    }

    /// The same with the place to name.
    pub(crate) fn expect_function_at(&mut self, value: Value, pos: Pos, text: &'static str) -> Outcome {
        let value = self.forced(value, pos, text)?;
        let functor = value.as_attrs().and_then(|set| set.get(crate::value::sym::FUNCTOR));
        if let Some(lambda) = value.as_lambda() {
            lambda.see();
        }
        if value.is_function() || functor.is_some() {
            return Ok(value);
        }
        Err(self.wrong("a function", value, pos, text))
    }

    /// A string, with whatever context.
    #[inline]
    pub(crate) fn expect_string(&mut self, value: Value, text: &'static str) -> Expected<Str> {
        self.expect_string_at(value, Pos::NONE, text)
    }

    /// A string, with the place to name.
    #[inline]
    pub(crate) fn expect_string_at(&mut self, value: Value, pos: Pos, text: &'static str) -> Expected<Str> {
        let value = self.forced(value, pos, text)?;
        value.as_string().ok_or_else(|| self.wrong("a string", value, pos, text))
    }

    /// A string without context.
    #[inline]
    pub(crate) fn expect_plain_string(&mut self, value: Value, text: &'static str) -> Expected<Str> {
        self.expect_plain_string_at(value, Pos::NONE, text)
    }

    /// A string without context, with the place to name.
    #[inline]
    pub(crate) fn expect_plain_string_at(&mut self, value: Value, pos: Pos, text: &'static str) -> Expected<Str> {
        let string = self.expect_string_at(value, pos, text)?;
        if string.context() != ContextId::NONE {
            return Err(self.has_context(string, pos, text));
        }
        Ok(string)
    }

    #[cold]
    #[inline(never)]
    fn has_context(&mut self, string: Str, pos: Pos, text: &'static str) -> EvalError {
        let shown = crate::text::bytes_as_text(string.bytes());
        let element = self.context_elements(string.context()).into_iter().next();
        let element = element.map(|element| self.display_context_element(&element)).unwrap_or_default();
        let message = format!("the string '{shown}' is not allowed to refer to a store path (such as '{element}')");
        EvalError::eval(message).trace(pos, text)
    }

    /// The Boolean value of a condition.
    #[inline(always)]
    pub(super) fn condition(
        &mut self,
        code: &'static Code,
        condition: NodeId,
        env: Env,
        whole: NodeId,
        text: &'static str,
    ) -> Expected<bool> {
        match self.operand(code, condition, env) {
            Ok(Value::TRUE) => Ok(true),
            Ok(Value::FALSE) => Ok(false),
            other => Err(self.not_a_condition(other, code.pos(whole), text)),
        }
    }

    #[cold]
    #[inline(never)]
    fn not_a_condition(&mut self, outcome: Outcome, pos: Pos, text: &'static str) -> EvalError {
        match outcome {
            Ok(value) => self.wrong("a Boolean", value, pos, text),
            Err(error) => error.trace(pos, text),
        }
    }

    /// An attribute that must be there.
    pub(crate) fn required(&mut self, set: AttrSet, name: Symbol, text: &'static str) -> Expected<Value> {
        set.value(name).ok_or_else(|| {
            EvalError::type_error(format!("attribute '{}' missing", self.text(name))).trace(Pos::NONE, text)
        })
    }
}

impl Eval {
    /// A name as messages show it: in quotes where the language needs them.
    pub(crate) fn text(&self, symbol: Symbol) -> std::borrow::Cow<'static, str> {
        let name = self.shared.symbols.bytes(symbol);
        if crate::value::print::is_plain_name(name) {
            return self.bare_text(symbol);
        }
        let mut quoted = Vec::new();
        crate::value::print::push_name(&mut quoted, name);
        crate::text::bytes_as_text(&quoted).into_owned().into()
    }

    /// A name as it is.
    pub(crate) fn bare_text(&self, symbol: Symbol) -> std::borrow::Cow<'static, str> {
        self.shared.symbols.text(symbol)
    }
}
