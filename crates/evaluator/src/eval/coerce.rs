//! Values to strings and paths: interpolation, `toString`, derivation attributes.

use super::access::Links;
use super::{Eval, Outcome, lock};
use crate::code::canonical;
use crate::error::EvalError;
use crate::parallel::Task;
use crate::value::print::type_phrase;
use crate::value::{AttrSet, ContextElement, ContextId, List, Pos, Str, Value, View, sym};
use crate::world::{CopyRequest, PathFilter};
use smallvec::SmallVec;
use store_model::{ContentAddressMethod, StorePath};

/// What may become a string, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Coercion {
    /// Also integers, floats, Booleans, null and lists.
    pub(crate) more: bool,
    /// Paths are copied to the store and give their place there.
    pub(crate) copy: bool,
}

impl Coercion {
    /// `"${e}"`, `+` on strings.
    pub(crate) const INTERPOLATION: Coercion = Coercion { more: false, copy: true };
    /// What follows a path.
    pub(crate) const PATH_SEGMENT: Coercion = Coercion { more: false, copy: false };
    /// `toString`.
    pub(crate) const TO_STRING: Coercion = Coercion { more: true, copy: false };
    /// Attributes of a derivation.
    pub(crate) const DERIVATION: Coercion = Coercion { more: true, copy: true };
    /// Strings, and sets that say how they become one.
    pub(crate) const PLAIN: Coercion = Coercion { more: false, copy: false };
}

/// Bytes being collected with their context, which is joined once, at the end.
#[derive(Default)]
pub(crate) struct Coerced {
    /// The text.
    pub(crate) bytes: Vec<u8>,
    contexts: SmallVec<[ContextId; 4]>,
}

impl Coerced {
    /// The contexts met so far.
    pub(crate) fn contexts(&self) -> &[ContextId] {
        &self.contexts
    }

    /// Adds a context.
    #[inline]
    pub(crate) fn add_context(&mut self, context: ContextId) {
        if context != ContextId::NONE && self.contexts.last() != Some(&context) {
            self.contexts.push(context);
        }
    }

    /// Adds a string with its context.
    pub(crate) fn push(&mut self, string: Str) {
        self.bytes.extend_from_slice(string.bytes());
        self.add_context(string.context());
    }

    /// One in memory that was used before.
    pub(crate) fn begin(eval: &mut Eval) -> Coerced {
        Coerced { bytes: eval.buffers.pop().unwrap_or_default(), contexts: SmallVec::new() }
    }

    /// The string value.
    pub(crate) fn finish(mut self, eval: &mut Eval) -> Str {
        let context = eval.shared.contexts.union_all(&self.contexts);
        let string = eval.string_with(&self.bytes, context);
        if self.bytes.capacity() <= LARGEST_KEPT && eval.buffers.len() < MOST_KEPT {
            self.bytes.clear();
            eval.buffers.push(self.bytes);
        }
        string
    }
}

/// Bytes of a buffer that is used again, at most.
const LARGEST_KEPT: usize = 64 << 10;
/// Buffers kept: as many as are filled at the same time, mostly.
const MOST_KEPT: usize = 8;

impl Eval {
    /// The string form of a value.
    pub(crate) fn coerce(&mut self, value: Value, how: Coercion, text: &'static str) -> Result<Str, EvalError> {
        self.coerce_at(value, how, Pos::NONE, text)
    }

    /// The same with the place to name.
    pub(crate) fn coerce_at(
        &mut self,
        value: Value,
        how: Coercion,
        pos: Pos,
        text: &'static str,
    ) -> Result<Str, EvalError> {
        let value = self.force_to_coerce(value, pos)?;
        if let Some(string) = value.as_string() {
            self.check_depth(pos)?;
            return Ok(string);
        }
        // What a set gives for itself is taken as it is, without a copy.
        if let Some(set) = value.as_attrs()
            && set.get(sym::TO_STRING).is_none()
            && let Some(path) = set.value(sym::OUT_PATH)
        {
            return self.deeper_at(pos, |eval| eval.coerce_at(path, how, pos, text));
        }
        if let Some(int) = value.as_int().filter(|_| how.more) {
            return self.deeper_at(pos, |eval| {
                Ok(eval.string_with(itoa::Buffer::new().format(int).as_bytes(), ContextId::NONE))
            });
        }
        let mut coerced = Coerced::begin(self);
        self.coerce_into(value, how, pos, text, &mut coerced)?;
        Ok(coerced.finish(self))
    }

    /// Appends the string form of a value.
    pub(crate) fn coerce_into(
        &mut self,
        value: Value,
        how: Coercion,
        pos: Pos,
        text: &'static str,
        out: &mut Coerced,
    ) -> Result<(), EvalError> {
        let value = self.force_to_coerce(value, pos)?;
        if let Some(string) = value.as_string() {
            self.check_depth(pos)?;
            self.make_room(out.bytes.len() + string.len())?;
            out.push(string);
            return Ok(());
        }
        self.deeper_at(pos, |eval| eval.coerce_other(value, how, pos, text, out))
    }

    /// What is not evaluated yet is so one level down, as the coercion counts.
    #[inline(always)]
    fn force_to_coerce(&mut self, value: Value, pos: Pos) -> Outcome {
        match value.as_thunk() {
            None => Ok(value),
            Some(thunk) => match thunk.done() {
                Some(value) => Ok(value),
                None => self.deeper_at(pos, |eval| eval.force_thunk(thunk)),
            },
        }
    }

    fn coerce_other(
        &mut self,
        value: Value,
        how: Coercion,
        pos: Pos,
        text: &'static str,
        out: &mut Coerced,
    ) -> Result<(), EvalError> {
        match value.view() {
            View::Path(path) if how.copy => {
                let stored = self.copy_to_store(path.bytes())?;
                self.shared.world.store_dir().print_into(&stored, &mut out.bytes);
                let context = self.shared.contexts.single(ContextElement::Opaque(stored));
                out.add_context(context);
            }
            View::Path(path) => match path.bytes().strip_prefix(crate::code::INTERNAL.as_bytes()) {
                // A file of the evaluator lies in a tree of its own.
                Some(name) => out.bytes.extend_from_slice(&[b"/", name].concat()),
                None => out.bytes.extend_from_slice(path.bytes()),
            },
            View::Attrs(set) => return self.coerce_attrs(set, how, pos, text, out),
            View::Bool(true) if how.more => out.bytes.push(b'1'),
            View::Bool(false) | View::Null if how.more => {}
            View::Int(int) if how.more => out.bytes.extend_from_slice(itoa::Buffer::new().format(int).as_bytes()),
            View::Float(float) if how.more => out.bytes.extend_from_slice(fixed_float(float).as_bytes()),
            View::List(list) if how.more => {
                return self.coerce_list(list, how, pos, out).map_err(|error| error.trace(pos, text));
            }
            _ => return Err(self.cannot_coerce(value, pos, text)),
        }
        Ok(())
    }

    fn coerce_list(&mut self, list: List, how: Coercion, pos: Pos, out: &mut Coerced) -> Result<(), EvalError> {
        let last = list.len().saturating_sub(1);
        let height = self.stack.height();
        let result = self.go_through(
            Task::String(how),
            || list.iter(),
            |eval, progress| {
                for (index, element) in list.iter().enumerate() {
                    progress.at(index);
                    let element = eval.force(element)?;
                    eval.coerce_into(element, how, pos, "while evaluating one element of the list", out)?;
                    if index < last && element.as_list().is_none_or(|list| !list.is_empty()) {
                        out.bytes.push(b' ');
                    }
                }
                Ok(())
            },
        );
        self.stack.truncate(height);
        result
    }

    fn coerce_attrs(
        &mut self,
        set: AttrSet,
        how: Coercion,
        pos: Pos,
        text: &'static str,
        out: &mut Coerced,
    ) -> Result<(), EvalError> {
        if let Some(function) = set.value(sym::TO_STRING) {
            let result = self.call_at(function, &[set.into()], pos)?;
            let text = "while evaluating the result of the `__toString` attribute";
            return self.coerce_into(result, how, pos, text, out);
        }
        match set.value(sym::OUT_PATH) {
            Some(path) => self.coerce_into(path, how, pos, text, out),
            None => Err(self.cannot_coerce(set.into(), pos, text)),
        }
    }

    #[cold]
    #[inline(never)]
    fn cannot_coerce(&mut self, value: Value, pos: Pos, text: &'static str) -> EvalError {
        let shown = self.show_in_error(value);
        EvalError::type_error(format!("cannot coerce {} to a string: {shown}", type_phrase(value))).trace(pos, text)
    }

    /// The store path of a source, copied once.
    pub(crate) fn copy_to_store(&mut self, path: &[u8]) -> Result<StorePath, EvalError> {
        if path.ends_with(b".drv") {
            return Err(EvalError::eval("file names are not allowed to end in '.drv'"));
        }
        let known = lock(&self.shared.copied).get(path).cloned();
        if let Some((stored, reads)) = known {
            self.meet(reads);
            return Ok(stored);
        }
        self.check_readable(&self.target(path, Links::Folders)?)?;
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        let method = ContentAddressMethod::NixArchive;
        let world = self.shared.world.clone();
        let is_whole = self.is_readable_whole(path);
        let (stored, reads) = self.witness(|eval| {
            let mut decide = |path: &[u8], _| Ok(eval.is_readable(path));
            let filter: Option<&mut PathFilter<'_>> = if is_whole { None } else { Some(&mut decide) };
            let request = CopyRequest { path, name: &name, method, filter, expected: None, references: &[] };
            world.copy_to_store(&eval.activity, request)
        });
        let stored = stored.map_err(|error| self.why(path, Links::Folders, error))?;
        lock(&self.shared.copied).insert(path.to_vec(), (stored.clone(), reads));
        Ok(stored)
    }

    /// A path value, or a string or set that names an absolute path; with the context of the string.
    pub(crate) fn coerce_to_path(
        &mut self,
        value: Value,
        text: &'static str,
    ) -> Result<(Vec<u8>, ContextId), EvalError> {
        self.coerce_to_path_at(value, Pos::NONE, text)
    }

    /// The same with the place to name.
    pub(crate) fn coerce_to_path_at(
        &mut self,
        value: Value,
        pos: Pos,
        text: &'static str,
    ) -> Result<(Vec<u8>, ContextId), EvalError> {
        let value = self.force_at(value, pos).map_err(|error| error.trace(pos, text))?;
        if let Some(path) = value.as_path() {
            return Ok((path.bytes().to_vec(), ContextId::NONE));
        }
        if let Some(function) = value.as_attrs().and_then(|set| set.value(sym::TO_STRING)) {
            let result = self.call(function, &[value])?;
            return self.coerce_to_path_at(result, pos, text);
        }
        let string = self.coerce_at(value, Coercion::PLAIN, pos, text)?;
        if !string.bytes().starts_with(b"/") {
            let shown = crate::text::bytes_as_text(string.bytes());
            let error = EvalError::eval(format!("string '{shown}' doesn't represent an absolute path"));
            return Err(error.trace(pos, text));
        }
        Ok((canonical(string.bytes()), string.context()))
    }

    /// The elements of a context sorted by their printed form.
    pub(crate) fn context_elements(&self, context: ContextId) -> Vec<ContextElement> {
        let mut elements: Vec<ContextElement> = self.shared.contexts.elements(context).cloned().collect();
        elements.sort();
        elements
    }

    /// An element of a context as messages show it.
    pub(crate) fn display_context_element(&self, element: &ContextElement) -> String {
        let store_dir = self.shared.world.store_dir();
        match element {
            ContextElement::Opaque(path) => store_dir.print(path),
            ContextElement::Output { derivation, output } => format!("{}^{output}", store_dir.print(derivation)),
            ContextElement::Dynamic { derivation, output } => format!("{}^{output}", derivation.print(store_dir)),
            ContextElement::Whole(path) => format!("{} (deep)", store_dir.print(path)),
        }
    }
}

/// A float with six decimals (C's `%f`).
pub(crate) fn fixed_float(float: f64) -> String {
    if float.is_nan() {
        return if float.is_sign_negative() { "-nan".into() } else { "nan".into() };
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf".into() } else { "-inf".into() };
    }
    format!("{float:.6}")
}
