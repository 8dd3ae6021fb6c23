//! Strings.

use super::builtins;
use crate::error::EvalError;
use crate::eval::{Coerced, Coercion, Eval, Outcome};
use crate::parallel::Task;
use crate::value::Value;

builtins! {
    /// The number of bytes of a string, or of what the argument becomes as a string.
    "__stringLength" / 1 => string_length;
    /// `substring start length string`: the bytes from a start, counted from 0; a negative length means all the rest.
    "__substring" / 3 => substring;
    /// The strings of a list one after another, with a separator between.
    "__concatStringsSep" / 2 => concat_strings_sep;
    /// `replaceStrings from to string`: at each place the first string of `from` that stands there becomes the one of
    /// `to` at the same index, which is evaluated only then. An empty string stands everywhere.
    "__replaceStrings" / 3 => replace_strings;
}

fn string_length(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the argument passed to builtins.stringLength";
    let string = eval.coerce(args[0], Coercion::INTERPOLATION, text)?;
    Ok(Value::int(&mut eval.arena, string.len() as i64))
}

fn substring(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument (the start offset) passed to builtins.substring";
    let start = eval.expect_int(args[0], text)?;
    if start < 0 {
        return Err(EvalError::eval("negative start position in 'substring'"));
    }
    let text = "while evaluating the second argument (the substring length) passed to builtins.substring";
    let length = eval.expect_int(args[1], text)?;
    let text = "while evaluating the third argument (the string) passed to builtins.substring";
    let string = eval.coerce(args[2], Coercion::INTERPOLATION, text)?;
    let bytes = string.bytes();
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(bytes.len());
    let rest = &bytes[start..];
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
    if length == bytes.len() {
        return Ok(string.into());
    }
    Ok(eval.string_with(&rest[..length], string.context()).into())
}

fn concat_strings_sep(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument (the separator string) passed to builtins.concatStringsSep";
    let separator = eval.expect_string(args[0], text)?;
    let text =
        "while evaluating the second argument (the list of strings to concat) passed to builtins.concatStringsSep";
    let list = eval.expect_list(args[1], text)?;
    let text = "while evaluating one element of the list of strings to concat passed to builtins.concatStringsSep";
    let mut joined = Coerced::begin(eval);
    joined.add_context(separator.context());
    joined.bytes.reserve(list.len() * (separator.len() + 16));
    eval.go_through(
        Task::String(Coercion::INTERPOLATION),
        || list.iter(),
        |eval, progress| {
            for (index, element) in list.iter().enumerate() {
                progress.at(index);
                if index > 0 {
                    joined.bytes.extend_from_slice(separator.bytes());
                }
                eval.coerce_into(element, Coercion::INTERPOLATION, crate::value::Pos::NONE, text, &mut joined)?;
            }
            Ok(())
        },
    )?;
    Ok(joined.finish(eval).into())
}

fn replace_strings(eval: &mut Eval, args: &[Value]) -> Outcome {
    let from = eval.expect_list(args[0], "while evaluating the first argument passed to builtins.replaceStrings")?;
    let to = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.replaceStrings")?;
    if from.len() != to.len() {
        let message = "'from' and 'to' arguments passed to builtins.replaceStrings have different lengths";
        return Err(EvalError::eval(message));
    }
    let text = "while evaluating one of the strings to replace passed to builtins.replaceStrings";
    let mut patterns: Vec<&'static [u8]> = Vec::with_capacity(from.len());
    for pattern in from.iter() {
        patterns.push(eval.expect_string(pattern, text)?.bytes());
    }
    let string =
        eval.expect_string(args[2], "while evaluating the third argument passed to builtins.replaceStrings")?;
    // Where no pattern begins with a byte, it is copied without looking further.
    let anywhere = patterns.iter().any(|pattern| pattern.is_empty());
    let mut begins = [anywhere; 256];
    patterns.iter().filter_map(|pattern| pattern.first()).for_each(|byte| begins[usize::from(*byte)] = true);

    let bytes = string.bytes();
    let mut replacements: Vec<Option<&'static [u8]>> = vec![None; patterns.len()];
    let mut out = Coerced::begin(eval);
    out.add_context(string.context());
    let mut at = 0;
    while at < bytes.len() || (at == bytes.len() && anywhere) {
        let rest = &bytes[at..];
        let plain = rest.iter().position(|byte| begins[usize::from(*byte)]).unwrap_or(rest.len());
        out.bytes.extend_from_slice(&rest[..plain]);
        at += plain;
        let rest = &rest[plain..];
        let found = patterns.iter().position(|pattern| rest.starts_with(pattern));
        if let Some(index) = found {
            let replacement = match replacements[index] {
                Some(replacement) => replacement,
                None => {
                    let text = "while evaluating one of the replacement strings passed to builtins.replaceStrings";
                    let replacement = eval.expect_string(to.get(index), text)?;
                    out.add_context(replacement.context());
                    *replacements[index].insert(replacement.bytes())
                }
            };
            out.bytes.extend_from_slice(replacement);
            at += patterns[index].len();
        }
        if found.is_none_or(|index| patterns[index].is_empty()) {
            out.bytes.extend(rest.first());
            at += 1;
        }
    }
    Ok(out.finish(eval).into())
}
