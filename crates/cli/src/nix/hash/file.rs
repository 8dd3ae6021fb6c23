//! `nix hash file`: hashes of files' bytes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::{PrintArgs, algorithm, of_file};
use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, configuration, parse};

/// Print the hashes of files
#[derive(Parser, Debug)]
#[command(name = "nix hash file")]
struct Args {
    #[command(flatten)]
    print: PrintArgs,
    /// The algorithm: blake3, md5, sha1, sha256, sha512
    #[arg(long = "type", value_name = "ALGORITHM", default_value = "sha256")]
    algorithm: String,
    #[command(flatten)]
    common: CommonArgs,
    /// Files
    paths: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let settings = configuration(surface, &words.given)?;
    let algorithm = algorithm(&settings, &words.args.algorithm)?;
    for path in &words.args.paths {
        surface.line(&of_file(surface, path, algorithm)?.format(words.args.print.format(), false));
    }
    Ok(0)
}
