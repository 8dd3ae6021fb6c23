//! Downloads during evaluation.
//!
//! The arguments are checked here; the work is the world's, which finds pinned results in the store before it asks the
//! network.

use super::{builtins, in_name_order};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Coercion, Eval, Outcome};
use crate::value::print::type_name;
use crate::value::{AttrSetBuilder, ContextElement, Pos, Str, Value, View, sym};
use crate::world::{FetchAttribute, FetchRequest};
use std::collections::BTreeMap;
use store_model::{Hash, HashAlgorithm};

builtins! {
    /// A file downloaded into the store: a URL, or `{ url, sha256, name }`.
    "__fetchurl" / 1 => |eval, args| fetch(eval, args[0], Kind::File);
    /// An archive downloaded and unpacked into the store: a URL, or `{ url, sha256, name }`.
    "fetchTarball" / 1 => |eval, args| fetch(eval, args[0], Kind::Tarball);
    /// A revision of a Git repository in the store: a URL, or `{ url, rev, ref, name, submodules, … }`; a set with
    /// `outPath` and what is known of it.
    "fetchGit" / 1 => |eval, args| fetch_tree(eval, args[0], "fetchGit", Some("git"));
    /// A revision of a Mercurial repository in the store: a URL, or `{ url, rev, name }`; a set as `fetchGit`.
    "fetchMercurial" / 1 => |eval, args| fetch_tree(eval, args[0], "fetchMercurial", Some("hg"));
    /// A tree of any kind in the store, by a set with `type`; a set with `outPath` and what is known of it.
    "fetchTree" / 1 => |eval, args| fetch_tree(eval, args[0], "fetchTree", None), (feature: Some("fetch-tree"));
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Tarball,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::File => "fetchurl",
            Kind::Tarball => "fetchTarball",
        }
    }
}

#[derive(Default)]
struct Arguments {
    url: Option<String>,
    name: String,
    expected: Option<Hash>,
    has_name: bool,
    is_set: bool,
}

fn arguments(eval: &mut Eval, value: Value, kind: Kind) -> Result<Arguments, EvalError> {
    let mut arguments = Arguments::default();
    if kind == Kind::Tarball {
        arguments.name = "source".into();
    }
    let value = eval.force(value)?;
    let Some(set) = value.as_attrs() else {
        let url = eval.expect_plain_string(value, "while evaluating the url we should fetch")?;
        arguments.url = Some(text(url));
        return Ok(arguments);
    };
    arguments.is_set = true;
    for attr in set.iter() {
        let value = attr.value.get();
        match attr.name {
            sym::URL => {
                let what = "while evaluating the url we should fetch";
                arguments.url = Some(text(eval.expect_plain_string_at(value, attr.pos, what)?));
            }
            sym::SHA256 => {
                let what = "while evaluating the sha256 of the content we should fetch";
                let hash = text(eval.expect_plain_string_at(value, attr.pos, what)?);
                arguments.expected = Some(super::store::parse_hash(eval, &hash, Some(HashAlgorithm::Sha256))?);
            }
            sym::NAME => {
                let what = "while evaluating the name of the content we should fetch";
                arguments.name = text(eval.expect_plain_string_at(value, attr.pos, what)?);
                arguments.has_name = true;
            }
            name => {
                let (name, who) = (eval.text(name), kind.name());
                return Err(EvalError::eval(format!("unsupported argument '{name}' to '{who}'")));
            }
        }
    }
    Ok(arguments)
}

fn text(string: Str) -> String {
    String::from_utf8_lossy(string.bytes()).into_owned()
}

fn fetch(eval: &mut Eval, value: Value, kind: Kind) -> Outcome {
    let arguments = arguments(eval, value, kind)?;
    let who = kind.name();
    let Some(url) = arguments.url else { return Err(EvalError::eval("'url' argument required")) };
    check_uri(eval, &url)?;
    let name = if arguments.name.is_empty() {
        url.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    } else {
        arguments.name
    };
    if let Err(error) = store_model::store_path::check_name(&name) {
        let advice = if arguments.has_name {
            format!("Please change the value for the 'name' attribute passed to '{who}'")
        } else if arguments.is_set {
            format!("Please add a valid 'name' attribute to the argument for '{who}'")
        } else {
            format!("Please pass an attribute set with 'url' and 'name' attributes to '{who}', ")
        };
        let message = format!(
            "invalid store path name when fetching URL '{url}': {error}. {advice}, so that it can create a valid store path."
        );
        return Err(EvalError::eval(message.replace(", ,", ", ")));
    }
    let expected = arguments.expected;
    if eval.shared.options.pure && expected.is_none() {
        let message = format!("in pure evaluation mode, '{who}' requires a 'sha256' argument");
        return Err(EvalError::new(ErrorKind::Restricted, message));
    }
    let request = match kind {
        Kind::File => FetchRequest::File { url, name, expected },
        Kind::Tarball => FetchRequest::Tarball { url, name, expected },
    };
    let fetched = eval.shared.world.fetch(&eval.activity, &request)?;
    eval.allow(&fetched.path);
    let printed = eval.shared.world.store_dir().print(&fetched.path);
    let context = eval.shared.contexts.single(ContextElement::Opaque(fetched.path));
    Ok(Str::new(&mut eval.arena, printed.as_bytes(), context).into())
}

/// The attributes of a tree to fetch; `kind` is its type where the builtin decides it.
fn tree_attributes(
    eval: &mut Eval,
    value: Value,
    who: &str,
    kind: Option<&str>,
) -> Result<BTreeMap<String, FetchAttribute>, EvalError> {
    let value = eval.force(value)?;
    let mut attributes = BTreeMap::new();
    if let Some(kind) = kind {
        attributes.insert("type".to_owned(), FetchAttribute::String(kind.to_owned()));
    }
    let Some(set) = value.as_attrs().filter(|set| set.get(sym::OUT_PATH).is_none()) else {
        let url = eval.coerce(value, Coercion::PLAIN, "while evaluating the first argument passed to a fetcher")?;
        attributes.insert("url".to_owned(), FetchAttribute::String(text(url)));
        return Ok(attributes);
    };
    for attr in in_name_order(eval, set) {
        let name = eval.bare_text(attr.name).into_owned();
        let value = eval.force(attr.value.get())?;
        let given = match value.view() {
            View::Bool(truth) => FetchAttribute::Bool(truth),
            View::Int(int) => match u64::try_from(int) {
                Ok(int) => FetchAttribute::Int(int),
                Err(_) => {
                    let message = format!("negative value given for '{who}' argument '{name}': {int}");
                    return Err(EvalError::eval(message).at(attr.pos));
                }
            },
            View::String(_) | View::Path(_) => {
                let what = "while evaluating an argument of a fetcher";
                FetchAttribute::String(text(eval.coerce_at(value, Coercion::PLAIN, attr.pos, what)?))
            }
            _ => {
                let found = type_name(value);
                let message =
                    format!("argument '{name}' to '{who}' is {found} while a string, Boolean or integer is expected");
                return Err(EvalError::type_error(message).at(attr.pos));
            }
        };
        attributes.insert(name, given);
    }
    if !attributes.contains_key("type") {
        return Err(EvalError::eval(format!("argument 'type' is missing in call to '{who}'")));
    }
    Ok(attributes)
}

fn fetch_tree(eval: &mut Eval, value: Value, who: &str, kind: Option<&str>) -> Outcome {
    let attributes = tree_attributes(eval, value, who, kind)?;
    if let Some(FetchAttribute::String(url)) = attributes.get("url") {
        check_uri(eval, url)?;
    }
    let is_locked = attributes.contains_key("rev") || attributes.contains_key("narHash");
    if eval.shared.options.pure && !is_locked {
        let message = format!("in pure evaluation mode, '{who}' will not fetch an unlocked input");
        return Err(EvalError::new(ErrorKind::Restricted, message));
    }
    let fetched = eval.shared.world.fetch(&eval.activity, &FetchRequest::Tree(attributes))?;
    eval.allow(&fetched.path);
    let printed = eval.shared.world.store_dir().print(&fetched.path);
    let context = eval.shared.contexts.single(ContextElement::Opaque(fetched.path));
    let mut set = AttrSetBuilder::new(&mut eval.arena, fetched.attributes.len() + 1);
    let out_path = Str::new(&mut eval.arena, printed.as_bytes(), context);
    set.push(sym::OUT_PATH, Pos::NONE, out_path.into());
    for (name, attribute) in &fetched.attributes {
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

/// Fails if restricted evaluation may not fetch from `uri`.
fn check_uri(eval: &Eval, uri: &str) -> Result<(), EvalError> {
    let options = &eval.shared.options;
    if !options.restricted || options.allowed_uris.iter().any(|prefix| uri.starts_with(prefix.as_str())) {
        return Ok(());
    }
    let message = format!("access to URI '{uri}' is forbidden in restricted mode");
    Err(EvalError::new(ErrorKind::Restricted, message))
}
