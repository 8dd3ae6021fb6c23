//! The environment that a build's own setup makes, captured by a build and replayed: `nix develop`, `nix print-dev-env`.
//!
//! Path of data: a derivation → [`capturing`]: the same with a script of ours for its builder → built: JSON →
//! [`BuildEnvironment`] → bash again. The JSON is the one that C++ Nix prints.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use store_model::derivation::{StructuredAttrs, TextObject};
use store_model::{Derivation, DerivationOutput, StoreDir};

use super::quoted;
use crate::error::SessionError;

const SCRIPT: &str = include_str!("environment.sh");

/// What belongs to one process or place, and is not replayed.
const LEFT_OUT: &[&str] = &[
    "BASHOPTS",
    "HOME",
    "NIX_BUILD_TOP",
    "NIX_ENFORCE_PURITY",
    "NIX_LOG_FD",
    "NIX_REMOTE",
    "PPID",
    "SHELLOPTS",
    "SSL_CERT_FILE",
    "TEMP",
    "TEMPDIR",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
    "UID",
];

/// What the user's value is kept behind.
const PREPENDED: &[&str] = &["PATH", "XDG_DATA_DIRS"];

/// The script that a capturing derivation runs.
///
/// # Errors
/// None that can happen: its name is valid.
pub fn script(store_dir: &StoreDir) -> Result<TextObject, SessionError> {
    Ok(TextObject::new(store_dir, "environment.sh", SCRIPT.as_bytes().to_vec(), Default::default())?)
}

/// The derivation whose build captures the environment of another one's. Its output paths are yet to be filled in.
///
/// # Errors
/// A builder that is not bash.
pub fn capturing(store_dir: &StoreDir, of: &Derivation, script: &TextObject) -> Result<Derivation, SessionError> {
    if of.builder.rsplit(|byte| *byte == b'/').next() != Some(b"bash") {
        return Err(SessionError::NotBash);
    }
    let mut drv = of.clone();
    drv.args = vec![store_dir.print(&script.path).into_bytes()];
    drv.input_srcs.insert(script.path.clone());
    drv.name.push_str("-env");
    // Nothing of what the real outputs may hold or refer to is true of this one.
    match &drv.structured_attrs {
        Some(attrs) => {
            let mut object = attrs.to_object();
            object.remove("outputChecks");
            drv.structured_attrs = Some(StructuredAttrs::from_object(&object));
        }
        None => {
            for check in ["allowedReferences", "allowedRequisites", "disallowedReferences", "disallowedRequisites"] {
                drv.env.remove(check.as_bytes());
            }
        }
    }
    drv.env.insert(b"name".to_vec(), drv.name.clone().into_bytes());
    for (name, output) in &mut drv.outputs {
        if matches!(output, DerivationOutput::InputAddressed(_) | DerivationOutput::CAFixed(_)) {
            *output = DerivationOutput::Deferred;
            drv.env.insert(name.clone().into_bytes(), Vec::new());
        }
    }
    Ok(drv)
}

/// A variable of bash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// One that programs see.
    Exported(String),
    /// One of bash alone.
    Var(String),
    /// A list.
    Array(Vec<String>),
    /// A table.
    Associative(BTreeMap<String, String>),
}

impl Variable {
    fn of_json(about: &Value) -> Option<Self> {
        let value = about.get("value")?;
        Some(match about.get("type")?.as_str()? {
            "exported" => Self::Exported(value.as_str()?.to_owned()),
            "var" => Self::Var(value.as_str()?.to_owned()),
            "array" => {
                Self::Array(value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<_>>()?)
            }
            "associative" => Self::Associative(texts(value)?),
            _ => return None,
        })
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Exported(value) => json!({ "type": "exported", "value": value }),
            Self::Var(value) => json!({ "type": "var", "value": value }),
            Self::Array(values) => json!({ "type": "array", "value": values }),
            Self::Associative(table) => json!({ "type": "associative", "value": table }),
        }
    }
}

/// An object of strings.
fn texts(value: &Value) -> Option<BTreeMap<String, String>> {
    value.as_object()?.iter().map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
}

/// A captured environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildEnvironment {
    /// Functions: their bodies.
    pub functions: BTreeMap<String, String>,
    /// Variables.
    pub variables: BTreeMap<String, Variable>,
    /// `.attrs.json` and `.attrs.sh`, where the derivation has structured attributes.
    pub structured_attrs: Option<BTreeMap<String, String>>,
}

impl BuildEnvironment {
    /// Reads what a capturing build wrote.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, SessionError> {
        let wrong = |problem: &str| SessionError::BuildEnvironment { problem: problem.to_owned() };
        let value: Value = serde_json::from_str(&String::from_utf8_lossy(bytes))
            .map_err(|error| SessionError::BuildEnvironment { problem: error.to_string() })?;
        let functions = value.get("bashFunctions").and_then(texts);
        let functions = functions.ok_or_else(|| wrong("'bashFunctions' is no object of strings"))?;
        let all = value.get("variables").and_then(Value::as_object);
        let mut variables = BTreeMap::new();
        for (name, about) in all.ok_or_else(|| wrong("'variables' is no object"))? {
            let is_name = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
            if !name.bytes().all(is_name) {
                return Err(SessionError::BuildEnvironment { problem: format!("'{name}' is no variable") });
            }
            // What older scripts captured as "unknown" cannot be set again.
            if let Some(variable) = Variable::of_json(about) {
                variables.insert(name.clone(), variable);
            }
        }
        let structured_attrs = match value.get("structuredAttrs") {
            None => None,
            Some(files) => Some(texts(files).ok_or_else(|| wrong("'structuredAttrs' is no object of strings"))?),
        };
        Ok(Self { functions, variables, structured_attrs })
    }

    /// The same as JSON.
    pub fn to_json(&self) -> Value {
        let variables: Map<String, Value> =
            self.variables.iter().map(|(name, variable)| (name.clone(), variable.to_json())).collect();
        let mut all = json!({ "bashFunctions": self.functions, "variables": variables });
        if let Some(files) = &self.structured_attrs {
            all["structuredAttrs"] = json!(files);
        }
        all
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.variables.get(name)? {
            Variable::Exported(text) | Variable::Var(text) => Some(text),
            _ => None,
        }
    }

    /// The outputs of the capturing build by name, as the environment names them.
    fn outputs(&self) -> Vec<(&str, &str)> {
        match self.variables.get("outputs") {
            Some(Variable::Associative(table)) => {
                table.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect()
            }
            Some(Variable::Exported(names) | Variable::Var(names)) => {
                names.split_whitespace().filter_map(|name| Some((name, self.text(name)?))).collect()
            }
            Some(Variable::Array(names)) => {
                names.iter().filter_map(|name| Some((name.as_str(), self.text(name)?))).collect()
            }
            None => self.text("out").map(|path| ("out", path)).into_iter().collect(),
        }
    }

    /// Bash that sets the environment. Outputs lie in `outputs`; `folder` is where the files of structured attributes are
    /// ([`BuildEnvironment::files`]).
    pub fn to_bash(&self, outputs: &Path, folder: &Path) -> String {
        let quoted = |text: &str| String::from_utf8_lossy(&quoted(OsStr::new(text))).into_owned();
        let mut text = "unset shellHook\n".to_owned();
        for name in PREPENDED {
            text.push_str(&format!("{name}=${{{name}:-}}\nnix_saved_{name}=\"${name}\"\n"));
        }
        for (name, variable) in self.variables.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())) {
            match variable {
                Variable::Exported(value) => {
                    text.push_str(&format!("{name}={}\nexport {name}\n", quoted(value)));
                }
                Variable::Var(value) => text.push_str(&format!("{name}={}\n", quoted(value))),
                Variable::Array(values) => {
                    let values: Vec<String> = values.iter().map(|value| quoted(value) + " ").collect();
                    text.push_str(&format!("declare -a {name}=({})\n", values.concat()));
                }
                Variable::Associative(table) => {
                    let pair = |(key, value): (&String, &String)| format!("[{}]={} ", quoted(key), quoted(value));
                    let pairs: Vec<String> = table.iter().map(pair).collect();
                    text.push_str(&format!("declare -A {name}=({})\n", pairs.concat()));
                }
            }
        }
        for (name, body) in &self.functions {
            text.push_str(&format!("{name} ()\n{{\n{body}}}\n"));
        }
        for name in PREPENDED {
            text.push_str(&format!("{name}=\"${name}${{nix_saved_{name}:+:$nix_saved_{name}}}\"\n"));
        }
        text.push_str("export NIX_BUILD_TOP=\"$(mktemp -d -t nix-shell.XXXXXX)\"\n");
        for name in ["TMP", "TMPDIR", "TEMP", "TEMPDIR"] {
            text.push_str(&format!("export {name}=\"$NIX_BUILD_TOP\"\n"));
        }
        text.push_str("eval \"${shellHook:-}\"\n");
        for (name, path) in self.outputs() {
            if !path.is_empty() {
                text = text.replace(path, &outputs.join(name).to_string_lossy());
            }
        }
        for (name, _) in self.files() {
            let variable = if name.ends_with("json") { "NIX_ATTRS_JSON_FILE" } else { "NIX_ATTRS_SH_FILE" };
            if let Some(file) = self.text(variable) {
                text = text.replace(file, &folder.join(name).to_string_lossy());
            }
        }
        text
    }

    /// Files of structured attributes: names and contents.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.structured_attrs.iter().flatten().map(|(name, contents)| (name.as_str(), contents.as_str()))
    }
}

/// A word of bash.
pub fn word(text: &OsStr) -> String {
    String::from_utf8_lossy(&quoted(OsStr::from_bytes(text.as_bytes()))).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_captured_is_replayed() {
        let text = r#"{"bashFunctions": {"f": "\n    echo x\n"}, "variables": {
            "A": {"type": "exported", "value": "it's"}, "HOME": {"type": "exported", "value": "/homeless"},
            "b": {"type": "array", "value": ["1", "2 3"]}, "c": {"type": "associative", "value": {"k": "/nix/store/o"}},
            "outputs": {"type": "exported", "value": "out"}, "out": {"type": "exported", "value": "/nix/store/o"}}}"#;
        let environment = BuildEnvironment::parse(text.as_bytes()).unwrap();
        let bash = environment.to_bash(Path::new("/here/outputs"), Path::new("/t"));
        for part in [
            "A='it'\\''s'\nexport A\n",
            "declare -a b=('1' '2 3' )\n",
            "declare -A c=(['k']='/here/outputs/out' )\n",
            "f ()\n{\n\n    echo x\n}\n",
            "PATH=\"$PATH${nix_saved_PATH:+:$nix_saved_PATH}\"\n",
        ] {
            assert!(bash.contains(part), "{part} in {bash}");
        }
        assert!(!bash.contains("homeless"));
        let again = BuildEnvironment::parse(environment.to_json().to_string().as_bytes()).unwrap();
        assert_eq!(again, environment);
        assert!(BuildEnvironment::parse(b"{}").is_err());
    }
}
