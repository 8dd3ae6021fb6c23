//! What an output of a derivation became: the record that content-addressed building leaves.
//!
//! The key is 2.34's: the derivation's hash modulo and the output's name. JSON keeps the empty `dependentRealisations`
//! that older readers want. Absent: where realisations are kept.

use crate::hash::Hash;
use crate::signature::{PublicKeys, SecretKey, Signature};
use crate::store_path::StorePath;
use crate::{Error, OutputName};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// An output by the hash modulo of its derivation: `sha256:<base16>!<output>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrvOutput {
    /// The derivation's hash modulo.
    pub drv_hash: Hash,
    /// The output.
    pub output: OutputName,
}

impl DrvOutput {
    /// Reads `<hash>!<output>`.
    pub fn parse(text: &str) -> Result<DrvOutput, Error> {
        let (hash, output) = text.split_once('!').ok_or_else(|| Error::DrvOutputId(text.to_owned()))?;
        Ok(DrvOutput { drv_hash: Hash::parse_prefixed(hash)?, output: output.to_owned() })
    }
}

impl fmt::Display for DrvOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}!{}", self.drv_hash.format(crate::HashFormat::Base16, true), self.output)
    }
}

/// An output and the store object it became.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Realisation {
    /// Which output.
    pub id: DrvOutput,
    /// The object.
    pub out_path: StorePath,
    /// Who says so.
    pub signatures: BTreeSet<Signature>,
}

impl Realisation {
    /// The text that is signed: the JSON form without the signatures.
    pub fn fingerprint(&self) -> String {
        let value = json!({
            "dependentRealisations": {},
            "id": self.id.to_string(),
            "outPath": self.out_path.as_str(),
        });
        crate::json_text::compact(&value)
    }

    /// Adds a signature.
    pub fn sign(&mut self, key: &SecretKey) {
        let signature = key.sign(self.fingerprint().as_bytes());
        self.signatures.insert(signature);
    }

    /// How many signatures are by one of the keys and correct.
    pub fn good_signatures(&self, keys: &PublicKeys) -> usize {
        let fingerprint = self.fingerprint();
        self.signatures.iter().filter(|s| keys.verify(fingerprint.as_bytes(), s)).count()
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        json!({
            "dependentRealisations": {},
            "id": self.id.to_string(),
            "outPath": self.out_path.as_str(),
            "signatures": self.signatures.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }

    /// The text of the JSON form, as binary caches keep it.
    pub fn print(&self) -> String {
        crate::json_text::compact(&self.to_json())
    }

    /// Reads the text that a binary cache has under a key, which the text need not repeat; an error when it is about another.
    pub fn parse(text: &[u8], id: &DrvOutput) -> Result<Realisation, Error> {
        let wrong = |message: String| Error::Json { noun: "realisation", message };
        let mut value: Value = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        if let Value::Object(fields) = &mut value {
            fields.entry("id").or_insert_with(|| Value::String(id.to_string()));
        }
        let realisation = Realisation::from_json(&value)?;
        match realisation.id == *id {
            true => Ok(realisation),
            false => Err(wrong(format!("it is about '{}', not '{id}'", realisation.id))),
        }
    }

    /// Reads the JSON form.
    pub fn from_json(value: &Value) -> Result<Realisation, Error> {
        let wrong = |message: &str| Error::Json { noun: "realisation", message: message.to_owned() };
        let text =
            |key: &str| value.get(key).and_then(Value::as_str).ok_or_else(|| wrong(&format!("no string '{key}'")));
        let signatures = match value.get("signatures") {
            None => BTreeSet::new(),
            Some(list) => list
                .as_array()
                .ok_or_else(|| wrong("'signatures' is no list"))?
                .iter()
                .map(|s| Signature::parse(s.as_str().ok_or_else(|| wrong("a signature is no string"))?))
                .collect::<Result<_, _>>()?,
        };
        Ok(Realisation {
            id: DrvOutput::parse(text("id")?)?,
            out_path: StorePath::parse(text("outPath")?)?,
            signatures,
        })
    }
}
