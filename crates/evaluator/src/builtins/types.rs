//! What a value is.

use super::builtins;
use crate::eval::{Coercion, Eval, Outcome};
use crate::value::print::type_name;
use crate::value::{AttrSet, AttrSetBuilder, Value, sym};

builtins! {
    /// Whether the argument is null.
    "isNull" / 1 => |eval, args| Ok(Value::bool(eval.look_at(args[0])? == Value::NULL));
    /// Whether the argument is a function, also a builtin one or one with some of its arguments.
    "__isFunction" / 1 => |eval, args| Ok(Value::bool(eval.look_at(args[0])?.is_function()));
    /// Whether the argument is an integer.
    "__isInt" / 1 => |eval, args| Ok(Value::bool(eval.look_at(args[0])?.as_int().is_some()));
    /// Whether the argument is a float.
    "__isFloat" / 1 => |eval, args| Ok(Value::bool(eval.look_at(args[0])?.as_float().is_some()));
    /// Whether the argument is a string.
    "__isString" / 1 => |eval, args| Ok(Value::bool(eval.look_at(args[0])?.is_string()));
    /// Whether the argument is a Boolean.
    "__isBool" / 1 => |eval, args| Ok(Value::bool(eval.look_at(args[0])?.as_bool().is_some()));
    /// Whether the argument is a path.
    "__isPath" / 1 => |eval, args| Ok(Value::bool(eval.look_at(args[0])?.as_path().is_some()));
    /// Whether the argument is a set.
    "__isAttrs" / 1 => |eval, args| Ok(Value::bool(eval.look_at(args[0])?.is_attrs()));
    /// Whether the argument is a list.
    "__isList" / 1 => |eval, args| Ok(Value::bool(eval.look_at(args[0])?.is_list()));
    /// The name of the argument's type: `int`, `float`, `bool`, `string`, `path`, `null`, `set`, `list` or `lambda`.
    "__typeOf" / 1 => type_of;
    /// The argument as a string: strings as they are, paths as their text, numbers, true as `1`, false and null as the
    /// empty string, lists joined by spaces, sets by their `__toString` or `outPath`.
    "toString" / 1 => to_string;
    /// The names of a function's set pattern, each with whether it has a default; empty for other functions.
    "__functionArgs" / 1 => function_args;
}

impl Eval {
    /// Evaluates; a function counts as looked at then.
    pub(super) fn look_at(&mut self, value: Value) -> Outcome {
        let value = self.force(value)?;
        if let Some(lambda) = value.as_lambda() {
            lambda.see();
        }
        Ok(value)
    }
}

fn type_of(eval: &mut Eval, args: &[Value]) -> Outcome {
    let value = eval.look_at(args[0])?;
    Ok(eval.string(type_name(value).as_bytes()))
}

fn to_string(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument passed to builtins.toString";
    Ok(eval.coerce(args[0], Coercion::TO_STRING, text)?.into())
}

fn function_args(eval: &mut Eval, args: &[Value]) -> Outcome {
    let value = eval.look_at(args[0])?;
    let Some(lambda) = value.as_lambda() else {
        let is_derivation = value.as_builtin().is_some_and(|number| super::TABLE[number as usize].shown_as_lambda);
        if is_derivation {
            return Ok(eval.make_attrs(&[(sym::OUTPUTS, Value::TRUE)]).into());
        }
        if value.is_function() {
            return Ok(AttrSet::empty(&mut eval.arena).into());
        }
        let message = "'functionArgs' requires a function";
        return Err(crate::error::EvalError::type_error(message));
    };
    let (code, index) = lambda.code();
    let code = eval.code(code);
    let lambda = &code.lambdas[index as usize];
    let formals = code.formals(lambda);
    let mut set = AttrSetBuilder::new(&mut eval.arena, formals.len());
    for formal in formals {
        set.push(formal.name, code.pos_of(formal.offset), Value::bool(formal.default.get().is_some()));
    }
    Ok(set.finish(&mut eval.arena).into())
}
