//! `nix store prefetch-file`: a download into the store, with the hash that a derivation demands it by.

use std::ffi::OsString;

use activity::Verbosity;
use clap::Parser;
use serde_json::json;
use session::Prefetch;

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::nix::hash::{algorithm, read_hash};
use crate::output::build::Opened;
use crate::output::json::JsonArgs;

/// Download a file into the store
#[derive(Parser, Debug)]
#[command(name = "nix store prefetch-file")]
struct Args {
    /// The name in the store; the last part of the URL by default
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The hash that it must have
    #[arg(long, value_name = "HASH")]
    expected_hash: Option<String>,
    /// The algorithm: blake3, md5, sha1, sha256, sha512
    #[arg(long, alias = "hash-algo", value_name = "ALGORITHM", default_value = "sha256")]
    hash_type: String,
    /// Make the file executable; the hash is that of its NAR then
    #[arg(long)]
    executable: bool,
    /// Take what is in the archive; the hash is that of its NAR then
    #[arg(long)]
    unpack: bool,
    /// Print path and hash as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    style: JsonArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Where it is: http, https, file, mirror
    url: String,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let settings = &opened.session.settings;
    let algorithm = algorithm(settings, &args.hash_type)?;
    let expected = args.expected_hash.map(|text| read_hash(settings, &text, Some(algorithm))).transpose()?;
    let request = Prefetch {
        url: args.url,
        name: args.name,
        algorithm,
        expected: expected.map(|(hash, _)| hash),
        unpack: args.unpack,
        executable: args.executable,
    };
    let (path, hash) = opened.prefetch(&request)?;
    let (path, hash) = (opened.show(&path), hash.to_sri());
    if args.json {
        args.style.print(surface, &json!({ "hash": hash, "storePath": path }));
    } else {
        let text = format!("Downloaded '{}' to '{path}' (hash '{hash}').", request.url);
        opened.activity().message(Verbosity::Notice, &text);
    }
    Ok(0)
}
