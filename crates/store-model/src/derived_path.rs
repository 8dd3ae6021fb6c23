//! References to what a derivation makes, before it is made: derived paths, output specifications, placeholders.
//!
//! Text forms: `<path>`, `<path>^out,dev`, `<path>^*`, with `!` for `^` in older programs; dynamic ones chain. Absent:
//! installables of the command line (flakes and attributes), which `session` resolves into these.

use crate::hash::encoding::nix32_encode;
use crate::hash::{Hash, HashAlgorithm, compress};
use crate::store_dir::{StoreDir, output_path_name};
use crate::store_path::{StorePath, check_name};
use crate::{Error, OutputName, OutputNames};

/// Which outputs of a derivation are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputsSpec {
    /// Every one (`*`).
    All,
    /// These; never empty when parsed.
    Names(OutputNames),
}

impl OutputsSpec {
    /// Reads `*` or names with commas between them.
    pub fn parse(text: &str) -> Result<OutputsSpec, Error> {
        if text == "*" {
            return Ok(OutputsSpec::All);
        }
        let names: OutputNames = text.split(',').map(str::to_owned).collect();
        names.iter().try_for_each(|name| check_name(name))?;
        Ok(OutputsSpec::Names(names))
    }

    /// Whether this output is meant.
    pub fn contains(&self, output: &str) -> bool {
        match self {
            OutputsSpec::All => true,
            OutputsSpec::Names(names) => names.contains(output),
        }
    }

    /// Prints what [`OutputsSpec::parse`] reads.
    pub fn print(&self) -> String {
        match self {
            OutputsSpec::All => "*".to_owned(),
            OutputsSpec::Names(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(","),
        }
    }
}

/// A store path that exists, or one output of something that is to be built.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SingleDerivedPath {
    /// A path that is known.
    Opaque(StorePath),
    /// An output of a derivation, which may itself be an output (dynamic derivations).
    Built {
        /// The derivation.
        drv: Box<SingleDerivedPath>,
        /// Its output.
        output: OutputName,
    },
}

impl SingleDerivedPath {
    /// The path at the bottom of the chain.
    pub fn base(&self) -> &StorePath {
        match self {
            SingleDerivedPath::Opaque(path) => path,
            SingleDerivedPath::Built { drv, .. } => drv.base(),
        }
    }

    /// Prints `<path>` or `<drv>^<output>`.
    pub fn print(&self, store_dir: &StoreDir) -> String {
        match self {
            SingleDerivedPath::Opaque(path) => store_dir.print(path),
            SingleDerivedPath::Built { drv, output } => format!("{}^{output}", drv.print(store_dir)),
        }
    }

    fn parse(store_dir: &StoreDir, text: &str, separator: char) -> Result<SingleDerivedPath, Error> {
        // Built from the left, so that a hostile chain costs no stack.
        let mut parts = text.split(separator);
        let mut path = SingleDerivedPath::Opaque(store_dir.parse(parts.next().unwrap_or_default())?);
        for (depth, output) in parts.enumerate() {
            if depth >= MAX_CHAIN {
                return Err(Error::OutputsSpec(text.chars().take(80).collect()));
            }
            path = SingleDerivedPath::Built { drv: Box::new(path), output: output.to_owned() };
        }
        Ok(path)
    }
}

/// Outputs of outputs of outputs: more than anyone builds, less than a stack holds.
const MAX_CHAIN: usize = 64;

/// What a user or program asks to have: a path, or some outputs of a derivation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DerivedPath {
    /// A path: valid already, or to be substituted.
    Opaque(StorePath),
    /// Outputs of a derivation.
    Built {
        /// The derivation.
        drv: SingleDerivedPath,
        /// The outputs wanted.
        outputs: OutputsSpec,
    },
}

impl DerivedPath {
    /// Every output of a derivation whose path is known.
    pub fn all_outputs(drv: StorePath) -> DerivedPath {
        DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), outputs: OutputsSpec::All }
    }

    /// One output of a derivation whose path is known.
    pub fn output(drv: StorePath, output: &str) -> DerivedPath {
        DerivedPath::Built {
            drv: SingleDerivedPath::Opaque(drv),
            outputs: OutputsSpec::Names(OutputNames::from([output.to_owned()])),
        }
    }

    /// Reads the form with `^`.
    pub fn parse(store_dir: &StoreDir, text: &str) -> Result<DerivedPath, Error> {
        Self::parse_with(store_dir, text, '^')
    }

    /// Reads the older form with `!`, as the worker protocol sends it.
    pub fn parse_legacy(store_dir: &StoreDir, text: &str) -> Result<DerivedPath, Error> {
        Self::parse_with(store_dir, text, '!')
    }

    fn parse_with(store_dir: &StoreDir, text: &str, separator: char) -> Result<DerivedPath, Error> {
        match text.rsplit_once(separator) {
            None => Ok(DerivedPath::Opaque(store_dir.parse(text)?)),
            Some((drv, outputs)) => Ok(DerivedPath::Built {
                drv: SingleDerivedPath::parse(store_dir, drv, separator)?,
                outputs: OutputsSpec::parse(outputs)?,
            }),
        }
    }

    /// The path at the bottom of the chain.
    pub fn base(&self) -> &StorePath {
        match self {
            DerivedPath::Opaque(path) => path,
            DerivedPath::Built { drv, .. } => drv.base(),
        }
    }

    /// Prints `<path>` or `<drv>^<outputs>`.
    pub fn print(&self, store_dir: &StoreDir) -> String {
        match self {
            DerivedPath::Opaque(path) => store_dir.print(path),
            DerivedPath::Built { drv, outputs } => format!("{}^{}", drv.print(store_dir), outputs.print()),
        }
    }
}

/// What stands for the path of an own output inside its derivation: `/<nix32 of sha256("nix-output:<output>")>`.
pub fn hash_placeholder(output: &str) -> String {
    let hash = Hash::of(HashAlgorithm::Sha256, format!("nix-output:{output}").as_bytes());
    format!("/{}", hash.to_nix32())
}

/// What stands for the path of an output that is not known yet, in derivations that use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownstreamPlaceholder(Hash);

impl DownstreamPlaceholder {
    /// For an output of a content-addressed derivation whose own path is known; an error when that is no `.drv`.
    pub fn of_output(drv: &StorePath, output: &str) -> Result<DownstreamPlaceholder, Error> {
        let name = output_path_name(drv.derivation_name()?, output);
        let text = format!("nix-upstream-output:{}:{name}", drv.hash_part());
        Ok(DownstreamPlaceholder(Hash::of(HashAlgorithm::Sha256, text.as_bytes())))
    }

    /// For an output of a derivation that is itself only a placeholder (dynamic derivations).
    pub fn of_dynamic_output(self, output: &str) -> DownstreamPlaceholder {
        let folded: [u8; 20] = compress(self.0.digest());
        let text = format!("nix-computed-output:{}:{output}", nix32_encode(&folded));
        DownstreamPlaceholder(Hash::of(HashAlgorithm::Sha256, text.as_bytes()))
    }

    /// For a whole chain; an error when its bottom is no `.drv`.
    pub fn of_chain(drv: &SingleDerivedPath, output: &str) -> Result<DownstreamPlaceholder, Error> {
        match drv {
            SingleDerivedPath::Opaque(path) => Self::of_output(path, output),
            SingleDerivedPath::Built { drv, output: inner } => {
                Ok(Self::of_chain(drv, inner)?.of_dynamic_output(output))
            }
        }
    }

    /// The text that stands in the derivation.
    pub fn render(self) -> String {
        format!("/{}", self.0.to_nix32())
    }
}
