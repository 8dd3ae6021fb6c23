//! TOML.
//!
//! Dates and times are refused unless `parse-toml-timestamps` is on; then each is `{ _type = "timestamp"; value = …; }`
//! with as many digits of the second's fraction as C++ Nix shows: none, 3, 6 or 9.

use super::builtins;
use crate::error::EvalError;
use crate::eval::{Eval, Outcome};
use crate::value::{AttrSetBuilder, ListBuilder, Pos, Value};
use toml::value::{Datetime, Offset};

builtins! {
    /// The value that a TOML text stands for.
    "fromTOML" / 1 => from_toml;
}

fn from_toml(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = eval.expect_plain_string(args[0], "while evaluating the argument passed to builtins.fromTOML")?;
    let refused = |words: String| EvalError::eval(format!("while parsing TOML: {words}"));
    let text = std::str::from_utf8(text.bytes()).map_err(|error| refused(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| refused(parse_error(text, &error)))?;
    table_value(eval, table)
}

/// What is wrong with a text. Too large integers are what machines write; they are told of in the words of the library
/// that C++ Nix uses. It ends the message by a reset of colours, behind the last line end.
#[cold]
fn parse_error(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span().filter(|span| span.end <= text.len()) else { return error.to_string() };
    let number = text.get(span.clone()).unwrap_or_default().trim_start_matches(['+', '-']).replace('_', "");
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) || number.parse::<i64>().is_ok() {
        return error.to_string();
    }
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let number = text[..start].matches('\n').count() + 1;
    let width = number.to_string().len();
    let column = span.end - start;
    format!(
        "[error] toml::parse_dec_integer: too large integer: current max digits = 2^63\n{pad}--> fromTOML\n{pad}  \
         |\n {number} | {line}\n{pad}  | {space}^-- must be < 2^63\n\u{1b}[0m",
        pad = " ".repeat(width),
        space = " ".repeat(column)
    )
}

/// C++ Nix's report of a NUL goes through its report of a bad text.
fn refuse_nul(bytes: &[u8]) -> Result<(), EvalError> {
    super::json::refuse_nul(bytes)
        .map_err(|error| EvalError::eval(format!("while parsing TOML: error: {}", error.message())))
}

fn table_value(eval: &mut Eval, table: toml::Table) -> Outcome {
    let mut set = AttrSetBuilder::new(&mut eval.arena, table.len());
    for (name, value) in table {
        refuse_nul(name.as_bytes())?;
        let name = eval.intern(name.as_bytes());
        let value = any_value(eval, value)?;
        set.push(name, Pos::NONE, value);
    }
    Ok(set.finish(&mut eval.arena).into())
}

fn any_value(eval: &mut Eval, value: toml::Value) -> Outcome {
    Ok(match value {
        toml::Value::String(text) => {
            refuse_nul(text.as_bytes())?;
            eval.string(text.as_bytes())
        }
        toml::Value::Integer(value) => Value::int(&mut eval.arena, value),
        toml::Value::Float(value) => Value::float(&mut eval.arena, value),
        toml::Value::Boolean(value) => Value::bool(value),
        toml::Value::Datetime(value) => return timestamp(eval, &value),
        toml::Value::Array(values) => {
            let mut list = ListBuilder::new(&mut eval.arena, values.len());
            for value in values {
                let value = eval.deeper(|eval| any_value(eval, value))?;
                list.push(value);
            }
            list.finish().into()
        }
        toml::Value::Table(table) => return eval.deeper(|eval| table_value(eval, table)),
    })
}

fn timestamp(eval: &mut Eval, value: &Datetime) -> Outcome {
    if !eval.shared.options.has_feature("parse-toml-timestamps") {
        return Err(EvalError::eval("while parsing TOML: Dates and times are not supported"));
    }
    let kind = eval.string(b"timestamp");
    let text = eval.string(timestamp_text(value).as_bytes());
    let [kind_name, value_name] = [&b"_type"[..], b"value"].map(|name| eval.intern(name));
    Ok(eval.make_attrs(&[(kind_name, kind), (value_name, text)]).into())
}

fn timestamp_text(value: &Datetime) -> String {
    let mut text = String::new();
    if let Some(date) = value.date {
        text.push_str(&format!("{:04}-{:02}-{:02}", date.year, date.month, date.day));
    }
    if let Some(time) = value.time {
        if !text.is_empty() {
            text.push('T');
        }
        let second = time.second.unwrap_or(0);
        text.push_str(&format!("{:02}:{:02}:{second:02}", time.hour, time.minute));
        match time.nanosecond.unwrap_or(0) {
            0 => {}
            nanos if nanos % 1_000_000 == 0 => text.push_str(&format!(".{:03}", nanos / 1_000_000)),
            nanos if nanos % 1_000 == 0 => text.push_str(&format!(".{:06}", nanos / 1_000)),
            nanos => text.push_str(&format!(".{nanos:09}")),
        }
    }
    match value.offset {
        None => {}
        Some(Offset::Z | Offset::Custom { minutes: 0 }) => text.push('Z'),
        Some(Offset::Custom { minutes }) => {
            let sign = if minutes < 0 { '-' } else { '+' };
            let minutes = minutes.unsigned_abs();
            text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
    }
    text
}
