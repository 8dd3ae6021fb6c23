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
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .map_err(|error| CommandError::failed(format!("reading '/dev/urandom': {error}")))?;
    surface.print(SecretKey::from_seed(&words.args.key_name, seed).reveal().as_bytes());
    Ok(0)
}
