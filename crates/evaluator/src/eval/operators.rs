//! Operators and the rarer forms of expression.

use super::traced::Callee;
use super::{Eval, Outcome};
use crate::code::{Code, canonical};
use crate::error::EvalError;
use crate::eval::Coercion;
use crate::program::{Node, NodeId, Range};
use crate::value::print::type_phrase;
use crate::value::{ContextId, Env, List, Pos, Str, Value, View, sym};

/// An arithmetic operation.
#[derive(Clone, Copy)]
pub(crate) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
}

impl Eval {
    /// Evaluates what the main loop leaves.
    pub(super) fn eval_operator(&mut self, code: &'static Code, id: NodeId, node: &'static Node, env: Env) -> Outcome {
        match *node {
            Node::Equal(a, b) | Node::NotEqual(a, b) => {
                let a = self.operand(code, a, env)?;
                let b = self.operand(code, b, env)?;
                let equal = self.equal(a, b).map_err(|error| place(error, code, id))?;
                Ok(Value::bool(equal == matches!(node, Node::Equal(..))))
            }
            Node::Not(a) => {
                Ok(Value::bool(!self.condition(code, a, env, id, "in the argument of the not operator")?))
            }
            Node::And(a, b) => {
                let left = self.condition(code, a, env, id, "in the left operand of the AND (&&) operator")?;
                let right = "in the right operand of the AND (&&) operator";
                Ok(Value::bool(left && self.condition(code, b, env, id, right)?))
            }
            Node::Or(a, b) => {
                let left = self.condition(code, a, env, id, "in the left operand of the OR (||) operator")?;
                let right = "in the right operand of the OR (||) operator";
                Ok(Value::bool(left || self.condition(code, b, env, id, right)?))
            }
            Node::Implies(a, b) => {
                let left = self.condition(code, a, env, id, "in the left operand of the IMPL (->) operator")?;
                let right = "in the right operand of the IMPL (->) operator";
                Ok(Value::bool(!left || self.condition(code, b, env, id, right)?))
            }
            Node::Update(a, b) => self.update(code, a, b, env),
            Node::Concat(a, b) => self.concat(code, id, a, b, env),
            Node::Add(a, b) => self.add(code, id, a, b, env),
            Node::Sub(a, b) => self.arithmetic_nodes(Arithmetic::Sub, code, id, (a, b), env),
            Node::Mul(a, b) => self.arithmetic_nodes(Arithmetic::Mul, code, id, (a, b), env),
            Node::Div(a, b) => self.arithmetic_nodes(Arithmetic::Div, code, id, (a, b), env),
            Node::Less(a, b) => self.operator_call(code, id, "lessThan", |eval| {
                let (a, b) = eval.operands(code, a, b, env)?;
                eval.less(a, b, "").map(Value::bool)
            }),
            Node::List(range) => Ok(self.list(code, code.operands(range), env)),
            Node::Interpolate(parts) => self.interpolate(code, id, parts, env),
            Node::InterpolatePath(parts) => self.interpolate_path(code, id, parts, env),
            Node::Select(index) => self.select(code, id, index, env),
            Node::Has(index) => self.has(code, index, env),
            Node::WithVar { name, depths } => self.with_variable(code, id, name, depths, env),
            Node::CurPos => Ok(self.position_value(code.pos(id))),
            _ => unreachable!("the main loop handles every other node"),
        }
    }

    #[inline(never)]
    fn update(&mut self, code: &'static Code, a: NodeId, b: NodeId, env: Env) -> Outcome {
        // The right side comes first, as in C++ Nix.
        let right = self.update_operand(code, b, env, "in the right operand of the update (//) operator")?;
        let left = self.update_operand(code, a, env, "in the left operand of the update (//) operator")?;
        Ok(left.update(&mut self.arena, right).into())
    }

    #[inline(always)]
    fn update_operand(
        &mut self,
        code: &'static Code,
        node: NodeId,
        env: Env,
        text: &'static str,
    ) -> Result<crate::value::AttrSet, EvalError> {
        match self.operand(code, node, env) {
            Ok(value) => match value.as_attrs() {
                Some(set) => Ok(set),
                None => self.expect_attrs_at(value, code.pos(node), text),
            },
            Err(error) => {
                Err(if matches!(code.node(node), Node::Update(..)) { error } else { error.trace(code.pos(node), text) })
            }
        }
    }

    #[inline(never)]
    fn concat(&mut self, code: &'static Code, id: NodeId, a: NodeId, b: NodeId, env: Env) -> Outcome {
        let a = self.operand(code, a, env)?;
        let b = self.operand(code, b, env)?;
        for side in [a, b] {
            if !side.is_list() {
                let pos = code.pos(id);
                let text = "while evaluating one of the elements to concatenate";
                return Err(self.expected("a list", side, Pos::NONE).trace(pos, text));
            }
        }
        let count = [a, b].iter().filter_map(|side| side.as_list()).map(|side| side.len()).sum::<usize>();
        self.make_room(count * 8)?;
        Ok(self.concat_lists(&[a, b]))
    }

    /// The concatenation of lists; of at most one that is not empty, that one.
    pub(crate) fn concat_lists(&mut self, lists: &[Value]) -> Value {
        let mut filled = lists.iter().filter(|list| list.as_list().is_some_and(|list| !list.is_empty()));
        match (filled.next(), filled.next()) {
            (Some(one), None) => *one,
            _ => List::concat(&mut self.arena, lists).into(),
        }
    }

    /// `a + b`: the type of the first operand decides.
    #[inline(never)]
    fn add(&mut self, code: &'static Code, id: NodeId, a: NodeId, b: NodeId, env: Env) -> Outcome {
        let x = self.operand(code, a, env)?;
        if let Some(int) = x.as_small_int() {
            let y = self.operand(code, b, env)?;
            if let Some(sum) = y.as_small_int().and_then(|other| Value::small_int(int + other)) {
                return Ok(sum);
            }
            return self.add_numbers(code, id, x, b, y);
        }
        if let Some(left) = x.as_string() {
            let y = self.operand(code, b, env)?;
            let right = self.coerce_operand(y, code, id, (1, b))?;
            return self.join(left, right);
        }
        match x.view() {
            View::Int(_) | View::Float(_) => {
                let y = self.eval(code, b, env)?;
                self.add_numbers(code, id, x, b, y)
            }
            View::Path(path) => {
                let y = self.eval(code, b, env)?;
                let text = "while evaluating a path segment";
                let y = self.coerce_at(y, Coercion::PATH_SEGMENT, code.operand_pos(id, 1, b), text)?;
                if y.context() != ContextId::NONE {
                    return Err(refers_to_store(code.pos(id)));
                }
                let joined = [path.bytes(), y.bytes()].concat();
                Ok(Value::path(&mut self.arena, &canonical(&joined)))
            }
            _ => {
                let left = self.coerce_operand(x, code, id, (0, a))?;
                let y = self.eval(code, b, env)?;
                let right = self.coerce_operand(y, code, id, (1, b))?;
                self.join(left, right)
            }
        }
    }

    fn add_numbers(&mut self, code: &'static Code, id: NodeId, x: Value, b: NodeId, y: Value) -> Outcome {
        if y.as_number().is_none() {
            let kind = if x.as_int().is_some() { "an integer" } else { "a float" };
            let message = format!("cannot add {} to {kind}", type_phrase(y));
            return Err(EvalError::eval(message).at(code.operand_pos(id, 1, b)));
        }
        self.arithmetic(Arithmetic::Add, x, y).map_err(|error| error.at(code.operand_pos(id, 1, b)))
    }

    /// The string form of operand number `operand.0`.
    #[inline(always)]
    fn coerce_operand(
        &mut self,
        value: Value,
        code: &'static Code,
        id: NodeId,
        operand: (usize, NodeId),
    ) -> Result<Str, EvalError> {
        match value.as_string() {
            Some(string) => Ok(string),
            None => {
                let pos = code.operand_pos(id, operand.0, operand.1);
                self.coerce_at(value, Coercion::INTERPOLATION, pos, "while evaluating a path segment")
            }
        }
    }

    /// One string behind another, with both contexts.
    fn join(&mut self, left: Str, right: Str) -> Outcome {
        let len = left.len() + right.len();
        self.make_room(len)?;
        let context = self.shared.contexts.union(left.context(), right.context());
        let joined = Str::with(&mut self.arena, len, context, |buffer| {
            let (head, rest) = buffer.split_at_mut(left.len());
            head.copy_from_slice(left.bytes());
            rest.copy_from_slice(right.bytes());
        });
        Ok(joined.into())
    }

    /// A string with interpolations.
    #[inline(never)]
    fn interpolate(&mut self, code: &'static Code, id: NodeId, parts: Range, env: Env) -> Outcome {
        let height = self.stack.height();
        let outcome = self.interpolate_on_stack(code, id, parts, env, height);
        self.stack.truncate(height);
        outcome
    }

    fn interpolate_on_stack(
        &mut self,
        code: &'static Code,
        id: NodeId,
        parts: Range,
        env: Env,
        height: usize,
    ) -> Outcome {
        if let [part] = code.operands(parts) {
            let value = self.operand(code, NodeId(*part), env)?;
            return Ok(self.coerce_operand(value, code, id, (0, NodeId(*part)))?.into());
        }
        let mut len = 0;
        let mut context = ContextId::NONE;
        for (index, part) in code.operands(parts).iter().enumerate() {
            let part = NodeId(*part);
            let value = self.operand(code, part, env)?;
            let string = self.coerce_operand(value, code, id, (index, part))?;
            len += string.len();
            context = self.shared.contexts.union(context, string.context());
            self.stack.push(string.into());
        }
        self.make_room(len)?;
        let values = self.stack.above(height);
        let joined = Str::with(&mut self.arena, len, context, |mut buffer| {
            for value in values {
                let bytes = value.as_string().map_or(&b""[..], Str::bytes);
                let (head, rest) = buffer.split_at_mut(bytes.len());
                head.copy_from_slice(bytes);
                buffer = rest;
            }
        });
        Ok(joined.into())
    }

    #[inline(never)]
    fn interpolate_path(&mut self, code: &'static Code, id: NodeId, parts: Range, env: Env) -> Outcome {
        let mut path = Vec::new();
        let mut has_context = false;
        for (index, part) in code.operands(parts).iter().enumerate() {
            let part = NodeId(*part);
            let value = self.eval(code, part, env)?;
            let text = "while evaluating a path segment";
            let pos = code.operand_pos(id, index, part);
            let string = self.coerce_at(value, Coercion::PATH_SEGMENT, pos, text)?;
            has_context |= string.context() != ContextId::NONE;
            path.extend_from_slice(string.bytes());
        }
        if has_context {
            return Err(refers_to_store(code.pos(id)));
        }
        Ok(Value::path(&mut self.arena, &canonical(&path)))
    }

    fn arithmetic_nodes(
        &mut self,
        operation: Arithmetic,
        code: &'static Code,
        id: NodeId,
        (a, b): (NodeId, NodeId),
        env: Env,
    ) -> Outcome {
        self.operator_call(code, id, operation.builtin(), |eval| {
            let (a, b) = eval.operands(code, a, b, env)?;
            if let (Some(a), Some(b), Arithmetic::Sub) = (a.as_small_int(), b.as_small_int(), operation)
                && let Some(value) = Value::small_int(a - b)
            {
                return Ok(value);
            }
            eval.arithmetic(operation, a, b)
        })
    }

    /// An operator that C++ Nix has as a call of a builtin: it counts and is traced as one.
    #[inline(always)]
    fn operator_call(
        &mut self,
        code: &'static Code,
        id: NodeId,
        builtin: &'static str,
        work: impl FnOnce(&mut Eval) -> Outcome,
    ) -> Outcome {
        if self.watch.is_some() {
            let callee = Callee::Builtin(builtin);
            return self.traced(code.pos(id), callee, |eval| eval.operator_silently(code, id, builtin, work));
        }
        self.operator_silently(code, id, builtin, work)
    }

    #[inline(always)]
    fn operator_silently(
        &mut self,
        code: &'static Code,
        id: NodeId,
        builtin: &'static str,
        work: impl FnOnce(&mut Eval) -> Outcome,
    ) -> Outcome {
        let depth = self.depth;
        self.enter_call().map_err(|error| error.at(code.pos(id)))?;
        let outcome = work(self);
        self.depth = depth;
        match outcome {
            Ok(value) => Ok(value),
            Err(error) => Err(operator_failed(error, code.pos(id), builtin)),
        }
    }

    /// Both operands, evaluated.
    #[inline(always)]
    fn operands(&mut self, code: &'static Code, a: NodeId, b: NodeId, env: Env) -> Result<(Value, Value), EvalError> {
        let a = self.operand(code, a, env)?;
        let b = self.operand(code, b, env)?;
        Ok((a, b))
    }

    /// Arithmetic on two evaluated values.
    pub(crate) fn arithmetic(&mut self, operation: Arithmetic, a: Value, b: Value) -> Outcome {
        if let (Some(x), Some(y)) = (a.as_int(), b.as_int()) {
            if matches!(operation, Arithmetic::Div) && y == 0 {
                return Err(EvalError::eval("division by zero"));
            }
            let (result, verb, sign) = match operation {
                Arithmetic::Add => (x.checked_add(y), "adding", '+'),
                Arithmetic::Sub => (x.checked_sub(y), "subtracting", '-'),
                Arithmetic::Mul => (x.checked_mul(y), "multiplying", '*'),
                Arithmetic::Div => (x.checked_div(y), "dividing", '/'),
            };
            let result = result.ok_or_else(|| EvalError::eval(format!("integer overflow in {verb} {x} {sign} {y}")));
            return result.map(|int| Value::int(&mut self.arena, int));
        }
        let [first, second] = operation.texts();
        // The divisor is looked at before the types are compared.
        if matches!(operation, Arithmetic::Div) && self.expect_float(b, second)? == 0.0 {
            return Err(EvalError::eval("division by zero"));
        }
        if a.as_number().is_none() || b.as_number().is_none() {
            // With a float on either side both must be numbers; else both must be integers.
            if a.as_float().is_some() || b.as_float().is_some() {
                // C++ Nix says it so for this one.
                let first = if matches!(operation, Arithmetic::Mul) {
                    "while evaluating the first of the multiplication"
                } else {
                    first
                };
                self.expect_float(a, first)?;
                self.expect_float(b, second)?;
            } else {
                self.expect_int(a, first)?;
                self.expect_int(b, second)?;
            }
        }
        let (x, y) = (a.as_number().unwrap_or_default(), b.as_number().unwrap_or_default());
        let result = match operation {
            Arithmetic::Add => x + y,
            Arithmetic::Sub => x - y,
            Arithmetic::Mul => x * y,
            Arithmetic::Div => x / y,
        };
        Ok(Value::float(&mut self.arena, result))
    }

    /// `{ file, line, column }` of a place, or null.
    pub(crate) fn position_value(&mut self, pos: Pos) -> Value {
        let found = super::lock(&self.shared.sources).text(pos).cloned();
        let Some(text) = found.filter(|_| pos != Pos::NONE) else { return Value::NULL };
        let crate::error::Origin::File(file) = text.source.origin() else { return Value::NULL };
        let syntax::LineColumn { line, column } = text.line_column(pos);
        let inside = file.strip_prefix(crate::code::INTERNAL).map(|name| format!("/{name}"));
        let file = self.string(inside.as_deref().unwrap_or(file).as_bytes());
        let line = Value::int(&mut self.arena, i64::from(line));
        let column = Value::int(&mut self.arena, i64::from(column));
        self.make_attrs(&[(sym::FILE, file), (sym::LINE, line), (sym::COLUMN, column)]).into()
    }

    /// A place in words, for messages that hold one.
    pub(crate) fn describe_pos(&self, pos: Pos) -> String {
        match super::lock(&self.shared.sources).position(pos) {
            None => "«none»".into(),
            Some(position) => position.to_string(),
        }
    }
}

impl Arithmetic {
    fn builtin(self) -> &'static str {
        match self {
            Arithmetic::Add => "add",
            Arithmetic::Sub => "sub",
            Arithmetic::Mul => "mul",
            Arithmetic::Div => "div",
        }
    }

    /// How traces name the operands.
    pub(crate) fn texts(self) -> [&'static str; 2] {
        match self {
            Arithmetic::Add => [
                "while evaluating the first argument of the addition",
                "while evaluating the second argument of the addition",
            ],
            Arithmetic::Sub => [
                "while evaluating the first argument of the subtraction",
                "while evaluating the second argument of the subtraction",
            ],
            Arithmetic::Mul => [
                "while evaluating the first argument of the multiplication",
                "while evaluating the second argument of the multiplication",
            ],
            Arithmetic::Div => [
                "while evaluating the first operand of the division",
                "while evaluating the second operand of the division",
            ],
        }
    }
}

#[cold]
fn refers_to_store(pos: Pos) -> EvalError {
    EvalError::eval("a string that refers to a store path cannot be appended to a path").at(pos)
}

#[cold]
fn place(error: EvalError, code: &Code, id: NodeId) -> EvalError {
    super::place_recursion(error, code, id)
}

#[cold]
fn operator_failed(error: EvalError, pos: Pos, builtin: &'static str) -> EvalError {
    error.trace(pos, format!("while calling the '{builtin}' builtin"))
}
