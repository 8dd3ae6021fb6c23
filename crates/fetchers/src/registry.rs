//! Registries: names of inputs to inputs. Source: `src/libfetchers/registry.cc`.
//!
//! The user's file comes first, then the machine's, then the global one, which is only looked at for names that are still
//! open: what says itself where it is needs no network. Absent: writing registries, and entries from the command line.

use std::path::{Path, PathBuf};

use activity::Activity;
use serde_json::Value;

use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::syntax::attributes::{Attribute, Attributes};
use crate::syntax::input::{InputRef, InputRules};

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

struct Entry {
    from: InputRef,
    to: InputRef,
    exact: bool,
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
        entries.push(Entry { from: input("from")?, to: input("to")?, exact });
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
    use crate::syntax::reference::FlakeRef;

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
    fn what_is_no_registry_is_refused() {
        for json in ["{}", r#"{"version":1}"#, r#"{"version":2,"flakes":[{"from":1}]}"#, "[]", "null"] {
            assert!(read(&serde_json::from_str(json).unwrap(), Path::new("x"), RULES).is_err(), "{json}");
        }
    }
}
