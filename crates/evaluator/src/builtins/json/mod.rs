//! JSON.
//!
//! `read` takes text apart, in the words of the library that C++ Nix uses where the text is bad; `write` shows values.
//! Both go through the text once; nesting of texts is not limited by the native stack.

mod read;
mod scan;
mod write;

use super::builtins;
use crate::eval::{Coerced, Eval, Outcome};
use crate::value::{Pos, Value};

pub(crate) use read::refuse_nul;
pub(crate) use write::{JsonOptions, write_json, write_string};

builtins! {
    /// The value that a JSON text stands for.
    "__fromJSON" / 1 => from_json;
    /// The JSON text of a value. Paths are copied to the store; a set with `__toString` or `outPath` is shown as what
    /// that gives; functions have no form.
    "__toJSON" / 1 => to_json;
}

fn from_json(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument passed to builtins.fromJSON";
    let text = eval.expect_plain_string(args[0], text)?.bytes();
    read::read_json(eval, text)
}

fn to_json(eval: &mut Eval, args: &[Value]) -> Outcome {
    let mut out = Coerced::begin(eval);
    let options = JsonOptions { strict: true, copy: true };
    write_json(eval, args[0], Pos::NONE, options, &mut out)?;
    Ok(out.finish(eval).into())
}
