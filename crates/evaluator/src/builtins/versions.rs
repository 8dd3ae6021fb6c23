//! Versions and names of derivations.

use super::builtins;
use crate::eval::{Eval, Outcome};
use crate::value::{Value, sym};
use std::cmp::Ordering;

builtins! {
    /// -1, 0 or 1: how a version compares to another. Versions are compared part by part, numbers as numbers; `pre` comes
    /// before everything, then nothing at all, then words, then numbers.
    "__compareVersions" / 2 => compare_versions;
    /// The parts of a version, as they are compared.
    "__splitVersion" / 1 => split_version;
    /// `{ name, version }` of a derivation's name: the version begins after the first dash that no letter follows.
    "__parseDrvName" / 1 => parse_drv_name;
}

/// Takes the next part of a version off: a run of digits, or of anything else but dots and dashes.
fn next_part<'a>(version: &mut &'a [u8]) -> Option<&'a [u8]> {
    let start = version.iter().position(|byte| !matches!(byte, b'.' | b'-'))?;
    let rest = &version[start..];
    let digits = rest[0].is_ascii_digit();
    let inside = |byte: &u8| match digits {
        true => byte.is_ascii_digit(),
        false => !byte.is_ascii_digit() && !matches!(byte, b'.' | b'-'),
    };
    let length = rest.iter().position(|byte| !inside(byte)).unwrap_or(rest.len());
    *version = &rest[length..];
    Some(&rest[..length])
}

/// The number that a part is; numbers beyond 32 bits are words.
fn number(part: &[u8]) -> Option<i32> {
    if !part.first()?.is_ascii_digit() {
        return None;
    }
    part.iter().try_fold(0i32, |value, digit| value.checked_mul(10)?.checked_add(i32::from(digit - b'0')))
}

fn part_before(a: &[u8], b: &[u8]) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a < b,
        (_, Some(_)) if a.is_empty() => true,
        _ if a == b"pre" && b != b"pre" => true,
        _ if b == b"pre" => false,
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (None, None) => a < b,
    }
}

/// How two versions compare.
pub(crate) fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let left = next_part(&mut a).unwrap_or_else(|| {
            a = &[];
            &[]
        });
        let right = next_part(&mut b).unwrap_or_else(|| {
            b = &[];
            &[]
        });
        if part_before(left, right) {
            return Ordering::Less;
        }
        if part_before(right, left) {
            return Ordering::Greater;
        }
    }
    Ordering::Equal
}

/// The name and the version of a derivation's name.
pub(crate) fn split_name(name: &[u8]) -> (&[u8], &[u8]) {
    let dash = name.windows(2).position(|pair| pair[0] == b'-' && !pair[1].is_ascii_alphabetic());
    match dash {
        Some(dash) => (&name[..dash], &name[dash + 1..]),
        None => (name, b""),
    }
}

fn compare_versions(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument passed to builtins.compareVersions";
    let a = eval.expect_plain_string(args[0], text)?;
    let text = "while evaluating the second argument passed to builtins.compareVersions";
    let b = eval.expect_plain_string(args[1], text)?;
    Ok(Value::int(&mut eval.arena, compare(a.bytes(), b.bytes()) as i64))
}

fn split_version(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument passed to builtins.splitVersion";
    let mut version = eval.expect_plain_string(args[0], text)?.bytes();
    let height = eval.stack.height();
    while let Some(part) = next_part(&mut version) {
        let part = eval.string(part);
        eval.stack.push(part);
    }
    Ok(super::lists::list_above(eval, height, None))
}

fn parse_drv_name(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument passed to builtins.parseDrvName";
    let (name, version) = split_name(eval.expect_plain_string(args[0], text)?.bytes());
    let name = eval.string(name);
    let version = eval.string(version);
    Ok(eval.make_attrs(&[(sym::NAME, name), (sym::VERSION, version)]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_in_cpp_nix() {
        let rising = ["1.0pre", "1.0", "1.0a", "1.0.1", "1.0.2", "1.0.10", "1.1", "2"];
        for (index, a) in rising.iter().enumerate() {
            for (other, b) in rising.iter().enumerate() {
                assert_eq!(compare(a.as_bytes(), b.as_bytes()), index.cmp(&other), "{a} {b}");
            }
        }
        assert_eq!(compare(b"1.", b"1"), Ordering::Equal);
        assert_eq!(compare(b"99999999999", b"1"), Ordering::Less);
    }

    #[test]
    fn names_split_at_the_version() {
        assert_eq!(split_name(b"apache-httpd-2.0.48"), (&b"apache-httpd"[..], &b"2.0.48"[..]));
        assert_eq!(split_name(b"a-"), (&b"a-"[..], &b""[..]));
        assert_eq!(split_name(b"a--1"), (&b"a"[..], &b"-1"[..]));
    }
}
