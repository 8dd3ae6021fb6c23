//! Derivations as JSON, version 4: the form of `nix derivation show` and `nix derivation add` in 2.34.
//!
//! Store paths stand without their directory, hashes as SRI. Absent: bytes that are not UTF-8, which JSON cannot hold;
//! such derivations are an error.

use super::{Derivation, DerivationOutput, InputOutputs, StructuredAttrs};
use crate::Error;
use crate::content_address::{ContentAddress, ContentAddressMethod};
use crate::hash::{Hash, HashAlgorithm};
use crate::outputs::compact;
use crate::store_path::StorePath;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The version written and read.
pub const VERSION: u64 = 4;

/// Outputs of outputs of outputs: more than anyone builds, less than a stack holds.
const MAX_NESTING: usize = 64;

/// The JSON object; an error when some string is not UTF-8.
pub fn to_value(drv: &Derivation) -> Result<Value, Error> {
    let mut env = Map::new();
    for (name, value) in &drv.env {
        env.insert(utf8(name)?, Value::String(utf8(value)?));
    }
    let drvs: Map<String, Value> =
        drv.input_drvs.iter().map(|(path, node)| (path.to_string(), input_to_value(node))).collect();
    let outputs: Map<String, Value> =
        drv.outputs.iter().map(|(name, output)| (name.clone(), output_to_value(output))).collect();
    let mut value = json!({
        "args": drv.args.iter().map(|arg| utf8(arg)).collect::<Result<Vec<_>, _>>()?,
        "builder": utf8(&drv.builder)?,
        "env": env,
        "inputs": {
            "drvs": drvs,
            "srcs": drv.input_srcs.iter().map(StorePath::as_str).collect::<Vec<_>>(),
        },
        "name": drv.name,
        "outputs": outputs,
        "system": utf8(&drv.platform)?,
        "version": VERSION,
    });
    if let Some(attrs) = &drv.structured_attrs {
        value["structuredAttrs"] = Value::Object(attrs.to_object());
    }
    Ok(value)
}

/// The JSON text on one line, as the oracle prints it when its output is no terminal.
pub fn print(drv: &Derivation) -> Result<String, Error> {
    Ok(crate::json_text::compact(&to_value(drv)?))
}

/// Reads JSON text.
pub fn parse(text: &[u8]) -> Result<Derivation, Error> {
    from_value(&serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?)
}

/// Reads the JSON object. Output paths are taken as they are; see [`Derivation::check_output_paths`].
pub fn from_value(value: &Value) -> Result<Derivation, Error> {
    let object = object(value, "derivation")?;
    let version = field(object, "version")?.as_u64().ok_or_else(|| wrong("'version' is no number".to_owned()))?;
    if version != VERSION {
        return Err(Error::DerivationJsonVersion(version));
    }
    let mut outputs = Vec::new();
    for (name, output) in self::object(field(object, "outputs")?, "outputs")? {
        outputs.push((name.clone(), output_from_value(output)?));
    }
    let inputs = self::object(field(object, "inputs")?, "inputs")?;
    let mut input_drvs = Vec::new();
    for (path, node) in self::object(field(inputs, "drvs")?, "drvs")? {
        input_drvs.push((StorePath::parse(path)?, input_from_value(node, 0)?));
    }
    let mut env = Vec::new();
    for (name, value) in self::object(field(object, "env")?, "env")? {
        env.push((name.clone().into_bytes(), string(value, "env")?.into_bytes()));
    }
    let name = string(field(object, "name")?, "name")?;
    Ok(Derivation {
        name,
        outputs: compact(outputs),
        input_drvs: compact(input_drvs),
        input_srcs: strings(field(inputs, "srcs")?, "srcs")?
            .iter()
            .map(|path| StorePath::parse(path))
            .collect::<Result<BTreeSet<_>, _>>()?,
        platform: string(field(object, "system")?, "system")?.into_bytes(),
        builder: string(field(object, "builder")?, "builder")?.into_bytes(),
        args: strings(field(object, "args")?, "args")?.into_iter().map(String::into_bytes).collect(),
        env: compact(env),
        structured_attrs: match object.get("structuredAttrs") {
            None => None,
            Some(attrs) => Some(StructuredAttrs::from_object(self::object(attrs, "structuredAttrs")?)),
        },
    })
}

fn output_to_value(output: &DerivationOutput) -> Value {
    match output {
        DerivationOutput::InputAddressed(path) => json!({ "path": path.as_str() }),
        DerivationOutput::CAFixed(ca) => json!({ "hash": ca.hash.to_sri(), "method": ca.method.name() }),
        DerivationOutput::CAFloating { method, algorithm } => {
            json!({ "hashAlgo": algorithm.name(), "method": method.name() })
        }
        DerivationOutput::Deferred => json!({}),
        DerivationOutput::Impure { method, algorithm } => {
            json!({ "hashAlgo": algorithm.name(), "impure": true, "method": method.name() })
        }
    }
}

fn output_from_value(value: &Value) -> Result<DerivationOutput, Error> {
    let object = object(value, "output")?;
    let text = |key: &str| string(field(object, key)?, key);
    let method = || ContentAddressMethod::parse(&text("method")?);
    let algorithm = || HashAlgorithm::parse(&text("hashAlgo")?);
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    match keys.as_slice() {
        [] => Ok(DerivationOutput::Deferred),
        ["path"] => Ok(DerivationOutput::InputAddressed(StorePath::parse(&text("path")?)?)),
        ["hash", "method"] => {
            Ok(DerivationOutput::CAFixed(ContentAddress { method: method()?, hash: Hash::parse_sri(&text("hash")?)? }))
        }
        ["hashAlgo", "method"] => Ok(DerivationOutput::CAFloating { method: method()?, algorithm: algorithm()? }),
        ["hashAlgo", "impure", "method"] => Ok(DerivationOutput::Impure { method: method()?, algorithm: algorithm()? }),
        _ => Err(wrong("invalid JSON for derivation output".to_owned())),
    }
}

fn input_to_value(node: &InputOutputs) -> Value {
    let dynamic: Map<String, Value> =
        node.dynamic.iter().map(|(name, child)| (name.clone(), input_to_value(child))).collect();
    json!({ "dynamicOutputs": dynamic, "outputs": node.outputs.to_vec() })
}

fn input_from_value(value: &Value, depth: usize) -> Result<InputOutputs, Error> {
    if depth > MAX_NESTING {
        return Err(wrong("dynamic outputs are nested too deeply".to_owned()));
    }
    let object = object(value, "drvs")?;
    let outputs = strings(field(object, "outputs")?, "outputs")?.into_iter().collect();
    let mut dynamic = BTreeMap::new();
    for (name, child) in self::object(field(object, "dynamicOutputs")?, "dynamicOutputs")? {
        dynamic.insert(name.clone(), input_from_value(child, depth + 1)?);
    }
    Ok(InputOutputs { outputs, dynamic })
}

fn utf8(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| wrong(format!("'{}' is not UTF-8", String::from_utf8_lossy(bytes))))
}

fn wrong(message: String) -> Error {
    Error::Json { noun: "derivation", message }
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, Error> {
    value.as_object().ok_or_else(|| wrong(format!("'{what}' is no object")))
}

fn field<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a Value, Error> {
    object.get(key).ok_or_else(|| wrong(format!("Expected JSON object to contain key '{key}' but it doesn't")))
}

fn string(value: &Value, what: &str) -> Result<String, Error> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong(format!("'{what}' is no string")))
}

fn strings(value: &Value, what: &str) -> Result<Vec<String>, Error> {
    value
        .as_array()
        .ok_or_else(|| wrong(format!("'{what}' is no list")))?
        .iter()
        .map(|item| string(item, what))
        .collect()
}
