//! Builders for systems that this machine is not (`external-builders`): a program of the user's is told by a file of JSON
//! what is to be built, and makes the outputs, in a virtual machine for example.
//!
//! The form of the setting and of the file are C++ Nix's (`src/libstore/unix/build/external-derivation-builder.cc`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// The build folder as an external builder's builder sees it.
pub(crate) const BUILD_DIR: &str = "/build";

/// One program and the systems it builds for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalBuilder {
    /// The systems.
    pub systems: BTreeSet<String>,
    /// The program.
    pub program: PathBuf,
    /// Its arguments before the name of the file.
    pub arguments: Vec<String>,
}

impl ExternalBuilder {
    /// Reads the setting: a list of objects with `systems`, `program` and `args`.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let list = json.as_array().ok_or("a list is expected")?;
        list.iter()
            .enumerate()
            .map(|(at, one)| {
                Self::parse(one)
                    .ok_or(format!("entry {} is not an object with the texts 'program', 'systems' and 'args'", at + 1))
            })
            .collect()
    }

    fn parse(json: &Value) -> Option<Self> {
        let texts = |name: &str| -> Option<Vec<String>> {
            json.get(name)?.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let arguments = if json.get("args").is_some() { texts("args")? } else { Vec::new() };
        let program = PathBuf::from(json.get("program")?.as_str()?);
        Some(Self { systems: texts("systems")?.into_iter().collect(), program, arguments })
    }
}

/// What the file tells, put together by the build.
pub(crate) struct Told<'a> {
    pub builder: &'a [u8],
    pub arguments: Vec<Vec<u8>>,
    pub environment: Vec<(Vec<u8>, Vec<u8>)>,
    /// The folder that is ours, and the builder's in it.
    pub folders: [&'a Path; 2],
    /// The store's folder by its name and where it is.
    pub store: (&'a str, &'a Path),
    pub system: &'a [u8],
    pub inputs: Vec<String>,
    /// Name and path of each output.
    pub outputs: Vec<(String, String)>,
}

impl Told<'_> {
    /// The text of the file.
    pub(crate) fn to_json(&self) -> String {
        let text = |bytes: &[u8]| Value::String(String::from_utf8_lossy(bytes).into_owned());
        let pairs = |pairs: Vec<(String, Value)>| Value::Object(pairs.into_iter().collect::<Map<_, _>>());
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        json!({
            "version": 1,
            "builder": text(self.builder),
            "args": self.arguments.iter().map(|argument| text(argument)).collect::<Vec<_>>(),
            "env": pairs(self.environment.iter().map(|(key, value)| (name(key), text(value))).collect()),
            "topTmpDir": self.folders[0].to_string_lossy(),
            "tmpDir": self.folders[1].to_string_lossy(),
            "tmpDirInSandbox": BUILD_DIR,
            "storeDir": self.store.0,
            "realStoreDir": self.store.1.to_string_lossy(),
            "system": text(self.system),
            "inputPaths": self.inputs,
            "outputs": pairs(self.outputs.iter().map(|(key, path)| (key.clone(), json!(path))).collect()),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_read_and_nonsense_is_named() {
        let list = ExternalBuilder::parse_list(r#"[{"systems": ["a-b", "c-d"], "program": "/p", "args": ["x"]}]"#);
        let expected = ExternalBuilder {
            systems: ["a-b", "c-d"].map(str::to_owned).into(),
            program: "/p".into(),
            arguments: vec!["x".into()],
        };
        assert_eq!(list.unwrap(), [expected]);
        assert_eq!(ExternalBuilder::parse_list("[]").unwrap(), []);
        assert!(ExternalBuilder::parse_list("[").is_err());
        assert!(ExternalBuilder::parse_list(r#"[{"systems": "x", "program": "/p"}]"#).unwrap_err().contains("entry 1"));
    }
}
