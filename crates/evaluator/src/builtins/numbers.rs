//! Arithmetic, bits, order.

use super::builtins;
use crate::error::EvalError;
use crate::eval::{Arithmetic, Eval, Outcome};
use crate::value::{Pos, Value};

builtins! {
    /// The sum of two numbers.
    "__add" / 2 => |eval, args| arithmetic(eval, args, Arithmetic::Add);
    /// The difference of two numbers.
    "__sub" / 2 => |eval, args| arithmetic(eval, args, Arithmetic::Sub);
    /// The product of two numbers.
    "__mul" / 2 => |eval, args| arithmetic(eval, args, Arithmetic::Mul);
    /// The quotient of two numbers; of integers, rounded toward zero.
    "__div" / 2 => |eval, args| arithmetic(eval, args, Arithmetic::Div);
    /// Whether the first argument sorts before the second: numbers, strings, paths, lists of such.
    "__lessThan" / 2 => |eval, args| {
        let a = eval.force(args[0])?;
        let b = eval.force(args[1])?;
        Ok(Value::bool(eval.less(a, b, "")?))
    };
    /// The bits set in both integers.
    "__bitAnd" / 2 => |eval, args| bits(eval, args, |a, b| a & b, ["while evaluating the first argument passed to builtins.bitAnd",
        "while evaluating the second argument passed to builtins.bitAnd"]);
    /// The bits set in either integer.
    "__bitOr" / 2 => |eval, args| bits(eval, args, |a, b| a | b, ["while evaluating the first argument passed to builtins.bitOr",
        "while evaluating the second argument passed to builtins.bitOr"]);
    /// The bits set in one of the integers.
    "__bitXor" / 2 => |eval, args| bits(eval, args, |a, b| a ^ b, ["while evaluating the first argument passed to builtins.bitXor",
        "while evaluating the second argument passed to builtins.bitXor"]);
    /// The least integer not below a number.
    "__ceil" / 1 => |eval, args| round(eval, args[0], f64::ceil,
        "while evaluating the first argument passed to builtins.ceil");
    /// The greatest integer not above a number.
    "__floor" / 1 => |eval, args| round(eval, args[0], f64::floor,
        "while evaluating the first argument passed to builtins.floor");
}

fn arithmetic(eval: &mut Eval, args: &[Value], operation: Arithmetic) -> Outcome {
    let a = eval.force(args[0])?;
    let b = eval.force(args[1])?;
    eval.arithmetic(operation, a, b)
}

fn bits(eval: &mut Eval, args: &[Value], operation: fn(i64, i64) -> i64, texts: [&'static str; 2]) -> Outcome {
    let a = eval.expect_int(args[0], texts[0])?;
    let b = eval.expect_int(args[1], texts[1])?;
    Ok(Value::int(&mut eval.arena, operation(a, b)))
}

fn round(eval: &mut Eval, value: Value, how: fn(f64) -> f64, text: &'static str) -> Outcome {
    let value = eval.force(value).map_err(|error| error.trace(Pos::NONE, text))?;
    if value.as_int().is_some() {
        return Ok(value);
    }
    let float = eval.expect_float(value, text)?;
    let rounded = how(float);
    // 2^63 itself is out of range, −2^63 is in it.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
        let shown = crate::value::print::general_float(float);
        let what = if float.is_nan() { "NaN".to_owned() } else { shown };
        let message = format!("NixFloat argument {what} is not in the range of NixInt");
        return Err(EvalError::eval(message));
    }
    Ok(Value::int(&mut eval.arena, rounded as i64))
}
