//! TOML 1.0.0, refused in the words of the library that C++ Nix uses.
//!
//! Path of data: [`pattern`]s and the [`grammar`] made of them → [`read`] and [`document`], which [`guess`] what stands at a
//! place and [`skip`] what is wrong → a [`tree`] → a value; or a [`report`] of all that is wrong.
//!
//! Dates and times are refused unless `parse-toml-timestamps` is on; then each is `{ _type = "timestamp"; value = …; }`
//! with as many digits of the second's fraction as C++ Nix shows: none, 3, 6 or 9.

mod document;
mod grammar;
mod guess;
mod pattern;
mod read;
mod report;
mod skip;
mod tree;

use super::builtins;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Eval, Outcome};
use crate::value::{AttrSetBuilder, ListBuilder, Pos, Value};
use read::Reader;
use report::Source;
use tree::{Item, Node, Table, Timestamp};

builtins! {
    /// The value that a TOML text stands for.
    "fromTOML" / 1 => from_toml;
}

fn from_toml(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = eval.expect_plain_string(args[0], "while evaluating the argument passed to builtins.fromTOML")?;
    let source = Source::new(text.bytes().to_vec());
    let fits = || eval.check_stack().is_ok();
    let mut reader = Reader::new(&source, &fits);
    let table = reader.document();
    if reader.too_deep {
        eval.check_stack()?;
        return Err(EvalError::new(ErrorKind::StackOverflow, "stack overflow; max-call-depth exceeded"));
    }
    if reader.problems.is_empty() {
        return table_value(eval, table);
    }
    // The message ends by a reset of colours, behind its last line end.
    Err(EvalError::eval(format!("while parsing TOML: {}\u{1b}[0m", source.report(&reader.problems))))
}

/// C++ Nix's report of a NUL goes through its report of a bad text.
fn refuse_nul(bytes: &[u8]) -> Result<(), EvalError> {
    super::json::refuse_nul(bytes)
        .map_err(|error| EvalError::eval(format!("while parsing TOML: error: {}", error.message())))
}

fn table_value(eval: &mut Eval, table: Table) -> Outcome {
    let mut set = AttrSetBuilder::new(&mut eval.arena, table.entries.len());
    for (name, node) in table.entries {
        refuse_nul(&name)?;
        let name = eval.intern(&name);
        let value = any_value(eval, node)?;
        set.push(name, Pos::NONE, value);
    }
    Ok(set.finish(&mut eval.arena).into())
}

fn any_value(eval: &mut Eval, node: Node) -> Outcome {
    Ok(match node.value {
        Item::Text(text) => {
            refuse_nul(&text)?;
            eval.string(&text)
        }
        Item::Int(value) => Value::int(&mut eval.arena, value),
        Item::Float(value) => Value::float(&mut eval.arena, value),
        Item::Bool(value) => Value::bool(value),
        Item::Time(value) => return timestamp(eval, &value),
        Item::List(nodes, _) => {
            let mut list = ListBuilder::new(&mut eval.arena, nodes.len());
            for node in nodes {
                let value = eval.deeper(|eval| any_value(eval, node))?;
                list.push(value);
            }
            list.finish().into()
        }
        Item::Table(table) => return eval.deeper(|eval| table_value(eval, table)),
    })
}

fn timestamp(eval: &mut Eval, value: &Timestamp) -> Outcome {
    if !eval.shared.options.has_feature("parse-toml-timestamps") {
        return Err(EvalError::eval("while parsing TOML: Dates and times are not supported"));
    }
    let kind = eval.string(b"timestamp");
    let text = eval.string(timestamp_text(value).as_bytes());
    let [kind_name, value_name] = [&b"_type"[..], b"value"].map(|name| eval.intern(name));
    Ok(eval.make_attrs(&[(kind_name, kind), (value_name, text)]).into())
}

fn timestamp_text(value: &Timestamp) -> String {
    let mut text = String::new();
    if let Some([year, month, day]) = value.date {
        text.push_str(&format!("{year:04}-{month:02}-{day:02}"));
    }
    if let Some([hour, minute, second, nanosecond]) = value.time {
        if !text.is_empty() {
            text.push('T');
        }
        text.push_str(&format!("{hour:02}:{minute:02}:{second:02}"));
        match nanosecond {
            0 => {}
            nanos if nanos % 1_000_000 == 0 => text.push_str(&format!(".{:03}", nanos / 1_000_000)),
            nanos if nanos % 1_000 == 0 => text.push_str(&format!(".{:06}", nanos / 1_000)),
            nanos => text.push_str(&format!(".{nanos:09}")),
        }
    }
    match value.offset {
        None => {}
        Some(0) => text.push('Z'),
        Some(minutes) => {
            let sign = if minutes < 0 { '-' } else { '+' };
            let minutes = minutes.unsigned_abs();
            text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
    }
    text
}
