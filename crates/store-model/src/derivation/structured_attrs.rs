//! Structured attributes: the JSON object that a derivation carries in place of plain variables.
//!
//! Kept as canonical text, because that text is hashed and printed far more often than it is looked into.

use crate::json_text;
use serde_json::{Map, Value};

/// The variable under which the form on disk keeps them.
pub const JSON_VARIABLE: &str = "__json";

/// A JSON object in C++ Nix's canonical text form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructuredAttrs {
    text: String,
}

impl StructuredAttrs {
    /// Reads JSON text and brings it into canonical form; the error says what is wrong with the text.
    pub fn parse(text: &[u8]) -> Result<StructuredAttrs, String> {
        match serde_json::from_slice::<Value>(text) {
            Ok(value @ Value::Object(_)) => Ok(StructuredAttrs { text: json_text::compact(&value) }),
            Ok(_) => Err("the text is no JSON object".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// From an object.
    pub fn from_object(object: &Map<String, Value>) -> StructuredAttrs {
        StructuredAttrs { text: json_text::compact(&Value::Object(object.clone())) }
    }

    /// From text that is canonical already, as the evaluator prints it: sorted keys, no spaces.
    pub fn from_canonical(text: String) -> StructuredAttrs {
        StructuredAttrs { text }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The object.
    pub fn to_object(&self) -> Map<String, Value> {
        match serde_json::from_str(&self.text) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        }
    }
}
