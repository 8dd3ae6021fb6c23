//! `nix derivation show`: derivations as JSON.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::Parser;
use serde_json::{Map, json};
use store_model::derivation::json::{VERSION, to_value};
use store_model::{DerivedPath, StorePath};

use crate::command::{CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::installable::InstallableArgs;
use crate::nix::hash::wrong;
use crate::output::build::{Opened, store_error};
use crate::output::json::JsonArgs;

/// Print derivations as JSON
#[derive(Parser, Debug)]
#[command(name = "nix derivation show")]
struct Args {
    /// Take the derivations that they need too
    #[arg(short = 'r', long)]
    recursive: bool,
    #[command(flatten)]
    style: JsonArgs,
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute paths or store paths
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let mut paths = BTreeSet::new();
    for one in args.installables.resolve(&opened, &args.arguments)? {
        paths.insert(match one.path {
            DerivedPath::Opaque(path) if path.is_derivation() => path,
            DerivedPath::Opaque(path) => opened.deriver(&path)?,
            DerivedPath::Built { drv, .. } => opened.derivation_path(&drv)?,
        });
    }
    let store = opened.source()?;
    if args.recursive {
        let starts: Vec<StorePath> = paths.into_iter().collect();
        paths = store::closure::closure(&*store, opened.activity(), &starts).map_err(store_error)?;
    }
    let mut all = Map::new();
    for path in paths.iter().filter(|path| path.is_derivation()) {
        let derivation = store.read_derivation(opened.activity(), path).map_err(store_error)?;
        all.insert(path.to_string(), to_value(&derivation).map_err(wrong)?);
    }
    args.style.print(surface, &json!({ "derivations": all, "version": VERSION }));
    Ok(0)
}
