//! A store path without its store directory: 32 digits of Nix's base 32, a dash, a name.
//!
//! The object is one shared string, so it clones for the price of a counter, prints for nothing, and orders as its
//! printed form does, which every format of Nix relies on. How a path is computed is `store_dir.rs`. Rule: the Nix
//! manual, "protocols/store-path".

use crate::Error;
use crate::hash::encoding::{is_nix32, nix32_encode};
use std::fmt;
use std::sync::Arc;

/// Digits in the hash part.
pub const HASH_PART_LENGTH: usize = 32;
/// Bytes of which the hash part is the nix32 form.
pub const HASH_PART_BYTES: usize = 20;
/// The longest name.
pub const MAX_NAME_LENGTH: usize = 211;
/// What the names of derivations end with.
pub const DRV_EXTENSION: &str = ".drv";

/// The last component of a store path: `<hash part>-<name>`, always valid.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath(Arc<str>);

impl StorePath {
    /// Reads `<hash part>-<name>`.
    pub fn parse(base_name: &str) -> Result<StorePath, Error> {
        check_base_name(base_name)?;
        Ok(StorePath(Arc::from(base_name)))
    }

    /// As [`StorePath::parse`], from bytes that may not even be UTF-8.
    pub fn parse_bytes(base_name: &[u8]) -> Result<StorePath, Error> {
        match std::str::from_utf8(base_name) {
            Ok(text) => StorePath::parse(text),
            Err(_) => StorePath::parse(&String::from_utf8_lossy(base_name)),
        }
    }

    /// A path from its 20 bytes and its name; an error when the name is not valid.
    pub fn from_parts(hash: [u8; HASH_PART_BYTES], name: &str) -> Result<StorePath, Error> {
        let mut text = nix32_encode(&hash);
        text.reserve(name.len() + 1);
        text.push('-');
        text.push_str(name);
        match check_name(name) {
            Ok(()) => Ok(StorePath(Arc::from(text))),
            Err(source) => Err(Error::PathName { path: text, source: Box::new(source) }),
        }
    }

    /// `<hash part>-<name>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 32 digits.
    pub fn hash_part(&self) -> &str {
        &self.0[..HASH_PART_LENGTH]
    }

    /// What follows the dash.
    pub fn name(&self) -> &str {
        &self.0[HASH_PART_LENGTH + 1..]
    }

    /// Whether the name ends with `.drv`.
    pub fn is_derivation(&self) -> bool {
        self.0.ends_with(DRV_EXTENSION)
    }

    /// The name without `.drv`; an error when this is no derivation's path.
    pub fn derivation_name(&self) -> Result<&str, Error> {
        self.name().strip_suffix(DRV_EXTENSION).ok_or_else(|| Error::NotDerivation(self.0.to_string()))
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for StorePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Whether the text is a valid hash part of a store path.
pub fn is_hash_part(text: &str) -> bool {
    text.len() == HASH_PART_LENGTH && text.bytes().all(is_nix32)
}

fn check_base_name(base_name: &str) -> Result<(), Error> {
    let bytes = base_name.as_bytes();
    if bytes.len() < HASH_PART_LENGTH + 1 {
        return Err(Error::PathTooShort(base_name.to_owned()));
    }
    if let Some(at) = bytes[..HASH_PART_LENGTH].iter().position(|b| !is_nix32(*b)) {
        let character = base_name.char_indices().take_while(|(i, _)| *i <= at).last().map_or('?', |(_, c)| c);
        return Err(Error::PathHashCharacter { path: base_name.to_owned(), character });
    }
    let name_error = |source| Error::PathName { path: base_name.to_owned(), source: Box::new(source) };
    // The first 32 bytes are ASCII, so 32 is a boundary of characters; C++ Nix does not look at the byte there, we do.
    match bytes[HASH_PART_LENGTH] {
        b'-' => check_name(&base_name[HASH_PART_LENGTH + 1..]).map_err(name_error),
        _ => {
            let character = base_name[HASH_PART_LENGTH..].chars().next().unwrap_or('?');
            Err(Error::PathHashCharacter { path: base_name.to_owned(), character })
        }
    }
}

/// Checks the name of a store object: 1 to 211 of `[a-zA-Z0-9+-._?=]`, its first dash-separated component not `.` or `..`.
pub fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::NameEmpty);
    }
    if name.len() > MAX_NAME_LENGTH {
        return Err(Error::NameTooLong(name.to_owned()));
    }
    match name {
        "." | ".." => return Err(Error::NameInvalid(name.to_owned())),
        _ if name.starts_with(".-") => return Err(first_component(name, ".")),
        _ if name.starts_with("..-") => return Err(first_component(name, "..")),
        _ => {}
    }
    match name.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='z' | 'A'..='Z' | '+' | '-' | '.' | '_' | '?' | '=')) {
        Some(character) => Err(Error::NameIllegalCharacter { name: name.to_owned(), character }),
        None => Ok(()),
    }
}

fn first_component(name: &str, component: &'static str) -> Error {
    Error::NameFirstComponent { name: name.to_owned(), component }
}
