//! `nix hash`: hashes of files and trees, and conversions between their forms.
//!
//! Here stands what its commands and `nix-hash` have in common.

pub mod convert;
pub mod file;
pub mod path;
pub mod to_base16;
pub mod to_base32;
pub mod to_base64;
pub mod to_sri;

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;

use clap::{Args, Parser};
use session::Settings;
use store_model::{Hash, HashAlgorithm, HashFormat, Hasher};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};

/// A malformed noun as a command's error.
pub fn wrong(error: store_model::Error) -> CommandError {
    CommandError::failed(error.to_string())
}

/// The algorithm of that name, if the settings allow it.
pub fn algorithm(settings: &Settings, name: &str) -> Result<HashAlgorithm, CommandError> {
    let algorithm = HashAlgorithm::parse(name).map_err(wrong)?;
    algorithm.permitted(|feature| settings.feature(feature)).map_err(wrong)
}

/// The hash that a text means; an algorithm that it names must be allowed too.
pub fn read_hash(
    settings: &Settings,
    text: &str,
    expected: Option<HashAlgorithm>,
) -> Result<(Hash, HashFormat), CommandError> {
    if let Some(named) = HashAlgorithm::of_prefix(text) {
        named.permitted(|feature| settings.feature(feature)).map_err(wrong)?;
    }
    Hash::parse_any_with_format(text, expected).map_err(wrong)
}

/// The hash of a file's bytes; links are followed, pipes are read.
pub fn of_file(surface: &Surface, path: &Path, algorithm: HashAlgorithm) -> Result<Hash, CommandError> {
    let failed = |error: std::io::Error| CommandError::failed(format!("opening file \"{}\": {error}", path.display()));
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        surface.activity.check()?;
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// The hash of a path's NAR; with `hacked` (`use-case-hack`) without the endings of names.
pub fn of_archive(
    surface: &Surface,
    path: &Path,
    algorithm: HashAlgorithm,
    hacked: bool,
) -> Result<Hash, CommandError> {
    let mut hasher = Hasher::new(algorithm);
    let hashed = file_tree::case_hack::dump_path(path, hacked, &mut surface.watched(&mut hasher));
    surface.activity.check()?;
    hashed.map_err(|error| CommandError::failed(error.to_string()))?;
    Ok(hasher.finish())
}

/// How hashes are printed: what `nix hash file` and `nix hash path` take.
#[derive(Args, Debug)]
pub struct PrintArgs {
    /// Print as `algorithm-base64` (the default)
    #[arg(long, overrides_with_all = ["base64", "base32", "base16"])]
    sri: bool,
    /// Print in base-64
    #[arg(long, overrides_with_all = ["sri", "base32", "base16"])]
    base64: bool,
    /// Print in Nix's base-32
    #[arg(long, overrides_with_all = ["sri", "base64", "base16"])]
    base32: bool,
    /// Print in base-16
    #[arg(long, overrides_with_all = ["sri", "base64", "base32"])]
    base16: bool,
}

impl PrintArgs {
    /// The form that was asked for.
    pub fn format(&self) -> HashFormat {
        match self {
            Self { base64: true, .. } => HashFormat::Base64,
            Self { base32: true, .. } => HashFormat::Nix32,
            Self { base16: true, .. } => HashFormat::Base16,
            _ => HashFormat::Sri,
        }
    }
}

/// Convert hashes to one form (deprecated, use `nix hash convert`)
#[derive(Parser, Debug)]
struct OldConversion {
    /// The algorithm of hashes that do not name one
    #[arg(long = "type", value_name = "ALGORITHM")]
    algorithm: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
    /// Hashes in any form
    hashes: Vec<String>,
}

/// The deprecated conversions, which differ in nothing but the form.
fn convert_to(surface: &Surface, words: Vec<OsString>, format: HashFormat) -> CommandResult {
    let words = parse::<OldConversion>(words, &[])?;
    let settings = configuration(surface, &words.given)?;
    surface.warn("The old format conversion subcommands of `nix hash` were deprecated in favor of `nix hash convert`.");
    let expected = words.args.algorithm.as_deref().map(|name| algorithm(&settings, name)).transpose()?;
    for text in &words.args.hashes {
        let (hash, _) = read_hash(&settings, text, expected)?;
        surface.line(&hash.format(format, false));
    }
    Ok(0)
}
