//! Derivations: what to run, on what, to make which store objects.
//!
//! `aterm.rs` reads and prints the form on disk, `draft.rs` makes it from an expression's parts, `json.rs` the form for people and tools, `hash_modulo.rs` computes the
//! hash that input-addressed output paths come from and fills those paths in, `options.rs` reads the attributes that
//! the builder obeys, `resolve.rs` puts paths in the place of inputs, `parts.rs` takes what one store sends another. Strings that builders see are bytes; names of outputs and of the derivation are text.
//!
//! Absent: running anything; finding out what outputs became; reading `.drv` files from a store.

pub mod aterm;
pub mod draft;
pub mod hash_modulo;
pub mod json;
pub mod options;
pub mod parts;
pub mod resolve;
mod structured_attrs;

pub use draft::{DerivationDraft, DraftBuffers, DraftOutput, Instantiated};
pub use hash_modulo::HashModulo;
pub use options::DerivationOptions;
pub use parts::DerivationParts;
pub use structured_attrs::StructuredAttrs;

use crate::content_address::{ContentAddress, ContentAddressMethod, References};
use crate::hash::{Hash, HashAlgorithm};
use crate::outputs::compact;
use crate::store_dir::{StoreDir, output_path_name};
use crate::store_path::{DRV_EXTENSION, StorePath};
use crate::{Error, OutputMap, OutputName, OutputNames};
use litemap::LiteMap;
use std::collections::{BTreeMap, BTreeSet};

/// One output of a derivation: how its path comes about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DerivationOutput {
    /// The path follows from the derivation.
    InputAddressed(StorePath),
    /// The path follows from a hash that the author wrote.
    CAFixed(ContentAddress),
    /// The path follows from the bytes, once they are built (experimental feature `ca-derivations`).
    CAFloating {
        /// How the result will be hashed.
        method: ContentAddressMethod,
        /// With which algorithm.
        algorithm: HashAlgorithm,
    },
    /// Input-addressed, but some input's path is not known yet.
    Deferred,
    /// As floating, but the build may see the network and is never reused (`impure-derivations`).
    Impure {
        /// How the result will be hashed.
        method: ContentAddressMethod,
        /// With which algorithm.
        algorithm: HashAlgorithm,
    },
}

impl DerivationOutput {
    /// The output's path, if it is known; an error when a fixed output's path cannot be formed.
    pub fn path(&self, store_dir: &StoreDir, drv_name: &str, output: &str) -> Result<Option<StorePath>, Error> {
        match self {
            DerivationOutput::InputAddressed(path) => Ok(Some(path.clone())),
            DerivationOutput::CAFixed(address) => store_dir
                .content_addressed_path(&output_path_name(drv_name, output), address, &References::default())
                .map(Some),
            DerivationOutput::CAFloating { .. } | DerivationOutput::Deferred | DerivationOutput::Impure { .. } => {
                Ok(None)
            }
        }
    }
}

/// What is used of an input derivation: outputs, and outputs of its outputs (experimental feature `dynamic-derivations`).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputOutputs {
    /// Its outputs.
    pub outputs: OutputNames,
    /// By output that is itself a derivation: what is used of that one.
    pub dynamic: BTreeMap<OutputName, InputOutputs>,
}

impl InputOutputs {
    /// Plain outputs.
    pub fn of<I: IntoIterator<Item = S>, S: Into<OutputName>>(outputs: I) -> InputOutputs {
        InputOutputs { outputs: outputs.into_iter().map(Into::into).collect(), dynamic: BTreeMap::new() }
    }
}

/// The kind of a derivation, decided by all of its outputs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DerivationKind {
    /// All paths follow from the derivation.
    InputAddressed,
    /// They will, when the inputs' paths are known.
    Deferred,
    /// One output whose hash is given; it may use the network.
    Fixed,
    /// Content-addressed by what is built.
    Floating,
    /// As floating, with the network and never reused.
    Impure,
}

impl DerivationKind {
    /// Whether every output's path is known before building.
    pub fn has_known_outputs(self) -> bool {
        matches!(self, DerivationKind::InputAddressed | DerivationKind::Fixed)
    }

    /// Whether outputs are content-addressed.
    pub fn is_content_addressed(self) -> bool {
        matches!(self, DerivationKind::Fixed | DerivationKind::Floating | DerivationKind::Impure)
    }

    /// Whether the build is shut off from the network.
    pub fn is_sandboxed(self) -> bool {
        !matches!(self, DerivationKind::Fixed | DerivationKind::Impure)
    }
}

/// A derivation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derivation {
    /// The name, without `.drv`.
    pub name: String,
    /// What it makes.
    pub outputs: OutputMap<DerivationOutput>,
    /// Derivations of which it uses outputs.
    pub input_drvs: LiteMap<StorePath, InputOutputs>,
    /// Store objects that it uses as they are.
    pub input_srcs: BTreeSet<StorePath>,
    /// The system it must be built on, such as `x86_64-linux`.
    pub platform: Vec<u8>,
    /// The program to run, or `builtin:<name>`.
    pub builder: Vec<u8>,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
    /// Its environment, without `__json`.
    pub env: LiteMap<Vec<u8>, Vec<u8>>,
    /// Structured attributes, which stand as `__json` in the form on disk.
    pub structured_attrs: Option<StructuredAttrs>,
}

impl Derivation {
    /// Whether the builder is one of the built-in programs.
    pub fn is_builtin(&self) -> bool {
        self.builder.starts_with(b"builtin:")
    }

    /// A variable of the environment.
    pub fn env_var(&self, name: &str) -> Option<&[u8]> {
        self.env.get(name.as_bytes()).map(Vec::as_slice)
    }

    /// The kind; an error when the outputs do not go together.
    pub fn kind(&self) -> Result<DerivationKind, Error> {
        let mut kind = None;
        let mut floating_algorithm = None;
        for (name, output) in &self.outputs {
            let this = match output {
                DerivationOutput::InputAddressed(_) => DerivationKind::InputAddressed,
                DerivationOutput::CAFixed(_) => DerivationKind::Fixed,
                DerivationOutput::CAFloating { .. } => DerivationKind::Floating,
                DerivationOutput::Deferred => DerivationKind::Deferred,
                DerivationOutput::Impure { .. } => DerivationKind::Impure,
            };
            match kind {
                None => kind = Some(this),
                Some(other) if other != this => return Err(Error::MixedOutputs),
                Some(DerivationKind::Fixed) => return Err(Error::SeveralFixedOutputs),
                Some(_) => {}
            }
            match output {
                DerivationOutput::CAFixed(_) if name != "out" => return Err(Error::FixedOutputName),
                DerivationOutput::CAFloating { algorithm, .. }
                    if *floating_algorithm.get_or_insert(*algorithm) != *algorithm =>
                {
                    return Err(Error::MixedFloatingAlgorithms);
                }
                _ => {}
            }
        }
        kind.ok_or(Error::NoOutputs)
    }

    /// The path of every output, where it is known.
    pub fn output_paths(&self, store_dir: &StoreDir) -> Result<OutputMap<Option<StorePath>>, Error> {
        let path = |(name, output): (&OutputName, &DerivationOutput)| {
            Ok((name.clone(), output.path(store_dir, &self.name, name)?))
        };
        self.outputs.iter().map(path).collect::<Result<Vec<_>, Error>>().map(compact)
    }

    /// What the `.drv` file refers to: input sources and input derivations, not outputs.
    pub fn references(&self) -> BTreeSet<StorePath> {
        self.input_srcs.iter().chain(self.input_drvs.keys()).cloned().collect()
    }

    /// The `.drv` file: its path, its bytes, what it refers to, and the hash of its bytes.
    pub fn to_text_object(&self, store_dir: &StoreDir) -> Result<TextObject, Error> {
        let contents = aterm::print(store_dir, self)?;
        let name = format!("{}{DRV_EXTENSION}", self.name);
        TextObject::new(store_dir, &name, contents, self.references())
    }
}

/// A text object that is about to be added to a store: a `.drv` file, or what `toFile` makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextObject {
    /// Its path, computed from the rest.
    pub path: StorePath,
    /// Its bytes.
    pub contents: Vec<u8>,
    /// What it refers to.
    pub references: BTreeSet<StorePath>,
    /// sha256 of its bytes.
    pub hash: Hash,
}

impl TextObject {
    /// Computes hash and path; an error when the name is not valid.
    pub fn new(
        store_dir: &StoreDir,
        name: &str,
        contents: Vec<u8>,
        references: BTreeSet<StorePath>,
    ) -> Result<TextObject, Error> {
        let hash = Hash::of(HashAlgorithm::Sha256, &contents);
        let path = store_dir.text_path(name, &hash, &references)?;
        Ok(TextObject { path, contents, references, hash })
    }
}
