//! Where elements come from: the manifest of an environment, or a folder of expressions.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use activity::{Activity, Verbosity};
use evaluator::{Evaluator, Origin, Rooted};

use super::{Element, EnvironmentError};
use crate::session::Session;

/// The most expressions in a folder.
const MOST_EXPRESSIONS: usize = 1024;

/// What is installed in the environment that a profile leads to; nothing if there is none.
///
/// # Errors
/// An environment that `nix profile` made, a manifest that is broken.
pub fn installed(
    session: &Session,
    evaluator: &mut Evaluator,
    profile: &Path,
) -> Result<Vec<Element>, EnvironmentError> {
    let folder = session.follow_links(profile).map_err(words)?;
    let is_there = |name: &str| std::fs::symlink_metadata(session.on_disk(&folder.join(name))).is_ok();
    if is_there("manifest.json") {
        let shown = profile.display();
        let message = format!("profile \"{shown}\" is incompatible with 'nix-env'; please use 'nix profile' instead");
        return Err(EnvironmentError::Words(message));
    }
    if !is_there("manifest.nix") {
        return Ok(Vec::new());
    }
    let manifest = session.follow_links(&folder.join("manifest.nix")).map_err(words)?;
    let value = evaluator.eval_file(manifest.as_os_str().as_bytes())?;
    let found = evaluator.list_packages(&value, "", &[], false)?;
    Ok(found.into_iter().map(Element::of_expression).collect())
}

fn words(error: impl std::fmt::Display) -> EnvironmentError {
    EnvironmentError::Words(error.to_string())
}

/// The value of what users keep expressions in: a file, a folder with a `default.nix`, or a folder of such; then it is the
/// set of all of them, flat, each by its name.
///
/// # Errors
/// Folders that cannot be read, files that do not evaluate.
pub fn default_set(
    session: &Session,
    activity: &Activity,
    evaluator: &mut Evaluator,
    path: &Path,
) -> Result<Rooted, EnvironmentError> {
    let followed = session.follow_links(path).map_err(words)?;
    let found = std::fs::metadata(session.on_disk(&followed))
        .map_err(|error| words(format!("getting status of '{}': {error}", path.display())))?;
    if found.is_file() || has_default(session, &followed) {
        return Ok(evaluator.eval_file(followed.as_os_str().as_bytes())?);
    }
    if !found.is_dir() {
        return Err(words(format!("path '{}' is not a directory or a Nix expression", path.display())));
    }
    let mut gathered =
        Gathered { session, activity, seen: BTreeSet::new(), text: b"{ _combineChannels = [ ];\n".to_vec() };
    gathered.folder(&followed)?;
    gathered.text.push(b'}');
    Ok(evaluator.eval_text(&gathered.text, b"/", Origin::String)?)
}

fn has_default(session: &Session, folder: &Path) -> bool {
    let file = session.follow_links(&folder.join("default.nix"));
    file.is_ok_and(|file| session.on_disk(&file).exists())
}

/// The text of a set of expressions.
struct Gathered<'a> {
    session: &'a Session,
    activity: &'a Activity,
    seen: BTreeSet<Vec<u8>>,
    text: Vec<u8>,
}

impl Gathered<'_> {
    fn folder(&mut self, folder: &Path) -> Result<(), EnvironmentError> {
        let entries = std::fs::read_dir(self.session.on_disk(folder)).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<std::io::Result<BTreeSet<_>>>()
        });
        let entries = entries.map_err(|error| words(format!("reading directory '{}': {error}", folder.display())))?;
        for name in entries {
            // That of a profile: channels are one.
            if name == "manifest.nix" {
                continue;
            }
            let path = self.session.follow_links(&folder.join(&name)).map_err(words)?;
            // A link that leads nowhere is no expression.
            let Ok(found) = std::fs::metadata(self.session.on_disk(&path)) else { continue };
            let is_file = found.is_file();
            if is_file && path.extension().is_some_and(|end| end == "nix")
                || found.is_dir() && has_default(self.session, &path)
            {
                let name = name.as_bytes();
                self.expression(folder, name.strip_suffix(b".nix").unwrap_or(name), path)?;
            } else if found.is_dir() {
                self.folder(&path)?;
            }
        }
        Ok(())
    }

    fn expression(&mut self, folder: &Path, name: &[u8], path: PathBuf) -> Result<(), EnvironmentError> {
        if !self.seen.insert(name.to_vec()) {
            let mut text = format!("warning: name collision in input Nix expressions, skipping '{}'", path.display());
            let of_channels = |path: &Path| path.to_string_lossy().contains("channels");
            if of_channels(&path) && of_channels(folder) {
                let name = String::from_utf8_lossy(name);
                text.push_str(&format!(
                    "\nsuggestion: remove '{name}' from either the root channels or the user channels"
                ));
            }
            self.activity.message(Verbosity::Error, &text);
            return Ok(());
        }
        if self.seen.len() >= MOST_EXPRESSIONS {
            return Err(words(format!("too many Nix expressions in directory '{}'", folder.display())));
        }
        quote(&mut self.text, name);
        self.text.extend_from_slice(b" = import (/. + ");
        quote(&mut self.text, path.as_os_str().as_bytes());
        self.text.extend_from_slice(b");\n");
        Ok(())
    }
}

/// Appends a string literal.
pub(super) fn quote(text: &mut Vec<u8>, bytes: &[u8]) {
    text.push(b'"');
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' | b'\\' => text.extend_from_slice(&[b'\\', *byte]),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            b'$' if bytes.get(at + 1) == Some(&b'{') => text.extend_from_slice(b"\\$"),
            byte => text.push(*byte),
        }
    }
    text.push(b'"');
}
