//! Forms that make environments and sets: `let`, `rec`, set literals, `inherit (e)`, dynamic attributes, `assert`.

use super::{Eval, Outcome};
use crate::code::Code;
use crate::error::{ErrorKind, EvalError};
use crate::program::{AttrsDef, Binding, BindingKind, Node, NodeId};
use crate::value::{AttrSet, AttrSetBuilder, Env, Filling, ListBuilder, Name, Pos, Shape, Thunk, Value, sym};

impl Eval {
    /// The link with the sources of `inherit (e)`, above `env`; `env` itself if there are none.
    #[inline(always)]
    fn inherit_env(&mut self, code: &'static Code, def: &AttrsDef, env: Env) -> Env {
        if def.inherit_from.len == 0 {
            return env;
        }
        let link = env.extend(&mut self.arena, def.inherit_from.len as usize);
        for (slot, source) in code.operands(def.inherit_from).iter().enumerate() {
            let source = self.delay(code, NodeId(*source), env);
            link.slot(slot as u32).set(source);
        }
        link
    }

    /// The environment of a `let`.
    #[inline(always)]
    pub(super) fn let_env(&mut self, code: &'static Code, index: u32, outside: Env) -> Env {
        let def = &code.attrs[index as usize];
        let env = outside.extend(&mut self.arena, def.slots as usize);
        let inherit = self.inherit_env(code, def, env);
        for binding in &code.bindings[def.bindings.indices()] {
            let scope = match binding.kind {
                BindingKind::Plain => env,
                BindingKind::Inherited => outside,
                BindingKind::From => inherit,
            };
            let value = self.delay(code, binding.value, scope);
            env.slot(binding.slot).set(value);
        }
        env
    }

    /// A set literal.
    #[inline(always)]
    pub(super) fn attrs(&mut self, code: &'static Code, index: u32, env: Env) -> Outcome {
        let def = &code.attrs[index as usize];
        if def.recursive {
            return self.recursive_attrs(code, index, env);
        }
        let inherit = self.inherit_env(code, def, env);
        if def.dynamics.len > 0 {
            let mut set = AttrSetBuilder::new(&mut self.arena, (def.bindings.len + def.dynamics.len) as usize);
            for binding in &code.bindings[def.bindings.indices()] {
                let scope = if binding.kind == BindingKind::From { inherit } else { env };
                let value = self.delay(code, binding.value, scope);
                set.push(binding.name, code.pos_of(binding.offset), value);
            }
            return self.dynamic_attrs(code, def, set, env);
        }
        if def.bindings.len == 0 {
            return Ok(self.constants.empty_set.into());
        }
        let shape = self.literal_shape(code, index);
        let mut set = Filling::new(&mut self.arena, shape);
        for binding in &code.bindings[def.bindings.indices()] {
            let scope = if binding.kind == BindingKind::From { inherit } else { env };
            let value = self.delay(code, binding.value, scope);
            set.push(value);
        }
        Ok(set.finish().into())
    }

    /// The shape of what a set literal without dynamic attributes makes.
    #[inline(always)]
    fn literal_shape(&mut self, code: &'static Code, index: u32) -> Shape {
        let shape = code.shapes[index as usize].get();
        if shape == Shape::NONE && code.attrs[index as usize].bindings.len > 0 {
            return self.make_literal_shape(code, index);
        }
        shape
    }

    #[cold]
    #[inline(never)]
    fn make_literal_shape(&mut self, code: &'static Code, index: u32) -> Shape {
        let bindings = &code.bindings[code.attrs[index as usize].bindings.indices()];
        let name = |binding: &Binding| Name { name: binding.name, pos: code.pos_of(binding.offset) };
        let names: Vec<Name> = bindings.iter().map(name).collect();
        let shape = Shape::of(&mut self.arena, &names);
        code.shapes[index as usize].set(shape);
        shape
    }

    #[inline(never)]
    fn recursive_attrs(&mut self, code: &'static Code, index: u32, outside: Env) -> Outcome {
        let def = &code.attrs[index as usize];
        let env = outside.extend(&mut self.arena, def.slots as usize);
        let inherit = self.inherit_env(code, def, env);
        let bindings = &code.bindings[def.bindings.indices()];
        for binding in bindings {
            let scope = match binding.kind {
                BindingKind::Plain => env,
                BindingKind::Inherited => outside,
                BindingKind::From => inherit,
            };
            // With `__overrides` a slot may still be replaced, so nothing may look through it now.
            let value = if def.overrides && binding.kind != BindingKind::Inherited {
                Thunk::expression(&mut self.arena, code.number, binding.value.0, scope).into()
            } else {
                self.delay(code, binding.value, scope)
            };
            env.slot(binding.slot).set(value);
        }
        if def.overrides || def.dynamics.len > 0 {
            let mut set = AttrSetBuilder::new(&mut self.arena, (def.bindings.len + def.dynamics.len) as usize);
            for binding in bindings {
                set.push(binding.name, code.pos_of(binding.offset), env.slot(binding.slot).get());
            }
            if def.overrides {
                set = self.override_attrs(code, def, set, env)?;
            }
            return self.dynamic_attrs(code, def, set, env);
        }
        let shape = self.literal_shape(code, index);
        let mut set = Filling::new(&mut self.arena, shape);
        for binding in bindings {
            set.push(env.slot(binding.slot).get());
        }
        Ok(set.finish().into())
    }

    #[cold]
    fn override_attrs(
        &mut self,
        code: &'static Code,
        def: &AttrsDef,
        set: AttrSetBuilder,
        env: Env,
    ) -> Result<AttrSetBuilder, EvalError> {
        let bindings = &code.bindings[def.bindings.indices()];
        let Some(overrides) = set.find(sym::OVERRIDES) else { return Ok(set) };
        let text = "while evaluating the `__overrides` attribute";
        let overrides = self.expect_attrs(overrides.value.get(), text)?;
        let room = set.attrs().len() + overrides.len() + def.dynamics.len as usize;
        let mut changed = AttrSetBuilder::new(&mut self.arena, room);
        // Of equal names the first stays, so the overriding ones come first.
        for attr in overrides.iter() {
            changed.push(attr.name, attr.pos, attr.value.get());
            if let Ok(at) = bindings.binary_search_by_key(&attr.name, |binding| binding.name) {
                env.slot(bindings[at].slot).set(attr.value.get());
            }
        }
        for attr in set.attrs() {
            if overrides.get(attr.name).is_none() {
                changed.push(attr.name, attr.pos, attr.value.get());
            }
        }
        Ok(changed)
    }

    #[inline(never)]
    fn dynamic_attrs(
        &mut self,
        code: &'static Code,
        def: &'static AttrsDef,
        mut set: AttrSetBuilder,
        env: Env,
    ) -> Outcome {
        for dynamic in &code.dynamics[def.dynamics.indices()] {
            let pos = code.pos_of(dynamic.offset);
            let name = self.eval(code, dynamic.name, env)?;
            if name == Value::NULL {
                continue;
            }
            let text = "while evaluating the name of a dynamic attribute";
            let name = self.expect_plain_string_at(name, pos, text)?;
            let symbol = self.symbol_of(name);
            if let Some(first) = set.find(symbol) {
                return Err(self.defined_twice(symbol, first.pos, pos));
            }
            let value = self.delay(code, dynamic.value, env);
            set.push(symbol, pos, value);
        }
        Ok(set.finish(&mut self.arena).into())
    }

    #[cold]
    fn defined_twice(&mut self, name: crate::program::Symbol, first: Pos, pos: Pos) -> EvalError {
        let name = self.text(name);
        let first = self.describe_pos(first);
        EvalError::eval(format!("dynamic attribute '{name}' already defined at {first}")).at(pos)
    }

    /// A list literal.
    #[inline(never)]
    pub(super) fn list(&mut self, code: &'static Code, elements: &'static [u32], env: Env) -> Value {
        let mut list = ListBuilder::new(&mut self.arena, elements.len());
        for element in elements {
            let value = self.delay(code, NodeId(*element), env);
            list.push(value);
        }
        list.finish().into()
    }

    /// Evaluates the condition of an `assert`.
    #[inline(always)]
    pub(super) fn assert(
        &mut self,
        code: &'static Code,
        id: NodeId,
        condition: NodeId,
        env: Env,
    ) -> Result<(), EvalError> {
        if self.condition(code, condition, env, id, "in the condition of the assert statement")? {
            return Ok(());
        }
        Err(self.assertion_failed(code, id, condition, env))
    }

    #[cold]
    #[inline(never)]
    fn assertion_failed(&mut self, code: &'static Code, id: NodeId, condition: NodeId, env: Env) -> EvalError {
        let pos = code.pos(id);
        let shown =
            crate::compile::show_condition(&code.source.source, code.offset(id), &code.directory).unwrap_or_default();
        if let Node::Equal(left, right) = *code.node(condition) {
            let difference = self.eval(code, left, env).and_then(|left| {
                let right = self.eval(code, right, env)?;
                self.assert_equal(left, right)
            });
            match difference {
                Err(error) if matches!(error.kind(), ErrorKind::Assertion) => {
                    return error.trace(pos, format!("while evaluating the condition of the assertion '{shown}'"));
                }
                Err(error) => return error,
                Ok(()) => {}
            }
        }
        EvalError::new(ErrorKind::Assertion, format!("assertion '{shown}' failed")).at(pos)
    }

    /// The set with these attributes; names in any order, each once.
    pub(crate) fn make_attrs(&mut self, attrs: &[(crate::program::Symbol, Value)]) -> AttrSet {
        let mut set = AttrSetBuilder::new(&mut self.arena, attrs.len());
        for (name, value) in attrs {
            set.push(*name, Pos::NONE, *value);
        }
        set.finish(&mut self.arena)
    }
}
