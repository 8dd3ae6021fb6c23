//! The hash of a derivation modulo the ways its fixed inputs are obtained, and the output paths that follow from it.
//!
//! Every input derivation is replaced by its own hash modulo (a fixed-output one by a hash of its result), so that a
//! source's new mirror changes nothing downstream. The caller keeps the table of what was computed; this file asks it
//! once per direct input. Rule: the Nix manual, "store/derivation/outputs/input-address".
//!
//! Absent: reading inputs from a store, which the caller's lookup does.

use super::aterm::{Inputs, print_with};
use super::{Derivation, DerivationKind, DerivationOutput};
use crate::content_address::ContentAddress;
use crate::hash::{Hash, HashAlgorithm, Hasher};
use crate::store_dir::StoreDir;
use crate::store_path::StorePath;
use crate::{Error, OutputName};
use std::sync::Arc;

/// The hash modulo of a derivation, as its users need it. Cloning costs a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashModulo {
    digest: [u8; 32],
    deferred: bool,
    outputs: Arc<[OutputName]>,
}

impl HashModulo {
    pub(super) fn new(digest: [u8; 32], deferred: bool, outputs: Arc<[OutputName]>) -> HashModulo {
        HashModulo { digest, deferred, outputs }
    }

    /// Notes the use of outputs; an error when the derivation has none of that name.
    pub(super) fn use_outputs<'a>(
        &self,
        used: impl Iterator<Item = &'a str>,
        user: &str,
        inputs: &mut Vec<([u8; 32], &'a str)>,
    ) -> Result<(), Error> {
        for output in used {
            // Sorted, as they come from a map or a draft.
            if self.outputs.binary_search_by(|name| name.as_str().cmp(output)).is_err() {
                return Err(Error::NoHashForOutput { output: output.to_owned(), derivation: user.to_owned() });
            }
            inputs.push((self.digest, output));
        }
        Ok(())
    }

    /// The sha256 hash, the same for every output.
    pub fn hash(&self) -> Hash {
        Hash::sha256(self.digest)
    }

    /// Whether output paths cannot be told yet: the derivation or something below it is content-addressed or impure.
    pub fn is_deferred(&self) -> bool {
        self.deferred
    }
}

/// Computes the hash modulo. `mask_outputs` is for a derivation's own output paths, which are not known yet; without it
/// the result is what users of the derivation put in its place. `lookup` answers for the input derivations, always
/// with hashes that were computed without masking.
pub fn hash_modulo<E: From<Error>>(
    store_dir: &StoreDir,
    drv: &Derivation,
    mask_outputs: bool,
    lookup: &mut dyn FnMut(&StorePath) -> Result<HashModulo, E>,
) -> Result<HashModulo, E> {
    let kind = drv.kind()?;
    let outputs: Arc<[OutputName]> = drv.outputs.keys().cloned().collect();
    if kind == DerivationKind::Fixed {
        let digest = fixed_digest(store_dir, drv)?;
        return Ok(HashModulo { digest, deferred: false, outputs });
    }
    let mut deferred = matches!(kind, DerivationKind::Floating | DerivationKind::Impure);
    let mut inputs: Vec<([u8; 32], &str)> = Vec::with_capacity(drv.input_drvs.len());
    for (path, node) in &drv.input_drvs {
        let input = lookup(path)?;
        deferred |= input.deferred || !node.dynamic.is_empty();
        input.use_outputs(node.outputs.iter().map(String::as_str), &drv.name, &mut inputs)?;
    }
    sort_by_hash(&mut inputs);
    let text = print_with(store_dir, drv, mask_outputs, Inputs::Hashes(&inputs))?;
    Ok(HashModulo { digest: sha256(&text), deferred, outputs })
}

/// Sorts inputs by hash and output, each once.
pub(super) fn sort_by_hash(inputs: &mut Vec<([u8; 32], &str)>) {
    // The first bytes decide nearly always.
    let start = |digest: &[u8; 32]| digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    inputs.sort_unstable_by(|a, b| start(&a.0).cmp(&start(&b.0)).then_with(|| a.cmp(b)));
    inputs.dedup();
}

fn fixed_digest(store_dir: &StoreDir, drv: &Derivation) -> Result<[u8; 32], Error> {
    for (name, output) in &drv.outputs {
        if let DerivationOutput::CAFixed(address) = output {
            let path = output.path(store_dir, &drv.name, name)?;
            return Ok(fixed_digest_of(store_dir, address, path.as_ref()));
        }
    }
    Err(Error::NoOutputs)
}

/// What stands for a fixed output whose path is this.
pub(super) fn fixed_digest_of(store_dir: &StoreDir, address: &ContentAddress, path: Option<&StorePath>) -> [u8; 32] {
    let path = path.map(|path| store_dir.print(path)).unwrap_or_default();
    let method = address.method.with_algorithm(address.hash.algorithm());
    sha256(format!("fixed:out:{method}:{}:{path}", address.hash.to_base16()).as_bytes())
}

fn sha256(data: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(data);
    sha256_of(hasher)
}

/// The digest of a sha256.
pub(super) fn sha256_of(hasher: Hasher) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(hasher.finish().digest());
    digest
}

impl Derivation {
    /// Gives every output its path, where it can be told: deferred outputs become input-addressed and their variables
    /// become the path, variables of fixed outputs likewise. The variables should be there already, empty: an empty one
    /// is part of the hash, an absent one is not. Outputs stay deferred when something
    /// below is. A path or variable that is there and wrong is an error.
    pub fn fill_in_output_paths<E: From<Error>>(
        &mut self,
        store_dir: &StoreDir,
        lookup: &mut dyn FnMut(&StorePath) -> Result<HashModulo, E>,
    ) -> Result<(), E> {
        let expected = self.expected_outputs(store_dir, lookup)?;
        for (name, path) in expected {
            let Some(path) = path else { continue };
            let text = store_dir.print(&path).into_bytes();
            if let Some(DerivationOutput::InputAddressed(got)) = self.outputs.get(&name)
                && *got != path
            {
                return Err(wrong_path(store_dir, got, store_dir.print(&path)).into());
            }
            let variable = self.env.entry(name.clone().into_bytes()).or_default();
            if variable.is_empty() {
                variable.clone_from(&text);
            }
            check_variable(&name, Some(variable), &text)?;
            if let Some(output @ DerivationOutput::Deferred) = self.outputs.get_mut(&name) {
                *output = DerivationOutput::InputAddressed(path);
            }
        }
        Ok(())
    }

    /// Checks that every output's path and variable is what the derivation itself gives, as C++ Nix does before it
    /// registers a `.drv`. (An output that is deferred without need is accepted, as there.)
    pub fn check_output_paths<E: From<Error>>(
        &self,
        store_dir: &StoreDir,
        lookup: &mut dyn FnMut(&StorePath) -> Result<HashModulo, E>,
    ) -> Result<(), E> {
        for (name, path) in self.expected_outputs(store_dir, lookup)? {
            let Some(path) = path else { continue };
            match self.outputs.get(&name) {
                Some(DerivationOutput::InputAddressed(got)) if *got != path => {
                    return Err(wrong_path(store_dir, got, store_dir.print(&path)).into());
                }
                Some(DerivationOutput::Deferred) => continue,
                _ => {}
            }
            let variable = self.env.get(name.as_bytes()).map(Vec::as_slice);
            check_variable(&name, variable, store_dir.print(&path).as_bytes())?;
        }
        Ok(())
    }

    /// The path that every output should have; none where it cannot be told before building.
    fn expected_outputs<E: From<Error>>(
        &self,
        store_dir: &StoreDir,
        lookup: &mut dyn FnMut(&StorePath) -> Result<HashModulo, E>,
    ) -> Result<Vec<(OutputName, Option<StorePath>)>, E> {
        let kind = self.kind()?;
        let modulo = match kind {
            DerivationKind::InputAddressed | DerivationKind::Deferred => {
                Some(hash_modulo(store_dir, self, true, lookup)?)
            }
            _ => None,
        };
        let mut expected = Vec::with_capacity(self.outputs.len());
        for (name, output) in &self.outputs {
            let path = match (&modulo, output) {
                (Some(modulo), DerivationOutput::InputAddressed(got)) if modulo.deferred => {
                    return Err(wrong_path(store_dir, got, "deferred".to_owned()).into());
                }
                (Some(modulo), _) if modulo.deferred => None,
                (Some(modulo), _) => Some(store_dir.output_path(name, &modulo.hash(), &self.name)?),
                (None, output) => output.path(store_dir, &self.name, name)?,
            };
            expected.push((name.clone(), path));
        }
        Ok(expected)
    }
}

fn wrong_path(store_dir: &StoreDir, got: &StorePath, expected: String) -> Error {
    Error::WrongOutputPath { got: store_dir.print(got), expected }
}

fn check_variable(name: &str, got: Option<&[u8]>, expected: &[u8]) -> Result<(), Error> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match got {
        None => Err(Error::MissingOutputVariable { name: name.to_owned(), expected: text(expected) }),
        Some(got) if got != expected => {
            Err(Error::WrongOutputVariable { name: name.to_owned(), expected: text(expected), got: text(got) })
        }
        Some(_) => Ok(()),
    }
}
