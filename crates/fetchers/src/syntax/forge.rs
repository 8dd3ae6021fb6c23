//! `github`, `gitlab` and `sourcehut`: a repository by owner and name.

use store_model::{Hash, HashAlgorithm};

use super::attributes::{self, Attributes, to_json};
use super::input::{InputRef, Scheme};
use super::names::{is_host, is_legal_ref, is_rev};
use super::url::Url;
use crate::error::{Error, Result};

/// The attributes of all three.
pub(super) const ALLOWED: &[&str] = &["host", "lastModified", "narHash", "owner", "ref", "repo", "rev", "treeHash"];

pub(super) fn of_url(scheme: Scheme, url: &Url) -> Result<Option<Attributes>> {
    if url.scheme != scheme.name() {
        return Ok(None);
    }
    let bad = |what: &str| Error::BadUrl(format!("URL '{}' {what}", url.print()));
    let segments = url.segments();
    let [owner, repo, rest @ ..] = segments.as_slice() else { return Err(bad("is invalid")) };
    let (mut rev, mut reference) = match rest {
        [] => (None, None),
        [only] if is_rev(only) => (Some((*only).to_owned()), None),
        more => (None, Some(more.join("/"))),
    };
    let mut found = Attributes::new();
    for (name, value) in &url.query {
        match name.as_str() {
            "rev" if rev.is_some() => return Err(bad("contains multiple commit hashes")),
            "ref" if reference.is_some() => return Err(bad("contains multiple branch/tag names")),
            "rev" => rev = Some(value.clone()),
            "ref" => reference = Some(value.clone()),
            "host" | "narHash" => drop(found.insert(name.clone(), value.as_str().into())),
            _ => {}
        }
    }
    for (name, value) in [("rev", rev), ("ref", reference)] {
        if let Some(value) = value {
            found.insert(name.to_owned(), value.into());
        }
    }
    for (name, value) in [("type", scheme.name()), ("owner", owner), ("repo", repo)] {
        found.insert(name.to_owned(), value.into());
    }
    checked(found).map(Some)
}

pub(super) fn checked(attributes: Attributes) -> Result<Attributes> {
    attributes::string(&attributes, "owner")?;
    attributes::string(&attributes, "repo")?;
    let (reference, rev) =
        (attributes::maybe_string(&attributes, "ref")?, attributes::maybe_string(&attributes, "rev")?);
    let bad = |what: &str| Error::BadUrl(format!("input {} contains {what}", to_json(&attributes)));
    if let (Some(reference), Some(rev)) = (reference, rev) {
        return Err(bad(&format!("both a commit hash ('{rev}') and a branch/tag name ('{reference}')")));
    }
    if let Some(rev) = rev {
        Hash::parse_any(rev, Some(HashAlgorithm::Sha1))?;
    }
    if reference.is_some_and(|reference| !is_legal_ref(reference)) {
        return Err(bad("an invalid branch/tag name"));
    }
    if attributes::maybe_string(&attributes, "host")?.is_some_and(|host| !is_host(host)) {
        return Err(bad("an invalid instance host"));
    }
    Ok(attributes)
}

pub(super) fn to_url(scheme: Scheme, input: &InputRef) -> Result<Url> {
    let attributes = input.attributes();
    let mut url = Url { scheme: scheme.name().to_owned(), ..Url::default() };
    for name in ["owner", "repo"] {
        url.path.push(attributes::string(attributes, name)?.to_owned());
    }
    url.path.extend(input.text("ref")?.map(str::to_owned));
    url.path.extend(input.rev()?.map(|rev| rev.to_base16()));
    if let Some(hash) = input.nar_hash()? {
        url.query.insert("narHash".to_owned(), hash.to_sri());
    }
    if let Some(host) = input.text("host")? {
        url.query.insert("host".to_owned(), host.to_owned());
    }
    Ok(url)
}
