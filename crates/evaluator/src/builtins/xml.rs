//! XML text of values.
//!
//! A derivation is shown with its attributes only once; met again it is `<repeated />`, or sets that refer to themselves
//! through derivations would have no end.

use super::{builtins, in_name_order};
use crate::code::INTERNAL;
use crate::error::{EvalError, Origin};
use crate::eval::{Coerced, Eval, lock};
use crate::value::print::general_float;
use crate::value::{AttrSet, Lambda, Pos, Value, View, sym};
use rustc_hash::FxHashSet;

builtins! {
    /// The XML text of a value.
    "__toXML" / 1 => |eval, args| {
        let mut out = Coerced::default();
        write_xml(eval, args[0], XmlOptions { strict: true, locations: false }, &mut out)?;
        Ok(out.finish(eval).into())
    };
}

/// How values are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct XmlOptions {
    /// Evaluate what is not yet; else it is `<unevaluated />`.
    pub(crate) strict: bool,
    /// Say where attributes and functions were defined.
    pub(crate) locations: bool,
}

/// Appends a whole document, ending in a line end; the contexts of strings in it are added too.
pub(crate) fn write_xml(
    eval: &mut Eval,
    value: Value,
    options: XmlOptions,
    out: &mut Coerced,
) -> Result<(), EvalError> {
    out.bytes.extend_from_slice(b"<?xml version='1.0' encoding='utf-8'?>\n");
    let mut writer = Writer { options, depth: 0, seen: FxHashSet::default(), out };
    writer.open("expr", &[]);
    writer.value(eval, value, Pos::NONE)?;
    writer.close("expr");
    Ok(())
}

type Attributes<'a> = [(&'a str, &'a [u8])];

struct Writer<'o> {
    options: XmlOptions,
    depth: usize,
    /// The derivations shown so far.
    seen: FxHashSet<Vec<u8>>,
    out: &'o mut Coerced,
}

impl Writer<'_> {
    fn tag(&mut self, name: &str, attributes: &Attributes<'_>, end: &str) {
        self.out.bytes.resize(self.out.bytes.len() + self.depth * 2, b' ');
        self.out.bytes.push(b'<');
        self.out.bytes.extend_from_slice(name.as_bytes());
        for (name, value) in attributes {
            self.out.bytes.push(b' ');
            self.out.bytes.extend_from_slice(name.as_bytes());
            self.out.bytes.extend_from_slice(b"=\"");
            for byte in *value {
                match byte {
                    b'"' => self.out.bytes.extend_from_slice(b"&quot;"),
                    b'<' => self.out.bytes.extend_from_slice(b"&lt;"),
                    b'>' => self.out.bytes.extend_from_slice(b"&gt;"),
                    b'&' => self.out.bytes.extend_from_slice(b"&amp;"),
                    b'\n' => self.out.bytes.extend_from_slice(b"&#xA;"),
                    byte => self.out.bytes.push(*byte),
                }
            }
            self.out.bytes.push(b'"');
        }
        self.out.bytes.extend_from_slice(end.as_bytes());
    }

    fn open(&mut self, name: &str, attributes: &Attributes<'_>) {
        self.tag(name, attributes, ">\n");
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        self.depth -= 1;
        self.out.bytes.resize(self.out.bytes.len() + self.depth * 2, b' ');
        self.out.bytes.extend_from_slice(format!("</{name}>\n").as_bytes());
    }

    fn empty(&mut self, name: &str, attributes: &Attributes<'_>) {
        self.tag(name, attributes, " />\n");
    }

    fn scalar(&mut self, name: &str, value: &[u8]) {
        self.empty(name, &[("value", value)]);
    }

    fn value(&mut self, eval: &mut Eval, value: Value, pos: Pos) -> Result<(), EvalError> {
        eval.deeper_at(pos, |eval| {
            if !self.options.strict && self.depth > 1 && value.as_lambda().is_some_and(Lambda::is_unseen) {
                self.empty("unevaluated", &[]);
                return Ok(());
            }
            let value = if self.options.strict { eval.force(value)? } else { value };
            self.forced(eval, value, pos)
        })
    }

    fn forced(&mut self, eval: &mut Eval, value: Value, pos: Pos) -> Result<(), EvalError> {
        match value.view() {
            View::Int(int) => self.scalar("int", int.to_string().as_bytes()),
            View::Float(float) => self.scalar("float", general_float(float).as_bytes()),
            View::Bool(truth) => self.scalar("bool", if truth { b"true" } else { b"false" }),
            View::Null => self.empty("null", &[]),
            View::String(string) => {
                self.out.add_context(string.context());
                self.scalar("string", string.bytes());
            }
            View::Path(path) => self.scalar("path", path.bytes()),
            View::List(list) => {
                self.open("list", &[]);
                for element in list.iter() {
                    self.value(eval, element, pos)?;
                }
                self.close("list");
            }
            View::Attrs(set) if eval.is_derivation(set)? => self.derivation(eval, set)?,
            View::Attrs(set) => {
                self.open("attrs", &[]);
                self.attributes(eval, set)?;
                self.close("attrs");
            }
            View::Lambda(lambda) => self.function(eval, lambda),
            View::Builtin(number) if super::TABLE[number as usize].shown_as_lambda => {
                let place = self.place(eval, super::derivation::places::FUNCTION);
                let attributes: Vec<(&str, &[u8])> =
                    place.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
                self.open("function", &attributes);
                self.open("attrspat", &[("ellipsis", b"1"), ("name", b"drvAttrs")]);
                self.empty("attr", &[("name", b"outputs")]);
                self.close("attrspat");
                self.close("function");
            }
            View::Builtin(_) | View::Partial(_) => self.empty("unevaluated", &[]),
            View::Thunk(thunk) => match thunk.evaluated() {
                Some(value) => return self.forced(eval, value, pos),
                None => self.empty("unevaluated", &[]),
            },
        }
        Ok(())
    }

    /// Where something was defined, as attributes in byte order of their names.
    fn place(&self, eval: &Eval, pos: Pos) -> Vec<(&'static str, String)> {
        if !self.options.locations {
            return Vec::new();
        }
        let Some(position) = lock(&eval.shared.sources).position(pos) else { return Vec::new() };
        let mut place = vec![("column", position.column.to_string()), ("line", position.line.to_string())];
        if let Origin::File(path) = position.origin {
            // A file of the evaluator lies in a tree of its own.
            let own = path.strip_prefix(INTERNAL).map(|name| format!("/{name}"));
            place.push(("path", own.unwrap_or_else(|| path.to_string())));
        }
        place
    }

    fn attributes(&mut self, eval: &mut Eval, set: AttrSet) -> Result<(), EvalError> {
        for attr in in_name_order(eval, set) {
            let place = self.place(eval, attr.pos);
            let mut attributes: Vec<(&str, &[u8])> =
                place.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            attributes.push(("name", eval.shared.symbols.bytes(attr.name)));
            attributes.sort_unstable();
            self.open("attr", &attributes);
            self.value(eval, attr.value.get(), attr.pos)?;
            self.close("attr");
        }
        Ok(())
    }

    fn derivation(&mut self, eval: &mut Eval, set: AttrSet) -> Result<(), EvalError> {
        let mut shown: Vec<(&str, &[u8])> = Vec::new();
        for (name, symbol) in [("drvPath", sym::DRV_PATH), ("outPath", sym::OUT_PATH)] {
            let Some(value) = set.value(symbol) else { continue };
            let value = if self.options.strict { eval.force(value)? } else { value };
            let value = value.as_thunk().and_then(|thunk| thunk.evaluated()).unwrap_or(value);
            if let Some(string) = value.as_string() {
                shown.push((name, string.bytes()));
            }
        }
        let path = shown.iter().find(|(name, _)| *name == "drvPath").map(|(_, path)| path.to_vec());
        self.open("derivation", &shown);
        if path.is_some_and(|path| !path.is_empty() && self.seen.insert(path)) {
            self.attributes(eval, set)?;
        } else {
            self.empty("repeated", &[]);
        }
        self.close("derivation");
        Ok(())
    }

    fn function(&mut self, eval: &mut Eval, lambda: Lambda) {
        let (code, index) = lambda.code();
        let code = eval.code(code);
        let definition = code.lambdas[index as usize];
        let place = self.place(eval, code.pos_of(definition.offset));
        let attributes: Vec<(&str, &[u8])> = place.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        self.open("function", &attributes);
        let argument = definition.argument;
        let name = (argument != crate::program::Symbol::NONE).then(|| eval.shared.symbols.bytes(argument));
        if definition.has_formals {
            let mut attributes: Vec<(&str, &[u8])> = Vec::new();
            if definition.ellipsis {
                attributes.push(("ellipsis", b"1"));
            }
            attributes.extend(name.map(|name| ("name", name)));
            self.open("attrspat", &attributes);
            let mut names: Vec<&[u8]> =
                code.formals(&definition).iter().map(|formal| eval.shared.symbols.bytes(formal.name)).collect();
            names.sort_unstable();
            for name in names {
                self.empty("attr", &[("name", name)]);
            }
            self.close("attrspat");
        } else {
            self.empty("varpat", &[("name", name.unwrap_or_default())]);
        }
        self.close("function");
    }
}
