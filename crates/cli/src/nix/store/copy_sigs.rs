//! `nix store copy-sigs`: signatures that other stores have of the same objects.

use std::collections::BTreeSet;
use std::ffi::OsString;

use activity::Verbosity;
use clap::Parser;
use store_model::{Signature, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::output::build::{Opened, store_error};

/// Copy the signatures of paths from other stores
///
/// Only those of objects with the same contents and references are taken.
#[derive(Parser, Debug)]
#[command(name = "nix store copy-sigs")]
struct Args {
    /// A store to copy from; may be repeated
    #[arg(short = 's', long, value_name = "URI")]
    substituter: Vec<String>,
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
    if args.substituter.is_empty() {
        return Err(CommandError::usage("you must specify at least one substituter using '-s'"));
    }
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let paths = args.paths.paths(&opened, &args.arguments, args.recursive, Realise::Nothing)?;
    let infos = opened.infos(&paths)?;
    let mut more: Vec<(StorePath, BTreeSet<Signature>)> = Vec::new();
    for uri in &args.substituter {
        let other = opened.session.open_uri(opened.activity(), uri)?;
        let theirs = other.store.path_infos(opened.activity(), &paths).map_err(store_error)?;
        for (ours, theirs) in infos.iter().zip(theirs) {
            if let Some(theirs) = theirs
                && (theirs.nar_hash, theirs.nar_size) == (ours.nar_hash, ours.nar_size)
                && theirs.references == ours.references
            {
                more.push((theirs.path, theirs.signatures));
            }
        }
    }
    let added = opened.writable()?.add_signatures(opened.activity(), &more).map_err(store_error)?;
    opened.activity().message(Verbosity::Info, &format!("imported {added} signatures"));
    Ok(0)
}
