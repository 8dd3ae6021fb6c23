//! `nix-hash`: hashes of files and trees, and conversions between their forms.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use store_model::hash::compress;
use store_model::hash::encoding::{base16_encode, base64_encode, nix32_encode};
use store_model::{Hash, HashAlgorithm, HashFormat};

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};
use crate::nix::hash::{algorithm, of_archive, of_file, read_hash};

/// Compute the hash of files or trees, or convert hashes
///
/// Without --flat the hash is that of the path's NAR. With one of the --to options the arguments are hashes.
#[derive(Parser, Debug)]
#[command(name = "nix-hash", disable_version_flag = true)]
struct Args {
    /// Hash the file's bytes instead of its archive
    #[arg(long)]
    flat: bool,
    /// Print in base-16 (the default)
    #[arg(long)]
    base16: bool,
    /// Print in Nix's base-32
    #[arg(long)]
    base32: bool,
    /// Print in base-64
    #[arg(long)]
    base64: bool,
    /// Print as `algorithm-base64`
    #[arg(long)]
    sri: bool,
    /// Fold the hash to 160 bits
    #[arg(long)]
    truncate: bool,
    /// The algorithm: md5, sha1, sha256, sha512, blake3
    #[arg(long = "type", value_name = "ALGORITHM")]
    algorithm: Option<String>,
    /// Convert hashes to base-16
    #[arg(long)]
    to_base16: bool,
    /// Convert hashes to Nix's base-32
    #[arg(long)]
    to_base32: bool,
    /// Convert hashes to base-64
    #[arg(long)]
    to_base64: bool,
    /// Convert hashes to `algorithm-base64`
    #[arg(long)]
    to_sri: bool,
    #[command(flatten)]
    common: CommonArgs,
    /// Paths, or hashes
    arguments: Vec<PathBuf>,
}

/// Runs the program.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    if words.iter().any(|word| word == "--version") {
        surface.line(&crate::programs::version("nix-hash", &words));
        return Ok(0);
    }
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let settings = configuration(surface, &words.given)?;
    let algorithm = args.algorithm.as_deref().map(|name| algorithm(&settings, name)).transpose()?;
    let convert = [
        (args.to_base16, HashFormat::Base16),
        (args.to_base32, HashFormat::Nix32),
        (args.to_base64, HashFormat::Base64),
        (args.to_sri, HashFormat::Sri),
    ];
    if let Some((_, format)) = convert.into_iter().find(|(wanted, _)| *wanted) {
        for argument in &args.arguments {
            let text = argument.to_string_lossy();
            let (hash, _) = read_hash(&settings, &text, algorithm)?;
            surface.line(&hash.format(format, format == HashFormat::Sri));
        }
        return Ok(0);
    }
    let algorithm = algorithm.unwrap_or(HashAlgorithm::Md5);
    let hacked = settings.flag("use-case-hack");
    for path in &args.arguments {
        let hash =
            if args.flat { of_file(surface, path, algorithm)? } else { of_archive(surface, path, algorithm, hacked)? };
        surface.line(&printed(&args, &hash));
    }
    Ok(0)
}

fn printed(args: &Args, hash: &Hash) -> String {
    if args.sri && !args.truncate {
        return hash.to_sri();
    }
    let short: [u8; 20];
    let digest = if args.truncate && hash.digest().len() > 20 {
        short = compress(hash.digest());
        &short[..]
    } else {
        hash.digest()
    };
    match args {
        Args { base32: true, .. } => nix32_encode(digest),
        Args { base64: true, .. } => base64_encode(digest),
        _ => base16_encode(digest),
    }
}
