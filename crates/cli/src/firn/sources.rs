//! `firn sources`: every fixed-output source below some derivations, to pre-load a store.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use serde_json::{Value, json};
use session::mirrors_of_user;
use store::Store as _;
use store_model::{ContentAddressMethod, Derivation, DerivationOutput, DerivedPath, SingleDerivedPath, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::installable::InstallableArgs;
use crate::output::build::{Opened, store_error};

/// List every fixed-output source that attributes of a file need, with its hash and the places that have it
///
/// A line is: store path, hash, `flat` or `recursive`, then the places in the order in which they would be tried (`-`
/// where a source is made from another one). A file from any of them, added by `nix-store --add-fixed [--recursive]
/// ALGORITHM FILE` under the name in the store path, is as good as a download.
#[derive(Parser, Debug)]
#[command(name = "firn sources")]
struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute paths, or store paths of derivations
    arguments: Vec<String>,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let wanted = args.installables.resolve(&opened, &args.arguments)?;
    let starts: Vec<StorePath> = wanted
        .into_iter()
        .filter_map(|one| match one.path {
            DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), .. } => Some(drv),
            DerivedPath::Opaque(path) if path.is_derivation() => Some(path),
            _ => None,
        })
        .collect();
    let sources = fixed_outputs(&opened, starts)?;
    let hashed = opened.session.settings.list("hashed-mirrors");
    let mirrors = mirrors_of_user(&opened.session.settings.around, Path::new("/"), hashed);
    let mut lines = String::new();
    let mut described = Vec::new();
    for (path, source) in &sources {
        let shown = opened.show(path);
        let mut places = Vec::new();
        for url in &source.urls {
            places.extend(mirrors.expand(url).unwrap_or_else(|_| vec![url.clone()]));
        }
        let mode = if source.recursive { "recursive" } else { "flat" };
        described.push(json!({
            "path": shown, "name": path.name(), "hash": source.hash, "mode": mode, "places": places,
        }));
        let places = if places.is_empty() { "-".to_owned() } else { places.join(" ") };
        lines.push_str(&format!("{shown}\t{}\t{mode}\t{places}\n", source.hash));
    }
    if args.json {
        surface.line(&Value::Array(described).to_string());
    } else {
        surface.print(lines.as_bytes());
    }
    Ok(0)
}

/// One source.
struct Source {
    hash: String,
    recursive: bool,
    urls: Vec<String>,
}

/// Walks derivations from some starts; what is fixed by its hash ends a branch only where nothing has to be built for it.
fn fixed_outputs(opened: &Opened<'_>, starts: Vec<StorePath>) -> Result<BTreeMap<StorePath, Source>, CommandError> {
    let store = opened.store()?;
    let mut open = starts;
    let mut seen: BTreeSet<StorePath> = open.iter().cloned().collect();
    let mut found = BTreeMap::new();
    while let Some(path) = open.pop() {
        opened.activity().check()?;
        let drv = store.read_derivation(opened.activity(), &path).map_err(store_error)?;
        if let Some((output, source)) = source(opened, &drv)? {
            found.insert(output, source);
        }
        for input in drv.input_drvs.keys() {
            if seen.insert(input.clone()) {
                open.push(input.clone());
            }
        }
    }
    Ok(found)
}

fn source(opened: &Opened<'_>, drv: &Derivation) -> Result<Option<(StorePath, Source)>, CommandError> {
    for (name, output) in &drv.outputs {
        let DerivationOutput::CAFixed(address) = output else { continue };
        let path = output
            .path(opened.session.store_dir(), &drv.name, name)
            .map_err(|error| CommandError::failed(error.to_string()))?;
        let Some(path) = path else { continue };
        let text = |name: &str| drv.env_var(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let urls = text("urls").or_else(|| text("url")).unwrap_or_default();
        let source = Source {
            hash: address.hash.to_sri(),
            recursive: address.method == ContentAddressMethod::NixArchive,
            urls: urls.split_whitespace().map(str::to_owned).collect(),
        };
        return Ok(Some((path, source)));
    }
    Ok(None)
}
