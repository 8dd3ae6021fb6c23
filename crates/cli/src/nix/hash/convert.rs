//! `nix hash convert`: hashes in another form.

use std::ffi::OsString;

use clap::Parser;
use store_model::HashFormat;

use super::{algorithm, read_hash, wrong};
use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};

/// Convert hashes between their forms
#[derive(Parser, Debug)]
#[command(name = "nix hash convert")]
struct Args {
    /// The form that the hashes must have: base16, nix32, base64, sri
    #[arg(long, value_name = "FORMAT")]
    from: Option<String>,
    /// The form to print: base16, nix32, base64, sri
    #[arg(long, value_name = "FORMAT", default_value = "sri")]
    to: String,
    /// The algorithm of hashes that do not name one: blake3, md5, sha1, sha256, sha512
    #[arg(long, value_name = "ALGORITHM")]
    hash_algo: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
    /// Hashes in any form
    hashes: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let settings = configuration(surface, &words.given)?;
    let from = args.from.as_deref().map(HashFormat::parse).transpose().map_err(wrong)?;
    let to = HashFormat::parse(&args.to).map_err(wrong)?;
    let expected = args.hash_algo.as_deref().map(|name| algorithm(&settings, name)).transpose()?;
    for text in &args.hashes {
        let (hash, format) = read_hash(&settings, text, expected)?;
        if let Some(from) = from.filter(|from| *from != format) {
            let (is, said) = (format.name(), from.name());
            let message = format!("input hash '{text}' has format '{is}', but '--from {said}' was specified");
            return Err(CommandError::failed(message));
        }
        surface.line(&hash.format(to, false));
    }
    Ok(0)
}
