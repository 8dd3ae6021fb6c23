//! Single files and archives by URL.
//!
//! The arguments are checked here; the work is the world's, which finds pinned results in the store before it asks the
//! network. Trees with their attributes: `fetch_tree.rs`.

use super::builtins;
use crate::code::canonical;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Eval, Outcome};
use crate::value::{ContextElement, Str, Value, sym};
use crate::world::{FetchRequest, Fetched};
use store_model::{Hash, HashAlgorithm};

builtins! {
    /// A file downloaded into the store: a URL, or `{ url, sha256, name }`.
    "__fetchurl" / 1 => |eval, args| fetch(eval, args[0], Kind::File);
    /// An archive downloaded and unpacked into the store: a URL, or `{ url, sha256, name }`.
    "fetchTarball" / 1 => |eval, args| fetch(eval, args[0], Kind::Tarball);
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

/// A string as text.
pub(super) fn text(string: Str) -> String {
    String::from_utf8_lossy(string.bytes()).into_owned()
}

fn fetch(eval: &mut Eval, value: Value, kind: Kind) -> Outcome {
    let arguments = arguments(eval, value, kind)?;
    let who = kind.name();
    let Some(mut url) = arguments.url else { return Err(EvalError::eval("'url' argument required")) };
    if let (Kind::Tarball, Some(channel)) = (kind, url.strip_prefix("channel:")) {
        url = format!("https://channels.nixos.org/{channel}/nixexprs.tar.xz");
    }
    check_uri(eval, &url)?;
    let name = if arguments.name.is_empty() {
        url.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    } else {
        arguments.name
    };
    if let Err(error) = store_model::store_path::check_name(&name) {
        let advice = if arguments.has_name {
            format!("Please change the value for the 'name' attribute passed to '{who}',")
        } else if arguments.is_set {
            format!("Please add a valid 'name' attribute to the argument for '{who}',")
        } else {
            // Two spaces, as in C++ Nix.
            format!("Please pass an attribute set with 'url' and 'name' attributes to '{who}', ")
        };
        let message = format!(
            "invalid store path name when fetching URL '{url}': {error}. {advice} so that it can create a valid store path."
        );
        return Err(EvalError::eval(message));
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
    let fetched = eval.fetch(&request)?;
    let printed = eval.shared.world.store_dir().print(&fetched.path);
    let context = eval.shared.contexts.single(ContextElement::Opaque(fetched.path));
    Ok(Str::new(&mut eval.arena, printed.as_bytes(), context).into())
}

/// Fails if restricted evaluation may not fetch from `uri`. A path, or the URL of one, may be fetched where it may be
/// read.
pub(super) fn check_uri(eval: &Eval, uri: &str) -> Result<(), EvalError> {
    let options = &eval.shared.options;
    if !options.restricted || options.allowed_uris.iter().any(|prefix| allows(prefix, uri)) {
        return Ok(());
    }
    if let Some(path) = local_path(uri) {
        return eval.check_readable(&canonical(&path));
    }
    let message = format!("access to URI '{uri}' is forbidden in restricted mode");
    Err(EvalError::new(ErrorKind::Restricted, message))
}

/// The path that a URI means on this machine, if it does: an absolute path, or the URL of one without a host.
fn local_path(uri: &str) -> Option<Vec<u8>> {
    if uri.starts_with('/') {
        return Some(uri.into());
    }
    let rest = uri.strip_prefix("file:")?;
    let rest = match rest.strip_prefix("//") {
        Some(rest) if !rest.starts_with('/') => return None,
        Some(rest) => rest,
        None => rest,
    };
    let path = rest.split(['?', '#']).next().unwrap_or_default().as_bytes();
    let mut decoded = b"/".to_vec();
    let mut at = 0;
    while at < path.len() {
        let code = path.get(at + 1..at + 3).filter(|code| path[at] == b'%' && code.iter().all(u8::is_ascii_hexdigit));
        let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(path[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    Some(decoded)
}

impl Eval {
    /// Fetches, and allows what came of it to be read. A download is an effect, and may take long.
    pub(super) fn fetch(&mut self, request: &FetchRequest) -> Result<Fetched, EvalError> {
        self.effect()?;
        let (world, activity) = (self.shared.world.clone(), self.activity.clone());
        let fetched = self.arena.blocked(|| world.fetch(&activity, request))?;
        self.allow(&fetched.path);
        Ok(fetched)
    }
}

/// Whether a prefix is the URI or a folder it is in: `https://host.co` does not allow `https://host.com`.
fn allows(prefix: &str, uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix(prefix) else { return false };
    let is_scheme = || {
        prefix.strip_suffix(':').is_some_and(|scheme| {
            scheme.starts_with(|c: char| c.is_ascii_lowercase())
                && scheme.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+.-".contains(c))
        })
    };
    rest.is_empty() || (!prefix.is_empty() && (prefix.ends_with('/') || rest.starts_with('/') || is_scheme()))
}

#[cfg(test)]
mod tests {
    use super::{allows, local_path};

    #[test]
    fn urls_of_files_are_paths() {
        let path =
            |uri| local_path(uri).map(|path| String::from_utf8_lossy(&crate::code::canonical(&path)).into_owned());
        for (uri, expected) in [
            ("/x/../y", "/y"),
            ("/x%20y?z", "/x%20y?z"),
            ("file:x/y", "/x/y"),
            ("file:/x", "/x"),
            ("file:///x//y", "/x/y"),
            ("file:///x%20y%2fz", "/x y/z"),
            ("file:///x%2", "/x%2"),
            ("file:///%zz", "/%zz"),
            ("file:///x?y", "/x"),
            ("file:///x#y", "/x"),
            ("file:", "/"),
        ] {
            assert_eq!(path(uri).as_deref(), Some(expected), "{uri}");
        }
        for uri in ["file://h/x", "files:x", "x", "", "FILE:///x"] {
            assert_eq!(path(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_part_ends() {
        assert!(allows("https://a.co", "https://a.co/x") && allows("https://a.co/", "https://a.co/x"));
        assert!(allows("https:", "https://a.co") && allows("https://a.co", "https://a.co"));
        assert!(allows("git+https:", "git+https://a.co") && allows("a1.b-c:", "a1.b-c:x") && allows("a:", "a:x"));
        assert!(!allows("a_b:", "a_b:x") && !allows("1a:", "1a:x") && !allows("+a:", "+a:x") && !allows("aB:", "aB:x"));
        assert!(!allows("https", "https://a.co") && !allows("a/b:", "a/b:x") && allows("a/b:", "a/b:/x"));
        assert!(!allows("https://a.co", "https://a.com") && !allows("", "https://a.co") && !allows("HTTP:", "HTTP:x"));
    }
}
