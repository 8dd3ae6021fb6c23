//! Signatures and keys: `<key name>:<base64>`, raw ed25519.
//!
//! Absent: making keys needs randomness, which the caller brings as a seed; where keys lie is the settings' business.

use crate::Error;
use crate::hash::encoding::{base64_decode, base64_encode};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use std::collections::BTreeMap;
use std::fmt;

/// A signature with the name of the key that made it. Its bytes are judged only when it is verified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    /// The key's name, such as `cache.example.org-1`.
    pub key_name: String,
    /// The signature: 64 bytes if it is any good.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// Reads `<key name>:<base64>`.
    pub fn parse(text: &str) -> Result<Signature, Error> {
        let (key_name, bytes) = split(text, "signature")?;
        Ok(Signature { key_name, bytes })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key_name, base64_encode(&self.bytes))
    }
}

/// A secret key: 64 bytes, the seed and the public key.
#[derive(Clone)]
pub struct SecretKey {
    name: String,
    key: SigningKey,
}

impl SecretKey {
    /// Reads `<key name>:<base64>`.
    pub fn parse(text: &str) -> Result<SecretKey, Error> {
        let (name, bytes) = split(text, "key")?;
        let bytes: [u8; 64] = bytes.try_into().map_err(|_| Error::KeyInvalid("secret key"))?;
        let key = SigningKey::from_keypair_bytes(&bytes).map_err(|_| Error::KeyInvalid("secret key"))?;
        Ok(SecretKey { name, key })
    }

    /// A key from 32 random bytes.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> SecretKey {
        SecretKey { name: name.to_owned(), key: SigningKey::from_bytes(&seed) }
    }

    /// Signs.
    pub fn sign(&self, data: &[u8]) -> Signature {
        Signature { key_name: self.name.clone(), bytes: self.key.sign(data).to_bytes().to_vec() }
    }

    /// The other half.
    pub fn to_public(&self) -> PublicKey {
        PublicKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The secret text form. Not `Display`, so that it is never printed by accident.
    pub fn reveal(&self) -> String {
        format!("{}:{}", self.name, base64_encode(&self.key.to_keypair_bytes()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.name)
    }
}

/// A public key: 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// Reads `<key name>:<base64>`.
    pub fn parse(text: &str) -> Result<PublicKey, Error> {
        let (name, bytes) = split(text, "key")?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| Error::KeyInvalid("public key"))?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| Error::KeyInvalid("public key"))?;
        Ok(PublicKey { name, key })
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the signature names this key and is correct.
    pub fn verify(&self, data: &[u8], signature: &Signature) -> bool {
        signature.key_name == self.name
            && ed25519_dalek::Signature::from_slice(&signature.bytes)
                .is_ok_and(|s| self.key.verify_strict(data, &s).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, base64_encode(self.key.as_bytes()))
    }
}

/// Trusted public keys by name.
#[derive(Debug, Clone, Default)]
pub struct PublicKeys(BTreeMap<String, PublicKey>);

impl PublicKeys {
    /// Whether one of the keys made the signature.
    pub fn verify(&self, data: &[u8], signature: &Signature) -> bool {
        self.0.get(&signature.key_name).is_some_and(|key| key.verify(data, signature))
    }
}

impl FromIterator<PublicKey> for PublicKeys {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> PublicKeys {
        PublicKeys(keys.into_iter().map(|key| (key.name.clone(), key)).collect())
    }
}

fn split(text: &str, noun: &'static str) -> Result<(String, Vec<u8>), Error> {
    let (name, digits) = text.split_once(':').ok_or(Error::SignatureForm(noun))?;
    let bytes = base64_decode(digits)?;
    if name.is_empty() || bytes.is_empty() {
        return Err(Error::SignatureForm(noun));
    }
    Ok((name.to_owned(), bytes))
}
