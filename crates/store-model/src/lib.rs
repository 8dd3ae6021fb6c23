//! The nouns of the store, without IO: hashes and their encodings, store paths, content addresses, derivations, derived
//! paths, realisations, path metadata, signatures, and the scanner that finds references.
//!
//! Data walks from bytes to nouns (`parse`) and back (`print`); every parser takes hostile bytes and answers with an
//! [`Error`], never a panic, nor an allocation larger than its input justifies. The store directory is a value
//! ([`StoreDir`]), so one process can speak of several stores.
//!
//! Absent by intent: files, databases, the network, the clock, randomness, settings. Experimental features are not gated
//! here: the parsers accept all forms that C++ Nix 2.34 knows, and whoever creates such an object decides
//! whether it is allowed.

pub mod build_result;
pub mod content_address;
pub mod derivation;
pub mod derived_path;
mod error;
pub mod hash;
pub mod json_text;
pub mod nar_info;
mod outputs;
pub mod path_info;
pub mod realisation;
pub mod references;
pub mod signature;
pub mod store_dir;
pub mod store_path;

pub use build_result::{BuildResult, BuildStatus};
pub use content_address::{ContentAddress, ContentAddressMethod, References};
pub use derivation::{Derivation, DerivationKind, DerivationOutput, InputOutputs, StructuredAttrs};
pub use derived_path::{DerivedPath, OutputsSpec, SingleDerivedPath};
pub use error::Error;
pub use hash::{Hash, HashAlgorithm, HashFormat, Hasher};
pub use nar_info::NarInfo;
pub use outputs::{OutputMap, OutputName, OutputNames};
pub use path_info::PathInfo;
pub use realisation::{DrvOutput, Realisation};
pub use references::{HashModuloWriter, HashRewriter, RefScanner};
pub use signature::{PublicKey, PublicKeys, SecretKey, Signature};
pub use store_dir::StoreDir;
pub use store_path::StorePath;
