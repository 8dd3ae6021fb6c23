//! JSON values to text, byte for byte as C++ Nix writes them.
//!
//! Keys in the order of their bytes, no escapes beyond the necessary ones, floats with their shortest digits and a
//! two-digit exponent outside 1e-5 < x < 1e15. Such text is hashed (structured attributes, realisations), so its form
//! matters. Absent: reading, which is `serde_json`'s.

use serde_json::Value;

/// On one line, without spaces.
pub fn compact(value: &Value) -> String {
    let mut out = String::new();
    write(value, None, 0, &mut out);
    out
}

/// Over several lines, each level two spaces further in.
pub fn indented(value: &Value) -> String {
    let mut out = String::new();
    write(value, Some(2), 0, &mut out);
    out
}

/// A float as C++ Nix prints it in JSON; `null` when it is not finite.
pub fn float(value: f64) -> String {
    if !value.is_finite() {
        return "null".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value == 0.0 {
        return format!("{sign}0.0");
    }
    // `{:e}` gives the shortest digits that read back as the same number: d.ddd e exponent.
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let count = digits.len() as i32;
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or(0));
    if count <= point && point <= 15 {
        format!("{sign}{digits}{}.0", zeros(point - count))
    } else if 0 < point && point <= 15 {
        let (whole, part) = digits.split_at(point as usize);
        format!("{sign}{whole}.{part}")
    } else if -4 < point && point <= 0 {
        format!("{sign}0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if point > 0 { '+' } else { '-' };
        format!("{sign}{first}{dot}{rest}e{exponent_sign}{:02}", (point - 1).abs())
    }
}

/// Appends a string with its quotes and escapes.
pub fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write(value: &Value, indent: Option<usize>, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() => out.push_str(&float(f)),
            _ => out.push_str(&n.to_string()),
        },
        Value::String(s) => string(s, out),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                write(item, indent, depth + 1, out);
            }
            line(depth, out);
            out.push(']');
        }
        Value::Object(map) if map.is_empty() => out.push_str("{}"),
        Value::Object(map) => {
            // Another crate may have switched on serde_json's insertion order, so the order is made here.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                string(key, out);
                out.push_str(if indent.is_some() { ": " } else { ":" });
                write(item, indent, depth + 1, out);
            }
            line(depth, out);
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_the_oracle_prints_them() {
        // Recorded: nix eval --json --expr '[ 2.5 1.0e30 1.0e-5 1.0e17 ... ]' with 2.34.8.
        for (value, text) in [
            (2.5, "2.5"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1.0e30, "1e+30"),
            (0.00001, "1e-05"),
            (0.0001, "0.0001"),
            (1.0e17, "1e+17"),
            (1.0e15, "1e+15"),
            (123456789012345.0, "123456789012345.0"),
            (100000000000000.0, "100000000000000.0"),
            (0.1, "0.1"),
            (1.5e300, "1.5e+300"),
            (-3.25e-7, "-3.25e-07"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn keys_are_sorted_and_strings_escaped() {
        let value: Value = serde_json::from_str("{\"b\":[],\"a\":\"\\u0001\\n\u{7f}é\"}").unwrap();
        assert_eq!(compact(&value), "{\"a\":\"\\u0001\\n\u{7f}é\",\"b\":[]}");
        assert_eq!(indented(&value), "{\n  \"a\": \"\\u0001\\n\u{7f}é\",\n  \"b\": []\n}");
    }
}
