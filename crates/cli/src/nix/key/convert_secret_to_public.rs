//! `nix key convert-secret-to-public`: the public half of a key.

use std::ffi::OsString;
use std::io::Read as _;

use clap::Parser;
use store_model::SecretKey;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};
use crate::nix::hash::wrong;

/// Print the public key of the secret key on standard input
#[derive(Parser, Debug)]
#[command(name = "nix key convert-secret-to-public")]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    configuration(surface, &words.given)?;
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    surface.print(SecretKey::parse(text.trim_end()).map_err(wrong)?.to_public().to_string().as_bytes());
    Ok(0)
}
