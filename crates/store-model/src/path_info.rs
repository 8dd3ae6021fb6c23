//! What a store knows about a valid path.
//!
//! The same record stands in the database, in narinfo files and on the wire. Absent: the bytes of the object, and who
//! is trusted.

use crate::Error;
use crate::content_address::{ContentAddress, ContentAddressMethod, References};
use crate::hash::Hash;
use crate::signature::{PublicKeys, SecretKey, Signature};
use crate::store_dir::StoreDir;
use crate::store_path::StorePath;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The metadata of a valid path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// sha256 of its NAR.
    pub nar_hash: Hash,
    /// Bytes of its NAR; 0 when not known.
    pub nar_size: u64,
    /// What it refers to, itself included if it does.
    pub references: BTreeSet<StorePath>,
    /// The derivation that made it, if known.
    pub deriver: Option<StorePath>,
    /// When it was registered, seconds since 1970; 0 when not known.
    pub registration_time: i64,
    /// Whether it was built here, not copied or substituted.
    pub ultimate: bool,
    /// Who vouches for it.
    pub signatures: BTreeSet<Signature>,
    /// How its path follows from its bytes, if it does.
    pub content_address: Option<ContentAddress>,
}

impl PathInfo {
    /// A record with nothing but the path and the hash and size of its NAR.
    pub fn new(path: StorePath, nar_hash: Hash, nar_size: u64) -> PathInfo {
        PathInfo {
            path,
            nar_hash,
            nar_size,
            references: BTreeSet::new(),
            deriver: None,
            registration_time: 0,
            ultimate: false,
            signatures: BTreeSet::new(),
            content_address: None,
        }
    }

    /// The text that is signed: `1;<path>;<nar hash>;<nar size>;<references>`; an error when the size is not known.
    pub fn fingerprint(&self, store_dir: &StoreDir) -> Result<String, Error> {
        if self.nar_size == 0 {
            return Err(Error::FingerprintWithoutSize(store_dir.print(&self.path)));
        }
        let references: Vec<String> = self.references.iter().map(|path| store_dir.print(path)).collect();
        Ok(format!("1;{};{};{};{}", store_dir.print(&self.path), self.nar_hash, self.nar_size, references.join(",")))
    }

    /// Adds a signature; an error when the size is not known.
    pub fn sign(&mut self, store_dir: &StoreDir, key: &SecretKey) -> Result<(), Error> {
        let signature = key.sign(self.fingerprint(store_dir)?.as_bytes());
        self.signatures.insert(signature);
        Ok(())
    }

    /// The same of an object whose path follows from its address and references.
    pub fn addressed(
        path: StorePath,
        (nar_hash, nar_size): (Hash, u64),
        address: ContentAddress,
        references: References,
    ) -> PathInfo {
        let mut info = PathInfo::new(path, nar_hash, nar_size);
        info.references = references.others;
        if references.self_reference {
            info.references.insert(info.path.clone());
        }
        info.content_address = Some(address);
        info
    }

    /// Whether the path follows from the content address and the references; false without a content address.
    pub fn is_content_addressed(&self, store_dir: &StoreDir) -> bool {
        let Some(address) = &self.content_address else { return false };
        let mut others = self.references.clone();
        let self_reference = others.remove(&self.path);
        if self_reference && address.method == ContentAddressMethod::Text {
            return false;
        }
        let references = References { others, self_reference };
        store_dir.content_addressed_path(self.path.name(), address, &references).is_ok_and(|path| path == self.path)
    }

    /// How many signatures are by one of the keys and correct; all that could be, when the path proves itself.
    pub fn good_signatures(&self, store_dir: &StoreDir, keys: &PublicKeys) -> usize {
        if self.is_content_addressed(store_dir) {
            return usize::MAX;
        }
        match self.fingerprint(store_dir) {
            Ok(text) => self.signatures.iter().filter(|s| keys.verify(text.as_bytes(), s)).count(),
            Err(_) => 0,
        }
    }

    /// The JSON of `nix path-info --json` (format 1), without closure and download sizes.
    pub fn to_json(&self, store_dir: &StoreDir) -> Value {
        let references: Vec<String> = self.references.iter().map(|path| store_dir.print(path)).collect();
        json!({
            "ca": self.content_address.map(|ca| ca.to_string()),
            "deriver": self.deriver.as_ref().map(|path| store_dir.print(path)),
            "narHash": self.nar_hash.to_sri(),
            "narSize": self.nar_size,
            "references": references,
            "registrationTime": (self.registration_time != 0).then_some(self.registration_time),
            "signatures": self.signatures.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "storeDir": store_dir.as_str(),
            "ultimate": self.ultimate,
            "version": 1,
        })
    }

    /// The JSON of `nix path-info --json --json-format 2`: store paths without their directory.
    pub fn to_json_2(&self, store_dir: &StoreDir) -> Value {
        let address = |ca: &ContentAddress| json!({ "hash": ca.hash.to_sri(), "method": ca.method.name() });
        json!({
            "ca": self.content_address.as_ref().map(address),
            "deriver": self.deriver.as_ref().map(StorePath::as_str),
            "narHash": self.nar_hash.to_sri(),
            "narSize": self.nar_size,
            "references": self.references.iter().map(StorePath::as_str).collect::<Vec<_>>(),
            "registrationTime": (self.registration_time != 0).then_some(self.registration_time),
            "signatures": self.signatures.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "storeDir": store_dir.as_str(),
            "ultimate": self.ultimate,
            "version": 2,
        })
    }
}
