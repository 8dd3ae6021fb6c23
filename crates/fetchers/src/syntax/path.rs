//! `path`, a folder of this machine, and `indirect`, a name in the registries.

use store_model::{Hash, HashAlgorithm};

use super::attributes::{self, Attributes};
use super::input::InputRef;
use super::names::{is_flake_id, is_legal_ref, is_rev};
use super::url::Url;
use crate::error::{Error, Result};

/// The attributes of `path`; all but the first are believed as they are given.
pub(super) const ALLOWED: &[&str] = &["lastModified", "narHash", "path", "rev", "revCount"];

/// The attributes of `indirect`.
pub(super) const ALLOWED_INDIRECT: &[&str] = &["id", "narHash", "ref", "rev"];

pub(super) fn of_url(url: &Url) -> Result<Option<Attributes>> {
    if url.scheme != "path" {
        return Ok(None);
    }
    let wrong = |what: &str| Error::Input(format!("path URL '{}' {what}", url.print()));
    if let Some(authority) = url.authority.as_ref().filter(|authority| !authority.host.is_empty()) {
        return Err(wrong(&format!("should not have an authority ('{}')", authority.print())));
    }
    let mut found = Attributes::new();
    found.insert("type".to_owned(), "path".into());
    found.insert("path".to_owned(), url.file_path()?.into());
    for (name, value) in &url.query {
        let value = match name.as_str() {
            "rev" | "narHash" => value.as_str().into(),
            "revCount" | "lastModified" => match value.parse::<u64>() {
                Ok(number) => number.into(),
                Err(_) => return Err(wrong(&format!("has invalid parameter '{name}'"))),
            },
            _ => return Err(wrong(&format!("has unsupported parameter '{name}'"))),
        };
        found.insert(name.clone(), value);
    }
    Ok(Some(found))
}

pub(super) fn to_url(attributes: &Attributes) -> Result<Url> {
    let mut query = attributes::to_query(attributes);
    for name in ["path", "type", "__final"] {
        query.remove(name);
    }
    let path = attributes::string(attributes, "path")?.split('/').map(str::to_owned).collect();
    Ok(Url { scheme: "path".to_owned(), path, query, ..Url::default() })
}

pub(super) fn of_indirect_url(url: &Url) -> Result<Option<Attributes>> {
    if url.scheme != "flake" {
        return Ok(None);
    }
    let text = url.print();
    let wrong = |part: &str, what: &str| Error::BadUrl(format!("in flake URL '{text}', '{part}' is not {what}"));
    let segments = url.segments();
    let (id, reference, rev) = match segments.as_slice() {
        [id] => (id, None, None),
        [id, rev] if is_rev(rev) => (id, None, Some(rev)),
        [id, reference] if is_legal_ref(reference) => (id, Some(reference), None),
        [_, other] => return Err(wrong(other, "a commit hash or branch/tag name")),
        [_, reference, _] if !is_legal_ref(reference) => return Err(wrong(reference, "a branch/tag name")),
        [_, _, rev] if !is_rev(rev) => return Err(wrong(rev, "a commit hash")),
        [id, reference, rev] => (id, Some(reference), Some(rev)),
        _ => return Err(Error::BadUrl(format!("GitHub URL '{text}' is invalid"))),
    };
    let mut found = Attributes::new();
    found.insert("type".to_owned(), "indirect".into());
    found.insert("id".to_owned(), (*id).into());
    if let Some(reference) = reference {
        found.insert("ref".to_owned(), (*reference).into());
    }
    if let Some(rev) = rev {
        let rev = Hash::parse_any(rev, Some(HashAlgorithm::Sha1))?;
        found.insert("rev".to_owned(), rev.to_base16().into());
    }
    checked_indirect(found).map(Some)
}

pub(super) fn checked_indirect(attributes: Attributes) -> Result<Attributes> {
    let id = attributes::string(&attributes, "id")?;
    if is_flake_id(id) { Ok(attributes) } else { Err(Error::BadUrl(format!("'{id}' is not a valid flake ID"))) }
}

pub(super) fn to_indirect_url(input: &InputRef) -> Result<Url> {
    let mut url = Url { scheme: "flake".to_owned(), ..Url::default() };
    url.path.push(attributes::string(input.attributes(), "id")?.to_owned());
    url.path.extend(input.text("ref")?.map(str::to_owned));
    url.path.extend(input.rev()?.map(|rev| rev.to_base16()));
    Ok(url)
}
