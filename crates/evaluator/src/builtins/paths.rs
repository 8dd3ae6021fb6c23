//! Files: reading, listing, looking up, importing, copying to the store.

use super::builtins;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Coercion, Eval, ImportScope, Links, Outcome, parent};
use crate::value::{AttrSetBuilder, ContextElement, ContextId, Pos, Str, Value, sym};
use crate::world::{CopyRequest, PathType, WorldError, WorldErrorClass};
use std::sync::PoisonError;
use store_model::{ContentAddressMethod, Hash, HashAlgorithm, RefScanner, References, StorePath};

builtins! {
    /// The value of a Nix file, evaluated once; of a folder, its `default.nix`.
    "import" / 1 => |eval, args| import(eval, args[0], ImportScope::Base);
    /// The value of a Nix file in which the attributes of a set are variables; evaluated each time.
    "scopedImport" / 2 => |eval, args| {
        let scope = eval.expect_attrs(args[0], "while evaluating the first argument passed to builtins.scopedImport")?;
        import(eval, args[1], ImportScope::Set(scope))
    };
    /// The contents of a file.
    "__readFile" / 1 => read_file;
    /// The entries of a folder: a set of names to `regular`, `directory`, `symlink` or `unknown`.
    "__readDir" / 1 => read_dir;
    /// What lies at a path: `regular`, `directory`, `symlink` or `unknown`.
    "__readFileType" / 1 => read_file_type;
    /// Whether something lies at a path; with a `/` at its end, whether that is a folder.
    "__pathExists" / 1 => path_exists;
    /// The part of a path or string after its last `/`; one `/` at the end does not count.
    "baseNameOf" / 1 => base_name_of;
    /// The part of a path or string before its last `/`.
    "dirOf" / 1 => dir_of;
    /// An absolute path as a string, normalised.
    "__toPath" / 1 => |eval, args| {
        let (path, context) = eval.coerce_to_path(args[0], "while evaluating the first argument passed to builtins.toPath")?;
        Ok(Str::new(&mut eval.arena, &path, context).into())
    };
    /// An environment variable; empty if it is not set, and in pure or restricted evaluation.
    "__getEnv" / 1 => |eval, args| {
        let name = eval.expect_plain_string(args[0], "while evaluating the first argument passed to builtins.getEnv")?;
        let hidden = eval.shared.options.pure || eval.shared.options.restricted;
        let value = if hidden { None } else { eval.shared.world.env_var(name.bytes()) };
        Ok(eval.string(&value.unwrap_or_default()))
    };
    /// The path of a name in a search path: a list of `{ prefix, path }`.
    "__findFile" / 2 => find_file;
    /// A path copied to the store with those entries for which a function of path and type gives true.
    "__filterSource" / 2 => filter_source;
    /// A path copied to the store: `{ path, name, filter, recursive, sha256 }`.
    "__path" / 1 => path;
}

impl Eval {
    /// A path argument whose context has been built.
    pub(crate) fn realise_path(&mut self, value: Value) -> Result<Vec<u8>, EvalError> {
        let (path, context) = self.coerce_to_path(value, "while realising the context of a path")?;
        if context == ContextId::NONE {
            return Ok(path);
        }
        let shown = crate::text::bytes_as_text(&path).into_owned();
        let text = move || format!("while realising the context of path '{shown}'");
        let rewrites = self.realise_context(context).map_err(|error| error.trace(Pos::NONE, text()))?;
        Ok(rewrites.into_iter().fold(path, |path, (from, to)| replace_all(&path, from.as_bytes(), to.as_bytes())))
    }

    /// Looks a name up in the search path of the options.
    pub(crate) fn find_in_search_path(&mut self, name: &[u8]) -> Result<Vec<u8>, EvalError> {
        let shared = self.shared.clone();
        let entries = shared.options.search_path.iter().map(|entry| (entry.prefix.clone(), entry.value.clone()));
        self.find_in(entries.collect(), name)
    }

    fn find_in(&mut self, entries: Vec<(Vec<u8>, Vec<u8>)>, name: &[u8]) -> Result<Vec<u8>, EvalError> {
        for (prefix, value) in entries {
            let Some(suffix) = suffix_after(&prefix, name) else { continue };
            let Some(folder) = self.search_folder(&value)? else { continue };
            let path = self.follow(&[&folder[..], b"/", suffix].concat(), Links::All)?;
            self.check_readable(&path)?;
            if self.shared.world.stat(&path)?.is_some() {
                return Ok(path);
            }
        }
        if let Some(file) = name.strip_prefix(b"nix/") {
            return Ok([crate::code::INTERNAL.as_bytes(), file].concat());
        }
        let shown = crate::text::bytes_as_text(name);
        let message = if self.shared.options.pure {
            format!("cannot look up '<{shown}>' in pure evaluation mode (use '--impure' to override)")
        } else {
            format!("file '{shown}' was not found in the Nix search path (add it using $NIX_PATH or -I)")
        };
        Err(EvalError::new(ErrorKind::Throw, message))
    }

    /// The folder that an entry of a search path means, if there is one.
    pub(crate) fn search_folder(&mut self, value: &[u8]) -> Result<Option<Vec<u8>>, EvalError> {
        if !value.starts_with(b"/") {
            self.effect()?;
            return Ok(self.shared.world.resolve_search_path(&self.activity, value)?);
        }
        let target = self.follow(value, Links::All)?;
        if self.is_readable(&target) && self.shared.world.stat(&target)?.is_some() {
            return Ok(Some(value.to_vec()));
        }
        self.check_readable(value)?;
        self.effect()?;
        let missing = &self.shared.caches.missing_entries;
        if missing.lock().unwrap_or_else(PoisonError::into_inner).insert(value.to_vec()) {
            let shown = crate::text::bytes_as_text(value);
            self.activity.warn(&format!("Nix search path entry '{shown}' does not exist, ignoring"));
        }
        Ok(None)
    }
}

/// What is left of `name` after a prefix of whole path parts; the empty prefix matches all.
fn suffix_after<'a>(prefix: &[u8], name: &'a [u8]) -> Option<&'a [u8]> {
    if prefix.is_empty() {
        return Some(name);
    }
    match name.strip_prefix(prefix)? {
        b"" => Some(b""),
        rest => rest.strip_prefix(b"/"),
    }
}

/// Replaces every occurrence.
pub(crate) fn replace_all(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if !from.is_empty() && text[at..].starts_with(from) {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

fn import(eval: &mut Eval, path: Value, scope: ImportScope) -> Outcome {
    let path = eval.realise_path(path)?;
    if path.ends_with(b".drv")
        && let Ok(drv) = eval.shared.world.store_dir().parse_bytes(&path)
        && eval.effect().map(|()| true)?
        && eval.shared.world.ensure_path(&eval.activity, &drv)?
    {
        return super::derivation::import_derivation(eval, &drv);
    }
    eval.import_scoped(&path, scope)
}

/// A name in a folder.
fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [folder.strip_suffix(b"/").unwrap_or(folder), b"/", name].concat()
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn read_file(eval: &mut Eval, args: &[Value]) -> Outcome {
    let path = eval.realise_path(args[0])?;
    let (path, text) = eval.read(&path, |path| eval.shared.world.read_file(path))?;
    if text.contains(&0) {
        let message = format!("the contents of the file '{}' cannot be represented as a Nix string", shown(&path));
        return Err(EvalError::eval(message));
    }
    let context = match store_object(eval, &path) {
        None => ContextId::NONE,
        Some(object) => references_in(eval, &object, &text),
    };
    Ok(Str::new(&mut eval.arena, &text, context).into())
}

/// The store object that a path lies in.
fn store_object(eval: &Eval, path: &[u8]) -> Option<StorePath> {
    let path = std::str::from_utf8(path).ok()?;
    let store_dir = eval.shared.world.store_dir();
    if !store_dir.contains(path) {
        return None;
    }
    store_dir.parse_inside(path).ok().map(|(object, _)| object)
}

/// Those references of a store object that occur in a text.
fn references_in(eval: &Eval, object: &StorePath, text: &[u8]) -> ContextId {
    let Ok(references) = eval.shared.world.references(object) else { return ContextId::NONE };
    if references.is_empty() {
        return ContextId::NONE;
    }
    let mut scanner = RefScanner::new(references);
    scanner.update(text);
    let found = scanner.finish();
    eval.shared.contexts.of_elements(found.into_iter().map(ContextElement::Opaque))
}

fn read_dir(eval: &mut Eval, args: &[Value]) -> Outcome {
    let path = eval.realise_path(args[0])?;
    let (path, mut entries) = eval.read(&path, |path| eval.shared.world.read_directory(path))?;
    if !eval.is_readable_whole(&path) {
        entries.retain(|(name, _)| eval.is_readable(&joined(&path, name)));
    }
    let mut set = AttrSetBuilder::new(&mut eval.arena, entries.len());
    for (name, kind) in entries {
        let name = eval.intern(&name);
        let kind = eval.intern(kind.name().as_bytes());
        set.push(name, Pos::NONE, eval.shared.symbols.value(kind));
    }
    Ok(set.finish(&mut eval.arena).into())
}

fn read_file_type(eval: &mut Eval, args: &[Value]) -> Outcome {
    let path = eval.realise_path(args[0])?;
    eval.check_readable(&path)?;
    let mut folder = parent(&path);
    while folder != b"/" {
        if eval.shared.world.stat(folder)? == Some(PathType::Symlink) {
            return Err(EvalError::eval(format!("path '{}' is a symlink", shown(folder))));
        }
        folder = parent(folder);
    }
    match eval.shared.world.stat(&path)? {
        Some(kind) => Ok(eval.string(kind.name().as_bytes())),
        None => {
            let message = format!("path '{}' does not exist", shown(&path));
            Err(WorldError::new(WorldErrorClass::NotFound, message).into())
        }
    }
}

fn path_exists(eval: &mut Eval, args: &[Value]) -> Outcome {
    let value = eval.force(args[0])?;
    let text = value.as_string().map(Str::bytes).unwrap_or_default();
    let must_be_folder = text.ends_with(b"/") || text.ends_with(b"/.");
    let mut path = eval.realise_path(value)?;
    let links = if must_be_folder { Links::All } else { Links::Folders };
    if eval.is_guarded() {
        path = eval.follow_argument(&path, links)?;
    }
    if !eval.is_readable(&path) {
        return Ok(Value::FALSE);
    }
    let world = eval.shared.world.clone();
    let kind = match world.stat(&path) {
        Ok(Some(PathType::Symlink)) if must_be_folder => world.stat(&eval.follow_argument(&path, links)?)?,
        Ok(kind) => kind,
        Err(error) => return Err(eval.follow_argument(&path, links).err().unwrap_or_else(|| error.into())),
    };
    let exists = if must_be_folder { kind == Some(PathType::Directory) } else { kind.is_some() };
    Ok(Value::bool(exists))
}

fn base_name_of(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument passed to builtins.baseNameOf";
    let string = eval.coerce(args[0], Coercion::PLAIN, text)?;
    let bytes = string.bytes();
    let end = match bytes {
        [.., b'/'] if bytes.len() > 1 => bytes.len() - 1,
        _ => bytes.len(),
    };
    let trimmed = &bytes[..end];
    // A lone "/" stays empty after its slash.
    let start = trimmed.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    Ok(Str::new(&mut eval.arena, &trimmed[start..], string.context()).into())
}

fn dir_of(eval: &mut Eval, args: &[Value]) -> Outcome {
    let value = eval.force(args[0])?;
    if let Some(path) = value.as_path() {
        return Ok(Value::path(&mut eval.arena, parent(path.bytes())));
    }
    let text = "while evaluating the first argument passed to 'builtins.dirOf'";
    let string = eval.coerce(value, Coercion::PLAIN, text)?;
    let bytes = string.bytes();
    let folder: &[u8] = match bytes.iter().rposition(|byte| *byte == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(at) => &bytes[..at],
    };
    Ok(Str::new(&mut eval.arena, folder, string.context()).into())
}

fn find_file(eval: &mut Eval, args: &[Value]) -> Outcome {
    let list = eval.expect_list(args[0], "while evaluating the first argument passed to builtins.findFile")?;
    let mut entries = Vec::with_capacity(list.len());
    for element in list.iter() {
        let text = "while evaluating an element of the list passed to builtins.findFile";
        let element = eval.expect_attrs(element, text)?;
        let prefix = match element.value(sym::PREFIX) {
            None => Vec::new(),
            Some(prefix) => {
                let text =
                    "while evaluating the `prefix` attribute of an element of the list passed to builtins.findFile";
                eval.expect_plain_string(prefix, text)?.bytes().to_vec()
            }
        };
        let path = eval.required(element, sym::PATH, "in an element of the __nixPath")?;
        let text = "while evaluating the `path` attribute of an element of the list passed to builtins.findFile";
        let path = eval.coerce(path, Coercion::PLAIN, text)?;
        let path = eval.realise_string(path)?;
        entries.push((prefix, path));
    }
    let text = "while evaluating the second argument passed to builtins.findFile";
    let name = eval.expect_plain_string(args[1], text)?;
    let path = eval.find_in(entries, name.bytes())?;
    Ok(Value::path(&mut eval.arena, &path))
}

/// A path to be copied to the store.
struct Source {
    path: Vec<u8>,
    context: ContextId,
    name: Vec<u8>,
    filter: Option<Value>,
    method: ContentAddressMethod,
    expected: Option<Hash>,
}

fn filter_source(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the second argument (the path to filter) passed to 'builtins.filterSource'";
    let (path, context) = eval.coerce_to_path(args[1], text)?;
    let filter =
        eval.expect_function(args[0], "while evaluating the first argument passed to builtins.filterSource")?;
    let name = last_part(&path).to_vec();
    let method = ContentAddressMethod::NixArchive;
    add_source(eval, Source { path, context, name, filter: Some(filter), method, expected: None })
}

fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

fn path(eval: &mut Eval, args: &[Value]) -> Outcome {
    let set = eval.expect_attrs(args[0], "while evaluating the argument passed to 'builtins.path'")?;
    let mut source = Source {
        path: Vec::new(),
        context: ContextId::NONE,
        name: Vec::new(),
        filter: None,
        method: ContentAddressMethod::NixArchive,
        expected: None,
    };
    for attr in set.iter() {
        let value = attr.value.get();
        match attr.name {
            sym::PATH => {
                let text = "while evaluating the 'path' attribute passed to 'builtins.path'";
                (source.path, source.context) = eval.coerce_to_path_at(value, attr.pos, text)?;
            }
            sym::NAME => {
                let text = "while evaluating the `name` attribute passed to builtins.path";
                source.name = eval.expect_plain_string_at(value, attr.pos, text)?.bytes().to_vec();
            }
            sym::FILTER => {
                let text = "while evaluating the `filter` parameter passed to builtins.path";
                source.filter = Some(eval.expect_function_at(value, attr.pos, text)?);
            }
            sym::RECURSIVE => {
                let text = "while evaluating the `recursive` attribute passed to builtins.path";
                let recursive = eval.expect_bool_at(value, attr.pos, text)?;
                source.method = if recursive { ContentAddressMethod::NixArchive } else { ContentAddressMethod::Flat };
            }
            sym::SHA256 => {
                let text = "while evaluating the `sha256` attribute passed to builtins.path";
                let hash = eval.expect_plain_string_at(value, attr.pos, text)?;
                let hash = String::from_utf8_lossy(hash.bytes()).into_owned();
                source.expected = Some(super::store::parse_hash(eval, &hash, Some(HashAlgorithm::Sha256))?);
            }
            name => {
                let name = eval.text(name);
                let message = format!("unsupported argument '{name}' to 'builtins.path'");
                return Err(EvalError::eval(message).at(attr.pos));
            }
        }
    }
    if source.path.is_empty() {
        let message = "missing required 'path' attribute in the first argument to 'builtins.path'";
        return Err(EvalError::eval(message));
    }
    if source.name.is_empty() {
        source.name = last_part(&source.path).to_vec();
    }
    add_source(eval, source)
}

fn add_source(eval: &mut Eval, source: Source) -> Outcome {
    let text = format!("while adding path '{}'", shown(&source.path));
    let stored = copy_source(eval, source).map_err(|error| error.trace(Pos::NONE, text))?;
    eval.allow(&stored);
    let printed = eval.shared.world.store_dir().print(&stored);
    let context = eval.shared.contexts.single(ContextElement::Opaque(stored));
    Ok(Str::new(&mut eval.arena, printed.as_bytes(), context).into())
}

fn copy_source(eval: &mut Eval, mut source: Source) -> Result<StorePath, EvalError> {
    let mut references = Vec::new();
    if source.context != ContextId::NONE {
        let rewrites = eval.realise_context(source.context)?;
        source.path = rewrites
            .into_iter()
            .fold(source.path, |path, (from, to)| replace_all(&path, from.as_bytes(), to.as_bytes()));
        // What lies in a store object is taken to refer to all that the object refers to.
        let store_dir = eval.shared.world.store_dir();
        let object = std::str::from_utf8(&source.path).ok().and_then(|path| store_dir.parse_inside(path).ok());
        if let Some((object, _)) = object {
            // An object that is not valid is no error here.
            references = eval.shared.world.references(&object).unwrap_or_default();
        }
    }
    source.path = eval.follow(&source.path, Links::All)?;
    eval.check_readable(&source.path)?;
    let is_whole = eval.is_readable_whole(&source.path);
    let world = eval.shared.world.clone();
    let activity = eval.activity.clone();
    let name = String::from_utf8_lossy(&source.name).into_owned();
    let mut failure = None;
    let function = source.filter;
    let mut decide = |path: &[u8], kind: PathType| {
        if !is_whole && !eval.is_readable(path) {
            return Ok(false);
        }
        let Some(function) = function else { return Ok(true) };
        filter_entry(eval, function, path, kind).map_err(|error| {
            failure = Some(error);
            WorldError::new(WorldErrorClass::FilterFailed, "the filter function failed")
        })
    };
    let request = CopyRequest {
        path: &source.path,
        name: &name,
        method: source.method,
        filter: if function.is_some() || !is_whole { Some(&mut decide) } else { None },
        expected: source.expected,
        references: &references,
    };
    let stored = match world.copy_to_store(&activity, request) {
        Ok(stored) => stored,
        Err(error) => return Err(failure.unwrap_or_else(|| error.into())),
    };
    if let Some(hash) = &source.expected {
        let references = References { others: references.iter().cloned().collect(), self_reference: false };
        let expected = world.store_dir().fixed_output_path(source.method, hash, &name, &references);
        if expected.map_err(|error| EvalError::eval(error.to_string()))? != stored {
            let path = shown(&source.path);
            let message = format!("store path mismatch in (possibly filtered) path added from '{path}'");
            return Err(EvalError::eval(message));
        }
    }
    Ok(stored)
}

fn filter_entry(eval: &mut Eval, function: Value, path: &[u8], kind: PathType) -> Result<bool, EvalError> {
    let path = eval.string(path);
    let kind = eval.string(kind.name().as_bytes());
    let answer = eval.call(function, &[path, kind])?;
    super::truth(eval, answer, "while evaluating the return value of the path filter function")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_whole_parts() {
        assert_eq!(suffix_after(b"", b"a/b"), Some(&b"a/b"[..]));
        assert_eq!(suffix_after(b"a", b"a/b"), Some(&b"b"[..]));
        assert_eq!(suffix_after(b"a", b"a"), Some(&b""[..]));
        assert_eq!(suffix_after(b"a", b"ab"), None);
    }

    #[test]
    fn replacing() {
        assert_eq!(replace_all(b"/x-/x", b"/x", b"/long"), b"/long-/long");
    }
}
