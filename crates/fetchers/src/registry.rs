//! Registries: names of inputs to inputs. Source: `src/libfetchers/registry.cc`.
//!
//! The user's file comes first, then the machine's, then the global one, which is only looked at for names that are still
//! open: what says itself where it is needs no network. Absent: entries from the command line.

use std::path::{Path, PathBuf};

use activity::Activity;
use serde_json::Value;

use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::syntax::attributes::{Attribute, Attributes};
use crate::syntax::input::{InputRef, InputRules};
use crate::syntax::reference::FlakeRef;

/// Where registries are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    /// Files of this machine, the first one first; they need not exist.
    pub files: Vec<PathBuf>,
    /// The global registry: a URL, a path, or nothing.
    pub global: String,
}

/// Which registries are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All.
    All,
    /// The global one alone: what an expression means does not depend on the user.
    Global,
}

/// Replacements in a row; more are a circle.
const MOST_REPLACEMENTS: usize = 100;

#[derive(Clone, Debug)]
struct Entry {
    from: InputRef,
    to: InputRef,
    /// The folder of the flake in the tree.
    folder: String,
    exact: bool,
}

/// One registry, to be shown or changed.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    entries: Vec<Entry>,
}

impl Registry {
    /// Reads a file; one that is not there, or cannot be understood, is empty (the latter is warned of).
    pub fn read(activity: &Activity, file: &Path, rules: InputRules) -> Registry {
        Registry { entries: read_file(activity, file, rules) }
    }

    /// What leads where, as URLs.
    ///
    /// # Errors
    /// As [`InputRef::print`].
    pub fn lines(&self) -> Result<Vec<(String, String)>> {
        let line = |entry: &Entry| {
            let to = FlakeRef { input: entry.to.clone(), folder: entry.folder.clone() };
            Ok((entry.from.print()?, to.print()?))
        };
        self.entries.iter().map(line).collect()
    }

    /// Lets an input lead to another, and no longer to where it led.
    pub fn add(&mut self, from: InputRef, to: FlakeRef) {
        self.remove(&from);
        self.entries.push(Entry { from, to: to.input, folder: to.folder, exact: false });
    }

    /// Removes what an input leads to, if it is there.
    pub fn remove(&mut self, from: &InputRef) {
        self.entries.retain(|entry| entry.from != *from);
    }

    /// Writes the file, whole or not at all; its folder is made.
    ///
    /// # Errors
    /// What the system says, with the file.
    pub fn write(&self, file: &Path) -> Result<()> {
        let flakes: Vec<Value> = self.entries.iter().map(Entry::to_json).collect();
        // C++ Nix writes no list when there is nothing in it.
        let flakes = if flakes.is_empty() { Value::Null } else { Value::Array(flakes) };
        let text = store_model::json_text::indented(&serde_json::json!({ "flakes": flakes, "version": 2 }));
        let failed = |error: std::io::Error| Error::Input(format!("writing '{}': {error}", file.display()));
        file_tree::replace_file(file, text.as_bytes()).map_err(failed)
    }
}

impl Entry {
    fn to_json(&self) -> Value {
        let object = |attributes: &Attributes| {
            let value = |attribute: &Attribute| match attribute {
                Attribute::String(text) => Value::from(text.as_str()),
                Attribute::Bool(truth) => Value::from(*truth),
                Attribute::Int(number) => Value::from(*number),
            };
            attributes.iter().map(|(name, attribute)| (name.clone(), value(attribute))).collect()
        };
        let to = FlakeRef { input: self.to.clone(), folder: self.folder.clone() };
        let mut json = serde_json::Map::new();
        json.insert("from".to_owned(), Value::Object(object(self.from.attributes())));
        json.insert("to".to_owned(), Value::Object(object(&to.to_attributes())));
        if self.exact {
            json.insert("exact".to_owned(), Value::Bool(true));
        }
        Value::Object(json)
    }
}

impl Fetcher {
    /// The input that an input means by the registries: itself where none has it and it says where it is.
    ///
    /// # Errors
    /// A name that no registry has, names in a circle, a global registry that cannot be had.
    pub fn look_up(&self, activity: &Activity, depot: &dyn Depot, input: &InputRef, asked: Asked) -> Result<InputRef> {
        let registries = &self.options.registries;
        let mut entries = Vec::new();
        if asked == Asked::All {
            for file in &registries.files {
                entries.extend(read_file(activity, file, self.options.rules));
            }
        }
        let mut found = input.clone();
        let mut global = false;
        for _ in 0..=MOST_REPLACEMENTS {
            if let Some(next) = replaced(&entries, &found)? {
                found = next;
            } else if found.is_direct() {
                return Ok(found);
            } else if global {
                return Err(Error::NotFound(format!("cannot find flake '{}' in the flake registries", found.print()?)));
            } else {
                entries.extend(self.global_entries(activity, depot)?);
                global = true;
            }
        }
        Err(Error::Input(format!("cycle detected in flake registry for '{}'", found.print()?)))
    }

    fn global_entries(&self, activity: &Activity, depot: &dyn Depot) -> Result<Vec<Entry>> {
        let global = &self.options.registries.global;
        if global.is_empty() {
            return Ok(Vec::new());
        }
        if global.starts_with('/') {
            return Ok(read_file(activity, Path::new(global), self.options.rules));
        }
        let kept = self.file(activity, depot, global, "flake-registry.json")?;
        Ok(read_file(activity, &depot.real_path(&kept.path), self.options.rules))
    }
}

/// The entries of a file. A file that cannot be understood is warned of, and is as good as none.
fn read_file(activity: &Activity, file: &Path, rules: InputRules) -> Vec<Entry> {
    let Ok(text) = std::fs::read(file) else { return Vec::new() };
    match serde_json::from_slice::<Value>(&text) {
        Err(error) => {
            activity.warn(&format!("cannot parse flake registry '{}': {error}", file.display()));
            Vec::new()
        }
        Ok(json) => read(&json, file, rules).unwrap_or_else(|error| {
            activity.warn(&format!("cannot read flake registry '{}': {error}", file.display()));
            Vec::new()
        }),
    }
}

fn read(json: &Value, file: &Path, rules: InputRules) -> Result<Vec<Entry>> {
    let version = json.get("version").and_then(Value::as_u64).unwrap_or(0);
    if version != 2 {
        let message = format!("flake registry '{}' has unsupported version {version}", file.display());
        return Err(Error::Input(message));
    }
    let mut entries = Vec::new();
    for entry in json.get("flakes").and_then(Value::as_array).into_iter().flatten() {
        let input = |name: &str| {
            let mut attributes = attributes(entry.get(name).unwrap_or(&Value::Null))?;
            // The folder of the flake is no part of where its tree is.
            attributes.remove("dir");
            InputRef::from_attributes(attributes, rules)
        };
        let exact = entry.get("exact").and_then(Value::as_bool).unwrap_or(false);
        let folder = entry.get("to").and_then(|to| to.get("dir")).and_then(Value::as_str).unwrap_or_default();
        entries.push(Entry { from: input("from")?, to: input("to")?, folder: folder.to_owned(), exact });
    }
    Ok(entries)
}

fn attributes(json: &Value) -> Result<Attributes> {
    let wrong = || Error::Input("unsupported input attribute type in lock file".to_owned());
    let object = json.as_object().ok_or_else(wrong)?;
    let value = |value: &Value| match value {
        Value::String(text) => Ok(Attribute::String(text.clone())),
        Value::Bool(truth) => Ok(Attribute::Bool(*truth)),
        Value::Number(number) => number.as_u64().map(Attribute::Int).ok_or_else(wrong),
        _ => Err(wrong()),
    };
    object.iter().map(|(name, given)| Ok((name.clone(), value(given)?))).collect()
}

fn replaced(entries: &[Entry], input: &InputRef) -> Result<Option<InputRef>> {
    for entry in entries {
        if entry.exact && entry.from == *input {
            return Ok(Some(entry.to.clone()));
        }
        if entry.exact || !contains(&entry.from, input) {
            continue;
        }
        let reference = if entry.from.text("ref")?.is_none() { input.text("ref")? } else { None };
        let rev = if entry.from.rev()?.is_none() { input.rev()? } else { None };
        return entry.to.with_overrides(reference, rev.as_ref()).map(Some);
    }
    Ok(None)
}

/// Whether an entry is meant by an input, whatever branch or revision that one asks for.
fn contains(entry: &InputRef, input: &InputRef) -> bool {
    let mut plain = input.clone();
    plain.unset("ref");
    plain.unset("rev");
    entry == input || *entry == plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: InputRules = InputRules { flakes: true, verified_fetches: false, trust_forges: true };

    fn input(text: &str) -> InputRef {
        FlakeRef::parse(text, true, RULES).unwrap().input
    }

    fn look_up(json: &str, text: &str) -> Option<String> {
        let entries = read(&serde_json::from_str(json).unwrap(), Path::new("x"), RULES).unwrap();
        replaced(&entries, &input(text)).unwrap().map(|found| found.print().unwrap())
    }

    #[test]
    fn names_lead_to_inputs_with_branch_and_revision() {
        let json = r#"{ "version": 2, "flakes": [
            { "from": { "type": "indirect", "id": "a" }, "to": { "type": "github", "owner": "o", "repo": "r", "dir": "d" } },
            { "exact": true, "from": { "type": "indirect", "id": "b" }, "to": { "type": "path", "path": "/b" } },
            { "from": { "type": "indirect", "id": "c", "ref": "x" }, "to": { "type": "indirect", "id": "a" } }
        ] }"#;
        assert_eq!(look_up(json, "a").as_deref(), Some("github:o/r"));
        assert_eq!(look_up(json, "a/main").as_deref(), Some("github:o/r/main"));
        let rev = "0123456789012345678901234567890123456789";
        assert_eq!(look_up(json, &format!("a/{rev}")), Some(format!("github:o/r/{rev}")));
        assert_eq!(look_up(json, "b").as_deref(), Some("path:/b"));
        assert_eq!(look_up(json, "b/main"), None);
        assert_eq!(look_up(json, "c/x").as_deref(), Some("flake:a"));
        assert_eq!(look_up(json, "c/y"), None);
    }

    #[test]
    fn a_registry_is_changed_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("below/registry.json");
        let activity = Activity::silent();
        let mut registry = Registry::read(&activity, &file, RULES);
        registry.remove(&input("a"));
        registry.write(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\n  \"flakes\": null,\n  \"version\": 2\n}");
        for to in ["github:o/old", "github:o/r?dir=d"] {
            registry.add(input("a"), FlakeRef::parse(to, true, RULES).unwrap());
        }
        registry.write(&file).unwrap();
        let again = Registry::read(&activity, &file, RULES);
        assert_eq!(again.lines().unwrap(), [("flake:a".to_owned(), "github:o/r?dir=d".to_owned())]);
    }

    #[test]
    fn what_is_no_registry_is_refused() {
        for json in ["{}", r#"{"version":1}"#, r#"{"version":2,"flakes":[{"from":1}]}"#, "[]", "null"] {
            assert!(read(&serde_json::from_str(json).unwrap(), Path::new("x"), RULES).is_err(), "{json}");
        }
    }
}
