//! Values as text: the form of `nix-instantiate --eval`, the form of `nix eval` and of error messages.
//!
//! The first ([`Eval::print_plain`]) forces nothing and writes `<CODE>` and `<LAMBDA>`; the second
//! ([`Eval::print_nice`]) takes [`PrintOptions`], may force as it goes, may indent, elides what exceeds its bounds. In
//! both a set or list met again is `«repeated»`. Names are in byte order.
//!
//! Absent on purpose: JSON and XML (builtins), colours.

use super::{AttrSet, List, Pos, Value, View};
use crate::builtins::TABLE;
use crate::error::{ErrorKind, EvalError};
use crate::eval::Eval;
use crate::program::Symbol;
use rustc_hash::FxHashSet;
use std::borrow::Cow;

/// The type with its article, for "expected … but found …".
pub(crate) fn type_phrase(value: Value) -> Cow<'static, str> {
    match value.view() {
        View::Int(_) => "an integer".into(),
        View::Float(_) => "a float".into(),
        View::Bool(_) => "a Boolean".into(),
        View::Null => "null".into(),
        View::String(string) if string.context() != super::ContextId::NONE => "a string with context".into(),
        View::String(_) => "a string".into(),
        View::Path(_) => "a path".into(),
        View::Attrs(_) => "a set".into(),
        View::List(_) => "a list".into(),
        View::Lambda(_) => "a function".into(),
        View::Builtin(number) => format!("the built-in function '{}'", TABLE[number as usize].plain_name()).into(),
        View::Partial(partial) => {
            let name = TABLE[partial.builtin() as usize].plain_name();
            format!("the partially applied built-in function '{name}'").into()
        }
        View::Thunk(_) => "a thunk".into(),
    }
}

/// What `typeOf` says.
pub(crate) fn type_name(value: Value) -> &'static str {
    match value.view() {
        View::Int(_) => "int",
        View::Float(_) => "float",
        View::Bool(_) => "bool",
        View::Null => "null",
        View::String(_) => "string",
        View::Path(_) => "path",
        View::Attrs(_) => "set",
        View::List(_) => "list",
        View::Lambda(_) | View::Builtin(_) | View::Partial(_) => "lambda",
        View::Thunk(_) => "thunk",
    }
}

/// A float with at most six significant digits (C's `%g`).
pub(crate) fn general_float(float: f64) -> String {
    const DIGITS: i32 = 6;
    if !float.is_finite() {
        return crate::eval::fixed_float(float);
    }
    if float == 0.0 {
        return if float.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let scientific = format!("{float:.*e}", (DIGITS - 1) as usize);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| -> String {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text.into() }
    };
    if (-4..DIGITS).contains(&exponent) {
        return trim(&format!("{float:.*}", (DIGITS - 1 - exponent) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
}

/// A string literal, cut at `most` bytes.
fn push_literal(out: &mut Vec<u8>, text: &[u8], most: usize) {
    out.push(b'"');
    for (at, byte) in text.iter().enumerate() {
        if at >= most {
            out.extend_from_slice(b"\" ");
            push_elided(out, text.len() - at, "byte", "bytes");
            return;
        }
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'$' if text.get(at + 1) == Some(&b'{') => out.extend_from_slice(b"\\$"),
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
}

fn push_elided(out: &mut Vec<u8>, count: usize, one: &str, many: &str) {
    let noun = if count == 1 { one } else { many };
    out.extend_from_slice(format!("«{count} {noun} elided»").as_bytes());
}

/// Whether a name needs no quotes on the left of `=`.
pub(crate) fn is_plain_name(name: &[u8]) -> bool {
    const KEYWORDS: [&[u8]; 9] = [b"if", b"then", b"else", b"assert", b"with", b"let", b"in", b"rec", b"inherit"];
    let Some(first) = name.first() else { return false };
    !KEYWORDS.contains(&name)
        && (first.is_ascii_alphabetic() || *first == b'_')
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'\''))
}

/// Appends a name, in quotes where it needs them on the left of `=`.
pub fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    if is_plain_name(name) { out.extend_from_slice(name) } else { push_literal(out, name, usize::MAX) }
}

/// How [`Eval::print_nice`] prints.
#[derive(Clone, Copy, Debug)]
pub struct PrintOptions {
    /// Evaluate what is met.
    pub force: bool,
    /// Show a derivation as `«derivation /nix/store/….drv»` (needs `force`).
    pub derivation_paths: bool,
    /// Levels shown.
    pub max_depth: usize,
    /// Attributes shown in all.
    pub max_attrs: usize,
    /// List elements shown in all.
    pub max_list_items: usize,
    /// Bytes shown of a string.
    pub max_string_length: usize,
    /// Columns per level; 0 for one line.
    pub indent: usize,
    /// Errors of nested values are failures, not shown in place.
    pub fail: bool,
}

impl PrintOptions {
    /// `nix eval`.
    pub const EVAL: PrintOptions = PrintOptions {
        force: true,
        derivation_paths: true,
        max_depth: usize::MAX,
        max_attrs: usize::MAX,
        max_list_items: usize::MAX,
        max_string_length: usize::MAX,
        indent: 0,
        fail: true,
    };
    /// Values in error messages.
    pub(crate) const ERROR: PrintOptions = PrintOptions {
        force: false,
        derivation_paths: false,
        max_depth: 10,
        max_attrs: 10,
        max_list_items: 10,
        max_string_length: 1024,
        indent: 0,
        fail: false,
    };
}

struct Printer<'a> {
    eval: &'a mut Eval,
    options: PrintOptions,
    out: Vec<u8>,
    seen: FxHashSet<u64>,
    attrs_printed: usize,
    items_printed: usize,
    indent: usize,
}

impl Eval {
    /// A value as `nix-instantiate --eval` prints it.
    pub(crate) fn print_plain(&mut self, value: Value) -> Result<Vec<u8>, EvalError> {
        let mut out = Vec::new();
        let mut seen = FxHashSet::default();
        self.plain(value, &mut out, &mut Some(&mut seen), 0)?;
        Ok(out)
    }

    /// The same with what is met again printed again, so that the text can be read back.
    pub(crate) fn print_whole(&mut self, value: Value) -> Result<Vec<u8>, EvalError> {
        let mut out = Vec::new();
        self.plain(value, &mut out, &mut None, 0)?;
        Ok(out)
    }

    fn plain(
        &mut self,
        value: Value,
        out: &mut Vec<u8>,
        seen: &mut Option<&mut FxHashSet<u64>>,
        depth: u32,
    ) -> Result<(), EvalError> {
        self.check_print(depth)?;
        // A list is known again by the place it was met in, as in C++ Nix, a set by itself.
        let place = value.word();
        if depth > 0 && value.as_lambda().is_some_and(super::Lambda::is_unseen) {
            out.extend_from_slice(b"<CODE>");
            return Ok(());
        }
        let value = value.as_thunk().and_then(super::Thunk::evaluated).unwrap_or(value);
        match value.view() {
            View::Thunk(thunk) if self.is_running(thunk) => {
                out.extend_from_slice("«potential infinite recursion»".as_bytes());
            }
            View::Thunk(_) => out.extend_from_slice(b"<CODE>"),
            View::Attrs(set) => {
                if !set.is_empty() && seen.as_mut().is_some_and(|seen| !seen.insert(value.word())) {
                    out.extend_from_slice("«repeated»".as_bytes());
                    return Ok(());
                }
                out.extend_from_slice(b"{ ");
                for attr in crate::builtins::in_name_order(self, set) {
                    push_name(out, self.shared.symbols.bytes(attr.name));
                    out.extend_from_slice(b" = ");
                    self.plain(attr.value.get(), out, seen, depth + 1)?;
                    out.extend_from_slice(b"; ");
                }
                out.push(b'}');
            }
            View::List(list) => {
                if !list.is_empty() && seen.as_mut().is_some_and(|seen| !seen.insert(place)) {
                    out.extend_from_slice("«repeated»".as_bytes());
                    return Ok(());
                }
                out.extend_from_slice(b"[ ");
                for element in list.iter() {
                    self.plain(element, out, seen, depth + 1)?;
                    out.push(b' ');
                }
                out.push(b']');
            }
            View::Lambda(_) => out.extend_from_slice(b"<LAMBDA>"),
            View::Builtin(number) if TABLE[number as usize].shown_as_lambda => out.extend_from_slice(b"<LAMBDA>"),
            View::Builtin(_) => out.extend_from_slice(b"<PRIMOP>"),
            View::Partial(_) => out.extend_from_slice(b"<PRIMOP-APP>"),
            _ => push_scalar(out, value, usize::MAX),
        }
        Ok(())
    }

    fn check_print(&mut self, depth: u32) -> Result<(), EvalError> {
        self.poll()?;
        if depth > self.shared.options.max_call_depth {
            return Err(EvalError::new(ErrorKind::StackOverflow, "stack overflow; max-call-depth exceeded"));
        }
        self.check_stack()
    }

    /// A value as `nix eval` prints it.
    pub(crate) fn print_nice(&mut self, value: Value, options: PrintOptions) -> Result<Vec<u8>, EvalError> {
        let mut printer = Printer {
            eval: self,
            options,
            out: Vec::new(),
            seen: FxHashSet::default(),
            attrs_printed: 0,
            items_printed: 0,
            indent: 0,
        };
        printer.print(value, 0)?;
        Ok(printer.out)
    }

    /// A value in the bounded form of error messages.
    #[cold]
    pub(crate) fn show_in_error(&mut self, value: Value) -> String {
        match self.print_nice(value, PrintOptions::ERROR) {
            Ok(bytes) => crate::text::bytes_as_text(&bytes).into_owned(),
            Err(error) => format!("«error: {}»", error.message()),
        }
    }
}

/// What is printed the same in both forms.
fn push_scalar(out: &mut Vec<u8>, value: Value, max_string: usize) {
    match value.view() {
        View::Int(int) => out.extend_from_slice(int.to_string().as_bytes()),
        View::Float(float) => out.extend_from_slice(general_float(float).as_bytes()),
        View::Bool(truth) => out.extend_from_slice(if truth { b"true" } else { b"false" }),
        View::Null => out.extend_from_slice(b"null"),
        View::String(string) => push_literal(out, string.bytes(), max_string),
        View::Path(path) => match path.bytes().strip_prefix(crate::code::INTERNAL.as_bytes()) {
            // What is built in is shown as it is found.
            Some(name) => out.extend_from_slice(&[b"<nix/", name, b">"].concat()),
            None => out.extend_from_slice(path.bytes()),
        },
        _ => {}
    }
}

impl Printer<'_> {
    fn print(&mut self, value: Value, depth: usize) -> Result<(), EvalError> {
        self.eval.check_print(u32::try_from(depth).unwrap_or(u32::MAX))?;
        match self.print_inside(value, depth) {
            Err(error) if !self.options.fail && !matches!(error.kind(), ErrorKind::StackOverflow) => {
                self.out.extend_from_slice(format!("«error: {}»", error.message()).as_bytes());
                Ok(())
            }
            result => result,
        }
    }

    fn print_inside(&mut self, value: Value, depth: usize) -> Result<(), EvalError> {
        let place = value.word();
        if depth > 0 && !self.options.force && value.as_lambda().is_some_and(super::Lambda::is_unseen) {
            self.text("«thunk»");
            return Ok(());
        }
        let value = if self.options.force { self.eval.force(value)? } else { value };
        let value = value.as_thunk().and_then(super::Thunk::evaluated).unwrap_or(value);
        match value.view() {
            View::Thunk(thunk) if self.eval.is_running(thunk) => self.text("«potential infinite recursion»"),
            View::Thunk(_) => self.text("«thunk»"),
            View::Attrs(set) => self.attrs(value, set, depth)?,
            View::List(list) => self.list(place, list, depth)?,
            View::Lambda(lambda) => {
                let (code, index) = lambda.code();
                let code = self.eval.code(code);
                let lambda = &code.lambdas[index as usize];
                self.text("«lambda");
                if lambda.name != Symbol::NONE {
                    let name = self.eval.text(lambda.name);
                    self.text(&format!(" {name}"));
                }
                let place = self.eval.describe_pos(code.pos_of(lambda.offset));
                self.text(&format!(" @ {place}»"));
            }
            View::Builtin(number) => {
                let builtin = &TABLE[number as usize];
                if builtin.shown_as_lambda {
                    let name = builtin.plain_name();
                    self.text(&format!("«lambda {name} @ «nix-internal»/derivation-internal.nix:1:1»"));
                } else {
                    self.text(&format!("«primop {}»", builtin.plain_name()));
                }
            }
            View::Partial(partial) => {
                let name = TABLE[partial.builtin() as usize].plain_name();
                self.text(&format!("«partially applied primop {name}»"));
            }
            _ => push_scalar(&mut self.out, value, self.options.max_string_length),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// The space between items: a new line if they stand one below the other.
    fn space(&mut self, pretty: bool) {
        if pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + self.indent, b' ');
        } else {
            self.out.push(b' ');
        }
    }

    /// Whether items stand one below the other: several, or one that is itself made of items.
    fn is_pretty(&mut self, first: Option<Value>, count: usize) -> Result<bool, EvalError> {
        if self.options.indent == 0 || count == 0 {
            return Ok(false);
        }
        let Some(first) = first.filter(|_| count == 1) else { return Ok(true) };
        match self.eval.force(first) {
            Ok(first) => Ok(first.is_list() || first.is_attrs() || first.is_thunk()),
            // It is shown in its place.
            Err(error) if !self.options.fail && !matches!(error.kind(), ErrorKind::StackOverflow) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn attrs(&mut self, value: Value, set: AttrSet, depth: usize) -> Result<(), EvalError> {
        if !self.seen.insert(value.word()) {
            self.text("«repeated»");
            return Ok(());
        }
        if self.options.force && self.options.derivation_paths && self.eval.is_derivation(set)? {
            return self.derivation(set);
        }
        if depth >= self.options.max_depth {
            self.text("{ ... }");
            return Ok(());
        }
        self.indent += self.options.indent;
        self.text("{");
        let mut attrs = crate::builtins::in_name_order(self.eval, set);
        if self.options.max_attrs != usize::MAX {
            let bytes = |name| self.eval.shared.symbols.bytes(name);
            attrs.sort_by_key(|attr| !matches!(bytes(attr.name), b"type" | b"_type"));
        }
        let pretty = self.is_pretty(attrs.first().map(|attr| attr.value.get()), attrs.len())?;
        for (index, attr) in attrs.iter().enumerate() {
            self.space(pretty);
            if self.attrs_printed >= self.options.max_attrs {
                push_elided(&mut self.out, attrs.len() - index, "attribute", "attributes");
                break;
            }
            push_name(&mut self.out, self.eval.shared.symbols.bytes(attr.name));
            self.text(" = ");
            self.print(attr.value.get(), depth + 1)?;
            self.text(";");
            self.attrs_printed += 1;
        }
        self.indent -= self.options.indent;
        self.space(pretty);
        self.text("}");
        Ok(())
    }

    fn derivation(&mut self, set: AttrSet) -> Result<(), EvalError> {
        self.text("«derivation");
        if let Some(path) = set.value(super::sym::DRV_PATH) {
            let text = "while evaluating the drvPath of a derivation";
            let path = self.eval.expect_string_at(path, Pos::NONE, text)?;
            self.out.push(b' ');
            self.out.extend_from_slice(path.bytes());
        }
        self.text("»");
        Ok(())
    }

    fn list(&mut self, place: u64, list: List, depth: usize) -> Result<(), EvalError> {
        if !list.is_empty() && !self.seen.insert(place) {
            self.text("«repeated»");
            return Ok(());
        }
        if depth >= self.options.max_depth {
            self.text("[ ... ]");
            return Ok(());
        }
        self.indent += self.options.indent;
        self.text("[");
        let pretty = self.is_pretty(list.iter().next(), list.len())?;
        for (index, element) in list.iter().enumerate() {
            self.space(pretty);
            if self.items_printed >= self.options.max_list_items {
                push_elided(&mut self.out, list.len() - index, "item", "items");
                break;
            }
            self.print(element, depth + 1)?;
            self.items_printed += 1;
        }
        self.indent -= self.options.indent;
        self.space(pretty);
        self.text("]");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_percent_g() {
        for (float, text) in [
            (1.0, "1"),
            (0.1 + 0.2, "0.3"),
            (123_456_789.123, "1.23457e+08"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (-0.0, "-0"),
            (100_000.0, "100000"),
            (999_999.5, "1e+06"),
            (2.5, "2.5"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(general_float(float), text);
        }
    }

    #[test]
    fn literals_are_escaped_and_cut() {
        let literal = |text: &[u8], most| {
            let mut out = Vec::new();
            push_literal(&mut out, text, most);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(literal(b"a\"b\\c\n$${x}", usize::MAX), r#""a\"b\\c\n$\${x}""#);
        assert_eq!(literal(b"abcdef", 2), "\"ab\" «4 bytes elided»");
    }
}
