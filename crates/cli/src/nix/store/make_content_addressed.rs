//! `nix store make-content-addressed`: paths with all that they need again, under paths that follow from their contents.

use std::ffi::OsString;

use clap::Parser;
use serde_json::{Map, Value, json};
use store::WriteOptions;
use store::content_addressed::make_content_addressed;
use store::copy::{Destination, Place};

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::settings::Given;
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::output::build::{Opened, store_error};
use crate::output::json::JsonArgs;

/// Write paths with all that they need again, under paths that follow from their contents
///
/// Such paths prove themselves, so other stores take them without a signature.
#[derive(Parser, Debug)]
#[command(name = "nix store make-content-addressed")]
struct Args {
    /// The store that the paths are in; the usual one by default
    #[arg(long, value_name = "URI")]
    from: Option<String>,
    /// The store to write to; the usual one by default
    #[arg(long, value_name = "URI")]
    to: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    style: JsonArgs,
    #[command(flatten)]
    paths: StorePathsArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute paths or store paths
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let mut words = parse::<Args>(words, &[])?;
    let here = Opened { surface, session: open(surface, &words.given, &words.args.common)? };
    let from = words.args.from.take();
    words.given.extend(from.map(|uri| Given { name: "store".to_owned(), value: uri }));
    let args = words.args;
    let there = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let named = args.paths.named(&there, &args.arguments, Realise::Outputs)?;
    let all = args.paths.with_closures(&there, named.clone(), true)?;
    let source = there.session.opened(there.activity())?;
    let target = match &args.to {
        Some(uri) => here.session.open_uri(here.activity(), uri)?,
        None => here.session.opened(here.activity())?,
    };
    let destination = Destination {
        place: Place { store: target.writable.clone(), uri: target.uri.clone() },
        roots: target.roots.as_deref(),
        options: WriteOptions::default(),
        jobs: 1,
    };
    let source = Place { store: source.store.clone(), uri: source.uri.clone() };
    let became = make_content_addressed(here.activity(), &source, &destination, &all).map_err(store_error)?;
    let mut rewrites = Map::new();
    for path in &named {
        let Some(new) = became.get(path) else { continue };
        let (old, new) = (there.show(path), there.show(new));
        if args.json {
            rewrites.insert(old, Value::String(new));
        } else {
            here.activity().message(activity::Verbosity::Notice, &format!("rewrote '{old}' to '{new}'"));
        }
    }
    if args.json {
        args.style.print(surface, &json!({ "rewrites": rewrites }));
    }
    Ok(0)
}
