//! The `.narinfo` text of binary caches: path metadata and where the compressed archive lies.
//!
//! Lines of `Key: value`; unknown keys are skipped, the order is free on reading and C++ Nix's on writing. Absent:
//! fetching, and the archive.

use crate::Error;
use crate::content_address::ContentAddress;
use crate::hash::Hash;
use crate::path_info::PathInfo;
use crate::signature::Signature;
use crate::store_dir::StoreDir;
use crate::store_path::StorePath;
use std::fmt::Write;

/// One `.narinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    /// The metadata of the path.
    pub info: PathInfo,
    /// Where the archive lies, relative to the cache.
    pub url: String,
    /// How it is compressed: `none`, `xz`, `bzip2`, `zstd` ...
    pub compression: String,
    /// Hash of the compressed archive.
    pub file_hash: Option<Hash>,
    /// Bytes of the compressed archive; 0 when not known.
    pub file_size: u64,
}

impl NarInfo {
    /// Reads the text; `whence` names its place in errors.
    pub fn parse(store_dir: &StoreDir, text: &str, whence: &str) -> Result<NarInfo, Error> {
        let mut draft = Draft::default();
        let mut rest = text;
        let mut line = 1;
        while !rest.is_empty() {
            let corrupt =
                |reason: &str| Error::NarInfo { whence: whence.to_owned(), reason: format!("{reason} at line {line}") };
            let (key, after) = rest.split_once(':').ok_or_else(|| corrupt("expecting ':'"))?;
            // One byte follows the colon, whatever it is, and the value is on the same line.
            let mut characters = after.chars();
            characters.next().ok_or_else(|| corrupt("expecting '\\n'"))?;
            let (value, next) = characters.as_str().split_once('\n').ok_or_else(|| corrupt("expecting '\\n'"))?;
            draft.line(store_dir, key, value, &corrupt)?;
            rest = next;
            line += 1;
        }
        draft.finish(whence)
    }

    /// Writes the text. Absent fields are left out.
    pub fn print(&self, store_dir: &StoreDir) -> String {
        let mut out = String::new();
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{key}: {value}");
        };
        line("StorePath", &store_dir.print(&self.info.path));
        line("URL", &self.url);
        line("Compression", &self.compression);
        if let Some(hash) = &self.file_hash {
            line("FileHash", hash);
            line("FileSize", &self.file_size);
        }
        line("NarHash", &self.info.nar_hash);
        line("NarSize", &self.info.nar_size);
        let references: Vec<&str> = self.info.references.iter().map(StorePath::as_str).collect();
        line("References", &references.join(" "));
        if let Some(deriver) = &self.info.deriver {
            line("Deriver", deriver);
        }
        for signature in &self.info.signatures {
            line("Sig", signature);
        }
        if let Some(address) = &self.info.content_address {
            line("CA", address);
        }
        out
    }
}

#[derive(Default)]
struct Draft {
    path: Option<StorePath>,
    nar_hash: Option<Hash>,
    nar_size: u64,
    url: String,
    compression: String,
    file_hash: Option<Hash>,
    file_size: u64,
    references: std::collections::BTreeSet<StorePath>,
    deriver: Option<StorePath>,
    signatures: std::collections::BTreeSet<Signature>,
    content_address: Option<ContentAddress>,
}

impl Draft {
    fn line(
        &mut self,
        store_dir: &StoreDir,
        key: &str,
        value: &str,
        corrupt: &dyn Fn(&str) -> Error,
    ) -> Result<(), Error> {
        let hash = || Hash::parse_prefixed(value).map_err(|_| corrupt("bad hash"));
        match key {
            "StorePath" => self.path = Some(store_dir.parse(value)?),
            "URL" => self.url = value.to_owned(),
            "Compression" => self.compression = value.to_owned(),
            "FileHash" => self.file_hash = Some(hash()?),
            "FileSize" => self.file_size = value.parse().map_err(|_| corrupt("invalid FileSize"))?,
            "NarHash" => self.nar_hash = Some(hash()?),
            "NarSize" => self.nar_size = value.parse().map_err(|_| corrupt("invalid NarSize"))?,
            "References" => {
                if !self.references.is_empty() {
                    return Err(corrupt("extra References"));
                }
                self.references =
                    value.split(' ').filter(|r| !r.is_empty()).map(StorePath::parse).collect::<Result<_, _>>()?;
            }
            "Deriver" if value == "unknown-deriver" => {}
            "Deriver" => self.deriver = Some(StorePath::parse(value)?),
            "Sig" => {
                self.signatures.insert(Signature::parse(value)?);
            }
            "CA" if self.content_address.is_some() => return Err(corrupt("extra CA")),
            "CA" if value.is_empty() => {}
            "CA" => self.content_address = Some(ContentAddress::parse(value)?),
            _ => {}
        }
        Ok(())
    }

    fn finish(self, whence: &str) -> Result<NarInfo, Error> {
        let missing = |reason: &str| Error::NarInfo { whence: whence.to_owned(), reason: reason.to_owned() };
        let path = self.path.ok_or_else(|| missing("StorePath missing"))?;
        let nar_hash = self.nar_hash.ok_or_else(|| missing("NarHash missing"))?;
        if self.url.is_empty() {
            return Err(missing("URL missing"));
        }
        if self.nar_size == 0 {
            return Err(missing("NarSize missing or zero"));
        }
        let compression = if self.compression.is_empty() { "bzip2".to_owned() } else { self.compression };
        let mut info = PathInfo::new(path, nar_hash, self.nar_size);
        info.references = self.references;
        info.deriver = self.deriver;
        info.signatures = self.signatures;
        info.content_address = self.content_address;
        Ok(NarInfo { info, url: self.url, compression, file_hash: self.file_hash, file_size: self.file_size })
    }
}
