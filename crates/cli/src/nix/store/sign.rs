//! `nix store sign`: signatures by a key of this machine.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use activity::Verbosity;
use clap::Parser;
use store_model::{SecretKey, Signature, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::nix::hash::wrong;
use crate::output::build::{Opened, store_error};

/// Sign paths with a key
#[derive(Parser, Debug)]
#[command(name = "nix store sign")]
struct Args {
    /// The file with the secret key, made by `nix key generate-secret`
    #[arg(short = 'k', long, value_name = "FILE", required = true)]
    key_file: PathBuf,
    /// Take the closures of the paths
    #[arg(short = 'r', long)]
    recursive: bool,
    #[command(flatten)]
    paths: StorePathsArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute paths or store paths
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let file = args.key_file.display();
    let text = std::fs::read_to_string(&args.key_file)
        .map_err(|error| CommandError::failed(format!("reading the secret key '{file}': {error}")))?;
    let key = SecretKey::parse(text.trim()).map_err(wrong)?;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let paths = args.paths.paths(&opened, &args.arguments, args.recursive, Realise::Nothing)?;
    let mut more: Vec<(StorePath, BTreeSet<Signature>)> = Vec::with_capacity(paths.len());
    for info in opened.infos(&paths)? {
        let mut signed = info.clone();
        signed.signatures.clear();
        signed.sign(opened.session.store_dir(), &key).map_err(wrong)?;
        more.push((info.path, signed.signatures));
    }
    let added = opened.writable()?.add_signatures(opened.activity(), &more).map_err(store_error)?;
    opened.activity().message(Verbosity::Info, &format!("added {added} signatures"));
    Ok(0)
}
