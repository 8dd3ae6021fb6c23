//! The store directory as a value, and every path that is computed from it.
//!
//! A path is the nix32 form of 20 bytes folded out of `sha256("<type>:sha256:<inner>:<store dir>:<name>")`; this file
//! forms that text piece by piece straight into the hasher. Rule: the Nix manual, "protocols/store-path"; the methods
//! that hash files are `file-tree`'s and the stores'.

use crate::Error;
use crate::content_address::{ContentAddress, ContentAddressMethod, References};
use crate::hash::{Hash, HashAlgorithm, Hasher, compress};
use crate::store_path::StorePath;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// The logical folder of a store, such as `/nix/store`: absolute, canonical, without a slash at its end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreDir(Arc<str>);

impl StoreDir {
    /// A store directory; an error unless it is absolute. Redundant slashes and dots are removed.
    pub fn new(dir: &str) -> Result<StoreDir, Error> {
        Ok(StoreDir(Arc::from(canonical(dir)?)))
    }

    /// The folder as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `<store dir>/<hash part>-<name>`.
    pub fn print(&self, path: &StorePath) -> String {
        let mut out = String::with_capacity(self.0.len() + 1 + path.as_str().len());
        out.push_str(&self.0);
        out.push('/');
        out.push_str(path.as_str());
        out
    }

    /// Appends what [`StoreDir::print`] gives.
    pub fn print_into(&self, path: &StorePath, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
        out.push(b'/');
        out.extend_from_slice(path.as_str().as_bytes());
    }

    /// Reads a path directly inside the store.
    pub fn parse(&self, path: &str) -> Result<StorePath, Error> {
        let text;
        let rest = match self.strip(path) {
            Some(rest) if !needs_cleaning(rest) => rest,
            _ => {
                text = canonical(path)?;
                self.strip(&text).ok_or_else(|| Error::NotInStore(text.clone()))?
            }
        };
        if rest.is_empty() || rest.contains('/') {
            return Err(Error::NotInStore(path.to_owned()));
        }
        StorePath::parse(rest)
    }

    /// As [`StoreDir::parse`], from bytes that may not even be UTF-8.
    pub fn parse_bytes(&self, path: &[u8]) -> Result<StorePath, Error> {
        match std::str::from_utf8(path) {
            Ok(text) => self.parse(text),
            Err(_) => self.parse(&String::from_utf8_lossy(path)),
        }
    }

    /// Reads a path inside the store or below it: the store path, and the rest with its leading slash (or nothing).
    pub fn parse_inside(&self, path: &str) -> Result<(StorePath, String), Error> {
        let text = match self.strip(path) {
            Some(rest) if !needs_cleaning(rest) => path.to_owned(),
            _ => canonical(path)?,
        };
        let rest = self.strip(&text).filter(|rest| !rest.is_empty()).ok_or_else(|| Error::NotInStore(text.clone()))?;
        let (base, below) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        Ok((StorePath::parse(base)?, below.to_owned()))
    }

    /// Whether a canonical absolute path lies in the store folder (not: is the folder itself).
    pub fn contains(&self, path: &str) -> bool {
        self.strip(path).is_some_and(|rest| !rest.is_empty())
    }

    fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&*self.0)?.strip_prefix('/')
    }

    /// The path of a text object (`toFile`, `.drv` files): sha256 of the bytes, and what they refer to.
    pub fn text_path(&self, name: &str, hash: &Hash, references: &BTreeSet<StorePath>) -> Result<StorePath, Error> {
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(b"text");
        self.hash_references(&mut hasher, references);
        self.finish_path(hasher, hash, name)
    }

    /// As [`StoreDir::text_path`], with the references as a sorted list.
    pub fn text_path_of(&self, name: &str, hash: &Hash, references: &[&StorePath]) -> Result<StorePath, Error> {
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(b"text");
        self.hash_references(&mut hasher, references.iter().copied());
        self.finish_path(hasher, hash, name)
    }

    /// The path of a tree added by recursive sha256: the NAR hash (self-references hashed as zeros), and references.
    pub fn source_path(&self, name: &str, hash: &Hash, references: &References) -> Result<StorePath, Error> {
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(b"source");
        self.hash_references(&mut hasher, &references.others);
        if references.self_reference {
            hasher.update(b":self");
        }
        self.finish_path(hasher, hash, name)
    }

    /// The path of a content-addressed object that is not text. Only recursive sha256 may have references.
    pub fn fixed_output_path(
        &self,
        method: ContentAddressMethod,
        hash: &Hash,
        name: &str,
        references: &References,
    ) -> Result<StorePath, Error> {
        match method {
            ContentAddressMethod::Text if references.self_reference => return Err(Error::TextSelfReference),
            ContentAddressMethod::Text => return self.text_path(name, hash, &references.others),
            ContentAddressMethod::Git if !matches!(hash.algorithm(), HashAlgorithm::Sha1 | HashAlgorithm::Sha256) => {
                return Err(Error::GitAlgorithm(hash.algorithm()));
            }
            ContentAddressMethod::NixArchive if hash.algorithm() == HashAlgorithm::Sha256 => {
                return self.source_path(name, hash, references);
            }
            _ => {}
        }
        if !references.is_empty() {
            return Err(Error::FixedWithReferences(name.to_owned()));
        }
        let inner = format!("fixed:out:{}{}:", method.prefix(), hash.format(crate::HashFormat::Base16, true));
        let inner = Hash::of(HashAlgorithm::Sha256, inner.as_bytes());
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(b"output:out");
        self.finish_path(hasher, &inner, name)
    }

    /// The path of a content-addressed object, text included.
    pub fn content_addressed_path(
        &self,
        name: &str,
        address: &ContentAddress,
        references: &References,
    ) -> Result<StorePath, Error> {
        self.fixed_output_path(address.method, &address.hash, name, references)
    }

    /// The path of an input-addressed output: the derivation's hash modulo and the output's name.
    pub fn output_path(&self, output: &str, hash_modulo: &Hash, drv_name: &str) -> Result<StorePath, Error> {
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(b"output:");
        hasher.update(output.as_bytes());
        self.finish_path(hasher, hash_modulo, &output_path_name(drv_name, output))
    }

    fn hash_references<'a>(&self, hasher: &mut Hasher, references: impl IntoIterator<Item = &'a StorePath>) {
        for path in references {
            hasher.update(b":");
            hasher.update(self.0.as_bytes());
            hasher.update(b"/");
            hasher.update(path.as_str().as_bytes());
        }
    }

    fn finish_path(&self, mut hasher: Hasher, inner: &Hash, name: &str) -> Result<StorePath, Error> {
        hasher.update(b":");
        hasher.update(inner.algorithm().name().as_bytes());
        hasher.update(b":");
        hasher.update(inner.to_base16().as_bytes());
        hasher.update(b":");
        hasher.update(self.0.as_bytes());
        hasher.update(b":");
        hasher.update(name.as_bytes());
        StorePath::from_parts(compress(hasher.finish().digest()), name)
    }
}

/// The name in the path of an output: the derivation's, followed by `-<output>` unless that is `out`.
pub fn output_path_name(drv_name: &str, output: &str) -> String {
    if output == "out" { drv_name.to_owned() } else { format!("{drv_name}-{output}") }
}

impl fmt::Display for StoreDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StoreDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether lexical cleaning would change this part of a path.
fn needs_cleaning(rest: &str) -> bool {
    rest.split('/').any(|part| matches!(part, "" | "." | ".."))
}

/// An absolute path without `.`, `..` and empty components; nothing is looked up.
pub fn canonical(path: &str) -> Result<String, Error> {
    if !path.starts_with('/') {
        return Err(Error::NotAbsolute(path.to_owned()));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}
