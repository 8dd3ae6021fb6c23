//! Selection: `a.b`, `a.b.${c} or d`, `a ? b`, names under `with`.

use super::{Eval, Outcome, Place};
use crate::code::Code;
use crate::error::{ErrorKind, EvalError};
use crate::program::{AttrName, NodeId, SelectDef, Symbol};
use crate::value::{AttrSet, Env, Pos, Value};

impl Eval {
    /// `base.name`; the attribute keeps the evaluated form.
    #[inline(always)]
    pub(super) fn select_one(
        &mut self,
        code: &'static Code,
        id: NodeId,
        base: NodeId,
        name: Symbol,
        env: Env,
    ) -> Outcome {
        let base = self.operand(code, base, env)?;
        let Some(set) = base.as_attrs() else { return Err(self.not_a_set(base, code.pos(id))) };
        let Some(attr) = set.get_hinted(name, code.hint(id)) else {
            return Err(self.missing_attribute(set, name, code.pos(id)));
        };
        let value = attr.value.get();
        let Some(thunk) = value.as_thunk() else { return Ok(value) };
        let value = match thunk.done() {
            Some(value) => value,
            None => match self.force_thunk_at(thunk, place_of(attr.pos, code, id)) {
                Ok(value) if thunk.done().is_none() => return Ok(value),
                Ok(value) => value,
                Err(error) => {
                    return Err(self.select_failed(error, code, id, attr.pos, || SelectedPath::One(name), env));
                }
            },
        };
        attr.value.set(value);
        Ok(value)
    }

    #[cold]
    #[inline(never)]
    fn not_a_set(&mut self, value: Value, pos: Pos) -> EvalError {
        self.expected("a set", value, Pos::NONE).trace(pos, "while selecting an attribute")
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn missing_attribute(&mut self, set: AttrSet, name: Symbol, pos: Pos) -> EvalError {
        let names = set.iter().map(|attr| self.bare_text(attr.name).into_owned());
        let suggestions = crate::suggest::best_matches(names, &self.bare_text(name));
        let wanted = self.text(name);
        EvalError::eval(format!("attribute '{wanted}' missing")).at(pos).with_suggestions(suggestions)
    }

    #[cold]
    #[inline(never)]
    fn select_failed(
        &mut self,
        error: EvalError,
        code: &'static Code,
        id: NodeId,
        attr_pos: Pos,
        path: impl FnOnce() -> SelectedPath,
        env: Env,
    ) -> EvalError {
        let error = circle_at(error, if attr_pos == Pos::NONE { code.pos(id) } else { attr_pos });
        self.trace_selection(error, attr_pos, path, code, env)
    }

    /// Names the attribute found last, if any was.
    #[cold]
    fn trace_selection(
        &mut self,
        error: EvalError,
        attr_pos: Pos,
        path: impl FnOnce() -> SelectedPath,
        code: &'static Code,
        env: Env,
    ) -> EvalError {
        if attr_pos == Pos::NONE || self.is_internal(attr_pos) {
            return error;
        }
        let shown = match path() {
            SelectedPath::One(name) => self.text(name).into_owned(),
            SelectedPath::Many(def) => self.show_path(code, def, env),
        };
        error.trace(attr_pos, format!("while evaluating the attribute '{shown}'"))
    }

    fn is_internal(&self, pos: Pos) -> bool {
        let sources = super::lock(&self.shared.sources);
        sources.text(pos).is_some_and(|text| text.is_internal())
    }

    fn show_path(&mut self, code: &'static Code, def: &SelectDef, env: Env) -> String {
        let mut shown = String::new();
        for name in &code.names[def.path.indices()] {
            if !shown.is_empty() {
                shown.push('.');
            }
            match self.attr_name(code, *name, env) {
                Ok(symbol) => shown.push_str(&self.text(symbol)),
                Err(_) => {
                    let AttrName::Dynamic(node) = *name else { continue };
                    let text =
                        crate::compile::show_attribute_name(&code.source.source, code.offset(node), &code.directory);
                    shown.push_str(&format!("\"${{{}}}\"", text.unwrap_or_default()));
                }
            }
        }
        shown
    }

    #[inline(always)]
    fn attr_name(&mut self, code: &'static Code, name: AttrName, env: Env) -> Result<Symbol, EvalError> {
        match name {
            AttrName::Static(symbol) => Ok(symbol),
            AttrName::Dynamic(node) => {
                let name = self.eval(code, node, env)?;
                let text = "while evaluating an attribute name";
                let name = self.expect_plain_string_at(name, code.pos(node), text)?;
                Ok(self.symbol_of(name))
            }
        }
    }

    /// Any selection that is not `base.name`.
    #[inline(never)]
    pub(super) fn select(&mut self, code: &'static Code, id: NodeId, index: u32, env: Env) -> Outcome {
        let def = &code.selects[index as usize];
        let default = def.default.get();
        let mut value = self.operand(code, def.base, env)?;
        let mut last_pos = Pos::NONE;
        for name in def.path.indices() {
            let step = self.select_step(code, id, value, name, default.is_some(), env);
            match step {
                Ok(Some((next, pos))) => (value, last_pos) = (next, pos),
                Ok(None) => match default {
                    // What was found on the way there counts as being evaluated, as in C++ Nix.
                    Some(default) => {
                        let outcome = self.eval(code, default, env);
                        return outcome.map_err(|error| {
                            self.trace_selection(error, last_pos, || SelectedPath::Many(def), code, env)
                        });
                    }
                    None => return Err(EvalError::eval("attribute missing").at(code.pos(id))),
                },
                Err(error) => {
                    return Err(self.select_failed(error, code, id, last_pos, || SelectedPath::Many(def), env));
                }
            }
        }
        match self.force_from(value, place_of(last_pos, code, id)) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.select_failed(error, code, id, last_pos, || SelectedPath::Many(def), env)),
        }
    }

    /// One step down; `None` if there is nothing and that is no error.
    fn select_step(
        &mut self,
        code: &'static Code,
        id: NodeId,
        value: Value,
        name: usize,
        optional: bool,
        env: Env,
    ) -> Result<Option<(Value, Pos)>, EvalError> {
        let hint = code.name_hint(name);
        let name = self.attr_name(code, code.names[name], env)?;
        let value = self.force_from(value, Place::node(code, id)).map_err(|error| circle_at(error, code.pos(id)))?;
        let Some(set) = value.as_attrs() else {
            return if optional { Ok(None) } else { Err(self.not_a_set(value, code.pos(id))) };
        };
        match set.get_hinted(name, hint) {
            Some(attr) => Ok(Some((attr.value.get(), attr.pos))),
            None if optional => Ok(None),
            None => Err(self.missing_attribute(set, name, code.pos(id))),
        }
    }

    /// `base ? path`.
    #[inline(never)]
    pub(super) fn has(&mut self, code: &'static Code, index: u32, env: Env) -> Outcome {
        let def = &code.selects[index as usize];
        let mut value = self.operand(code, def.base, env)?;
        for at in def.path.indices() {
            value = self.force(value)?;
            let name = self.attr_name(code, code.names[at], env)?;
            match value.as_attrs().and_then(|set| set.get_hinted(name, code.name_hint(at))) {
                Some(next) => value = next.value.get(),
                None => return Ok(Value::FALSE),
            }
        }
        Ok(Value::TRUE)
    }

    /// A name that only a `with` can define.
    #[inline(never)]
    pub(super) fn with_variable(
        &mut self,
        code: &'static Code,
        id: NodeId,
        name: Symbol,
        depths: u32,
        env: Env,
    ) -> Outcome {
        for (index, depth) in code.counted(depths).iter().enumerate() {
            let mut link = env;
            for _ in 0..*depth {
                link = link.up();
            }
            let cell = link.slot(0);
            let scope = cell.get();
            let text = "while evaluating the first subexpression of a with expression";
            let set = match scope.as_attrs() {
                Some(set) => set,
                None => {
                    let pos = code.pos_of(code.after_counted(depths)[index]);
                    let set = self.expect_attrs_at(scope, pos, text)?;
                    if self.may_replace(scope) {
                        cell.set(set.into());
                    }
                    set
                }
            };
            let collections = self.arena.collections();
            if self.absent.knows(collections, set, name) {
                continue;
            }
            let Some(attr) = set.get_hinted(name, code.hint(id)) else {
                self.absent.note(collections, set, name);
                continue;
            };
            let value = attr.value.get();
            if !value.is_thunk() {
                return Ok(value);
            }
            let forced = self
                .force_from(value, Place::node(code, id))
                .map_err(|error| super::place_recursion(error, code, id))?;
            if self.may_replace(value) {
                attr.value.set(forced);
            }
            return Ok(forced);
        }
        let name = self.text(name);
        Err(EvalError::new(ErrorKind::UndefinedVariable, format!("undefined variable '{name}'")).at(code.pos(id)))
    }
}

/// An infinite recursion without a place was met at this one.
fn circle_at(error: EvalError, pos: Pos) -> EvalError {
    let placeless = matches!(error.kind(), ErrorKind::InfiniteRecursion) && error.pos() == Pos::NONE;
    if placeless { error.at(pos) } else { error }
}

/// The attribute's own place, else that of the selection.
#[inline(always)]
fn place_of(attr_pos: Pos, code: &'static Code, id: NodeId) -> Place {
    if attr_pos == Pos::NONE { Place::node(code, id) } else { Place::at(attr_pos) }
}

/// Names that were looked for in vain: `with` asks one large set after the other for the same few names. A small table
/// that forgets; an address in it means the same set only until the next collection.
pub(super) struct Absent {
    collections: u32,
    found: [(u64, Symbol); ABSENT],
}

const ABSENT: usize = 64;

impl Default for Absent {
    fn default() -> Self {
        Absent { collections: 0, found: [(0, Symbol::NONE); ABSENT] }
    }
}

impl Absent {
    fn place(set: u64, name: Symbol) -> usize {
        ((set >> 3) ^ u64::from(name.0)) as usize % ABSENT
    }

    #[inline(always)]
    fn knows(&self, collections: u32, set: AttrSet, name: Symbol) -> bool {
        let set = Value::from(set).word();
        self.collections == collections && self.found[Self::place(set, name)] == (set, name)
    }

    #[inline]
    fn note(&mut self, collections: u32, set: AttrSet, name: Symbol) {
        if self.collections != collections {
            *self = Absent { collections, ..Absent::default() };
        }
        let set = Value::from(set).word();
        self.found[Self::place(set, name)] = (set, name);
    }
}

/// What was selected, for a trace.
enum SelectedPath {
    One(Symbol),
    Many(&'static SelectDef),
}
