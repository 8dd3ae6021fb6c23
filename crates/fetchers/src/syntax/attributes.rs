//! The attributes of inputs: names to strings, numbers, Booleans.

use std::collections::BTreeMap;

use store_model::json_text;

use crate::error::Error;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A string.
    String(String),
    /// A number.
    Int(u64),
    /// Yes or no.
    Bool(bool),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Attribute {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

/// Attributes by name.
pub type Attributes = BTreeMap<String, Attribute>;

/// As JSON on one line, names in the order of their bytes.
pub fn to_json(attributes: &Attributes) -> String {
    let mut out = String::from("{");
    for (name, value) in attributes {
        if out.len() > 1 {
            out.push(',');
        }
        json_text::string(name, &mut out);
        out.push(':');
        match value {
            Attribute::String(text) => json_text::string(text, &mut out),
            Attribute::Int(number) => out.push_str(&number.to_string()),
            Attribute::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        }
    }
    out.push('}');
    out
}

/// A string that may be missing.
pub(crate) fn maybe_string<'a>(attributes: &'a Attributes, name: &str) -> Result<Option<&'a str>, Error> {
    match attributes.get(name) {
        None => Ok(None),
        Some(Attribute::String(text)) => Ok(Some(text)),
        Some(_) => {
            let message = format!("input attribute '{name}' is not a string {}", to_json(attributes));
            Err(Error::Input(message))
        }
    }
}

/// A string that must be there.
pub(crate) fn string<'a>(attributes: &'a Attributes, name: &str) -> Result<&'a str, Error> {
    maybe_string(attributes, name)?.ok_or_else(|| Error::Input(format!("input attribute '{name}' is missing")))
}

/// A number that may be missing.
pub(crate) fn maybe_int(attributes: &Attributes, name: &str) -> Result<Option<u64>, Error> {
    match attributes.get(name) {
        None => Ok(None),
        Some(Attribute::Int(number)) => Ok(Some(*number)),
        Some(_) => Err(Error::Input(format!("input attribute '{name}' is not an integer"))),
    }
}

/// Yes or no; no where it is missing.
pub(crate) fn flag(attributes: &Attributes, name: &str) -> Result<bool, Error> {
    match attributes.get(name) {
        None => Ok(false),
        Some(Attribute::Bool(truth)) => Ok(*truth),
        Some(_) => Err(Error::Input(format!("input attribute '{name}' is not a Boolean"))),
    }
}

/// As the parameters of a URL.
pub(crate) fn to_query(attributes: &Attributes) -> BTreeMap<String, String> {
    let text = |value: &Attribute| match value {
        Attribute::String(text) => text.clone(),
        Attribute::Int(number) => number.to_string(),
        Attribute::Bool(truth) => if *truth { "1" } else { "0" }.to_owned(),
    };
    attributes.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}
