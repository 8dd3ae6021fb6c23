//! `nix realisation info`: which store objects outputs of derivations became.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::Parser;
use serde_json::{Value, json};
use session::SessionError;
use store_model::{DerivedPath, Realisation, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::store_paths::{Realise, StorePathsArgs};
use crate::output::build::Opened;
use crate::output::json::JsonArgs;

/// Print which store objects outputs of derivations became
#[derive(Parser, Debug)]
#[command(name = "nix realisation info")]
struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    style: JsonArgs,
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
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    if !opened.session.settings.feature("ca-derivations") {
        return Err(SessionError::FeatureDisabled { feature: "ca-derivations".to_owned() }.into());
    }
    let (mut realisations, mut plain) = (BTreeSet::new(), BTreeSet::new());
    if args.recursive || args.paths.all || args.paths.derivation {
        plain.extend(args.paths.paths(&opened, &args.arguments, args.recursive, Realise::Nothing)?);
    } else {
        for wanted in args.paths.wanted(&opened, &args.arguments, Realise::Nothing)? {
            match &wanted {
                DerivedPath::Opaque(path) => drop(plain.insert(path.clone())),
                DerivedPath::Built { .. } => {
                    let found = opened.realisations(&wanted)?;
                    realisations.extend(found.into_iter().map(|one| (one.out_path.clone(), one)));
                }
            }
        }
    }
    let realisations = realisations.into_iter().map(|(_, one)| one);
    print(&opened, &args, realisations, plain)
}

fn print(
    opened: &Opened<'_>,
    args: &Args,
    realisations: impl Iterator<Item = Realisation>,
    plain: BTreeSet<StorePath>,
) -> Result<i32, CommandError> {
    if args.json {
        let mut all: Vec<Value> = realisations.map(|one| one.to_json()).collect();
        all.extend(plain.iter().map(|path| json!({ "opaquePath": opened.show(path) })));
        args.style.print(opened.surface, &Value::Array(all));
        return Ok(0);
    }
    for one in realisations {
        opened.surface.line(&format!("{} {}", one.id, opened.show(&one.out_path)));
    }
    for path in plain {
        opened.surface.line(&opened.show(&path));
    }
    Ok(0)
}
