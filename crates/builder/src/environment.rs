//! What a builder is given: variables, and files in its build folder. Pure.
//!
//! The rules are C++ Nix's (`src/libstore/unix/build/derivation-builder.cc`, `build/derivation-env-desugar.cc`,
//! `parsed-derivations.cc`): fixed variables, then the derivation's own on top, then those that the builder decides. With
//! structured attributes the derivation's own stand in `.attrs.json` and `.attrs.sh`; variables named in `passAsFile` stand
//! in files; `exportReferencesGraph` becomes a file or a JSON list. In all of it the placeholders of outputs are replaced
//! by the paths that this build writes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use store_model::derivation::DerivationOptions;
use store_model::derived_path::hash_placeholder;
use store_model::{Derivation, Hash, HashAlgorithm, PathInfo, StoreDir, StorePath, json_text};

/// Everything that decides about the environment.
pub(crate) struct Given<'a> {
    pub store_dir: &'a StoreDir,
    pub derivation: &'a Derivation,
    pub options: &'a DerivationOptions,
    /// The build folder as the builder sees it.
    pub build_dir: &'a str,
    /// `NIX_BUILD_CORES`.
    pub cores: usize,
    /// The output hash is known before (`NIX_OUTPUT_CHECKED`).
    pub fixed: bool,
    /// The builder sees the network, so it gets `impureEnvVars` out of these.
    pub impure_variables: Option<&'a BTreeMap<String, Vec<u8>>>,
    /// The closures that `exportReferencesGraph` asks for, by its keys.
    pub graphs: &'a BTreeMap<String, Vec<GraphEntry>>,
    /// What is replaced in everything.
    pub rewrites: &'a Rewrites,
}

/// A path of an exported graph.
pub(crate) struct GraphEntry {
    pub info: Arc<PathInfo>,
    /// Bytes of the NARs of its closure; needed with structured attributes only.
    pub closure_size: u64,
}

/// Variables, and files to write into the build folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub variables: BTreeMap<Vec<u8>, Vec<u8>>,
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Texts and what they are replaced by.
#[derive(Debug, Default)]
pub(crate) struct Rewrites(Vec<(Vec<u8>, Vec<u8>)>);

impl Rewrites {
    /// The placeholder of an output becomes the path that this build writes it to.
    pub(crate) fn placeholder(&mut self, output: &str, path: &str) {
        self.0.push((hash_placeholder(output).into_bytes(), path.as_bytes().to_owned()));
    }

    /// One hash part becomes another.
    pub(crate) fn path(&mut self, from: &StorePath, to: &StorePath) {
        self.0.push((from.hash_part().as_bytes().to_owned(), to.hash_part().as_bytes().to_owned()));
    }

    /// The text with everything replaced.
    pub(crate) fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_owned();
        for (from, to) in &self.0 {
            if text.len() < from.len() || !text.windows(from.len()).any(|window| window == from) {
                continue;
            }
            let mut replaced = Vec::with_capacity(text.len());
            let mut rest = text.as_slice();
            while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
                replaced.extend_from_slice(&rest[..at]);
                replaced.extend_from_slice(to);
                rest = &rest[at + from.len()..];
            }
            replaced.extend_from_slice(rest);
            text = replaced;
        }
        text
    }
}

/// Puts the environment together.
pub(crate) fn environment(given: &Given<'_>) -> Environment {
    let mut made = Environment::default();
    let mut set = |name: &str, value: &str| drop(made.variables.insert(name.into(), value.into()));
    set("PATH", "/path-not-set");
    set("HOME", "/homeless-shelter");
    set("NIX_STORE", given.store_dir.as_str());
    set("NIX_BUILD_CORES", &given.cores.to_string());
    match &given.derivation.structured_attrs {
        Some(attrs) => structured(given, attrs.to_object(), &mut made),
        None => plain(given, &mut made),
    }
    let mut set = |name: &str, value: &str| drop(made.variables.insert(name.into(), value.into()));
    for name in ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP", "PWD"] {
        set(name, given.build_dir);
    }
    if given.fixed {
        set("NIX_OUTPUT_CHECKED", "1");
    }
    if let Some(outside) = given.impure_variables {
        for name in &given.options.impure_env_vars {
            let value = outside.get(name).cloned().unwrap_or_default();
            made.variables.insert(name.clone().into_bytes(), value);
        }
    }
    let mut set = |name: &str, value: &str| drop(made.variables.insert(name.into(), value.into()));
    set("NIX_LOG_FD", "2");
    set("TERM", "xterm-256color");
    for value in made.variables.values_mut() {
        *value = given.rewrites.apply(value);
    }
    for contents in made.files.values_mut() {
        *contents = given.rewrites.apply(contents);
    }
    made
}

/// Structured attributes as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructuredAttributes {
    /// `.attrs.json`.
    pub json: Vec<u8>,
    /// `.attrs.sh`: as bash declares them.
    pub shell: Vec<u8>,
}

/// The structured attributes of a derivation, if it has them, for a shell outside of any build: outputs are at their own
/// paths where these are known, graphs of references are left out.
///
/// # Errors
/// Output paths that cannot be computed.
pub fn structured_attributes(
    store_dir: &StoreDir,
    derivation: &Derivation,
) -> Result<Option<StructuredAttributes>, store_model::Error> {
    let Some(attrs) = &derivation.structured_attrs else { return Ok(None) };
    let mut rewrites = Rewrites::default();
    for (name, path) in derivation.output_paths(store_dir)? {
        if let Some(path) = path {
            rewrites.placeholder(&name, &store_dir.print(&path));
        }
    }
    let options = DerivationOptions::of(store_dir, derivation)?;
    let given = Given {
        store_dir,
        derivation,
        options: &options,
        build_dir: "",
        cores: 0,
        fixed: false,
        impure_variables: None,
        graphs: &BTreeMap::new(),
        rewrites: &rewrites,
    };
    let mut made = Environment::default();
    structured(&given, attrs.to_object(), &mut made);
    let mut file = |name: &str| rewrites.apply(&made.files.remove(name).unwrap_or_default());
    Ok(Some(StructuredAttributes { json: file(".attrs.json"), shell: file(".attrs.sh") }))
}

/// A file in the build folder, and a variable that says where it is.
fn file(given: &Given<'_>, made: &mut Environment, variable: Vec<u8>, name: String, contents: Vec<u8>) {
    made.variables.insert(variable, format!("{}/{name}", given.build_dir).into_bytes());
    made.files.insert(name, contents);
}

fn plain(given: &Given<'_>, made: &mut Environment) {
    for (name, value) in &given.derivation.env {
        let as_file = std::str::from_utf8(name).is_ok_and(|name| given.options.pass_as_file.contains(name));
        if as_file {
            let hash = Hash::of(HashAlgorithm::Sha256, name).to_nix32();
            let variable = [name.as_slice(), b"Path"].concat();
            file(given, made, variable, format!(".attr-{hash}"), value.clone());
        } else {
            made.variables.insert(name.clone(), value.clone());
        }
    }
    for (name, entries) in given.graphs {
        made.files.insert(name.clone(), registration(given.store_dir, entries).into_bytes());
    }
}

/// The text that `nix-store --register-validity` reads, without derivers and hashes.
fn registration(store_dir: &StoreDir, entries: &[GraphEntry]) -> String {
    let mut text = String::new();
    for GraphEntry { info, .. } in entries {
        text += &format!("{}\n\n{}\n", store_dir.print(&info.path), info.references.len());
        for reference in &info.references {
            text += &store_dir.print(reference);
            text.push('\n');
        }
    }
    text
}

fn structured(given: &Given<'_>, mut object: Map<String, Value>, made: &mut Environment) {
    let outputs: Map<_, _> =
        given.derivation.outputs.keys().map(|name| (name.clone(), Value::String(hash_placeholder(name)))).collect();
    object.insert("outputs".to_owned(), Value::Object(outputs));
    for (key, entries) in given.graphs {
        let list = entries.iter().map(|entry| graph_json(given.store_dir, entry)).collect();
        object.insert(key.clone(), Value::Array(list));
    }
    // The order of keys is that of their bytes, whatever the map's own is.
    let sorted: BTreeMap<&String, &Value> = object.iter().collect();
    let shell: String = sorted.iter().filter_map(|(key, value)| declaration(key, value)).collect();
    file(given, made, b"NIX_ATTRS_SH_FILE".to_vec(), ".attrs.sh".to_owned(), shell.into_bytes());
    let text = json_text::compact(&Value::Object(object));
    file(given, made, b"NIX_ATTRS_JSON_FILE".to_vec(), ".attrs.json".to_owned(), text.into_bytes());
}

fn graph_json(store_dir: &StoreDir, entry: &GraphEntry) -> Value {
    let info = &entry.info;
    let references: Vec<_> = info.references.iter().map(|path| store_dir.print(path)).collect();
    let mut json = json!({
        "closureSize": entry.closure_size,
        "narHash": format!("{}:{}", info.nar_hash.algorithm().name(), info.nar_hash.to_nix32()),
        "narSize": info.nar_size,
        "path": store_dir.print(&info.path),
        "references": references,
        "valid": true,
    });
    if let Some(address) = &info.content_address {
        json["ca"] = Value::String(address.to_string());
    }
    json
}

/// One attribute as bash declares it; `None` where the shell cannot hold it.
fn declaration(key: &str, value: &Value) -> Option<String> {
    let mut bytes = key.bytes();
    let is_name = bytes.next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    if !is_name {
        return None;
    }
    if let Some(value) = simple(value) {
        return Some(format!("declare {key}={value}\n"));
    }
    match value {
        Value::Array(items) => {
            let items: Option<String> = items.iter().map(|item| simple(item).map(|text| text + " ")).collect();
            Some(format!("declare -a {key}=({})\n", items?))
        }
        Value::Object(entries) => {
            let sorted: BTreeMap<&String, &Value> = entries.iter().collect();
            let entries: Option<String> = sorted
                .iter()
                .map(|(name, value)| simple(value).map(|text| format!("[{}]={text} ", quoted(name))))
                .collect();
            Some(format!("declare -A {key}=({})\n", entries?))
        }
        _ => None,
    }
}

/// A value that is one word of the shell; `None` for lists, objects and numbers that are not whole.
fn simple(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(quoted(text)),
        Value::Null => Some("''".to_owned()),
        Value::Bool(yes) => Some(if *yes { "1" } else { "" }.to_owned()),
        // C++ Nix judges by single precision and prints 32 bits.
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), _, _) => Some((whole as i32).to_string()),
            (None, Some(whole), _) => Some((whole as i32).to_string()),
            (None, None, Some(float)) => {
                let single = float as f32;
                // Out of range the processor's own answer is what C++ Nix prints.
                let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&float.trunc());
                (single.ceil() == single).then(|| if fits { float as i32 } else { i32::MIN }.to_string())
            }
            (None, None, None) => None,
        },
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// A text in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
