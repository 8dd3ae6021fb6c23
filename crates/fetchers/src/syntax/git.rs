//! `git` and `hg`: repositories by URL.

use super::attributes::{self, Attribute, Attributes};
use super::input::{InputRef, InputRules};
use super::names::{is_legal_ref, is_ref};
use super::url::{Url, git_url, split_scheme};
use crate::error::{Error, Result};

/// The attributes of `git`.
pub(super) const ALLOWED: &[&str] = &[
    "allRefs",
    "dirtyRev",
    "dirtyShortRev",
    "exportIgnore",
    "keytype",
    "lastModified",
    "lfs",
    "name",
    "narHash",
    "publicKey",
    "publicKeys",
    "ref",
    "rev",
    "revCount",
    "shallow",
    "submodules",
    "url",
    "verifyCommit",
];

/// The attributes of `hg`.
pub(super) const ALLOWED_MERCURIAL: &[&str] = &["name", "narHash", "ref", "rev", "revCount", "url"];

const FLAGS: [&str; 6] = ["shallow", "submodules", "lfs", "exportIgnore", "allRefs", "verifyCommit"];
const KEYS: [&str; 3] = ["keytype", "publicKey", "publicKeys"];

pub(super) fn of_url(url: &Url, rules: InputRules) -> Result<Option<Attributes>> {
    if url.scheme != "git" && split_scheme(&url.scheme).0 != Some("git") {
        return Ok(None);
    }
    let mut plain = url.clone();
    plain.query.clear();
    let mut found = Attributes::new();
    for (name, value) in &url.query {
        if ["rev", "ref"].contains(&name.as_str()) || KEYS.contains(&name.as_str()) {
            found.insert(name.clone(), value.as_str().into());
        } else if FLAGS.contains(&name.as_str()) {
            found.insert(name.clone(), (value == "1").into());
        } else {
            plain.query.insert(name.clone(), value.clone());
        }
    }
    found.insert("type".to_owned(), "git".into());
    found.insert("url".to_owned(), plain.print().into());
    checked(found, rules).map(Some)
}

pub(super) fn checked(mut attributes: Attributes, rules: InputRules) -> Result<Attributes> {
    let verifying = |name: &&String| name.as_str() == "verifyCommit" || KEYS.contains(&name.as_str());
    if !rules.verified_fetches && attributes.keys().any(|name| verifying(&name)) {
        return Err(Error::Feature("verified-fetches"));
    }
    attributes::flag(&attributes, "verifyCommit")?;
    if let Some(name) = attributes::maybe_string(&attributes, "ref")?
        && !is_legal_ref(name)
    {
        return Err(Error::BadUrl(format!("invalid Git branch/tag name '{name}'")));
    }
    let url = git_url(attributes::string(&attributes, "url")?)?.print();
    attributes.insert("url".to_owned(), url.into());
    for name in ["shallow", "submodules", "allRefs"] {
        attributes::flag(&attributes, name)?;
    }
    Ok(attributes)
}

/// The keys that a commit may be signed with: their kind and themselves.
pub(crate) fn public_keys(attributes: &Attributes) -> Result<Vec<(String, String)>> {
    let mut keys = Vec::new();
    if let Some(text) = attributes::maybe_string(attributes, "publicKeys")? {
        let wrong = || Error::Input(format!("'{text}' is no list of public keys"));
        let list: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|_| wrong())?;
        for key in list {
            let part = |name: &str| key.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
            keys.push((part("type").unwrap_or_else(|| "ssh-ed25519".into()), part("key").ok_or_else(wrong)?));
        }
    }
    if let Some(key) = attributes::maybe_string(attributes, "publicKey")? {
        let kind = attributes::maybe_string(attributes, "keytype")?.unwrap_or("ssh-ed25519");
        keys.push((kind.to_owned(), key.to_owned()));
    }
    Ok(keys)
}

/// Keys as JSON, as a parameter holds them.
fn keys_as_json(keys: &[(String, String)]) -> String {
    let pairs = |(kind, key): &(String, String)| {
        let pair = [("key".to_owned(), Attribute::from(key.as_str())), ("type".to_owned(), kind.as_str().into())];
        attributes::to_json(&Attributes::from(pair))
    };
    format!("[{}]", keys.iter().map(pairs).collect::<Vec<_>>().join(","))
}

pub(super) fn to_url(input: &InputRef) -> Result<Url> {
    let attributes = input.attributes();
    let mut url = Url::parse(attributes::string(attributes, "url")?)?;
    if url.scheme != "git" {
        url.scheme.insert_str(0, "git+");
    }
    rev_and_ref(input, &mut url)?;
    for name in ["shallow", "lfs", "submodules", "exportIgnore", "verifyCommit"] {
        if attributes::flag(attributes, name)? {
            url.query.insert(name.to_owned(), "1".to_owned());
        }
    }
    let keys = public_keys(attributes)?;
    match keys.as_slice() {
        [] => {}
        [(kind, key)] => {
            url.query.insert("keytype".to_owned(), kind.clone());
            url.query.insert("publicKey".to_owned(), key.clone());
        }
        more => drop(url.query.insert("publicKeys".to_owned(), keys_as_json(more))),
    }
    Ok(url)
}

fn rev_and_ref(input: &InputRef, url: &mut Url) -> Result<()> {
    if let Some(rev) = input.rev()? {
        url.query.insert("rev".to_owned(), rev.to_base16());
    }
    if let Some(reference) = input.text("ref")? {
        url.query.insert("ref".to_owned(), reference.to_owned());
    }
    Ok(())
}

pub(super) fn of_mercurial_url(url: &Url) -> Result<Option<Attributes>> {
    let (Some("hg"), "http" | "https" | "ssh" | "file") = split_scheme(&url.scheme) else { return Ok(None) };
    let mut plain = url.clone();
    plain.scheme = url.scheme["hg+".len()..].to_owned();
    plain.query.clear();
    let mut found = Attributes::new();
    for (name, value) in &url.query {
        if name == "rev" || name == "ref" {
            found.insert(name.clone(), value.as_str().into());
        } else {
            plain.query.insert(name.clone(), value.clone());
        }
    }
    found.insert("type".to_owned(), "hg".into());
    found.insert("url".to_owned(), plain.print().into());
    checked_mercurial(found).map(Some)
}

pub(super) fn checked_mercurial(attributes: Attributes) -> Result<Attributes> {
    Url::parse(attributes::string(&attributes, "url")?)?;
    match attributes::maybe_string(&attributes, "ref")? {
        Some(name) if !is_ref(name) => Err(Error::BadUrl(format!("invalid Mercurial branch/tag name '{name}'"))),
        _ => Ok(attributes),
    }
}

pub(super) fn to_mercurial_url(input: &InputRef) -> Result<Url> {
    let mut url = Url::parse(attributes::string(input.attributes(), "url")?)?;
    url.scheme.insert_str(0, "hg+");
    rev_and_ref(input, &mut url)?;
    Ok(url)
}
