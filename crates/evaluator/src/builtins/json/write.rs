//! Values to JSON text.
//!
//! Names in byte order, no spaces, floats by the shortest digits that read back the same. Text must be UTF-8; that is
//! checked only when the whole value was evaluated, as C++ Nix does, so an evaluation error comes first.

use crate::builtins::{TABLE, in_name_order};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Coerced, Coercion, Eval};
use crate::parallel::{Progress, Task};
use crate::value::print::type_phrase;
use crate::value::{AttrSet, ContextElement, Pos, Str, Value, View, sym};

/// How values are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonOptions {
    /// Evaluate what is not yet; else such a value is an error.
    pub(crate) strict: bool,
    /// Copy paths to the store and show their place there.
    pub(crate) copy: bool,
}

/// Appends the JSON form of a value, whose context is added too. `pos` is the place to name in errors.
pub(crate) fn write_json(
    eval: &mut Eval,
    value: Value,
    pos: Pos,
    options: JsonOptions,
    out: &mut Coerced,
) -> Result<(), EvalError> {
    let mut writer = Writer { options, bad: None };
    writer.value(eval, value, pos, out)?;
    match writer.bad {
        None => Ok(()),
        Some(message) => Err(EvalError::eval(message)),
    }
}

struct Writer {
    options: JsonOptions,
    /// What is wrong with the first text that is not UTF-8.
    bad: Option<String>,
}

impl Writer {
    fn value(&mut self, eval: &mut Eval, value: Value, pos: Pos, out: &mut Coerced) -> Result<(), EvalError> {
        eval.deeper_at(pos, |eval| {
            let value = if self.options.strict { eval.force_at(value, pos)? } else { value };
            self.forced(eval, value, pos, out)
        })
    }

    fn forced(&mut self, eval: &mut Eval, value: Value, pos: Pos, out: &mut Coerced) -> Result<(), EvalError> {
        match value.view() {
            View::Thunk(thunk) => {
                // A value that was evaluated in passing is as good as one that never was a thunk.
                return match thunk.evaluated() {
                    Some(value) => self.forced(eval, value, pos, out),
                    None if thunk.waiting_function().is_some_and(|function| !is_hidden(function)) => {
                        let own = eval.pos_of_value(value);
                        Err(no_form("a function application", if own == Pos::NONE { pos } else { own }))
                    }
                    None => Err(no_form("a thunk", pos)),
                };
            }
            // C++ Nix makes functions inside sets and lists when they are looked at.
            View::Lambda(lambda) if !self.options.strict && lambda.is_unseen() => return Err(no_form("a thunk", pos)),
            View::Int(int) => out.bytes.extend_from_slice(itoa::Buffer::new().format(int).as_bytes()),
            View::Float(float) => out.bytes.extend_from_slice(float_text(float).as_bytes()),
            View::Bool(truth) => out.bytes.extend_from_slice(if truth { b"true" } else { b"false" }),
            View::Null => out.bytes.extend_from_slice(b"null"),
            View::String(string) => self.string(string, out),
            View::Path(path) if self.options.copy => {
                let stored = eval.copy_to_store(path.bytes())?;
                let text = eval.shared.world.store_dir().print(&stored);
                let context = eval.shared.contexts.single(ContextElement::Opaque(stored));
                out.add_context(context);
                self.text(text.as_bytes(), out);
            }
            View::Path(path) => self.text(path.bytes(), out),
            View::List(list) => {
                out.bytes.push(b'[');
                self.go_through(
                    eval,
                    || list.iter(),
                    |writer, eval, progress| {
                        for (index, element) in list.iter().enumerate() {
                            progress.at(index);
                            if index > 0 {
                                out.bytes.push(b',');
                            }
                            writer.value(eval, element, pos, out).map_err(|error| {
                                error.trace(pos, format!("while evaluating list element at index {index}"))
                            })?;
                        }
                        Ok(())
                    },
                )?;
                out.bytes.push(b']');
            }
            View::Attrs(set) => return self.set(eval, set, pos, out),
            View::Lambda(lambda) => {
                let (code, index) = lambda.code();
                let code = eval.code(code);
                let place = code.pos_of(code.lambdas[index as usize].offset);
                return Err(no_form(&type_phrase(value), place));
            }
            View::Builtin(number) if TABLE[number as usize].shown_as_lambda => {
                return Err(no_form("a function", crate::builtins::derivation::places::FUNCTION));
            }
            View::Builtin(_) | View::Partial(_) => return Err(no_form(&type_phrase(value), pos)),
        }
        Ok(())
    }

    /// Goes through values that are all written, perhaps with the help of others.
    fn go_through<V: Iterator<Item = Value>>(
        &mut self,
        eval: &mut Eval,
        values: impl Fn() -> V,
        work: impl FnOnce(&mut Writer, &mut Eval, Progress<'_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        if !self.options.strict {
            return work(self, eval, Progress::default());
        }
        let height = eval.stack.height();
        let task = Task::Json { copy: self.options.copy };
        let result = eval.go_through(task, values, |eval, progress| work(self, eval, progress));
        eval.stack.truncate(height);
        result
    }

    fn set(&mut self, eval: &mut Eval, set: AttrSet, pos: Pos, out: &mut Coerced) -> Result<(), EvalError> {
        if let Some(function) = set.value(sym::TO_STRING) {
            let result = eval.call_at(function, &[set.into()], pos)?;
            let text = "while evaluating the result of the `__toString` attribute";
            let string = eval.coerce_at(result, Coercion::PLAIN, pos, text)?;
            self.string(string, out);
            return Ok(());
        }
        if let Some(path) = set.get(sym::OUT_PATH) {
            return self.value(eval, path.value.get(), path.pos, out);
        }
        out.bytes.push(b'{');
        let attrs = in_name_order(eval, set);
        self.go_through(
            eval,
            || attrs.iter().map(|attr| attr.value.get()),
            |writer, eval, progress| {
                for (index, attr) in attrs.iter().enumerate() {
                    progress.at(index);
                    if index > 0 {
                        out.bytes.push(b',');
                    }
                    let name = eval.shared.symbols.bytes(attr.name);
                    writer.text(name, out);
                    out.bytes.push(b':');
                    writer.value(eval, attr.value.get(), attr.pos, out).map_err(|error| {
                        error.trace(attr.pos, format!("while evaluating attribute '{}'", eval.text(attr.name)))
                    })?;
                }
                Ok(())
            },
        )?;
        out.bytes.push(b'}');
        Ok(())
    }

    fn string(&mut self, string: Str, out: &mut Coerced) {
        out.add_context(string.context());
        self.text(string.bytes(), out);
    }

    fn text(&mut self, text: &[u8], out: &mut Coerced) {
        if self.bad.is_none()
            && let Err(error) = std::str::from_utf8(text)
        {
            self.bad = Some(not_utf8(text, error));
        }
        escape(text, &mut out.bytes);
    }
}

/// Whether a function is one that only the evaluator itself calls.
fn is_hidden(function: Value) -> bool {
    let number = function.as_builtin().or_else(|| function.as_partial().map(|partial| partial.builtin()));
    number.is_some_and(|number| TABLE[number as usize].hidden)
}

#[cold]
fn no_form(what: &str, pos: Pos) -> EvalError {
    EvalError::new(ErrorKind::Type, format!("cannot convert {what} to JSON")).at(pos)
}

#[cold]
fn not_utf8(text: &[u8], error: std::str::Utf8Error) -> String {
    let words = match error.error_len() {
        None => format!("incomplete UTF-8 string; last byte: 0x{:02X}", text.last().copied().unwrap_or_default()),
        Some(length) => {
            // The library names the byte that does not fit, which is the first one or one after the bytes that did.
            let first = error.valid_up_to();
            let at = if text[first] < 0xc2 || text[first] > 0xf4 { first } else { first + length };
            format!("invalid UTF-8 byte at index {at}: 0x{:02X}", text.get(at).copied().unwrap_or_default())
        }
    };
    format!("JSON serialization error: [json.exception.type_error.316] {words}")
}

/// Appends a string in quotes, which must be UTF-8.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) -> Result<(), EvalError> {
    escape(text, out);
    std::str::from_utf8(text).map(drop).map_err(|error| EvalError::eval(not_utf8(text, error)))
}

/// Appends a string in quotes.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(plain) = rest.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\')) {
        out.extend_from_slice(&rest[..plain]);
        match rest[plain] {
            byte @ (b'"' | b'\\') => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            8 => out.extend(b"\\b"),
            12 => out.extend(b"\\f"),
            byte => out.extend(format!("\\u{byte:04x}").bytes()),
        }
        rest = &rest[plain + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// A float as the library prints it: the shortest digits, a point always, an exponent outside 10^-5 … 10^15.
fn float_text(float: f64) -> String {
    if !float.is_finite() {
        return "null".to_string();
    }
    if float == 0.0 {
        return if float.is_sign_negative() { "-0.0" } else { "0.0" }.to_string();
    }
    let scientific = format!("{:e}", float.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(|character| *character != '.').collect();
    // The point stands after this many digits.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let count = digits.len() as i32;
    let sign = if float < 0.0 { "-" } else { "" };
    if (count..=15).contains(&point) {
        return format!("{sign}{digits}{}.0", "0".repeat((point - count) as usize));
    }
    if 0 < point && point <= 15 {
        let (whole, part) = digits.split_at(point as usize);
        return format!("{sign}{whole}.{part}");
    }
    if -4 < point && point <= 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(-point as usize));
    }
    let exponent = point - 1;
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{dot}{rest}e{exponent_sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of C++ Nix 2.34.8.
    #[test]
    fn floats_are_printed_as_the_library_does() {
        for (float, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (123456789.123, "123456789.123"),
            (1e15, "1e+15"),
            (1e14, "100000000000000.0"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(float_text(float), text);
        }
    }

    #[test]
    fn strings_are_escaped() {
        let mut out = Vec::new();
        escape("a\"\\\n\u{1}\u{7f}é/".as_bytes(), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "\"a\\\"\\\\\\n\\u0001\u{7f}é/\"");
    }
}
