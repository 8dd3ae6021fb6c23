//! Flake references: an input and the folder of the flake in it, as URLs, names and paths.

use super::attributes::{self, Attributes};
use super::input::{InputRef, InputRules};
use super::names::{is_flake_id, is_ref};
use super::url::{Url, decode_query, path_segments, percent_decode};
use crate::error::{Error, Result};

/// A reference to a flake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlakeRef {
    /// Where the tree is.
    pub input: InputRef,
    /// The folder in it, empty for the top.
    pub folder: String,
}

impl FlakeRef {
    /// Reads a reference without the help of a file system: relative paths are refused. With `flake` a plain http URL
    /// means an archive, without it a file.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::Input`], [`Error::Feature`], [`Error::Model`]; also where there is a fragment.
    pub fn parse(text: &str, flake: bool, rules: InputRules) -> Result<FlakeRef> {
        let (reference, fragment) = Self::parse_with_fragment(text, flake, rules)?;
        if fragment.is_empty() {
            return Ok(reference);
        }
        Err(Error::Input(format!("unexpected fragment '{fragment}' in flake reference '{text}'")))
    }

    /// The same with the fragment, decoded.
    ///
    /// # Errors
    /// As [`FlakeRef::parse`].
    pub fn parse_with_fragment(text: &str, flake: bool, rules: InputRules) -> Result<(FlakeRef, String)> {
        if let Some(found) = Self::of_name(text, flake, rules)? {
            return Ok(found);
        }
        match Url::parse_lenient(text).and_then(|url| Self::of_url(url, flake, rules)) {
            Err(Error::BadUrl(_)) => Self::of_path(text, flake, rules),
            other => other,
        }
    }

    /// Reads attributes.
    ///
    /// # Errors
    /// As [`InputRef::from_attributes`].
    pub fn from_attributes(mut attributes: Attributes, rules: InputRules) -> Result<FlakeRef> {
        let folder = attributes::maybe_string(&attributes, "dir")?.unwrap_or_default().to_owned();
        attributes.remove("dir");
        Ok(FlakeRef { input: InputRef::from_attributes(attributes, rules)?, folder })
    }

    /// As attributes.
    pub fn to_attributes(&self) -> Attributes {
        let mut attributes = self.input.attributes().clone();
        if !self.folder.is_empty() {
            attributes.entry("dir".to_owned()).or_insert_with(|| self.folder.as_str().into());
        }
        attributes
    }

    /// As a URL.
    ///
    /// # Errors
    /// As [`InputRef::print`].
    pub fn print(&self) -> Result<String> {
        let mut url = self.input.to_url()?;
        if !self.folder.is_empty() {
            url.query.entry("dir".to_owned()).or_insert_with(|| self.folder.clone());
        }
        Ok(url.print())
    }

    fn of_url(mut url: Url, flake: bool, rules: InputRules) -> Result<(FlakeRef, String)> {
        let folder = url.query.remove("dir").unwrap_or_default();
        let fragment = std::mem::take(&mut url.fragment);
        Ok((FlakeRef { input: InputRef::from_url(&url, flake, rules)?, folder }, fragment))
    }

    /// `NAME`, `NAME/REF`, `NAME/REV` and `NAME/REF/REV`.
    fn of_name(text: &str, flake: bool, rules: InputRules) -> Result<Option<(FlakeRef, String)>> {
        let (name, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (id, rest) = name.split_once('/').map_or((name, None), |(id, rest)| (id, Some(rest)));
        if !is_flake_id(id) || rest.is_some_and(|rest| !is_ref(rest)) || !is_fragment(fragment) {
            return Ok(None);
        }
        let path = name.split('/').map(str::to_owned).collect();
        let url = Url { scheme: "flake".to_owned(), path, ..Url::default() };
        let input = InputRef::from_url(&url, flake, rules)?;
        Ok(Some((FlakeRef { input, folder: String::new() }, percent_decode(fragment)?)))
    }

    fn of_path(text: &str, flake: bool, rules: InputRules) -> Result<(FlakeRef, String)> {
        if text.contains(['\n', '\r']) {
            return Err(Error::Input(format!("invalid flakeref '{text}'")));
        }
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let query = decode_query(query, true)?;
        let fragment = percent_decode(fragment)?;
        if !path.starts_with('/') {
            return Err(Error::BadUrl(format!("flake reference '{text}' is not an absolute path")));
        }
        let url = Url {
            scheme: "path".to_owned(),
            authority: Some(super::url::Authority::default()),
            path: path_segments(path),
            query,
            fragment,
        };
        Self::of_url(url, flake, rules)
    }
}

/// What may follow `#` after a name.
fn is_fragment(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes[at] == b'%'
            && bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if escape {
            at += 3;
        } else if bytes[at].is_ascii_alphanumeric() || b"-._~!$&'\"()*+,;=:@/? ^".contains(&bytes[at]) {
            at += 1;
        } else {
            return false;
        }
    }
    true
}
