//! `nix hash path`: hashes of paths' archives.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use store_model::{ContentAddressMethod, HashFormat};

use super::{PrintArgs, algorithm, of_archive, of_file, wrong};
use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};

/// Print the hashes of paths' archives, or of files' bytes
#[derive(Parser, Debug)]
#[command(name = "nix hash path")]
struct Args {
    /// What is hashed: nar (the archive), flat (the bytes of a file)
    #[arg(long, value_name = "MODE", default_value = "nar")]
    mode: String,
    /// The form to print: base16, nix32, base64, sri
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    #[command(flatten)]
    print: PrintArgs,
    /// The algorithm: blake3, md5, sha1, sha256, sha512
    #[arg(long = "algo", alias = "type", value_name = "ALGORITHM", default_value = "sha256")]
    algorithm: String,
    #[command(flatten)]
    common: CommonArgs,
    /// Paths
    paths: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let settings = configuration(surface, &words.given)?;
    let algorithm = algorithm(&settings, &args.algorithm)?;
    let format = match &args.format {
        Some(name) => HashFormat::parse(name).map_err(wrong)?,
        None => args.print.format(),
    };
    let mode = ContentAddressMethod::parse(&args.mode).map_err(wrong)?;
    for path in &args.paths {
        let hash = match mode {
            ContentAddressMethod::NixArchive => of_archive(surface, path, algorithm, settings.flag("use-case-hack"))?,
            ContentAddressMethod::Flat => of_file(surface, path, algorithm)?,
            ContentAddressMethod::Git => return Err(CommandError::failed(store::Error::GitHashing.to_string())),
            ContentAddressMethod::Text => {
                return Err(CommandError::failed(format!("unknown file ingestion method '{}'", args.mode))
                    .hint("It is one of: flat, nar, git."));
            }
        };
        surface.line(&hash.format(format, false));
    }
    Ok(0)
}
