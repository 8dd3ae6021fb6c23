//! The attributes of a derivation that the builder obeys, out of its environment or its structured attributes.
//!
//! In the environment a flag is on when it is `1` and a set is text split at white space; among structured attributes they
//! are JSON values. Rule: the Nix manual, "language/advanced-attributes". Absent: acting on them, and references given
//! by placeholders (the derivation is resolved before it is built).

use super::{Derivation, StructuredAttrs};
use crate::store_dir::StoreDir;
use crate::store_path::StorePath;
use crate::{Error, OutputName};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What a reference check names: a store path, or an output of the same derivation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckedReference {
    /// A store object.
    Path(StorePath),
    /// An own output.
    Output(OutputName),
}

/// What an output may be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputChecks {
    /// Whether references to itself are left out of the checks (plain attributes only).
    pub ignore_self_references: bool,
    /// The largest NAR, bytes.
    pub max_size: Option<u64>,
    /// The largest closure, bytes.
    pub max_closure_size: Option<u64>,
    /// The only direct references allowed.
    pub allowed_references: Option<BTreeSet<CheckedReference>>,
    /// Direct references not allowed.
    pub disallowed_references: BTreeSet<CheckedReference>,
    /// The only objects allowed in the closure.
    pub allowed_requisites: Option<BTreeSet<CheckedReference>>,
    /// Objects not allowed in the closure.
    pub disallowed_requisites: BTreeSet<CheckedReference>,
}

/// The checks for all outputs alike, or for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllOutputChecks {
    /// Plain attributes: one set of checks.
    ForAllOutputs(OutputChecks),
    /// Structured attributes (`outputChecks.<output>`); outputs not named are not checked.
    PerOutput(BTreeMap<OutputName, OutputChecks>),
}

/// What the builder obeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivationOptions {
    /// `allowedReferences` and its kin.
    pub output_checks: AllOutputChecks,
    /// Outputs whose references are not recorded.
    pub unsafe_discard_references: BTreeMap<OutputName, bool>,
    /// Variables handed over as files.
    pub pass_as_file: BTreeSet<String>,
    /// File or key names, and the paths whose closure is written there.
    pub export_references_graph: BTreeMap<String, BTreeSet<StorePath>>,
    /// `__sandboxProfile` (macOS).
    pub additional_sandbox_profile: String,
    /// `__noChroot`.
    pub no_chroot: bool,
    /// `__impureHostDeps`.
    pub impure_host_deps: BTreeSet<String>,
    /// Variables that a fixed-output build takes from outside.
    pub impure_env_vars: BTreeSet<String>,
    /// `__darwinAllowLocalNetworking` (macOS).
    pub allow_local_networking: bool,
    /// Features that the building machine must have.
    pub required_system_features: BTreeSet<String>,
    /// Whether sending the build elsewhere is not worth it.
    pub prefer_local_build: bool,
    /// Whether the outputs may be copied from a cache.
    pub allow_substitutes: bool,
}

impl DerivationOptions {
    /// Whether the outputs of a derivation may be copied from a cache: told also while others of its options name outputs
    /// that are not known yet.
    pub fn allows_substitutes(store_dir: &StoreDir, drv: &Derivation) -> Result<bool, Error> {
        let object = drv.structured_attrs.as_ref().map(StructuredAttrs::to_object);
        Source { store_dir, drv, object: object.as_ref() }.flag("allowSubstitutes", true)
    }

    /// Reads the options of a derivation.
    pub fn of(store_dir: &StoreDir, drv: &Derivation) -> Result<DerivationOptions, Error> {
        let object = drv.structured_attrs.as_ref().map(StructuredAttrs::to_object);
        let source = Source { store_dir, drv, object: object.as_ref() };
        let set = |name: &str| source.set(name).map(Option::unwrap_or_default);
        Ok(DerivationOptions {
            output_checks: source.output_checks()?,
            unsafe_discard_references: source.discarded()?,
            pass_as_file: match source.object {
                Some(_) => BTreeSet::new(),
                None => set("passAsFile")?,
            },
            export_references_graph: source.graph()?,
            additional_sandbox_profile: source.string("__sandboxProfile")?.unwrap_or_default(),
            no_chroot: source.flag("__noChroot", false)?,
            impure_host_deps: set("__impureHostDeps")?,
            impure_env_vars: set("impureEnvVars")?,
            allow_local_networking: source.flag("__darwinAllowLocalNetworking", false)?,
            required_system_features: set("requiredSystemFeatures")?,
            prefer_local_build: source.flag("preferLocalBuild", false)?,
            allow_substitutes: source.flag("allowSubstitutes", true)?,
        })
    }
}

struct Source<'a> {
    store_dir: &'a StoreDir,
    drv: &'a Derivation,
    object: Option<&'a Map<String, Value>>,
}

impl Source<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.drv.env_var(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn string(&self, name: &str) -> Result<Option<String>, Error> {
        match self.object {
            None => Ok(self.variable(name)),
            Some(object) => object
                .get(name)
                .map(|value| value.as_str().map(str::to_owned).ok_or_else(|| wrong(name, "should be a string")))
                .transpose(),
        }
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, Error> {
        match self.object {
            None => Ok(self.drv.env_var(name).map_or(default, |value| value == b"1")),
            Some(object) => match object.get(name) {
                None => Ok(default),
                Some(value) => value.as_bool().ok_or_else(|| wrong(name, "should be a Boolean")),
            },
        }
    }

    fn set(&self, name: &str) -> Result<Option<BTreeSet<String>>, Error> {
        match self.object {
            None => Ok(self.variable(name).map(|value| tokens(&value).map(str::to_owned).collect())),
            Some(object) => object.get(name).map(|value| string_list(name, value)).transpose(),
        }
    }

    fn reference(&self, text: &str) -> CheckedReference {
        match self.store_dir.parse(text) {
            Ok(path) => CheckedReference::Path(path),
            Err(_) => CheckedReference::Output(text.to_owned()),
        }
    }

    fn output_checks(&self) -> Result<AllOutputChecks, Error> {
        let Some(object) = self.object else {
            let set = |name: &str| -> Result<_, Error> {
                Ok(self.set(name)?.map(|names| names.iter().map(|text| self.reference(text)).collect()))
            };
            return Ok(AllOutputChecks::ForAllOutputs(OutputChecks {
                ignore_self_references: true,
                max_size: None,
                max_closure_size: None,
                allowed_references: set("allowedReferences")?,
                disallowed_references: set("disallowedReferences")?.unwrap_or_default(),
                allowed_requisites: set("allowedRequisites")?,
                disallowed_requisites: set("disallowedRequisites")?.unwrap_or_default(),
            }));
        };
        let mut checks = BTreeMap::new();
        if let Some(per_output) = object.get("outputChecks") {
            let per_output = per_output.as_object().ok_or_else(|| wrong("outputChecks", "should be an object"))?;
            for (output, value) in per_output {
                let attribute = format!("outputChecks.\"{output}\"");
                let value = value.as_object().ok_or_else(|| wrong(&attribute, "should be an object"))?;
                checks.insert(output.clone(), self.checks_of(&attribute, value)?);
            }
        }
        Ok(AllOutputChecks::PerOutput(checks))
    }

    fn checks_of(&self, attribute: &str, value: &Map<String, Value>) -> Result<OutputChecks, Error> {
        let set = |name: &str| -> Result<Option<BTreeSet<CheckedReference>>, Error> {
            value
                .get(name)
                .map(|list| {
                    let names = string_list(&format!("{attribute}.{name}"), list)?;
                    Ok(names.iter().map(|text| self.reference(text)).collect())
                })
                .transpose()
        };
        let number = |name: &str| {
            value
                .get(name)
                .map(|n| n.as_u64().ok_or_else(|| wrong(&format!("{attribute}.{name}"), "should be a number")))
                .transpose()
        };
        Ok(OutputChecks {
            ignore_self_references: false,
            max_size: number("maxSize")?,
            max_closure_size: number("maxClosureSize")?,
            allowed_references: set("allowedReferences")?,
            disallowed_references: set("disallowedReferences")?.unwrap_or_default(),
            allowed_requisites: set("allowedRequisites")?,
            disallowed_requisites: set("disallowedRequisites")?.unwrap_or_default(),
        })
    }

    fn discarded(&self) -> Result<BTreeMap<OutputName, bool>, Error> {
        const NAME: &str = "unsafeDiscardReferences";
        let Some(value) = self.object.and_then(|object| object.get(NAME)) else { return Ok(BTreeMap::new()) };
        value
            .as_object()
            .ok_or_else(|| wrong(NAME, "should be an object"))?
            .iter()
            .map(|(output, flag)| {
                Ok((output.clone(), flag.as_bool().ok_or_else(|| wrong(NAME, "should hold Booleans"))?))
            })
            .collect()
    }

    fn graph(&self) -> Result<BTreeMap<String, BTreeSet<StorePath>>, Error> {
        const NAME: &str = "exportReferencesGraph";
        let mut graph = BTreeMap::new();
        match self.object {
            Some(object) => {
                // What is not an object is ignored, as in C++ Nix.
                let Some(Value::Object(entries)) = object.get(NAME) else { return Ok(graph) };
                for (key, value) in entries {
                    let mut paths = BTreeSet::new();
                    self.flatten(value, &mut paths)?;
                    graph.insert(key.clone(), paths);
                }
            }
            None => {
                let text = self.variable(NAME).unwrap_or_default();
                let words: Vec<&str> = tokens(&text).collect();
                if !words.len().is_multiple_of(2) {
                    return Err(wrong(NAME, &format!("odd number of tokens in 'exportReferencesGraph': '{text}'")));
                }
                for pair in words.chunks_exact(2) {
                    if !is_file_name(pair[0]) {
                        let message = format!("invalid file name '{}' in 'exportReferencesGraph'", pair[0]);
                        return Err(wrong(NAME, &message));
                    }
                    graph.insert(pair[0].to_owned(), BTreeSet::from([self.store_dir.parse_inside(pair[1])?.0]));
                }
            }
        }
        Ok(graph)
    }

    fn flatten(&self, value: &Value, paths: &mut BTreeSet<StorePath>) -> Result<(), Error> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.flatten(item, paths)),
            Value::String(text) => {
                paths.insert(self.store_dir.parse_inside(text)?.0);
                Ok(())
            }
            _ => Err(wrong("exportReferencesGraph", "'exportReferencesGraph' value is not an array or a string")),
        }
    }
}

/// The words of a text, as C++ Nix splits it.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty())
}

fn is_file_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn string_list(name: &str, value: &Value) -> Result<BTreeSet<String>, Error> {
    value
        .as_array()
        .ok_or_else(|| wrong(name, "should be a list"))?
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(name, "should be a list of strings")))
        .collect()
}

fn wrong(name: &str, message: &str) -> Error {
    Error::DerivationAttribute { name: name.to_owned(), message: message.to_owned() }
}
