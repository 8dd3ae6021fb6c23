//! `nix key generate-secret`: a new key.

use std::ffi::OsString;
use std::io::Read as _;

use clap::Parser;
use store_model::SecretKey;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};

/// Print a new secret key for signing store paths
#[derive(Parser, Debug)]
#[command(name = "nix key generate-secret")]
struct Args {
    /// The key's name, such as cache.example.org-1
    #[arg(long, value_name = "NAME")]
    key_name: String,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    configuration(surface, &words.given)?;
    surface.print(new_key(&words.args.key_name)?.reveal().as_bytes());
    Ok(0)
}

/// A key that nobody had before.
pub fn new_key(name: &str) -> Result<SecretKey, CommandError> {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .map_err(|error| CommandError::failed(format!("reading '/dev/urandom': {error}")))?;
    Ok(SecretKey::from_seed(name, seed))
}
