//! Trees from anywhere, with what is known of them; references to them as text.
//!
//! What an input is, and whether it is locked, says the grammar in the options (`EvalOptions::inputs`); what may be
//! fetched is decided here; the world fetches.

use super::fetch::{check_uri, text};
use super::json::{JsonOptions, write_json};
use super::{builtins, in_name_order};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Coerced, Coercion, Eval, Outcome};
use crate::inputs::{Input, InputAttributes, InputSyntax};
use crate::value::print::type_phrase;
use crate::value::{AttrSet, AttrSetBuilder, ContextElement, Pos, Str, Value, View, sym};
use crate::world::{FetchAttribute, FetchRequest, Fetched};
use std::sync::Arc;

builtins! {
    /// A revision of a Git repository in the store: a URL, or `{ url, rev, ref, name, submodules, … }`; a set with
    /// `outPath` and what is known of it.
    "fetchGit" / 1 => |eval, args| fetch_tree(eval, args[0], Who::FetchGit);
    /// A revision of a Mercurial repository in the store: a URL, or `{ url, rev, name }`; a set with `outPath`, `rev`,
    /// `shortRev`, `branch` and `revCount`.
    "fetchMercurial" / 1 => |eval, args| fetch_mercurial(eval, args[0]);
    /// A tree of any kind in the store, by a URL or a set with `type`; a set with `outPath` and what is known of it.
    "fetchTree" / 1 => |eval, args| fetch_tree(eval, args[0], Who::FetchTree), (feature: Some("fetch-tree"));
    /// The attributes that a flake reference means.
    "__parseFlakeRef" / 1 => parse_flake_ref;
    /// A set of attributes as a flake reference.
    "__flakeRefToString" / 1 => flake_ref_to_string;
    /// The outputs of a flake. Not there yet.
    "__getFlake" / 1 => |eval, args| {
        let what = "while evaluating the argument passed to builtins.getFlake";
        let reference = text(eval.expect_plain_string(args[0], what)?);
        inputs(eval)?.parse_flake_ref(&reference)?;
        Err(EvalError::eval(format!("cannot get the flake '{reference}': flakes are not there yet")))
    };
    /// A closure from a binary cache. Not there yet.
    "__fetchClosure" / 1 => |eval, args| {
        eval.expect_attrs(args[0], "while evaluating the argument passed to builtins.fetchClosure")?;
        Err(EvalError::eval("cannot fetch a closure: binary caches are not there yet"))
    }, (feature: Some("fetch-closure"));
}

/// Which builtin fetches.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    FetchGit,
    FetchTree,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Who::FetchGit => "fetchGit",
            Who::FetchTree => "fetchTree",
        }
    }
}

fn inputs(eval: &Eval) -> Result<Arc<dyn InputSyntax>, EvalError> {
    eval.shared.options.inputs.clone().ok_or_else(|| EvalError::eval("inputs cannot be fetched here"))
}

/// The input that the argument means.
fn input(eval: &mut Eval, value: Value, who: Who) -> Result<Input, EvalError> {
    let inputs = inputs(eval)?;
    let value = eval.force(value)?;
    if let Some(set) = value.as_attrs() {
        let attributes = attributes_of(eval, set, who, &*inputs)?;
        return Ok(inputs.input_of_attributes(attributes)?);
    }
    let what = match who {
        Who::FetchGit => "while evaluating the first argument passed to 'fetchGit'",
        Who::FetchTree => "while evaluating the first argument passed to 'fetchTree'",
    };
    let url = text(eval.coerce(value, Coercion::PLAIN, what)?);
    if who == Who::FetchGit {
        let url = inputs.git_url(&url)?;
        let given = [
            ("type", FetchAttribute::String("git".to_owned())),
            ("url", FetchAttribute::String(url)),
            ("exportIgnore", FetchAttribute::Bool(true)),
        ];
        return Ok(inputs.input_of_attributes(given.map(|(name, value)| (name.to_owned(), value)).into())?);
    }
    if !eval.shared.options.has_feature("flakes") {
        let message = "passing a string argument to 'fetchTree' requires the 'flakes' experimental feature";
        return Err(EvalError::eval(message));
    }
    Ok(inputs.input_of_url(&url)?)
}

fn attributes_of(
    eval: &mut Eval,
    set: AttrSet,
    who: Who,
    inputs: &dyn InputSyntax,
) -> Result<InputAttributes, EvalError> {
    let name_of_builtin = who.name();
    let kind = match (set.get(sym::TYPE), who) {
        (Some(_), Who::FetchGit) => return Err(EvalError::eval("unexpected argument 'type'")),
        (None, Who::FetchGit) => "git".to_owned(),
        (None, Who::FetchTree) => {
            return Err(EvalError::eval(format!("argument 'type' is missing in call to '{name_of_builtin}'")));
        }
        (Some(attr), Who::FetchTree) => {
            let what = "while evaluating the `type` argument passed to 'fetchTree'";
            text(eval.expect_plain_string_at(attr.value.get(), attr.pos, what)?)
        }
    };
    let is_git = kind == "git";
    let mut attributes = InputAttributes::from([("type".to_owned(), FetchAttribute::String(kind))]);
    for attr in in_name_order(eval, set) {
        if attr.name == sym::TYPE {
            continue;
        }
        let name = eval.bare_text(attr.name).into_owned();
        let value = eval.force(attr.value.get())?;
        let given = match value.view() {
            View::String(_) | View::Path(_) => {
                let given = text(eval.coerce_at(value, Coercion::PLAIN, attr.pos, "")?);
                FetchAttribute::String(match (who, name.as_str()) {
                    (Who::FetchGit, "url") => inputs.git_url(&given)?,
                    _ => given,
                })
            }
            View::Bool(truth) => FetchAttribute::Bool(truth),
            View::Int(int) => FetchAttribute::Int(u64::try_from(int).map_err(|_| {
                let message = format!("negative value given for '{name_of_builtin}' argument '{name}': {int}");
                EvalError::eval(message)
            })?),
            _ if name == "publicKeys" => FetchAttribute::String(public_keys(eval, value, attr.pos)?),
            _ => {
                let message = format!(
                    "argument '{name}' to '{name_of_builtin}' is {} while a string, Boolean or integer is expected",
                    type_phrase(value)
                );
                return Err(EvalError::type_error(message));
            }
        };
        attributes.insert(name, given);
    }
    let yes = || FetchAttribute::Bool(true);
    if who == Who::FetchGit && attributes.get("submodules") != Some(&yes()) {
        attributes.entry("exportIgnore".to_owned()).or_insert_with(yes);
    }
    if who == Who::FetchTree && is_git {
        attributes.entry("shallow".to_owned()).or_insert_with(yes);
    }
    if who == Who::FetchTree && attributes.contains_key("name") {
        let message = format!("argument 'name' isn’t supported in call to '{name_of_builtin}'");
        return Err(EvalError::eval(message));
    }
    Ok(attributes)
}

fn public_keys(eval: &mut Eval, value: Value, pos: Pos) -> Result<String, EvalError> {
    if !eval.shared.options.has_feature("verified-fetches") {
        let message = "experimental Nix feature 'verified-fetches' is disabled; \
                       add '--extra-experimental-features verified-fetches' to enable it";
        return Err(EvalError::eval(message));
    }
    let mut json = Coerced::default();
    write_json(eval, value, pos, JsonOptions { strict: true, copy: true }, &mut json)?;
    Ok(String::from_utf8_lossy(&json.bytes).into_owned())
}

fn fetch_tree(eval: &mut Eval, value: Value, who: Who) -> Outcome {
    let input = input(eval, value, who)?;
    if eval.shared.options.pure && !input.is_locked {
        let (name, url) = (who.name(), &input.url);
        if !input.has_nar_hash {
            let message = format!("in pure evaluation mode, '{name}' doesn't fetch unlocked input '{url}'");
            return Err(EvalError::new(ErrorKind::Restricted, message));
        }
        eval.effect()?;
        eval.activity.warn(&format!(
            "Input '{url}' is unlocked (e.g. lacks a Git revision) but is checked by NAR hash. \
             This is not reproducible and will break after garbage collection or when shared."
        ));
    }
    check_uri(eval, &input.url)?;
    if input.attributes.get("__final") == Some(&FetchAttribute::Bool(true)) {
        let message = format!("input '{}' is not allowed to use the '__final' attribute", input.url);
        return Err(EvalError::eval(message));
    }
    let request = FetchRequest::Tree { attributes: input.attributes, is_locked: input.is_locked };
    let fetched = eval.fetch(&request)?;
    Ok(tree(eval, &fetched, who == Who::FetchGit))
}

/// The set of a fetched tree. With `empty_rev` a tree of changes that nobody committed has a revision of zeros.
fn tree(eval: &mut Eval, fetched: &Fetched, empty_rev: bool) -> Value {
    let known = |name: &str| match fetched.attributes.get(name) {
        Some(FetchAttribute::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let number = |name: &str| match fetched.attributes.get(name) {
        Some(FetchAttribute::Int(number)) => Some(i64::try_from(*number).unwrap_or(i64::MAX)),
        _ => None,
    };
    const NO_REV: &str = "0000000000000000000000000000000000000000";
    let rev = known("rev").or(empty_rev.then_some(NO_REV));
    let rev_count = number("revCount").or((empty_rev).then_some(0));
    let date = number("lastModified").map(date);
    let short = rev.map(|rev| rev.get(..7).unwrap_or(rev));
    let texts = [
        ("narHash", known("narHash")),
        ("rev", rev),
        ("shortRev", short),
        ("dirtyRev", known("dirtyRev")),
        ("dirtyShortRev", known("dirtyRev").and(known("dirtyShortRev"))),
        ("lastModifiedDate", date.as_deref()),
    ];
    let numbers = [("revCount", rev_count), ("lastModified", number("lastModified"))];
    let mut set = AttrSetBuilder::new(&mut eval.arena, texts.len() + numbers.len() + 2);
    let out_path = store_path_string(eval, fetched);
    set.push(sym::OUT_PATH, Pos::NONE, out_path);
    if known("type") == Some("git") {
        let name = eval.intern(b"submodules");
        let given = fetched.attributes.get("submodules") == Some(&FetchAttribute::Bool(true));
        set.push(name, Pos::NONE, Value::bool(given));
    }
    for (name, value) in texts {
        if let Some(value) = value {
            let (name, value) = (eval.intern(name.as_bytes()), eval.string(value.as_bytes()));
            set.push(name, Pos::NONE, value);
        }
    }
    for (name, value) in numbers {
        if let Some(value) = value {
            let (name, value) = (eval.intern(name.as_bytes()), Value::int(&mut eval.arena, value));
            set.push(name, Pos::NONE, value);
        }
    }
    set.finish(&mut eval.arena).into()
}

fn store_path_string(eval: &mut Eval, fetched: &Fetched) -> Value {
    let printed = eval.shared.world.store_dir().print(&fetched.path);
    let context = eval.shared.contexts.single(ContextElement::Opaque(fetched.path.clone()));
    Str::new(&mut eval.arena, printed.as_bytes(), context).into()
}

/// Seconds since 1970 as `YYYYMMDDhhmmss` in the time of Greenwich.
fn date(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin in March here, so that the odd day is last; 400 of them have 146097 days.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

fn fetch_mercurial(eval: &mut Eval, value: Value) -> Outcome {
    let inputs = inputs(eval)?;
    let value = eval.force(value)?;
    let mut given = InputAttributes::new();
    let string = |text: String| FetchAttribute::String(text);
    given.insert("type".to_owned(), string("hg".to_owned()));
    given.insert("name".to_owned(), string("source".to_owned()));
    let mut url = String::new();
    if let Some(set) = value.as_attrs() {
        for attr in in_name_order(eval, set) {
            let (value, name) = (attr.value.get(), eval.bare_text(attr.name).into_owned());
            match name.as_str() {
                "url" => {
                    let what = "while evaluating the `url` attribute passed to builtins.fetchMercurial";
                    url = text(eval.coerce_at(value, Coercion::PLAIN, attr.pos, what)?);
                }
                "rev" => {
                    let what = "while evaluating the `rev` attribute passed to builtins.fetchMercurial";
                    let rev = text(eval.expect_plain_string_at(value, attr.pos, what)?);
                    // What is no revision is a branch or a tag.
                    let is_rev = rev.len() == 40 && rev.bytes().all(|byte| byte.is_ascii_hexdigit());
                    given.insert(if is_rev { "rev" } else { "ref" }.to_owned(), string(rev));
                }
                "name" => {
                    let what = "while evaluating the `name` attribute passed to builtins.fetchMercurial";
                    given.insert(name, string(text(eval.expect_plain_string_at(value, attr.pos, what)?)));
                }
                _ => {
                    let message = format!("unsupported argument '{name}' to 'fetchMercurial'");
                    return Err(EvalError::eval(message).at(attr.pos));
                }
            }
        }
        if url.is_empty() {
            return Err(EvalError::eval("'url' argument required"));
        }
    } else {
        let what = "while evaluating the first argument passed to builtins.fetchMercurial";
        url = text(eval.coerce(value, Coercion::PLAIN, what)?);
    }
    check_uri(eval, &url)?;
    if eval.shared.options.pure && !given.contains_key("rev") {
        let message = "in pure evaluation mode, 'fetchMercurial' requires a Mercurial revision";
        return Err(EvalError::new(ErrorKind::Restricted, message));
    }
    let url = if url.contains("://") { url } else { format!("file://{url}") };
    given.insert("url".to_owned(), string(url));
    let input = inputs.input_of_attributes(given)?;
    let request = FetchRequest::Tree { attributes: input.attributes, is_locked: input.is_locked };
    let fetched = eval.fetch(&request)?;
    Ok(mercurial_tree(eval, &fetched))
}

fn mercurial_tree(eval: &mut Eval, fetched: &Fetched) -> Value {
    let known = |name: &str| match fetched.attributes.get(name) {
        Some(FetchAttribute::String(text)) => Some(text.clone()),
        _ => None,
    };
    let rev = known("rev").unwrap_or_else(|| "0".repeat(40));
    let mut set = AttrSetBuilder::new(&mut eval.arena, 5);
    let out_path = store_path_string(eval, fetched);
    set.push(sym::OUT_PATH, Pos::NONE, out_path);
    let short = rev.get(..12).unwrap_or(&rev).to_owned();
    for (name, value) in [("branch", known("ref")), ("rev", Some(rev)), ("shortRev", Some(short))] {
        if let Some(value) = value {
            let (name, value) = (eval.intern(name.as_bytes()), eval.string(value.as_bytes()));
            set.push(name, Pos::NONE, value);
        }
    }
    if let Some(FetchAttribute::Int(count)) = fetched.attributes.get("revCount") {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        let (name, value) = (eval.intern(b"revCount"), Value::int(&mut eval.arena, count));
        set.push(name, Pos::NONE, value);
    }
    set.finish(&mut eval.arena).into()
}

fn parse_flake_ref(eval: &mut Eval, args: &[Value]) -> Outcome {
    let what = "while evaluating the argument passed to builtins.parseFlakeRef";
    let reference = text(eval.expect_plain_string(args[0], what)?);
    let attributes = inputs(eval)?.parse_flake_ref(&reference)?;
    let mut set = AttrSetBuilder::new(&mut eval.arena, attributes.len());
    for (name, attribute) in &attributes {
        let name = eval.intern(name.as_bytes());
        let value = match attribute {
            FetchAttribute::String(string) => eval.string(string.as_bytes()),
            FetchAttribute::Int(int) => Value::int(&mut eval.arena, i64::try_from(*int).unwrap_or(i64::MAX)),
            FetchAttribute::Bool(truth) => Value::bool(*truth),
        };
        set.push(name, Pos::NONE, value);
    }
    Ok(set.finish(&mut eval.arena).into())
}

fn flake_ref_to_string(eval: &mut Eval, args: &[Value]) -> Outcome {
    let what = "while evaluating the argument passed to builtins.flakeRefToString";
    let set = eval.expect_attrs(args[0], what)?;
    let mut attributes = InputAttributes::new();
    for attr in in_name_order(eval, set) {
        let name = eval.bare_text(attr.name).into_owned();
        let value = eval.force(attr.value.get())?;
        let given = match value.view() {
            View::Int(int) => FetchAttribute::Int(
                u64::try_from(int)
                    .map_err(|_| EvalError::eval(format!("negative value given for flake ref attr {name}: {int}")))?,
            ),
            View::Bool(truth) => FetchAttribute::Bool(truth),
            View::String(string) => FetchAttribute::String(text(string)),
            _ => {
                let message = format!(
                    "flake reference attribute sets may only contain integers, Booleans, and strings, \
                     but attribute '{name}' is {}",
                    type_phrase(value)
                );
                return Err(EvalError::eval(message));
            }
        };
        attributes.insert(name, given);
    }
    let printed = inputs(eval)?.print_flake_ref(attributes)?;
    Ok(eval.string(printed.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_greenwich() {
        assert_eq!(date(0), "19700101000000");
        assert_eq!(date(951_827_696), "20000229123456");
        assert_eq!(date(1_735_689_599), "20241231235959");
        assert_eq!(date(-1), "19691231235959");
        assert_eq!(date(4_107_542_399), "21000228235959");
        assert_eq!(date(4_107_542_400), "21000301000000");
        assert_eq!(date(68_256_000), "19720301000000");
        assert_eq!(date(-62_135_596_800), "00010101000000");
        assert_eq!(date(253_402_300_799), "99991231235959");
        assert_eq!(date(-2_203_891_200), "19000301000000");
    }
}
