//! `file` and `tarball`: what a plain URL brings.

use super::attributes::{self, Attributes};
use super::input::{InputRef, Scheme};
use super::url::{Url, split_scheme};
use crate::error::Result;

/// The attributes of both schemes.
pub(super) const ALLOWED: &[&str] = &["lastModified", "name", "narHash", "rev", "revCount", "unpack", "url"];

const ARCHIVES: [&str; 7] = [".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"];

fn is_archive(url: &Url) -> bool {
    url.path.last().is_some_and(|name| ARCHIVES.iter().any(|end| name.ends_with(end)))
}

pub(super) fn of_url(scheme: Scheme, url: &Url, tree: bool) -> Option<Attributes> {
    let (application, transport) = split_scheme(&url.scheme);
    let archive = tree || is_archive(url);
    let ours = match application {
        Some(application) => application == scheme.name(),
        None => archive == (scheme == Scheme::Tarball),
    };
    if !ours || !matches!(transport, "file" | "http" | "https") {
        return None;
    }
    let mut found = Attributes::new();
    for name in ["narHash", "rev"] {
        if let Some(value) = url.query.get(name) {
            found.insert(name.to_owned(), value.as_str().into());
        }
    }
    for name in ["revCount", "lastModified"] {
        if let Some(number) = url.query.get(name).and_then(|value| value.parse::<u64>().ok()) {
            found.insert(name.to_owned(), number.into());
        }
    }
    let mut plain = url.clone();
    plain.scheme = transport.to_owned();
    // What is meant for us is not sent to the server.
    plain.query.retain(|name, _| !ALLOWED.contains(&name.as_str()));
    found.insert("type".to_owned(), scheme.name().into());
    found.insert("url".to_owned(), plain.print().into());
    Some(found)
}

pub(super) fn to_url(input: &InputRef) -> Result<Url> {
    let mut url = Url::parse(attributes::string(input.attributes(), "url")?)?;
    if let Some(hash) = input.nar_hash()? {
        url.query.insert("narHash".to_owned(), hash.to_sri());
    }
    Ok(url)
}
